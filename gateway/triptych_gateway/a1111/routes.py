"""All routes of the A1111 API, and how it tells of errors."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from triptych.errors import TriptychError
from triptych_gateway.api import Api

router = APIRouter(prefix="/sdapi/v1")


def tell(error: TriptychError, status: int) -> dict[str, Any]:
    """`{"error", "detail", "body", "errors"}`, as that API has it."""
    return {"error": type(error).__name__, "detail": error.message, "body": "", "errors": error.message}


API = Api("/sdapi/v1", router, tell)
