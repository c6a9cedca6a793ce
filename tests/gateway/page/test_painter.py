"""Masks are painted and pictures widened on the page's canvas."""

from __future__ import annotations

import io

import httpx
import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.conftest import Served
from tests.gateway.page.steps import Drawing

pytestmark = pytest.mark.browser

SIZE = 64


def given() -> tuple[Image.Image, FilePayload]:
    """A picture in which every pixel is another."""
    image = Image.merge("RGB", [Image.linear_gradient("L").resize((SIZE, SIZE)).rotate(90 * turn) for turn in range(3)])
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return image, {"name": "given.png", "mimeType": "image/png", "buffer": stream.getvalue()}


def fetched(http: httpx.Client, picture_id: str) -> Image.Image:
    return Image.open(io.BytesIO(http.get(f"/api/v1/pictures/{picture_id}").content)).convert("RGB")


def open_painter(page: Page) -> None:
    page.get_by_role("button", name="Mask and borders").click()
    expect(page.get_by_label("Mask painter")).to_be_visible()


def test_a_mask_is_painted_and_used(drawing: Drawing, http: httpx.Client, served: Served) -> None:
    page = drawing.page
    image, file = given()
    drawing.begin_with(file)
    open_painter(page)
    drawing.stroke([(0.1, 0.1), (0.1, 0.9)])
    page.get_by_role("button", name="Undo").click()
    page.get_by_label("Size", exact=True).fill("20")
    drawing.stroke([(0.8, 0.2), (0.8, 0.8)])
    page.get_by_role("button", name="Done").click()
    expect(page.locator("#source")).to_contain_text("% masked")
    drawing.generate("a masked star", Steps="4", Seed="3")
    (made,) = drawing.made("a masked star")
    difference = ImageChops.difference(image, fetched(http, made))
    assert difference.crop((0, 0, SIZE // 2, SIZE)).getbbox() is None  # what was undone, too
    assert difference.crop((SIZE // 2, 0, SIZE, SIZE)).getbbox() is not None


def test_borders_are_drawn_out(drawing: Drawing, http: httpx.Client, served: Served) -> None:
    page = drawing.page
    image, file = given()
    drawing.begin_with(file)
    open_painter(page)
    handle = page.get_by_role("slider", name="New border right")
    box = handle.bounding_box()
    assert box
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 100, middle[1], steps=5)
    page.mouse.up()
    pulled = int(page.get_by_label("right", exact=True).input_value())
    assert pulled > 0
    page.get_by_role("slider", name="New border top").press("ArrowUp")
    page.get_by_role("button", name="Done").click()
    page.get_by_label("Mask blur").fill("0")
    drawing.generate("a wider one", Steps="4")
    (made,) = drawing.made("a wider one")
    picture = fetched(http, made)
    assert picture.size == (SIZE + pulled, SIZE + 8)
    assert ImageChops.difference(image, picture.crop((0, 8, SIZE, SIZE + 8))).getbbox() is None


def test_a_finger_paints(browser: Browser, served: Served) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    drawing = Drawing(page, served.stack.gateway_url)
    drawing.begin_with(given()[1])
    open_painter(page)
    page.get_by_label("Mask painter").tap()
    page.get_by_role("button", name="Done").tap()
    expect(page.locator("#source")).to_contain_text("% masked")
    assert page.evaluate("document.documentElement.scrollWidth") == 390  # nothing stands over the edge
    context.close()


def test_the_keyboard_paints(drawing: Drawing, served: Served) -> None:
    page = drawing.page
    drawing.begin_with(given()[1])
    open_painter(page)
    canvas = page.get_by_label("Mask painter")
    for key in ("Space", "ArrowRight", "ArrowDown", "Space"):
        canvas.press(key)
    page.keyboard.press("Escape")
    expect(page.locator("#source")).to_contain_text("% masked")
