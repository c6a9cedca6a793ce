"""Makes docs/images/page-*.png: the page at work, on a desk and on a phone, light and dark, by the demo checkpoint.

python -m tools.screenshots
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

import triptych
from triptych.demo import lora_paths

FOLDER = Path(__file__).parent.parent / "docs" / "images"
SHOWN = [
    "a large blue star on a yellow background",
    "a small red circle on a white background",
    "a large green heart on a pink background",
    "a large purple ring on a black background",
    "a large white moon on a blue background",
    "a large orange square on a green background",
    "a large yellow cross on a purple background",
    "a small pink heart on a black background",
    "a large red triangle on a white background",
    "a large black ring on an orange background",
    "a large yellow star on a blue background",
    "a small green circle on a yellow background",
]
AT_WORK = ["a large white moon on a purple background", "a large gold star on a purple background"]
GUIDED = "a large red star on a white background"
SEEN_STEPS = 30  # by then it shows what it is to be
DESK: ViewportSize = {"width": 1280, "height": 860}
PHONE: ViewportSize = {"width": 390, "height": 844}


def fill_gallery(page: Page) -> None:
    """Draws what the gallery shows."""
    for prompt in SHOWN:
        page.request.post("/api/v1/generate", data={"prompt": prompt, "seed": 7, "num_inference_steps": 30})


def at_work(page: Page) -> None:
    """Two requests run, both far enough to be seen."""
    page.get_by_label("Negative prompt", exact=True).fill("blurry")
    page.get_by_label("LoRAs").select_option("stripes")
    page.get_by_label("Weight of stripes", exact=True).fill("0.3")
    page.get_by_label("Steps", exact=True).first.fill("100")
    for prompt in AT_WORK:
        page.get_by_label("Prompt", exact=True).fill(prompt)
        page.get_by_role("button", name="Generate").click()
    are_seen = f"() => [...document.querySelectorAll('.task progress')].every((bar) => bar.value >= {SEEN_STEPS})"
    page.wait_for_function(are_seen, timeout=300_000)
    page.locator(".form-body").evaluate("(form) => form.scrollTo(0, 0)")
    is_narrow = (page.viewport_size or DESK)["width"] < 600
    page.evaluate("scrollTo(0, 0)")
    if is_narrow:
        page.get_by_role("heading", name="In the works").scroll_into_view_if_needed()
        page.evaluate("document.querySelector('#tasks').closest('section').scrollIntoView()")


def looking(page: Page) -> None:
    """One picture is looked at."""
    page.get_by_role("button", name=SHOWN[0], exact=True).click()
    expect(page.locator(".facts")).to_contain_text("Seed")


def painting(page: Page) -> None:
    """A picture of the gallery gets a mask and a new border."""
    looking(page)
    page.get_by_role("button", name="Send to inpaint").click()
    canvas = page.get_by_label("Mask painter")
    box = canvas.bounding_box()
    assert box
    page.get_by_label("Size", exact=True).fill("24")
    for row in (0.35, 0.5, 0.65):
        page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * row)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * row, steps=12)
        page.mouse.up()
    for _ in range(4):
        page.get_by_role("slider", name="New border right").press("ArrowRight")


def guided(page: Page) -> None:
    """A picture of the gallery is prepared for a ControlNet, and another was drawn under that."""
    looking(page)
    page.get_by_role("button", name="Send to a ControlNet").click()
    control = page.locator(".entry")
    control.get_by_label("Preprocessor").select_option("canny")
    control.get_by_label("Resolution").fill("128")
    control.get_by_role("button", name="Preview").click()
    expect(control.get_by_role("img", name="prepared")).to_be_visible()
    page.get_by_label("Prompt", exact=True).fill(GUIDED)
    page.get_by_label("Steps", exact=True).first.fill("30")
    page.get_by_label("Seed", exact=True).fill("7")
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_role("button", name=GUIDED, exact=True)).to_be_visible(timeout=120_000)
    control.scroll_into_view_if_needed()
    control.evaluate("(control) => control.scrollIntoView({ block: 'start' })")
    page.evaluate("scrollTo(0, 0)")


SCREENS: dict[str, tuple[Literal["light", "dark"], ViewportSize, Callable[[Page], None]]] = {
    "desk-light": ("light", DESK, at_work),
    "desk-dark": ("dark", DESK, at_work),
    "phone-light": ("light", PHONE, looking),
    "phone-dark": ("dark", PHONE, at_work),
    "controlnet": ("light", DESK, guided),
    "inpaint": ("light", DESK, painting),
    "phone-inpaint": ("dark", PHONE, painting),
}


def shoot(browser: Browser, url: str, name: str) -> None:
    """One screen, in few colours, for the repository's sake."""
    scheme, size, act = SCREENS[name]
    is_phone = size is PHONE
    context = browser.new_context(
        base_url=url, viewport=size, color_scheme=scheme, has_touch=is_phone, is_mobile=is_phone,
        device_scale_factor=2 if is_phone else 1, reduced_motion="reduce",
    )  # fmt: skip
    page = context.new_page()
    page.goto("/")
    if not page.request.get("/api/v1/pictures?limit=1").json()["pictures"]:
        fill_gallery(page)
        page.reload()
    expect(page.locator(".tile img").first).to_be_visible()
    page.wait_for_load_state("load")
    act(page)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(FOLDER / f"page-{name}.png", optimize=True)
    for task in page.request.get("/api/v1/tasks").json()["tasks"]:
        page.request.delete(f"/api/v1/tasks/{task['id']}")
    context.close()


def main() -> int:
    """All screens, or those that are named."""
    names = sys.argv[1:] or [*SCREENS]
    with triptych.local(gateway=True, loras=lora_paths()) as client, sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        for name in names:
            shoot(browser, client.gateway_url, name)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
