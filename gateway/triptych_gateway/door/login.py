"""The page's way in: a form's name and password for a session, and out again."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from triptych.errors import FailedPreconditionError
from triptych_gateway.caller import CallerOf
from triptych_gateway.door.sessions import COOKIE, LIFETIME_S

router = APIRouter(include_in_schema=False)


class Login(BaseModel):
    """What the form sends."""

    name: str = Field(max_length=64)
    password: str = Field(max_length=1024, description="The password, or the whole key.")


@router.get("/login")
async def who_is_logged_in(request: Request, caller: CallerOf) -> dict[str, Any]:
    """The session's name, and whether one is needed."""
    return {"name": caller.name, "required": request.app.state.door.keys is not None}


@router.post("/login", status_code=204)
async def log_in(login: Login, request: Request, response: Response) -> None:
    """Sets the session's cookie, which no script can read and no other site's page sends."""
    door = request.app.state.door
    if door.keys is None:
        raise FailedPreconditionError("this gateway asks nobody for credentials")
    name = await door.keys.check(login.name, login.password.removeprefix(f"{login.name}."))
    response.set_cookie(COOKIE, door.sessions.issue(name), max_age=LIFETIME_S, **_attributes(request))


@router.post("/logout", status_code=204)
async def log_out(request: Request, response: Response) -> None:
    """Has the browser forget it."""
    response.delete_cookie(COOKIE, **_attributes(request))


def _attributes(request: Request) -> dict[str, Any]:
    return {"httponly": True, "samesite": "strict", "secure": request.url.scheme == "https", "path": "/"}
