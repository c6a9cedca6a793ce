"""All routes of the A1111 API, and how it tells of errors."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from triptych.errors import TriptychError
from triptych_gateway.a1111 import choosing, extras, listings, machine, progress, uncovered
from triptych_gateway.a1111.controlnet import routes as controlnet
from triptych_gateway.a1111.drawing import routes as drawing
from triptych_gateway.api import Api
from triptych_gateway.errors import HttpError

router = APIRouter(prefix="/sdapi/v1")
for part in (drawing, extras, progress, choosing, listings, machine, uncovered):
    router.include_router(part.router)


def tell(error: TriptychError, status: int) -> dict[str, Any]:
    """`{"error", "detail", "body", "errors"}`, as that API has it."""
    name = "HTTPException" if isinstance(error, HttpError) else type(error).__name__
    return {"error": name, "detail": error.message, "body": "", "errors": error.message}


API = Api("/sdapi/v1", router, tell, challenge="Basic")
# Its extension's.
CONTROLNET_API = Api("/controlnet", controlnet.router, tell, challenge="Basic")
