"""What a person does on the page, by what it is called there."""

from __future__ import annotations

from collections.abc import Sequence

from playwright.sync_api import FilePayload, Locator, Page, expect

CHECKPOINT = "sd1"
PATIENCE_MS = 60_000


class Drawing:
    """The page, opened, with the tiny checkpoint chosen."""

    def __init__(self, page: Page, url: str, checkpoint: str = CHECKPOINT) -> None:
        self.page = page
        self.url = url
        self.checkpoint = checkpoint
        page.goto(url)
        self.choose_checkpoint()

    def choose_checkpoint(self) -> None:
        self.page.get_by_label("Checkpoint").select_option(self.checkpoint)

    def fill(self, **fields: str) -> None:
        """By labels: fill(Steps="3", Seed="7")."""
        for label, value in fields.items():
            self.page.locator("#form").get_by_label(label.replace("_", " "), exact=True).first.fill(value)

    def generate(self, prompt: str, **fields: str) -> None:
        """Asks for a picture; does not wait for it."""
        self.fill(Prompt=prompt, **fields)
        self.page.get_by_role("button", name="Generate").click()

    def card(self, prompt: str) -> Locator:
        """Of a request at work."""
        return self.page.locator(".task", has_text=prompt)

    def picture(self, prompt: str) -> Locator:
        """The gallery's latest picture of a prompt."""
        return self.page.get_by_role("button", name=prompt, exact=True).first

    def made(self, prompt: str, count: int = 1) -> list[str]:
        """Waits for so many pictures of a prompt; their ids, the newest first."""
        tiles = self.page.get_by_role("button", name=prompt, exact=True)
        expect(tiles).to_have_count(count, timeout=PATIENCE_MS)
        sources = [tile.get_by_role("img").get_attribute("src") or "" for tile in tiles.all()]
        return [source.removesuffix("/thumbnail").rpartition("/")[2] for source in sources]

    def guide_by(self, kind: str, name: str) -> Locator:
        """Adds a model of a kind, "ControlNets" or "IP-Adapters"; the part of the form that is about it."""
        groups = self.page.get_by_role("group", name=name, exact=True)
        count = groups.count()
        if not self.page.get_by_label(kind, exact=True).is_visible():
            self.page.get_by_text("Guided by pictures").click()
        self.page.get_by_label(kind, exact=True).select_option(name)
        return groups.nth(count)

    def begin_with(self, *files: FilePayload) -> None:
        """Gives the form its image."""
        self.page.locator("#source input").set_input_files([*files])

    def stroke(self, points: Sequence[tuple[float, float]]) -> None:
        """Paints a line on the canvas, by shares of its width and height."""
        box = self.page.get_by_label("Mask painter").bounding_box()
        assert box
        places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=4)
        self.page.mouse.up()
