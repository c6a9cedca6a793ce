"""What every answer bears: the request's id, and the headers that browsers go by; and what is noted of it."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from triptych.logs import request_id
from triptych_gateway.door.metrics import observe
from triptych_gateway.door.origins import is_harmless

logger = logging.getLogger("triptych.gateway")

_OWN_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
# A route's own header stands before these.
HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Envelope:
    """The outermost middleware. `X-Request-ID` is the caller's, where it sends a sound one; the log has it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        identity = given if _OWN_ID.fullmatch(given) else secrets.token_hex(8)
        status = 499  # it left before there was an answer
        is_open = False  # the answer has begun, and is not whole

        async def addressed(message: Message) -> None:
            nonlocal status, is_open
            is_open = message["type"] == "http.response.start" or message.get("more_body", False)
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = identity
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        token, began_s = request_id.set(identity), time.perf_counter()
        try:
            await self._app(scope, receive, addressed)
        except asyncio.CancelledError:
            if not is_open:
                raise
            # The gateway ends, and with it what would end with its reader: a stream of events, say.
            with suppress(Exception):  # of an answer whose length was told, it would be too little
                await send({"type": "http.response.body", "body": b""})
        finally:
            seconds = time.perf_counter() - began_s
            observe(scope, status, seconds)
            _log(scope, status, seconds)
            request_id.reset(token)


def _log(scope: Scope, status: int, seconds: float) -> None:
    # A query is left out: what is searched for is a prompt's words.
    level = logging.DEBUG if is_harmless(scope) and status < 400 else logging.INFO
    told = {"method": scope["method"], "path": scope["path"], "status": status, "seconds": round(seconds, 3)}
    logger.log(level, "request", extra=told)
