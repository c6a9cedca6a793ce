"""IP-Adapters on the page: given pictures in every way, drawn with, told what is wrong with them, and remembered."""

from __future__ import annotations

import io
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, JSHandle, Locator, Page, expect

from tests.conftest import Served
from tests.gateway.page.steps import Drawing
from tests.parity.oracle import drawn

pytestmark = pytest.mark.browser

SMALL: dict[str, Any] = {"checkpoint": "sd1", "num_inference_steps": 2, "seed": 7, "width": 64, "height": 64}
TYPED = {"Steps": "2", "Seed": "7", "Width": "64", "Height": "64"}


def png(number: int) -> bytes:
    stream = io.BytesIO()
    drawn((64, 48), number).save(stream, "PNG")
    return stream.getvalue()


def given(number: int) -> FilePayload:
    return {"name": f"photo-{number}.png", "mimeType": "image/png", "buffer": png(number)}


def carried(page: Page, number: int) -> JSHandle:
    """The same as the browser has it in its hands."""
    return page.evaluate_handle(
        """(bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "carried.png", { type: "image/png" }));
            return transfer;
        }""",
        list(png(number)),
    )


def paste(page: Page, number: int) -> None:
    """Where the focus is."""
    page.evaluate(
        """(clipboardData) => document.activeElement.dispatchEvent(
            new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }))""",
        carried(page, number),
    )


def seen(adapter: Locator) -> Locator:
    return adapter.locator(".seen img")


def pixels(http: httpx.Client, picture: str) -> bytes:
    return Image.open(io.BytesIO(http.get(f"/api/v1/pictures/{picture}").content)).tobytes()


def asked(http: httpx.Client, prompt: str) -> dict[str, Any]:
    tasks = http.get("/api/v1/tasks").json()["tasks"]
    request: dict[str, Any] = next(each["request"] for each in tasks if each["request"]["prompt"] == prompt)
    return request


def test_pictures_are_chosen_dropped_and_pasted_and_drawn_with(
    drawing: Drawing, http: httpx.Client, served: Served, likeness: str
) -> None:
    page = drawing.page
    first, second = (drawing.guide_by("IP-Adapters", likeness) for _ in range(2))
    chooser = first.get_by_label(f"Image of {likeness}:")
    chooser.set_input_files([given(0), given(1)])
    first.get_by_label("Weight").fill("0.6")
    first.locator(".entry-picture").dispatch_event("drop", {"dataTransfer": carried(page, 2)})
    expect(seen(first)).to_have_count(3)
    first.get_by_role("button", name=f"Remove image 2 of {likeness}").click()
    expect(seen(first)).to_have_count(2)
    second.get_by_label(f"Image of {likeness}:").focus()
    paste(page, 3)
    expect(seen(second)).to_have_count(1)
    page.get_by_label("Prompt", exact=True).focus()
    second.locator(".entry-picture").hover()
    paste(page, 4)
    expect(seen(second)).to_have_count(2)
    expect(page.locator("#guides .badge")).to_have_text("2 set")
    prompt = "like those"
    drawing.generate(prompt, **TYPED)
    (made,) = drawing.made(prompt)
    adapters = [
        {"name": likeness, "image": [png(0), png(2)], "scale": 0.6},
        {"name": likeness, "image": [png(3), png(4)]},
    ]
    assert pixels(http, made) == served.client.generate(prompt, **SMALL, ip_adapters=adapters).images[0].tobytes()
    assert pixels(http, made) != served.client.generate(prompt, **SMALL).images[0].tobytes()
    page.set_viewport_size({"width": 360, "height": 780})
    assert page.evaluate("document.documentElement.scrollWidth") == 360  # nothing stands over the edge
    page.get_by_label("Prompt", exact=True).focus()
    page.mouse.move(0, 0)
    paste(page, 5)  # to begin with
    expect(page.locator("#source")).to_contain_text("carried.png")


