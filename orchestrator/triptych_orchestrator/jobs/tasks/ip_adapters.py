"""IP-Adapters: what a request says of them, checked, and what a job has of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from triptych.checkpoint import Checkpoint
from triptych.checkpoint.families.ip_adapter import extractor_of, misfit
from triptych.checkpoint.sources.feature_extractor import FeatureExtractor
from triptych.contract import IMAGE_ENCODER, UNET
from triptych.errors import invalid
from triptych_orchestrator.jobs.fields.numbers import given, real
from triptych_orchestrator.jobs.pictures import PictureReader, picture

_MOST_SCALE = 10.0
# Of one request: each number of adapters is a graph of its own, and each picture so many more tokens in every step.
_MOST_ADAPTERS, _MOST_PICTURES = 4, 16


@dataclass(frozen=True)
class AskedIpAdapter:
    """As it was asked for; None or empty for what was left open."""

    name: str = ""
    images: tuple[bytes, ...] = ()
    scale: float | None = None


@dataclass(frozen=True)
class JobIpAdapter:
    """One by its registered name, and what its share is multiplied by.

    `images` are what it looks at, RGB, `size` x `size`, as its image encoder frames them.
    """

    name: str
    scale: float
    size: int
    images: tuple[bytes, ...] = ()


def adapter_field(index: int, part: str) -> str:
    """What errors and warnings call a part of one of a request's."""
    return f"ip_adapters[{index}].{part}"


def check_adapters(asked: Sequence[AskedIpAdapter]) -> None:
    """InvalidArgumentError where there are too many, or one has no name."""
    if len(asked) > _MOST_ADAPTERS:
        raise invalid("ip_adapters", f"must be at most {_MOST_ADAPTERS}, not {len(asked)}")
    if (pictures := sum(len(each.images) for each in asked)) > _MOST_PICTURES:
        raise invalid("ip_adapters", f"must have at most {_MOST_PICTURES} images in all, not {pictures}")
    for index, each in enumerate(asked):
        if not each.name:
            raise invalid(adapter_field(index, "name"), "is missing; name an IP-Adapter that is registered")


def ip_adapters_of(
    asked: Sequence[AskedIpAdapter], adapters: Sequence[Checkpoint], checkpoint: Checkpoint
) -> tuple[JobIpAdapter, ...]:
    """Pictures left out; `adapters` are what the names stand for."""
    pairs = enumerate(zip(asked, adapters, strict=True))
    return tuple(_checked(index, each, adapter, checkpoint) for index, (each, adapter) in pairs)


async def read_ip_adapters(
    adapters: Sequence[JobIpAdapter],
    asked: Sequence[AskedIpAdapter],
    opened: Sequence[Checkpoint],
    pictures: PictureReader,
) -> tuple[tuple[JobIpAdapter, ...], tuple[str, ...]]:
    """The same with their pictures, and what is worth knowing; `opened` are what the names stand for."""
    read, told = [], list[str]()
    for index, (adapter, each, one) in enumerate(zip(adapters, asked, opened, strict=True)):
        extractor, images = extractor_of(one.components[IMAGE_ENCODER.name]), []
        for place, data in enumerate(each.images):
            image, warnings = await _framed(pictures, adapter_field(index, f"images[{place}]"), data, extractor)
            images.append(image)
            told += warnings
        read.append(replace(adapter, images=tuple(images)))
    return tuple(read), tuple(told)


async def _framed(
    pictures: PictureReader, field: str, data: bytes, extractor: FeatureExtractor
) -> tuple[bytes, list[str]]:
    def read() -> tuple[bytes, list[str]]:
        image, warnings = picture(field, data, pictures.most_pixels)
        return extractor.framed(np.asarray(image)).tobytes(), warnings

    return await pictures.run(read)


def _checked(index: int, asked: AskedIpAdapter, adapter: Checkpoint, checkpoint: Checkpoint) -> JobIpAdapter:
    name = adapter_field(index, "name")
    if IMAGE_ENCODER.name not in adapter.components:
        raise invalid(name, f"{asked.name!r} is {adapter.family.title}, and no IP-Adapter")
    component = adapter.components[IMAGE_ENCODER.name]
    if problem := misfit(component, checkpoint.components[UNET.name]):
        raise invalid(name, f"{asked.name!r} {problem}; the checkpoint is {checkpoint.family.title}")
    if not asked.images:
        raise invalid(adapter_field(index, "images"), "is missing; send the picture that is to be looked at")
    scale = real(adapter_field(index, "scale"), given(asked.scale, 1.0), _MOST_SCALE)
    return JobIpAdapter(asked.name, scale, component.architecture.config["image_size"])
