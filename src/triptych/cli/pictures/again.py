"""A picture made again: what it says of itself, the options that change it, and the files that it was made from.

again = read_again(arguments)              # `generate --from picture.png`
client.generate(again.prompt, **again.parameters)
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from triptych.cli.connection import connect
from triptych.cli.parameters import parameters
from triptych.cli.progress import say
from triptych.errors import invalid
from triptych.sdk import Client, GenerateParameters, PictureRequest
from triptych.sdk.images import image_files

# By parameters that are files, or have them, how the option is called that brings them.
_OPTIONS = {"mask_image": "mask", "controls": "control", "ip_adapters": "ip-adapter"}


@dataclass(frozen=True)
class Again:
    """`index` is which of the pictures that come of it is meant, None for all."""

    prompt: str
    parameters: GenerateParameters
    index: int | None

    def in_format(self, image_format: str | None) -> Again:
        """The same, in the format that the output's name asks for."""
        chosen: Any = {**self.parameters, "image_format": image_format}
        return replace(self, parameters=chosen)


def read_again(arguments: argparse.Namespace) -> Again | None:
    """What `--from` names; None where it was not given. Says what is left out, and settles the format of the file.

    InvalidArgumentError where the picture was made from files, and none is given for them.
    """
    if arguments.from_picture is None:
        return None
    with connect(Client, arguments) as client:
        told = client.request_from(arguments.from_picture)
    given: dict[str, Any] = {name: value for name, value in parameters(arguments).items() if value is not None}
    for name, digests in told.files.items():
        _check_files(name, digests, given)
    for line in told.left_out:
        if line.partition(":")[0] not in given.keys() & told.files.keys():
            say(f"triptych: warning: left out: {line}")
    chosen = told.parameters | given
    arguments.image_format = chosen.get("image_format", arguments.image_format)
    if "num_images_per_prompt" in given:
        return replace(again_of(told, chosen), index=None)
    arguments.num_images_per_prompt = 1  # that is kept
    return again_of(told, chosen)


def again_of(told: PictureRequest, chosen: Mapping[str, Any]) -> Again:
    """The request with those parameters."""
    rest: Any = {name: value for name, value in chosen.items() if name != "prompt"}
    return Again(str(chosen["prompt"]), rest, told.index)


def _check_files(name: str, digests: Sequence[str], given: Mapping[str, Any]) -> None:
    if name not in given:
        shown = ", ".join(f"{digest[:12]}..." for digest in digests)
        problem = f"the picture was made from a file that is not in it, of SHA-256 {shown}; name that by"
        raise invalid(name, f"{problem} --{_OPTIONS.get(name, name)}")
    images = [each.image for each in given[name]] if name in ("controls", "ip_adapters") else given[name]
    found = [sha256(file).hexdigest() for file in image_files(images)]
    if found != list(digests):
        say(f"triptych: warning: {name}: another file than the picture was made from")
