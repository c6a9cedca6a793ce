"""A picture's names for checkpoints and LoRAs, as one server knows them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from triptych.errors import invalid
from triptych.sdk.catalog import Checkpoint
from triptych.sdk.images import ImageInput
from triptych.sdk.loras import Lora
from triptych.sdk.reading.comfyui import comfyui_request
from triptych.sdk.reading.infotext import infotext_request
from triptych.sdk.reading.own import own_request
from triptych.sdk.reading.picture_request import PictureRequest
from triptych.sdk.reading.texts import texts_of

_TAG = re.compile(r"<(?:lora|lyco):([^:<>]*)(?::[^<>]*)?>")
_SHORTEST_HASH = 8


def read_request(picture: ImageInput) -> PictureRequest:
    """From whatever tells the most; InvalidArgumentError where nothing tells anything."""
    texts = texts_of(picture)
    if texts.request:
        return own_request(texts.request)
    if texts.parameters:
        return infotext_request(texts.parameters)
    if texts.workflow:
        return comfyui_request(texts.workflow)
    raise invalid("picture", "does not say how it was made: it has no text of Triptych's, A1111's or ComfyUI's")


def settled(request: PictureRequest, checkpoints: Sequence[Checkpoint], loras: Sequence[Lora]) -> PictureRequest:
    """The same with the names that the server has for what is meant; others' names that it has not are left out."""
    parameters, left_out = dict(request.parameters), list(request.left_out)
    is_ours = request.origin == "triptych"
    for field in ("checkpoint", "refiner", "vae"):
        name = parameters.get(field)
        if name is None and field not in request.hashes:
            continue
        found = _found(name, request.hashes.get(field, ""), checkpoints, is_ours)
        if found:
            parameters[field] = found
        elif not is_ours:
            parameters.pop(field, None)
        if found != name:
            shown = repr(name or request.hashes[field])
            left_out.append(f"{field}: {shown} is {f'{found!r} here' if found else 'not registered here'}")
        if _is_another(found, request.hashes.get(field, ""), checkpoints):
            left_out.append(f"{field}: {found!r} has other weights here")
    if not is_ours:
        left_out += _settle_loras(parameters, {lora.name for lora in loras})
    return replace(request, parameters=parameters, left_out=left_out)


def _found(name: str | None, digest: str, checkpoints: Sequence[Checkpoint], is_ours: bool) -> str | None:
    """By content before the name, but for one of ours that may be it, its content not being known yet."""
    digest = digest.lower() if len(digest) >= _SHORTEST_HASH else ""
    equal = [each.name for each in checkpoints if digest and each.sha256.startswith(digest)]
    named = next((each for each in checkpoints if each.name == name), None)
    if named and (named.name in equal or not equal or (is_ours and not named.sha256)):
        return named.name
    return equal[0] if equal else None


def _is_another(name: str | None, digest: str, checkpoints: Sequence[Checkpoint]) -> bool:
    """Whether what has the name is known to be of other content."""
    there = next((each.sha256 for each in checkpoints if each.name == name), "")
    return bool(there and digest) and not there.startswith(digest.lower())


def _settle_loras(parameters: dict[str, object], known: set[str]) -> list[str]:
    """Takes out those that are not kept, of the field and of the prompt's tags; says which."""
    left_out = []
    if isinstance(loras := parameters.get("loras"), list):
        parameters["loras"] = [lora for lora in loras if lora[0] in known]
        left_out += [lora[0] for lora in loras if lora[0] not in known]
    prompt = str(parameters["prompt"])
    left_out += [match[1] for match in _TAG.finditer(prompt) if match[1] not in known]
    parameters["prompt"] = _TAG.sub(lambda match: match[0] if match[1] in known else "", prompt).strip()
    return [f"lora {name!r}: is not kept here" for name in dict.fromkeys(left_out)]
