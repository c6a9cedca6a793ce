"""Files of any size, in pieces that may be sent again after a break."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Request
from pydantic import Field

from triptych_gateway.caller import CallerOf
from triptych_gateway.described import Answer, Body
from triptych_gateway.gateway import GatewayOf
from triptych_gateway.kept.uploads import Upload
from triptych_gateway.rest.documents import UploadId, example

router = APIRouter(prefix="/uploads", tags=["uploads"])

CHUNK_BYTES = 8 << 20


_EXAMPLE = {"kind": "lora", "name": "ink.safetensors", "size": 9512347, "sha256": "0" * 64}


class UploadBody(Body):
    """A file that is to come."""

    size: int = Field(ge=1, le=1 << 50)
    """Its bytes."""
    sha256: str | None = Field(None, pattern="^[0-9a-fA-F]{64}$")
    """Its digest in hexadecimal, which is compared once all has come; left out: it is told then."""
    name: str = Field(max_length=255)
    """Its name, the end of which says how it is read: `.safetensors`, say."""
    kind: Literal[
        "checkpoint", "lora", "vae", "upscaler", "controlnet", "preprocessor", "ip_adapter", "image_encoder", "image"
    ]
    """What it is for."""


class UploadAnswer(Answer):
    """A file that comes, or has come."""

    id: str
    """By which it is called here, and as an image of a request, `upload:ID`."""
    kind: str
    """What it is for."""
    name: str
    """As it was told; it is shown, and names no file."""
    size: int
    """Its bytes."""
    offset: int
    """How many of them are here: where to go on."""
    is_complete: bool
    """Whether all are, and are what they were to be."""
    sha256: str
    """Its digest; empty where it was not told, until it is complete."""
    chunk_bytes: int
    """How much to send at once, at most."""


@router.post("", status_code=201, openapi_extra=example(_EXAMPLE))
async def begin(body: UploadBody, gateway: GatewayOf, caller: CallerOf) -> UploadAnswer:
    """Tells of a file that is to come; it is forgotten when nothing comes for too long."""
    upload = await gateway.uploads.begin(
        caller, kind=body.kind, name=body.name, size=body.size, sha256=body.sha256
    )  # fmt: skip
    return _answer(upload)


@router.get("/{upload_id}")
async def upload(upload_id: UploadId, gateway: GatewayOf, caller: CallerOf) -> UploadAnswer:
    """How far it has come, after a break."""
    return _answer(await gateway.uploads.find(caller, upload_id))


_PIECE = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.patch("/{upload_id}", openapi_extra=_PIECE)
async def append(
    upload_id: UploadId,
    request: Request,
    gateway: GatewayOf,
    caller: CallerOf,
    upload_offset: Annotated[int, Header(ge=0, description="How many bytes came before these.")],
) -> UploadAnswer:
    """Sends the next bytes; of a request that breaks off, what came is kept.

    409 with `offset` where the upload stands elsewhere. With the last bytes the digest is compared: 400 where it is
    another, and the upload is gone then.
    """
    return _answer(await gateway.uploads.append(caller, upload_id, upload_offset, request.stream()))


@router.delete("/{upload_id}", status_code=204)
async def delete(upload_id: UploadId, gateway: GatewayOf, caller: CallerOf) -> None:
    """Forgets it; what was registered of it stays."""
    await gateway.uploads.remove(caller, upload_id)


def _answer(upload: Upload) -> UploadAnswer:
    known = {name: value for name, value in vars(upload).items() if name != "suffix"}
    return UploadAnswer(**known, chunk_bytes=CHUNK_BYTES)
