"""All routes of the REST API, and how it tells of errors."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from triptych.errors import TriptychError
from triptych_gateway.api import Api
from triptych_gateway.rest import generation, models, pictures, preprocessing, reading, server, uploads
from triptych_gateway.rest.answers import error_of
from triptych_gateway.rest.documents import ERRORS

router = APIRouter(prefix="/api/v1", responses=ERRORS)
for part in (server, models, generation, preprocessing, pictures, uploads, reading):
    router.include_router(part.router)


def tell(error: TriptychError, status: int) -> dict[str, Any]:
    """`{"error": {"status", "reason", "message", "field"}}`; the metadata are fields beside."""
    return {"error": error_of(error, status)}


API = Api("/api/v1", router, tell)
