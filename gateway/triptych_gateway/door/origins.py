"""Pages of other sites: what they have a browser send is not the person's will, and is refused."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from triptych_gateway.errors import Answer, HttpError


class OriginCheck:
    """Middleware against forged requests, and against names that a stranger points at this machine (DNS rebinding).

    `hosts` are the names that it may be called by, besides addresses and localhost; None: any, for credentials or
    the operator's word stand against strangers.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str], hosts: Collection[str] | None, answer: Answer) -> None:
        self._app = app
        self._origins = origins
        self._hosts = hosts
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] == "http" and (refusal := self._refusal(scope, Headers(scope=scope))):
            await self._answer(scope["path"], refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> HttpError | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._hosts is not None and not _is_ours(_name(host), self._hosts):
            return HttpError(403, f"this gateway is not known as {host!r}; --allow-host has it answer to a name")
        if origin is None or is_harmless(scope) or origin in self._origins:
            return None
        if urlsplit(origin).netloc.lower() == host.lower() and host:
            return None
        return HttpError(403, f"pages of {origin!r} may not call this gateway; --cors-origin lets a site in")


def is_harmless(scope: Scope) -> bool:
    """Whether the request changes nothing."""
    return scope["method"] in ("GET", "HEAD", "OPTIONS")


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_ours(name: str, hosts: Collection[str]) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost") or name in hosts
    return True
