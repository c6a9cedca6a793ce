"""Who sends a request: by its key, password or session; where nobody is asked, by what it says, or its address."""

from __future__ import annotations

import hashlib
import http.cookies

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from triptych.errors import TriptychError
from triptych.keys import Keys
from triptych_gateway.caller import Caller
from triptych_gateway.door.open_paths import is_open
from triptych_gateway.door.origins import is_harmless
from triptych_gateway.door.secret import Secret
from triptych_gateway.door.sessions import COOKIE, Sessions
from triptych_gateway.errors import Answer, HttpError


class Authentication:
    """Middleware: leaves the caller in the request's state, or answers that none is known."""

    def __init__(
        self, app: ASGIApp, keys: Keys | None, sessions: Sessions | None, secret: Secret, answer: Answer
    ) -> None:
        self._app = app
        self._keys = keys
        self._sessions = sessions
        self._digest_key = secret("callers")
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            caller = await self._caller(scope, Headers(scope=scope))
        except TriptychError as error:
            await self._answer(scope["path"], error)(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    async def _caller(self, scope: Scope, headers: Headers) -> Caller:
        authorization = headers.get("authorization", "").strip()
        if self._keys is None:
            return self._said(authorization) if " " in authorization else _address(scope)
        open_to_all = is_open(scope["path"])
        if open_to_all or not authorization:
            if name := self._logged_in(scope, headers):
                return Caller.named(name)
            if open_to_all:
                return _address(scope)
        return Caller.named(await self._keys.name_of(authorization))

    def _said(self, authorization: str) -> Caller:
        """Unchecked, a credential tells callers apart; records have its digest, which is the same after a restart."""
        digest = hashlib.blake2b(authorization.encode(), key=self._digest_key, digest_size=16).hexdigest()
        return Caller(f"credential:{digest}")

    def _logged_in(self, scope: Scope, headers: Headers) -> str | None:
        name = self._sessions.name_of(_cookie(headers)) if self._sessions else None
        if name is not None and not is_harmless(scope) and "origin" not in headers:
            raise HttpError(403, "a session is for a browser's page, which says its origin; others send a key")
        return name


def _cookie(headers: Headers) -> str:
    try:
        found = http.cookies.SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except http.cookies.CookieError:
        return ""
    return found.value if found else ""


def _address(scope: Scope) -> Caller:
    client = scope.get("client")
    return Caller(f"address:{client[0] if client else ''}")
