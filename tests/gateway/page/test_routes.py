"""The page's files, as they are served."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.conftest import Served
from triptych_gateway.page.routes import FOLDER

FILES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", ["/", "/page/app/main.js", "/page/styles/tokens.css"])
def test_nothing_from_elsewhere_and_nothing_inline(path: str, http: httpx.Client, served: Served) -> None:
    headers = http.get(path).raise_for_status().headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_file_that_is_the_same_is_not_sent_again(http: httpx.Client, served: Served) -> None:
    path = "/page/app/main.js"
    tag = http.get(path).headers["ETag"]
    assert http.get(path, headers={"If-None-Match": tag}).status_code == 304


def test_every_file_that_the_page_names_is_there(http: httpx.Client, served: Served) -> None:
    page = http.get("/").text
    named = {re.sub("#.*", "", path) for path in re.findall(r'(?:href|src)="(/page/[^"]+)"', page)}
    assert len(named) > 5
    for path in named:
        http.get(path).raise_for_status()


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith((".js", ".css", ".html"))])
def test_files_are_small_and_speak_of_no_other_host(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert text.count("\n") <= 400
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)
    if name.endswith(".js"):
        assert text.startswith("// @ts-check\n/**")
