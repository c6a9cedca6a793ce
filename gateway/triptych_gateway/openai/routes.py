"""All routes of OpenAI's API, and how it tells of errors."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from triptych.errors import TriptychError
from triptych_gateway.api import Api

router = APIRouter(prefix="/v1")


def tell(error: TriptychError, status: int) -> dict[str, Any]:
    """`{"error": {"message", "type", "param", "code"}}`, as that API has it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    detail = {"message": error.message, "type": kind, "param": error.metadata.get("field")}
    return {"error": {**detail, "code": error.reason.lower()}}


API = Api("/v1", router, tell)
