"""Images that stand in a request as text, its own and those of its ControlNets and IP-Adapters, and their files.

parameters = await with_files(gateway, caller, parameters)
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from triptych.errors import invalid
from triptych.sdk.images import IMAGE_FIELDS
from triptych_gateway.caller import Caller
from triptych_gateway.gateway import Gateway
from triptych_gateway.incoming.images import image_file
from triptych_gateway.rest.parameters import NESTED_IMAGES

_KEPT = ("picture:", "upload:")
_NESTED = re.compile(r"(?P<list>[a-z_]+)\[(?P<index>[0-9]{1,4})\]\.(?P<name>[a-z_]+)", re.ASCII)


class _Place(NamedTuple):
    """Where an image stands: `holder[name]`, which errors call `field`."""

    holder: dict[str, Any]
    name: str
    field: str


def is_image(part: str) -> bool:
    """Whether a part of a form may be an image's file: `image`, or `controls[0].image`."""
    match = _NESTED.fullmatch(part)
    return part in IMAGE_FIELDS or (match is not None and match["name"] in NESTED_IMAGES.get(match["list"], ()))


def beside(parameters: Mapping[str, Any], files: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The parameters with what came as parts of a form in its places; InvalidArgumentError where something is there."""
    placed = copied(parameters)
    for part, given in files.items():
        holder, name, _ = _place(placed, part)
        if holder.get(name) is not None:
            raise invalid(part, "is given twice, in the JSON and as a file")
        if len(given) > 1 and not _may_be_several(part):
            raise invalid(part, "is given twice, as a file each time")
        holder[name] = [*given] if part in IMAGE_FIELDS or len(given) > 1 else given[0]
    return placed


async def with_files(gateway: Gateway, caller: Caller, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with files in the places of texts."""
    placed = copied(parameters)
    for holder, name, field in _places(placed):
        if isinstance(holder[name], list):
            holder[name] = [await image_of(gateway, caller, each, field) for each in holder[name]]
        else:
            holder[name] = await image_of(gateway, caller, holder[name], field)
    return placed


def shown(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters for people: of images those that are kept by their ids, others as `inline`."""
    placed = copied(parameters)
    for holder, name, _ in _places(placed):
        given = holder[name] if isinstance(holder[name], list) else [holder[name]]
        told = [each if isinstance(each, str) and each.startswith(_KEPT) else "inline" for each in given]
        holder[name] = told[0] if len(told) == 1 else told
    return placed


async def image_of(gateway: Gateway, caller: Caller, given: str | bytes, field: str) -> bytes:
    """The file of an image that stands in a request as text; errors are about the field."""
    if isinstance(given, bytes):
        return given
    source, _, identity = given.partition(":")
    if source == "upload":
        return await asyncio.to_thread((await gateway.uploads.path(caller, identity, "image")).read_bytes)
    if source == "picture":
        return await gateway.pictures.file(caller, identity)
    return await image_file(given, field, gateway.settings)


def copied(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The same, and what holds an image other objects."""
    made = dict(parameters)
    for name in NESTED_IMAGES.keys() & made.keys():
        made[name] = [dict(entry) for entry in made[name]]
    return made


def _places(parameters: dict[str, Any]) -> Iterator[_Place]:
    for field in IMAGE_FIELDS.keys() & parameters.keys():
        yield _Place(parameters, field, field)
    for nested, names in NESTED_IMAGES.items():
        for index, entry in enumerate(parameters.get(nested, [])):
            yield from (_Place(entry, name, f"{nested}[{index}].{name}") for name in names if name in entry)


def _may_be_several(part: str) -> bool:
    match = _NESTED.fullmatch(part)
    return match is None or NESTED_IMAGES[match["list"]][match["name"]]


def _place(parameters: dict[str, Any], part: str) -> _Place:
    match = _NESTED.fullmatch(part)
    if match is None:
        return _Place(parameters, part, part)
    entries = parameters.get(match["list"], [])
    if int(match["index"]) >= len(entries):
        raise invalid(part, f"is of none: the JSON has {len(entries)} {match['list']}")
    return _Place(entries[int(match["index"])], match["name"], part)
