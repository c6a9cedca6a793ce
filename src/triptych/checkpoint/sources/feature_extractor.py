"""What a checkpoint's feature extractor makes of a picture before a model of CLIP's sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from triptych.checkpoint.configs import broken, whole_number

Pixels = npt.NDArray[np.uint8]

_MOST_EXTENT = 4096
# Pillow's own numbers of its filters, which configurations name: nearest, Lanczos, bilinear, bicubic, box, Hamming.
_FILTERS = range(6)
_COLOURS = 3
_MOST = 1e6
# CLIPImageProcessor's, where a configuration leaves something out.
_DEFAULTS: Mapping[str, Any] = {
    "do_resize": True,
    "size": 224,
    "resample": 3,
    "do_center_crop": True,
    "crop_size": 224,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}


@dataclass(frozen=True)
class FeatureExtractor:
    """CLIPImageProcessor's steps in their order; what is None or () is not done. Extents are (height, width).

    A picture is resized by the Pillow filter `resample`, to `size` or, where that is one number, to a shorter side of
    that; its middle of `crop_size` is taken; values are multiplied by `factor`, and brought to `mean` and `std`.
    """

    size: tuple[int, ...]
    resample: int
    crop_size: tuple[int, ...]
    factor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, path: Path, config: Mapping[str, Any]) -> FeatureExtractor:
        """From the file that the configuration stands in; CheckpointInvalidError about what is wrong in it."""
        told = {**_DEFAULTS, **{key: value for key, value in config.items() if value is not None}}
        normalizes = told["do_normalize"]
        return cls(
            size=_extents(path, told, "size") if told["do_resize"] else (),
            resample=whole_number(path, told, "resample", low=_FILTERS.start, high=_FILTERS.stop - 1),
            crop_size=_square(_extents(path, told, "crop_size")) if told["do_center_crop"] else (),
            factor=_numbers(path, "rescale_factor", [told["rescale_factor"]])[0] if told["do_rescale"] else 1.0,
            mean=_numbers(path, "image_mean", told["image_mean"], _COLOURS) if normalizes else (),
            std=_numbers(path, "image_std", told["image_std"], _COLOURS, least=1e-6) if normalizes else (),
        )

    def makes(self, extent: int) -> bool:
        """Whether all pictures come out as squares of that extent."""
        return (self.crop_size or self.size) == (extent, extent)

    def framed(self, pixels: Pixels) -> Pixels:
        """The part of a picture [H, W, 3] that is looked at, in the size that it is looked at in."""
        if self.size:
            height, width = _resized(pixels.shape[0], pixels.shape[1], self.size)
            pixels = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling(self.resample)))
        return _centre(pixels, *self.crop_size) if self.crop_size else pixels

    def values(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """CLIPImageProcessor's picture [3, h, w] of pixels [H, W, 3], with its roundings on the way."""
        values = (self.framed(pixels).astype(np.float64) * self.factor).astype(np.float32)
        if self.std:
            values = (values - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(values.transpose(2, 0, 1))


def _extents(path: Path, config: Mapping[str, Any], key: str) -> tuple[int, ...]:
    """Height and width, or a shorter side, in any of the ways that transformers has written them."""
    value = config[key]
    if not isinstance(value, Mapping):
        return (whole_number(path, config, key, high=_MOST_EXTENT),)
    for names in (("height", "width"), ("shortest_edge",)):
        if value.keys() == {*names}:
            return tuple(whole_number(path, value, name, high=_MOST_EXTENT) for name in names)
    raise broken(path, f"{key} must be a number, a shortest_edge or a height and a width, not {str(value)[:100]}")


def _square(extents: tuple[int, ...]) -> tuple[int, ...]:
    return extents * 2 if len(extents) == 1 else extents


def _numbers(path: Path, key: str, value: Any, count: int = 1, least: float = 0.0) -> tuple[float, ...]:
    is_list = isinstance(value, list) and len(value) == count
    if not is_list or not all(type(each) in (int, float) and least <= abs(each) <= _MOST for each in value):
        raise broken(path, f"{key} must be {count} numbers, not {str(value)[:100]}")
    return tuple(float(each) for each in value)


def _resized(height: int, width: int, size: tuple[int, ...]) -> tuple[int, int]:
    """Both extents where the shorter side alone is given."""
    if len(size) == 2:
        return size[0], size[1]
    longer = int(size[0] * max(height, width) / min(height, width))
    return (size[0], longer) if height <= width else (longer, size[0])


def _centre(image: Pixels, height: int, width: int) -> Pixels:
    """The middle; what lies outside of the image is black."""
    (top, above, below), (left, before, after) = (
        _cut(extent, wanted) for extent, wanted in zip(image.shape[:2], (height, width), strict=True)
    )
    framed = np.pad(image, [(above, below), (before, after), (0, 0)])
    return framed[top : top + height, left : left + width]


def _cut(extent: int, wanted: int) -> tuple[int, int, int]:
    """Where to begin, and what to add before and behind."""
    spare = max(0, wanted - extent)
    before = math.ceil(spare / 2)
    return (extent - wanted) // 2 + before, before, spare - before
