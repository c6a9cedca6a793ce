"""Debian's Chromium on the page of the session's gateway.

Where there is no Chromium the tests are skipped by name. TRIPTYCH_REQUIRE_BROWSER=1 makes such a skip a failure.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.conftest import Served
from tests.gateway.page.steps import PATIENCE_MS, Drawing

REQUIRE = "TRIPTYCH_REQUIRE_BROWSER"
NAMES = ("chromium", "chromium-browser", "google-chrome")


# Not for the session: Playwright's event loop counts as running until it stops, and no test that is async can run then.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        reason = f"there is none of {', '.join(NAMES)} here; on Debian: apt-get install chromium"
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(f"{reason} ({REQUIRE}=1)")
        pytest.skip(reason)
    # As root its sandbox does not start; the pages are our own.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own; what it complains of by itself is a failure, what the server refuses is not."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            complaints.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert not complaints


@pytest.fixture
def drawing(page: Page, served: Served) -> Drawing:
    """The page of the session's gateway, opened."""
    return Drawing(page, served.stack.gateway_url)
