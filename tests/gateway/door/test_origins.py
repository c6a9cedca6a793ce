"""Pages of other sites, and names that strangers point here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateway.door.conftest import At

SITE = "https://site.example"


@pytest.mark.parametrize("origin", [SITE, "null", "http://127.0.0.1:1", "http://"])
async def test_another_sites_page_may_not_write(door: At, origin: str) -> None:
    async with door() as http:
        refused = await http.post("/api/v1/size", json={"a": "x"}, headers={"Origin": origin})
        assert refused.status_code == 403 and "--cors-origin" in refused.text
        read = await http.get("/api/v1/caller", headers={"Origin": origin})
        assert "access-control-allow-origin" not in read.headers  # it was sent, and the browser keeps it from the page
        own = {"Origin": str(http.base_url).rstrip("/")}
        assert (await http.post("/api/v1/size", json={"a": "x"}, headers=own)).json() == 1


async def test_a_site_that_the_operator_lets_in(door: At, credentials: Path) -> None:
    async with door(credentials=(credentials,), cors_origins=(SITE,)) as http:
        asked = {
            "Origin": SITE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        before = await http.options("/api/v1/size", headers=asked)
        assert before.status_code == 200 and before.headers["access-control-allow-origin"] == SITE
        assert "access-control-allow-credentials" not in before.headers
        sent = {"Origin": SITE, "Authorization": "Bearer ann.correct horse"}
        answer = await http.post("/api/v1/size", json={"a": "x"}, headers=sent)
        assert answer.json() == 1 and answer.headers["access-control-allow-origin"] == SITE
        other = await http.options("/api/v1/size", headers={**asked, "Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[x", "localhost@x"])
async def test_where_nobody_is_asked_only_known_names_are_answered(door: At, host: str) -> None:
    async with door() as http:
        assert (await http.get("/api/v1/caller", headers={"Host": host})).status_code in (400, 403)


@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1", "[::1]:7860", "sd.home", "sd.home:80", "LOCALHOST"])
async def test_addresses_localhost_and_names_of_the_operators_choice(door: At, host: str) -> None:
    async with door(allowed_hosts=("sd.home",)) as http:
        assert (await http.get("/api/v1/caller", headers={"Host": host})).status_code == 200


async def test_with_credentials_any_name_will_do(door: At, credentials: Path) -> None:
    async with door(credentials=(credentials,)) as http:
        sent = {"Host": "sd.example", "Authorization": "Bearer ann.correct horse"}
        assert (await http.get("/api/v1/caller", headers=sent)).status_code == 200
