"""ControlNets on the page: chosen, prepared with a preview, told what is wrong with them, and remembered."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Locator, expect

from tests import tiny
from tests.conftest import Served
from tests.gateway.page.steps import Drawing
from tests.parity.oracle import drawn

pytestmark = pytest.mark.browser

PHOTO = drawn((64, 64), 0)


def given() -> FilePayload:
    stream = io.BytesIO()
    PHOTO.save(stream, "PNG")
    return {"name": "photo.png", "mimeType": "image/png", "buffer": stream.getvalue()}


def shown(image: Locator) -> Image.Image:
    """What a browser has of it."""
    expect(image).to_be_visible()
    width, height, data = image.evaluate(
        """async (image) => {
            await image.decode();
            const [width, height] = [image.naturalWidth, image.naturalHeight];
            const canvas = Object.assign(document.createElement("canvas"), { width, height });
            const pen = canvas.getContext("2d");
            pen.drawImage(image, 0, 0);
            return [width, height, btoa(String.fromCharCode(...pen.getImageData(0, 0, width, height).data.filter(
                (_, index) => index % 4 === 0)))];
        }"""
    )
    return Image.frombytes("L", (width, height), base64.b64decode(data))  # of edges all channels are the same


def test_a_picture_is_drawn_under_one(drawing: Drawing, http: httpx.Client, served: Served, outlines: str) -> None:
    control = drawing.guide_by("ControlNets", outlines)
    control.get_by_label(f"Image of {outlines}:").set_input_files([given()])
    expect(control.get_by_role("img", name=f"What {outlines} looks at", exact=True)).to_be_visible()
    control.get_by_label("Weight").fill("0.7")
    control.get_by_label("Until").fill("0.9")
    control.get_by_label("Preprocessor").select_option("canny")
    control.get_by_label("Low Threshold").fill("50")
    prompt = "a circle, guided"
    drawing.generate(prompt, Steps="3", Seed="7", Width="64", Height="64")
    (made,) = drawing.made(prompt)
    said: dict[str, Any] = {
        "name": outlines, "image": PHOTO, "conditioning_scale": 0.7, "guidance_end": 0.9, "preprocessor": "canny",
        "threshold_a": 50,
    }  # fmt: skip
    asked: dict[str, Any] = {"checkpoint": "sd1", "num_inference_steps": 3, "seed": 7, "width": 64, "height": 64}
    expected = served.client.generate(prompt, **asked, controls=[said]).images[0]
    file = http.get(f"/api/v1/pictures/{made}").content
    assert Image.open(io.BytesIO(file)).tobytes() == expected.tobytes()
    drawing.picture(prompt).click()
    expect(drawing.page.locator(".facts")).to_contain_text(f"{outlines} (")


def test_the_preprocessor_is_previewed_and_follows_what_is_changed(
    drawing: Drawing, served: Served, outlines: str
) -> None:
    control = drawing.guide_by("ControlNets", outlines)
    control.get_by_label(f"Image of {outlines}:").set_input_files([given()])
    expect(control.get_by_role("button", name="Preview")).to_be_hidden()
    control.get_by_label("Preprocessor").select_option("canny")
    control.get_by_label("Resolution").fill("128")
    control.get_by_role("button", name="Preview").click()  # which the help of the field before must not move
    prepared = control.get_by_role("img", name=f"What {outlines} looks at, prepared")
    expected = served.client.preprocess("canny", PHOTO, processor_res=128).image.convert("L")
    assert shown(prepared).tobytes() == expected.tobytes()
    before = prepared.get_attribute("src")
    control.get_by_label("Low Threshold").fill("20")
    control.get_by_label("Low Threshold").blur()
    expect(prepared).not_to_have_attribute("src", before or "")
    expected = served.client.preprocess("canny", PHOTO, processor_res=128, threshold_a=20).image.convert("L")
    assert shown(prepared).tobytes() == expected.tobytes()
    control.get_by_label("Low Threshold").fill("1000")
    control.get_by_label("Low Threshold").blur()
    expect(control.locator("[data-field=threshold_a] .problem")).to_contain_text("from 1 to 255")
    expect(prepared).to_be_hidden()
    drawing.page.set_viewport_size({"width": 390, "height": 844})
    assert drawing.page.evaluate("document.documentElement.scrollWidth") == 390  # nothing stands over the edge


def test_what_is_wrong_is_told_at_the_controls_field(drawing: Drawing, served: Served, outlines: str) -> None:
    first, second = (drawing.guide_by("ControlNets", outlines) for _ in range(2))
    first.get_by_label(f"Image of {outlines}:").set_input_files([given()])
    drawing.generate("nothing to look at", Steps="2", Width="64", Height="64")
    problem = second.locator(".entry-picture > .problem")
    expect(problem).to_contain_text("The image is missing")
    expect(second.get_by_label(f"Image of {outlines}:")).to_be_focused()
    second.get_by_label(f"Image of {outlines}:").set_input_files([given()])
    second.get_by_label("From").fill("2")
    drawing.generate("never", Steps="2")
    expect(second.locator("[data-field=guidance_start] .problem")).to_contain_text("from 0 to 1")
    expect(problem).to_be_hidden()
    expect(first.locator("[data-field=guidance_start] .problem")).to_be_hidden()
    second.get_by_role("button", name=f"Remove {outlines}").click()
    expect(drawing.page.locator(".entry")).to_have_count(1)
    drawing.generate("something to look at", Steps="2")
    drawing.made("something to look at")


def test_a_picture_of_the_gallery_is_looked_at_and_remembered(
    drawing: Drawing, http: httpx.Client, served: Served, outlines: str
) -> None:
    page = drawing.page
    drawing.generate("looked at", Steps="2", Seed="1", Width="64", Height="64")
    (kept,) = drawing.made("looked at")
    drawing.picture("looked at").click()
    page.get_by_role("button", name="Send to a ControlNet").click()
    control = page.get_by_role("group", name=outlines, exact=True)
    expect(control.get_by_role("img", name=f"What {outlines} looks at", exact=True)).to_be_visible()
    page.get_by_label("Guess mode").check()
    page.reload()
    expect(control.get_by_role("img", name=f"What {outlines} looks at", exact=True)).to_be_visible()
    drawing.generate("looking", Steps="2", Seed="2")
    drawing.made("looking")
    task = next(each for each in http.get("/api/v1/tasks").json()["tasks"] if each["request"]["prompt"] == "looking")
    assert task["request"]["controls"] == [{"name": outlines, "image": f"picture:{kept}"}]
    assert task["request"]["guess_mode"] is True


def test_it_is_listed_among_the_models_and_draws_nothing_and_so_is_an_ip_adapter(
    drawing: Drawing, served: Served, outlines: str, likeness: str
) -> None:
    page = drawing.page
    assert {outlines, likeness}.isdisjoint(page.get_by_label("Checkpoint").locator("option").all_inner_texts())
    page.get_by_role("button", name="Models").click()
    for title, name in (("ControlNets", outlines), ("IP-Adapters", likeness)):
        listed = page.get_by_role("dialog", name="Models").locator("section", has_text=title).first
        expect(listed.get_by_text(name, exact=True)).to_be_visible()
        expect(listed.get_by_label(f"Engine of {name}")).to_have_count(0)


def test_a_unions_types_are_offered(
    drawing: Drawing, served: Served, outlines: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    path = tiny.save_union_controlnet(tmp_path / "union", checkpoints["sdxl"])
    types = served.client.register_controlnet("a-union", path).union_types
    try:
        drawing.page.reload()
        offered = drawing.guide_by("ControlNets", "a-union").get_by_label("What the image is")
        assert offered.locator("option").evaluate_all("all => all.map((each) => each.value)") == ["", *types]
        expect(drawing.guide_by("ControlNets", outlines).get_by_label("What the image is")).to_be_hidden()
    finally:
        served.client.unregister_checkpoint("a-union")
