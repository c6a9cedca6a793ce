"""All routes of OpenAI's images API."""

from __future__ import annotations

from fastapi import APIRouter

from triptych_gateway.api import Api
from triptych_gateway.openai import addresses, images, models
from triptych_gateway.openai.documents import ERRORS
from triptych_gateway.openai.telling import tell

router = APIRouter(prefix="/v1", responses=ERRORS)
for part in (models, images, addresses):
    router.include_router(part.router)

API = Api("/v1", router, tell)
