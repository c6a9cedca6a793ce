"""Pictures are made on the page, in a real browser, by the session's stack."""

from __future__ import annotations

import zipfile

import httpx
import pytest
from playwright.sync_api import expect

from tests.conftest import Served
from tests.gateway.page.steps import Drawing
from triptych import Control, IpAdapter
from triptych.sdk.parameters import GenerateParameters

pytestmark = pytest.mark.browser


def test_the_table_has_every_parameter(drawing: Drawing, served: Served) -> None:
    names = drawing.page.evaluate(
        """async () => {
            const { GROUPS, PLACED } = await import("/page/app/form/parameters.js");
            const all = GROUPS.flatMap((group) => group.parameters.map((each) => each.name.split(".")[0]));
            return [...PLACED, ...all];
        }"""
    )
    assert set(names) == {"prompt", *GenerateParameters.__annotations__} - {"request_id"}


def test_a_control_s_and_an_ip_adapter_s_table_have_every_field(drawing: Drawing, served: Served) -> None:
    names = drawing.page.evaluate(
        """async () => {
            const { NUMBERS, PARAMETERS, PREPROCESSOR, UNION_TYPE } = await import("/page/app/controls/parameters.js");
            return [...NUMBERS, ...[PREPROCESSOR, UNION_TYPE, ...PARAMETERS].map((each) => each.name)];
        }"""
    )
    # The mask is the image's to begin with.
    assert {*names, "name", "image"} == {*Control.__annotations__} - {"mask_image"}
    name = drawing.page.evaluate("async () => (await import('/page/app/adapters/adapters.js')).SCALE.name")
    assert {name, "name", "image"} == {*IpAdapter.__annotations__}


def test_every_control_has_a_name(drawing: Drawing, served: Served) -> None:
    nameless = drawing.page.evaluate(
        """() => [...document.querySelectorAll("input, select, textarea, button, a")]
            .filter((each) => each.type !== "hidden" && !each.hidden && !each.closest("[aria-hidden=true]"))
            .filter((each) => !each.labels?.length && !each.ariaLabel && !each.textContent.trim())
            .filter((each) => !each.querySelector("img[alt]"))
            .map((each) => each.outerHTML)"""
    )
    assert nameless == []


def test_a_picture_is_made_and_made_again(drawing: Drawing, http: httpx.Client, served: Served) -> None:
    prompt = "a red circle, by the page"
    drawing.generate(prompt, Steps="4", Seed="7", Width="64", Height="64")
    (first,) = drawing.made(prompt)
    asked = {"checkpoint": "sd1", "num_inference_steps": 4, "seed": 7, "width": 64, "height": 64}
    result = served.client.generate(prompt, **asked)  # type: ignore[arg-type]
    assert http.get(f"/api/v1/pictures/{first}").content == result.files[0]

    drawing.fill(Prompt="something else", Steps="9")
    drawing.picture(prompt).click()
    facts = drawing.page.locator(".facts")
    expect(facts).to_contain_text("Seed7")
    drawing.page.get_by_role("button", name="Make again").click()
    expect(drawing.page.get_by_label("Prompt", exact=True)).to_have_value(prompt)
    drawing.page.get_by_role("button", name="Generate").click()
    again, _ = drawing.made(prompt, 2)
    assert http.get(f"/api/v1/pictures/{again}").content == result.files[0]


def test_several_at_once_one_of_them_cancelled(drawing: Drawing, http: httpx.Client, served: Served) -> None:
    drawing.generate("a long one", Steps="200", Width="256", Height="256")
    expect(drawing.card("a long one")).to_contain_text("Step ", timeout=60_000)
    expect(drawing.card("a long one").get_by_role("progressbar")).to_be_visible()
    expect(drawing.card("a long one").locator("img")).to_be_visible()  # the preview
    drawing.generate("a short one beside it", Steps="2", Width="64", Height="64")
    drawing.made("a short one beside it")
    drawing.card("a long one").get_by_role("button", name="Cancel").click()
    expect(drawing.card("a long one")).to_have_count(0)
    expect(drawing.page.locator("#announcements")).to_have_text("Cancelled.")
    task = next(each for each in http.get("/api/v1/tasks").json()["tasks"] if each["request"]["prompt"] == "a long one")
    assert task["status"] == "cancelled"


def test_what_is_refused_is_told_at_its_field(drawing: Drawing, served: Served) -> None:
    drawing.generate("too many", Steps="100000")
    field = drawing.page.locator("[data-field=num_inference_steps]")
    expect(field.locator(".problem")).to_contain_text("100000")
    expect(field.locator("input")).to_be_focused()
    expect(field.locator("input")).to_have_attribute("aria-invalid", "true")
    drawing.generate("not too many", Steps="2", Width="64", Height="64")
    expect(field.locator(".problem")).to_be_hidden()
    drawing.made("not too many")


def test_a_dropped_picture_is_read(drawing: Drawing, served: Served) -> None:
    made = served.client.generate(
        "a green square", checkpoint="sd1", num_inference_steps=3, seed=11, width=64, height=64
    )
    transfer = drawing.page.evaluate_handle(
        """(bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "found.png", { type: "image/png" }));
            return transfer;
        }""",
        list(made.files[0]),
    )
    drawing.page.dispatch_event("main", "drop", {"dataTransfer": transfer})
    expect(drawing.page.get_by_label("Prompt", exact=True)).to_have_value("a green square")
    expect(drawing.page.get_by_label("Seed", exact=True)).to_have_value("11")
    expect(drawing.page.get_by_role("status").filter(has_text="filled in from found.png")).to_be_visible()


def test_two_are_compared_downloaded_and_deleted(drawing: Drawing, http: httpx.Client, served: Served) -> None:
    prompt = "a pair to compare"
    drawing.generate(prompt, Steps="2", Width="64", Height="64", Seed="1")
    drawing.made(prompt)
    drawing.generate(prompt, Seed="2")
    ids = drawing.made(prompt, 2)
    page = drawing.page
    page.get_by_label("Search prompts").fill("pair compare")
    expect(page.locator(".tile")).to_have_count(2)
    for box in page.get_by_label(f"Choose: {prompt}").all():
        box.check()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("row", name="Seed 2 1")).to_be_visible()
    expect(page.get_by_role("dialog").get_by_role("row")).to_have_count(2)
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        files = [archive.read(name) for name in archive.namelist()]
    assert sorted(files) == sorted(http.get(f"/api/v1/pictures/{each}").content for each in ids)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator(".tile")).to_have_count(0)
    assert http.get(f"/api/v1/pictures/{ids[0]}").status_code == 404
