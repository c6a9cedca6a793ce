"""Triptych's own: the request as it was sent, nothing open in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from triptych.sdk.parameters import GenerateParameters
from triptych.sdk.reading.picture_request import PictureRequest, broken, json_object
from triptych.v1.generation_pb2 import GenerateRequest

_WHOSE = "Triptych's request"
_REVISION = 1
# Whose a request is and when it is wanted is for who asks again to say.
_NEVER = ("request_id", "priority", "deadline_seconds", "preview_every_steps")
_BY_FIELD = {"seeds": "seed", "images": "image", "mask_images": "mask_image", "subseeds": "subseed"}
# Of messages within a request the fields that are files.
_NESTED_FILES = {"controls": ("image", "mask_image"), "ip_adapters": ("images",)}
_FIELDS = {field.name: field for field in GenerateRequest.DESCRIPTOR.fields if field.name not in _NEVER}


def own_request(text: str) -> PictureRequest:
    """InvalidArgumentError where it is damaged; what a newer server knows and this client does not is left out."""
    told = json_object(text, _WHOSE)
    request, made_of = told.get("request"), told.get("made_of", {})
    if not isinstance(request, dict) or not isinstance(made_of, dict):
        raise broken(_WHOSE)
    parameters, files, left_out = _parameters(request)
    nested = {name: [_taken(told, parts) for told in parameters.get(name, [])] for name, parts in _NESTED_FILES.items()}
    for name, all_of_it in nested.items():
        if digests := [digest for each in all_of_it for part in each.values() for digest in _several(part)]:
            files[name] = digests
    if told.get("revision") != _REVISION:
        left_out.append(f"revision {told.get('revision')!r}: a newer Triptych wrote it; there may be more to it")
    left_out += [f"{name}: is not in the picture; bring {_shown(digests)}" for name, digests in files.items()]
    index = _index(told.get("index", 0), request.get("num_images_per_prompt", 1))
    return PictureRequest(parameters, left_out, "triptych", index, files, made_of, _hashes(request, made_of), nested)


def _parameters(
    request: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, list[str]], list[str]]:
    """What `generate` takes, the digests of files that it would take, and what is not known here."""
    parameters: dict[str, Any] = {"prompt": ""}
    files, left_out = {}, []
    for name, value in request.items():
        parameter = _BY_FIELD.get(name, name)
        field = _FIELDS.get(name)
        if field is None or parameter not in {"prompt", *GenerateParameters.__annotations__}:
            left_out.append(f"{name}: not known to this version")
        elif field.type == field.TYPE_BYTES:
            files[parameter] = [str(each).removeprefix("sha256:") for each in _listed(value)]
        else:
            parameters[parameter] = _value(field, value)
    return parameters, files, left_out


def _taken(told: dict[str, Any], names: Sequence[str]) -> dict[str, str | list[str]]:
    """A part's files, taken out of it, by the names that its class has for them."""
    found = {_BY_FIELD.get(name, name): told.pop(name) for name in names if name in told}
    return {name: [*map(_digest, one)] if isinstance(one, list) else _digest(one) for name, one in found.items()}


def _digest(told: Any) -> str:
    return str(told).removeprefix("sha256:")


def _several(one: str | list[str]) -> list[str]:
    return one if isinstance(one, list) else [one]


def _index(index: Any, count: Any) -> int:
    if not (isinstance(index, int) and isinstance(count, int) and 0 <= index < count):
        raise broken(_WHOSE)
    return index


def _shown(digests: list[str]) -> str:
    files = "the file" if len(digests) == 1 else f"the {len(digests)} files"
    return f"{files} of SHA-256 {', '.join(f'{digest[:12]}...' for digest in digests)}"


def _hashes(request: Mapping[str, Any], made_of: Mapping[str, Any]) -> dict[str, str]:
    """Of the checkpoints that it names."""
    found = {}
    for name in ("checkpoint", "refiner", "vae"):
        digests = _mapping(_mapping(made_of.get("checkpoints")).get(str(request.get(name))))
        if isinstance(digest := digests.get("weights"), str):
            found[name] = digest
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise broken(_WHOSE)
    return value


def _value(field: Any, value: Any) -> Any:
    """As `generate` takes it."""
    if field.is_repeated:
        values = [_one(field, each) for each in _listed(value)]
        return values[0] if field.name == "seeds" and len(values) == 1 else values
    return _one(field, value)


def _one(field: Any, value: Any) -> Any:
    kind = field.message_type
    if kind is None:
        if isinstance(value, dict | list) or value is None:
            raise broken(_WHOSE)
        return value
    if not isinstance(value, dict):
        raise broken(_WHOSE)
    if kind.name == "LoraUse":
        weight = value.get("weight", 1.0)
        return str(value.get("name", "")), weight, value.get("text_encoder_weight", weight)
    if all(not part.has_presence and part.cpp_type == part.CPPTYPE_UINT32 for part in kind.fields):  # a size, say
        return tuple(value.get(part.name, 0) for part in kind.fields)
    return {name: each for name, each in value.items() if each != ""}
