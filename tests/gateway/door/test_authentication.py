"""Who is let in over HTTP, and as whom."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.gateway.door.conftest import At
from triptych.keys import KeyFile, checking
from triptych.keys.entry import Entry
from triptych_gateway.__main__ import parse
from triptych_gateway.door.sessions import COOKIE

ANN = httpx.BasicAuth("ann", "correct horse")
BEARER = {"Authorization": "Bearer ann.correct horse"}
ANNS_FORM = {"name": "ann", "password": "correct horse"}


async def test_basic_and_bearer_on_every_api(door: At, credentials: Path) -> None:
    async with door(credentials=(credentials,)) as http:
        for prefix in ("/sdapi/v1", "/v1", "/api/v1"):
            assert (await http.get(f"{prefix}/caller", auth=ANN)).json() == "name:ann"
            assert (await http.get(f"{prefix}/caller", headers=BEARER)).json() == "name:ann"


@pytest.mark.parametrize(
    ("prefix", "challenge"), [("/sdapi/v1", "Basic"), ("/v1", "Bearer"), ("/api/v1", "Bearer"), ("", "Bearer")]
)
async def test_who_is_not_known_is_refused_in_the_apis_own_shape(
    door: At, credentials: Path, prefix: str, challenge: str
) -> None:
    async with door(credentials=(credentials,)) as http:
        for authorization in ({}, {"Authorization": ""}, {"Authorization": "Bearer ann.wrong"}):
            for path in ("caller", "no-such-route"):
                answer = await http.get(f"{prefix}/{path}", headers=authorization)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == f'{challenge} realm="Triptych"'
                assert "unauthenticated" in answer.text.lower()


async def test_without_credentials_what_is_sent_tells_callers_apart_and_else_their_address(door: At) -> None:
    async with door() as http:
        nobody = (await http.get("/api/v1/caller")).json()
        assert nobody == "address:127.0.0.1"
        assert (await http.get("/api/v1/caller", headers={"Authorization": ""})).json() == nobody
        ann, bob = [
            (await http.get("/api/v1/caller", headers={"Authorization": f"Bearer {name}"})).json() for name in "ab"
        ]
        assert len({nobody, ann, bob}) == 3 and ann.startswith("credential:")
        assert (await http.get("/login")).json() == {"name": None, "required": False}
        assert (await http.post("/login", json=ANNS_FORM)).status_code == 409


async def test_a_session_from_the_form_to_the_end(door: At, credentials: Path) -> None:
    async with door(credentials=(credentials,)) as http:
        assert (await http.get("/login")).json() == {"name": None, "required": True}
        assert (await http.post("/login", json={**ANNS_FORM, "password": "wrong"})).status_code == 401
        answer = await http.post("/login", json=ANNS_FORM)
        assert answer.status_code == 204
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie and "secure" not in cookie
        assert (await http.get("/login")).json() == {"name": "ann", "required": True}
        assert (await http.get("/api/v1/caller")).json() == "name:ann"
        origin = {"Origin": str(http.base_url).rstrip("/")}
        assert (await http.post("/api/v1/size", json={"a": "xy"}, headers=origin)).json() == 2
        assert (await http.post("/api/v1/size", json={"a": "xy"})).status_code == 403
        assert (await http.post("/logout", headers=origin)).status_code == 204
        assert (await http.get("/api/v1/caller")).status_code == 401


async def test_a_session_ends_with_its_password_and_is_known_to_a_gateway_beside(
    door: At, credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "LOOK_AGAIN_S", 0.0)
    async with door(credentials=(credentials,)) as http, door(credentials=(credentials,)) as beside:
        await http.post("/login", json=ANNS_FORM)
        beside.cookies.set(COOKIE, http.cookies[COOKIE])
        assert (await beside.get("/api/v1/caller")).json() == "name:ann"
        KeyFile(credentials).put(Entry.with_password("ann", "another one"))
        assert (await beside.get("/api/v1/caller")).status_code == 401


@pytest.mark.parametrize("change", ["name", "expires", "mark", "none"])
async def test_a_changed_cookie_is_nobodys(door: At, credentials: Path, change: str) -> None:
    KeyFile(credentials).put(Entry.with_password("bob", "correct horse"))
    async with door(credentials=(credentials,)) as http:
        await http.post("/login", json=ANNS_FORM)
        _, expires, mark = http.cookies[COOKIE].split(".")
        http.cookies.clear()
        changed = {
            "name": f"bob.{expires}.{mark}",
            "expires": f"ann.{int(expires) + 1}.{mark}",
            "mark": f"ann.{expires}.{mark[:-1]}",
            "none": "ann",
        }[change]
        assert (await http.get("/api/v1/caller", headers={"Cookie": f"{COOKIE}={changed}"})).status_code == 401


@pytest.mark.parametrize("path", ["/health", "/login"])
async def test_what_is_open(door: At, credentials: Path, path: str) -> None:
    async with door(credentials=(credentials,)) as http:
        assert (await http.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["//api/v1/caller", "/page/../api/v1/caller", "/api/v1/caller?/health", "/health/x"])
async def test_what_only_looks_open(door: At, credentials: Path, path: str) -> None:
    async with door(credentials=(credentials,)) as http:
        raw = httpx.URL(str(http.base_url)).copy_with(raw_path=path.encode())
        assert (await http.get(raw)).status_code in (401, 404)


def test_a_public_address_wants_credentials(credentials: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--state-dir=x", "--host=0.0.0.0"])
    assert "triptych keys add NAME" in capsys.readouterr().err
    assert parse(["--state-dir=x", "--host=0.0.0.0", "--open-to-anyone"]).door.open_to_anyone
    assert parse(["--state-dir=x", "--host=::", f"--credentials={credentials}"]).door.credentials == (credentials,)
