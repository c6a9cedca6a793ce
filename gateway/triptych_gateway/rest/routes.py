"""All routes of the REST API, and how it tells of errors."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from triptych.errors import TriptychError
from triptych_gateway.api import Api

router = APIRouter(prefix="/api/v1")


def tell(error: TriptychError, status: int) -> dict[str, Any]:
    """`{"error": {"status", "reason", "message", "field"}}`; the metadata are fields beside."""
    return {"error": {**error.metadata, "status": status, "reason": error.reason, "message": error.message}}


API = Api("/api/v1", router, tell)
