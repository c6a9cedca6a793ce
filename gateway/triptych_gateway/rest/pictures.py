"""The pictures that a caller had made, for as long as they are kept."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import Field

from triptych.errors import NotFoundError
from triptych.sdk.reading.settling import read_request
from triptych.sdk.reading.texts import texts_of
from triptych_gateway.caller import CallerOf
from triptych_gateway.described import Answer, Body
from triptych_gateway.gateway import GatewayOf
from triptych_gateway.kept.archive import zipped
from triptych_gateway.kept.thumbnails import MEDIA_TYPE, thumbnail
from triptych_gateway.rest.answers import PictureAnswer, picture_answer
from triptych_gateway.rest.documents import EXAMPLE_ID, PictureId, example

router = APIRouter(prefix="/pictures", tags=["pictures"])

# A picture's file never changes; only the one caller may keep it.
_KEPT = "private, max-age=31536000, immutable"
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {"image/*": _BINARY}},
    304: {"description": "The caller has it, as `If-None-Match` says."},
}
_ZIP: dict[int | str, dict[str, Any]] = {200: {"description": "The zip.", "content": {"application/zip": _BINARY}}}


class PicturesAnswer(Answer):
    """Some of a caller's pictures."""

    pictures: list[PictureAnswer]
    """The newest first."""


class AboutAnswer(Answer):
    """How a picture was made."""

    picture: PictureAnswer
    """What is known of it."""
    request: dict[str, Any]
    """The parameters that make it again, as `POST /generate` takes them."""
    left_out: list[str]
    """What it says besides, and they do not ask for, each with its reason."""
    infotext: str
    """The same as A1111's web UI writes it."""


@router.get("")
async def pictures(
    gateway: GatewayOf,
    caller: CallerOf,
    search: Annotated[str, Query(max_length=1000, description="Words that all stand in the prompt.")] = "",
    limit: Annotated[int, Query(ge=1, le=500, description="At most so many.")] = 50,
    before: Annotated[str | None, Query(description="Only those older than the picture of this id.")] = None,
) -> PicturesAnswer:
    """The caller's pictures, the newest first."""
    found = await gateway.pictures.newest(caller, search=search, limit=limit, before=before)
    return PicturesAnswer(pictures=[picture_answer(picture) for picture in found])


class ZipBody(Body):
    """Pictures that are wanted together."""

    ids: list[str] = Field(min_length=1, max_length=1000)
    """Theirs."""


@router.post("/zip", response_class=StreamingResponse, responses=_ZIP, openapi_extra=example({"ids": [EXAMPLE_ID]}))
async def archive(body: ZipBody, gateway: GatewayOf, caller: CallerOf) -> StreamingResponse:
    """Many of them as one zip."""
    found = [await gateway.pictures.find(caller, picture_id) for picture_id in dict.fromkeys(body.ids)]
    pieces = zipped([gateway.pictures.path(caller, picture) for picture in found])
    headers = {"Content-Disposition": 'attachment; filename="pictures.zip"'}
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)


@router.get("/{picture_id}", response_class=FileResponse, responses=_FILE)
async def picture(picture_id: PictureId, request: Request, gateway: GatewayOf, caller: CallerOf) -> Response:
    """The file as the server made it, its metadata with it."""
    found = await gateway.pictures.find(caller, picture_id)
    disposition = f'inline; filename="{found.id}.{found.format}"'
    headers = {"ETag": f'"{found.id}"', "Cache-Control": _KEPT, "Content-Disposition": disposition}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    file = await gateway.pictures.file(caller, picture_id)
    return Response(file, headers=headers, media_type=found.media_type)


@router.get("/{picture_id}/about")
async def about(picture_id: PictureId, gateway: GatewayOf, caller: CallerOf) -> AboutAnswer:
    """How it was made, read from its own file."""
    found = await gateway.pictures.find(caller, picture_id)
    file = await gateway.pictures.file(caller, picture_id)
    told = await asyncio.to_thread(read_request, file)
    texts = await asyncio.to_thread(texts_of, file)
    return AboutAnswer(
        picture=picture_answer(found), request=told.parameters, left_out=told.left_out, infotext=texts.parameters
    )


@router.get("/{picture_id}/thumbnail", response_class=Response, responses=_FILE)
async def small(picture_id: PictureId, gateway: GatewayOf, caller: CallerOf) -> Response:
    """A small WebP of it."""
    found = await gateway.pictures.find(caller, picture_id)
    try:
        file = await asyncio.to_thread(thumbnail, gateway.pictures.path(caller, found))
    except FileNotFoundError:
        raise NotFoundError(f"there is no picture {picture_id!r} any more") from None
    return Response(file, media_type=MEDIA_TYPE, headers={"Cache-Control": _KEPT})


@router.delete("/{picture_id}", status_code=204)
async def delete(picture_id: PictureId, gateway: GatewayOf, caller: CallerOf) -> None:
    """Deletes it for good."""
    await gateway.pictures.remove(caller, picture_id)
