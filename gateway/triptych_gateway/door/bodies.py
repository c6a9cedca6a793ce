"""How many bytes of requests' bodies are held at once: what a route parses lies in memory while it works."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from triptych.errors import ResourceExhaustedError, TriptychError
from triptych_gateway.errors import Answer, HttpError


class BodyBudget:
    """Middleware: a request whose body finds no room is told to come again, before a byte of it is read."""

    def __init__(self, app: ASGIApp, most_bytes: int, most_each: int, answer: Answer) -> None:
        self._app = app
        self._left_bytes = most_bytes
        self._most_each = most_each
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        size_bytes = self._announced(Headers(scope=scope))
        if refusal := self._refusal(size_bytes):
            await self._answer(scope["path"], refusal)(scope, receive, send)
            return
        self._left_bytes -= size_bytes
        try:
            await self._app(scope, receive, send)
        finally:
            self._left_bytes += size_bytes

    def _refusal(self, size_bytes: int) -> TriptychError | None:
        if size_bytes > self._most_each:
            return HttpError(413, f"the request's body must not have more than {self._most_each} bytes")
        if size_bytes > self._left_bytes:
            return ResourceExhaustedError("the gateway holds as many bytes of requests as it may; try again")
        return None

    def _announced(self, headers: Headers) -> int:
        """A body of unknown length may become as long as one may be, and is cut off there further on."""
        if "transfer-encoding" in headers:
            return self._most_each
        length = headers.get("content-length", "0")
        return int(length) if length.isdecimal() else 0
