"""Addresses of pictures for who has no credentials: signed, good for an hour, on every gateway of a state folder."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from triptych.errors import NotFoundError
from triptych_gateway.caller import Caller
from triptych_gateway.gateway import Gateway, GatewayOf
from triptych_gateway.kept.pictures import Picture
from triptych_gateway.kept.records import owner_of

router = APIRouter(prefix="/images/files", tags=["openai"])

LIFETIME_S = 3600
Token = Annotated[str, Path(description="What is to be found, until when, and the gateway's signature of it.")]
_PURPOSE = "addresses of pictures"
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def address_of(request: Request, gateway: Gateway, caller: Caller, picture: Picture) -> str:
    """An absolute one, at the host that the caller asked."""
    told = json.dumps([owner_of(caller), picture.id, int(time.time()) + LIFETIME_S], separators=(",", ":"))
    token = f"{_text(told.encode())}.{_text(_signature(gateway, told.encode()))}"
    return f"{str(request.base_url).rstrip('/')}/v1/images/files/{token}"


@router.get(
    "/{token}",
    response_class=Response,
    responses={200: {"description": "The file.", "content": {"image/*": _BINARY}}},
)
async def file(token: Token, gateway: GatewayOf) -> Response:
    """The picture at an address that `response_format: url` gave."""
    owner, picture_id = _told(gateway, token)
    picture = await gateway.pictures.find_of(owner, picture_id)
    content = await gateway.pictures.file_of(owner, picture)
    headers = {"Cache-Control": "private, max-age=3600", "Cross-Origin-Resource-Policy": "cross-origin"}
    return Response(content, media_type=picture.media_type, headers=headers)


def _told(gateway: Gateway, token: str) -> tuple[str, str]:
    text, _, signature = token.partition(".")
    try:
        told = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        given = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    except (binascii.Error, ValueError):
        raise _unknown() from None
    if not hmac.compare_digest(given, _signature(gateway, told)):
        raise _unknown()
    owner, picture_id, until_s = json.loads(told)
    if time.time() > until_s:
        raise NotFoundError("the address was good for an hour, which is over; make the picture again")
    return owner, picture_id


def _unknown() -> NotFoundError:
    return NotFoundError("there is nothing at this address")


def _signature(gateway: Gateway, told: bytes) -> bytes:
    return hmac.new(gateway.secret(_PURPOSE), told, hashlib.sha256).digest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
