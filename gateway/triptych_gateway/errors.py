"""Failures as HTTP: a status and, in the shape of the API that was asked, the field and the remedy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from triptych.errors import (
    InvalidArgumentError,
    ResourceExhaustedError,
    ServerStoppingError,
    TriptychError,
    UnauthenticatedError,
    invalid,
)
from triptych_gateway.api import Api

logger = logging.getLogger("triptych.gateway")

RETRY_AFTER_S = 5


class HttpError(TriptychError):
    """What HTTP alone knows: no such route, a method that it has not, a body that is too large."""

    reason = "HTTP"

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


Answer = Callable[[str, TriptychError], JSONResponse]
"""What is answered at a path, of an error."""


def answering(apis: Sequence[Api]) -> Answer:
    """In the shape of the API whose prefix the path has, the last one's else."""

    def answer(path: str, error: TriptychError) -> JSONResponse:
        api = next((api for api in apis if path.startswith(api.prefix)), apis[-1])
        status = error.status if isinstance(error, HttpError) else error.http_status
        headers = dict(error.headers) if isinstance(error, HttpError) else {}
        if isinstance(error, ResourceExhaustedError | ServerStoppingError):
            headers["Retry-After"] = error.metadata.get("retry_after_seconds", str(RETRY_AFTER_S))
        if isinstance(error, UnauthenticatedError):
            headers["WWW-Authenticate"] = f'{api.challenge} realm="Triptych"'
        return JSONResponse(api.tell(error, status), status, headers)

    return answer


def add_error_handlers(app: FastAPI, by_path: Answer) -> None:
    """Has every failure of `app` answered in the shape of its API."""

    def answer(request: Request, error: TriptychError) -> JSONResponse:
        return by_path(request.url.path, error)

    async def told(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, TriptychError)
        return answer(request, error)

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return answer(request, of_validation(error))

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return answer(request, HttpError(error.status_code, error.detail, dict(error.headers or {})))

    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        logger.error("a request failed", exc_info=error, extra={"path": request.url.path})
        return answer(request, TriptychError("something went wrong here; the gateway's log says what"))

    app.add_exception_handler(TriptychError, told)
    app.add_exception_handler(RequestValidationError, refused)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unforeseen)


def of_validation(error: RequestValidationError) -> InvalidArgumentError:
    """The first thing that pydantic has to say, with the field's name."""
    first: dict[str, Any] = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path")) or "body"
    return invalid(field, str(first["msg"]))
