"""Bounds on every value of an architecture, so that no configuration asks a stage for the absurd.

The weights decide most: a graph whose parameters they do not fit is not even exported. This keeps small what is built
of a configuration to find that out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from triptych.checkpoint.architecture import BY_BLOCK, DEFAULTS, NULLABLE, OPTIONAL
from triptych.checkpoint.configs import broken

_MOST = 1 << 24
# How often a block is repeated, or how far a kernel reaches.
_MOST_COUNTED = 256
_COUNTED = frozenset(
    {
        "layers_per_block",
        "transformer_layers_per_block",
        "reverse_transformer_layers_per_block",
        "num_hidden_layers",
        "num_attention_heads",
        "conv_in_kernel",
        "conv_out_kernel",
        "num_block",
        "num_conv",
        "num_control_type",
        "num_trans_layer",
        "num_res_blocks",
        "resampler_layers",
        "resampler_heads",
    }
)
# What they may come to together: no model of these classes has half as many.
_MOST_LAYERS = 1024
_LONGEST_LIST = 16
_LONGEST_NAME = 64
_BLOCKS = ("down_block_types", "up_block_types", "block_out_channels")
# Classes with blocks that may differ in a number.
_UNEVEN = ("UNet2DConditionModel", "ControlNetModel", "ControlNetUnionModel")


def check_values(path: Path, class_name: str, config: Mapping[str, Any]) -> None:
    """CheckpointInvalidError about the first value of an architecture's `config`, from file `path`, that is absurd."""
    kinds = DEFAULTS[class_name] | OPTIONAL[class_name]
    for key, value in config.items():
        if value is None and key in NULLABLE[class_name]:
            continue
        if not _same_kind(value, kinds[key], may_list=class_name in _UNEVEN):
            raise broken(path, f"{key} must be like {kinds[key]!r}, not {str(value)[:100]}")
        if not _within(value, _MOST_COUNTED if key in _COUNTED else _MOST):
            raise broken(path, f"{key} is out of bounds: {str(value)[:100]}")
    if _BLOCKS[0] in config:
        _check_blocks(path, config, BY_BLOCK[class_name])
    if (layers := count_layers(class_name, config)) > _MOST_LAYERS:
        raise broken(path, f"asks for {layers} layers in all; {_MOST_LAYERS} are allowed")


def _check_blocks(path: Path, config: Mapping[str, Any], by_block: Collection[str]) -> None:
    stated = [key for key in _BLOCKS if key in config]
    if len({len(config[key]) for key in stated}) != 1:
        raise broken(path, f"{', '.join(stated)} must have the same length")
    blocks = len(config["block_out_channels"])
    for key in sorted(by_block):
        value = config.get(key)
        if isinstance(value, list) and len(value) != blocks:
            raise broken(path, f"{key} must be one value or {blocks}, as many as there are blocks, not {value!r}")


def count_layers(class_name: str, config: Mapping[str, Any]) -> int:
    """About how many layers a model has, each of several tensors; blocks count as if each were the deepest."""
    if "num_hidden_layers" in config:
        return int(config["num_hidden_layers"])
    if class_name == "OnnxNetwork":
        return 0  # nothing is built of it
    if _BLOCKS[0] not in config:
        return int(config["num_conv"] if "num_conv" in config else 3 * config.get("num_block", 1))
    blocks = len(config["block_out_channels"])
    layers, depths = _numbers(config["layers_per_block"]), [0.0]
    for key in ("transformer_layers_per_block", "reverse_transformer_layers_per_block"):
        depths += _numbers(config.get(key, 0))
    down = sum(layers) if len(layers) > 1 else layers[0] * blocks
    return int((2 * down + blocks) * (1 + max(depths)))


def _numbers(value: Any) -> list[float]:
    """A number, or all that lie in nested lists of them."""
    return [number for item in value for number in _numbers(item)] if isinstance(value, list) else [value]


def _same_kind(value: Any, default: Any, *, may_list: bool) -> bool:
    """Where one `may_list`, a number may stand as a list of them, one for each block, and lists may be nested."""
    if isinstance(default, list):
        return (
            isinstance(value, list) and bool(value) and all(_same_kind(v, default[0], may_list=may_list) for v in value)
        )
    if isinstance(value, list) and not isinstance(default, str):
        return may_list and bool(value) and all(_same_kind(item, default, may_list=True) for item in value)
    if isinstance(default, bool | str):
        return type(value) is type(default)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _within(value: Any, most: int, depth: int = 3) -> bool:
    if isinstance(value, list):
        return depth > 0 and len(value) <= _LONGEST_LIST and all(_within(item, most, depth - 1) for item in value)
    if isinstance(value, str):
        return 0 < len(value) <= _LONGEST_NAME
    return isinstance(value, int | float) and -most <= value <= most