def test_it_is_remembered_and_filled_in_again_with_pictures_of_the_gallery(
    drawing: Drawing, http: httpx.Client, served: Served, likeness: str
) -> None:
    page = drawing.page
    drawing.generate("to be like", **TYPED)
    (kept,) = drawing.made("to be like")
    for _ in range(2):
        drawing.picture("to be like").click()
        page.get_by_role("button", name="Send to an IP-Adapter").click()
    adapter = page.get_by_role("group", name=likeness, exact=True)
    adapter.get_by_label("Weight").fill("0.5")
    adapter.get_by_label("Weight").blur()
    page.reload()
    expect(seen(adapter)).to_have_count(2)
    expect(adapter.get_by_label("Weight")).to_have_value("0.5")
    drawing.generate("like it", **TYPED)
    (made,) = drawing.made("like it")
    names = [f"picture:{kept}"] * 2
    assert asked(http, "like it")["ip_adapters"] == [{"name": likeness, "image": names, "scale": 0.5}]

    adapter.get_by_label("Weight").fill("0.1")
    drawing.picture("like it").click()
    expect(page.locator(".facts")).to_contain_text(f"IP-Adapters{likeness} (scale 0.5)")
    page.get_by_role("button", name="Make again").click()
    expect(adapter.get_by_label("Weight")).to_have_value("0.5")
    expect(seen(adapter)).to_have_count(2)  # those that are still chosen
    expect(page.get_by_role("status").filter(has_text="guided by the pictures that are still chosen")).to_be_visible()
    adapter.get_by_label("Weight").focus()
    paste(page, 4)  # beside those of the server one of this machine
    expect(seen(adapter)).to_have_count(3)
    drawing.generate("like all three")
    (last,) = drawing.made("like all three")
    file = http.get(f"/api/v1/pictures/{kept}").content
    adapters = [{"name": likeness, "image": [file, file, png(4)], "scale": 0.5}]
    expected = served.client.generate("like all three", **SMALL, ip_adapters=adapters).images[0]
    assert pixels(http, last) == expected.tobytes() != pixels(http, made)


def test_a_picture_that_is_gone_from_the_gallery_is_told(drawing: Drawing, http: httpx.Client, likeness: str) -> None:
    page = drawing.page
    drawing.generate("to be gone", **TYPED)
    (kept,) = drawing.made("to be gone")
    drawing.picture("to be gone").click()
    page.get_by_role("button", name="Send to an IP-Adapter").click()
    adapter = page.get_by_role("group", name=likeness, exact=True)
    adapter.get_by_label(f"Image of {likeness}:").set_input_files([given(0)])
    expect(seen(adapter)).to_have_count(2)
    assert http.delete(f"/api/v1/pictures/{kept}").status_code == 204
    page.route(f"**/pictures/{kept}", lambda route: route.continue_())  # past the browser's cache
    drawing.generate("like what is gone")
    expect(adapter.locator(".entry-picture > .problem")).to_contain_text("no picture")


def test_what_is_wrong_is_told_at_its_field(drawing: Drawing, served: Served, likeness: str) -> None:
    adapter = drawing.guide_by("IP-Adapters", likeness)
    problem = adapter.locator(".entry-picture > .problem")
    drawing.generate("like nothing", **TYPED)
    expect(problem).to_contain_text("The image is missing")
    chooser = adapter.get_by_label(f"Image of {likeness}:")
    expect(chooser).to_be_focused()
    chooser.set_input_files([given(0), {"name": "broken.png", "mimeType": "image/png", "buffer": b"no picture"}])
    drawing.generate("like something broken")
    expect(problem).to_contain_text("Image 2 ")
    adapter.get_by_role("button", name=f"Remove image 2 of {likeness}").click()
    adapter.get_by_label("Weight").fill("11")
    drawing.generate("too much like it")
    expect(adapter.locator("[data-field=scale] .problem")).to_contain_text("from 0 to 10")
    expect(problem).to_be_hidden()
    adapter.get_by_role("button", name=f"Remove {likeness}").click()
    expect(drawing.page.locator("#guides .badge")).to_be_hidden()
