"""The page before a gateway that wants to know who calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import Served
from tests.gateway.page.own_gateway import OwnGateway
from tests.gateway.page.steps import Drawing
from triptych.keys import KeyFile
from triptych.keys.entry import Entry

pytestmark = pytest.mark.browser


@pytest.fixture
def locked(served: Served, tmp_path: Path) -> Iterator[OwnGateway]:
    """Ann may enter."""
    credentials = KeyFile(tmp_path / "credentials")
    credentials.put(Entry.with_password("ann", "correct horse"))
    gateway = OwnGateway(served.stack.address, tmp_path / "state", "--credentials", str(credentials.path))
    gateway.start()
    yield gateway
    gateway.kill()


def test_a_login_is_asked_for_and_outlives_a_reload(page: Page, locked: OwnGateway, served: Served) -> None:
    page.goto(locked.url)
    dialog = page.get_by_role("dialog", name="Log in")
    dialog.get_by_label("Name").fill("ann")
    dialog.get_by_label("Password").fill("wrong")
    dialog.get_by_role("button", name="Log in").click()
    expect(dialog.get_by_role("alert")).to_have_text("That name and password do not belong together.")
    dialog.get_by_label("Password").fill("correct horse")
    dialog.get_by_role("button", name="Log in").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Log out ann")).to_be_visible()
    drawing = Drawing(page, locked.url)
    drawing.generate("for ann", Steps="2", Width="64", Height="64")
    drawing.made("for ann")
    page.get_by_role("button", name="Log out ann").click()
    expect(dialog).to_be_visible()
    expect(page.locator(".tile")).to_have_count(0)
