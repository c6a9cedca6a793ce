"""The page outlives reloads of itself and restarts of the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import Served
from tests.gateway.page.own_gateway import OwnGateway
from tests.gateway.page.steps import Drawing

pytestmark = pytest.mark.browser

LONG = {"Steps": "200", "Width": "256", "Height": "256"}


@pytest.fixture
def gateway(served: Served, tmp_path: Path) -> Iterator[OwnGateway]:
    gateway = OwnGateway(served.stack.address, tmp_path)
    gateway.start()
    yield gateway
    gateway.kill()


def test_a_reload_in_the_middle_finds_the_request_again(drawing: Drawing, served: Served) -> None:
    drawing.generate("a long way through reloads", **LONG)
    card = drawing.card("a long way through reloads")
    expect(card).to_contain_text("Step ", timeout=60_000)
    drawing.page.reload()
    expect(card).to_contain_text("Step ", timeout=60_000)
    expect(drawing.page.get_by_label("Steps", exact=True).first).to_have_value("200")
    card.get_by_role("button", name="Cancel").click()
    expect(card).to_have_count(0)


def test_a_restart_of_the_gateway(page: Page, gateway: OwnGateway, served: Served) -> None:
    drawing = Drawing(page, gateway.url)
    drawing.generate("begun before", **LONG)
    card = drawing.card("begun before")
    expect(card).to_contain_text("Step ", timeout=60_000)
    gateway.kill()
    expect(page.get_by_text("The server does not answer.").first).to_be_visible()
    gateway.start()
    expect(page.locator("#banner")).to_be_hidden()
    expect(card).to_contain_text("The server was restarted before this was done.")
    card.get_by_role("button", name="Fill in again").click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("begun before")
    drawing.generate("begun after", Steps="2", Width="64", Height="64")
    drawing.made("begun after")
