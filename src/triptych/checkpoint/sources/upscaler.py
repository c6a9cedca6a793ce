"""An upscaler's file, of ESRGAN's kin: three ways to name the same layers, and the compact one of Real-ESRGAN."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from triptych.checkpoint.configs import broken
from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.base import OnePart, Told
from triptych.checkpoint.sources.original.tensors import Tensors

PART = "upscaler"
RRDB_NET, COMPACT = "RRDBNet", "SRVGGNetCompact"
# A training keeps averaged weights beside the last ones, and the averaged are what it is for.
_PREFIXES = ("params_ema.", "params.", "")
_SEQUENTIAL, _FIRST, _TODAY = (
    f"{begin}conv1{end}.weight"
    for begin, end in (("model.1.sub.0.RDB1.", ".0"), ("RRDB_trunk.0.RDB1.", ""), ("body.0.rdb1.", ""))
)
_COMPACT = "body.1.weight"
_RENAMED = {
    r"^RRDB_trunk\.(\d+)\.RDB(\d)": r"body.\1.rdb\2",
    r"^trunk_conv\.": "conv_body.",
    r"^upconv(\d)\.": r"conv_up\1.",
    r"^HRconv\.": "conv_hr.",
}
_SEQUENTIAL_BLOCK = re.compile(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.(weight|bias)")
_SEQUENTIAL_LAYER = re.compile(r"model\.(\d+)\.(weight|bias)")
_SEQUENTIAL_BODY = re.compile(r"model\.1\.sub\.(\d+)\.(weight|bias)")


class UpscalerFile(OnePart):
    """The file at `path`; all that is asked of it is the part "upscaler"."""

    format = "single-file"

    def __init__(self, path: Path, tensors: Mapping[str, TensorInfo], metadata: Mapping[str, str]) -> None:
        self.path = path
        self._metadata = metadata
        named = {_today(name): info for name, info in Tensors.below(path, _prefix(tensors), tensors).by_name.items()}
        if extra := next((name for name in named if "conv1x1" in name), ""):
            raise broken(path, f"it is an ESRGAN+, by its {extra}, which is not supported; ESRGAN and Real-ESRGAN are")
        self._tensors = Tensors(path, "", _numbered(named))

    @classmethod
    def is_one(cls, names: Collection[str]) -> bool:
        """Whether the names are an upscaler's."""
        return any(f"{prefix}{mark}" in names for prefix in _PREFIXES for mark in (_SEQUENTIAL, _FIRST, _TODAY)) or any(
            {f"{prefix}{_COMPACT}", f"{prefix}body.0.bias"} <= {*names} for prefix in _PREFIXES
        )

    @property
    def _class(self) -> str:
        return RRDB_NET if _TODAY in self._tensors else COMPACT

    def metadata(self) -> Mapping[str, str]:
        """Of the file's header."""
        return self._metadata

    def index(self) -> Told:
        """As if it were a pipeline of one part."""
        return Told(self.path, {"_class_name": self._class, PART: ["triptych", self._class]})

    def config(self, part: str) -> Told:
        """From the tensors' shapes."""
        return Told(self.path, (_rrdb_config if self._class == RRDB_NET else _compact_config)(self._tensors))

    def weights(self, part: str, class_name: str) -> dict[str, TensorInfo]:
        """By today's names."""
        return dict(self._tensors.by_name)


def _prefix(names: Collection[str]) -> str:
    return next((prefix for prefix in _PREFIXES if any(name.startswith(prefix) for name in names)), "")


def _today(name: str) -> str:
    for pattern, new in _RENAMED.items():
        name = re.sub(pattern, new, name)
    return name


def _numbered(named: Mapping[str, TensorInfo]) -> Mapping[str, TensorInfo]:
    """The first of the three ways counts all layers alike: the last two are `conv_hr` and `conv_last`."""
    if _SEQUENTIAL not in named:
        return named
    layers = sorted({int(match[1]) for match in map(_SEQUENTIAL_LAYER.fullmatch, named) if match})
    names = ["conv_first", *(f"conv_up{number}" for number in range(1, len(layers) - 2)), "conv_hr", "conv_last"]
    of = dict(zip(layers, names, strict=False))
    found = {}
    for name, info in named.items():
        if match := _SEQUENTIAL_BLOCK.fullmatch(name):
            found[f"body.{match[1]}.rdb{match[2]}.conv{match[3]}.{match[4]}"] = info
        elif match := _SEQUENTIAL_BODY.fullmatch(name):
            found[f"conv_body.{match[2]}"] = info
        elif match := _SEQUENTIAL_LAYER.fullmatch(name):
            found[f"{of[int(match[1])]}.{match[2]}"] = info
    return found


def _rrdb_config(tensors: Tensors) -> dict[str, Any]:
    """Colours that a smaller picture holds side by side, as Real-ESRGAN's for two and for one have it."""
    features, channels = tensors.shape("conv_first.weight", 4)[:2]
    unshuffle = {3: 1, 12: 2, 48: 4}.get(channels)
    if unshuffle is None:
        raise broken(tensors.file, f"conv_first takes {channels} channels, and an upscaler takes 3, 12 or 48")
    return {
        "num_feat": features,
        "num_block": tensors.several("body.{}.rdb1.conv1.weight"),
        "num_grow_ch": tensors.shape("body.0.rdb1.conv1.weight", 4)[0],
        "unshuffle": unshuffle,
        "upsamplings": sum(f"conv_up{number}.weight" in tensors for number in range(1, 4)),
    }


def _compact_config(tensors: Tensors) -> dict[str, Any]:
    """Convolutions and what activates them by turns, and a last convolution."""
    layers = sorted(int(name.split(".")[1]) for name in tensors.by_name if re.fullmatch(r"body\.\d+\.bias", name))
    colours = tensors.shape(f"body.{layers[-1]}.weight", 4)[0]
    scale = next((scale for scale in range(1, 9) if 3 * scale**2 == colours), 0)
    if not scale:
        raise broken(tensors.file, f"its last layer makes {colours} channels, which are no larger picture's colours")
    return {"num_feat": tensors.shape("body.0.weight", 4)[0], "num_conv": len(layers) - 2, "scale": scale}
