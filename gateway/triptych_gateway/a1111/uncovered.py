"""What that API has and Triptych has not."""

from __future__ import annotations

from fastapi import APIRouter, Request

from triptych_gateway.errors import HttpError

router = APIRouter()


@router.post("/interrogate")
@router.post("/create/embedding")
@router.post("/create/hypernetwork")
@router.post("/train/embedding")
@router.post("/train/hypernetwork")
async def not_covered(request: Request) -> None:
    """501."""
    raise HttpError(501, f"{request.url.path} is not covered; docs/gateway.md lists what is")
