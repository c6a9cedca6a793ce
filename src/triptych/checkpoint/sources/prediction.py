"""Whether a checkpoint predicts noise or velocity, where neither shapes nor a configuration say so.

Of what is found first: a `.yaml` of the original implementation beside the file, the file's metadata, an empty tensor
that trainers put in as a mark, what all checkpoints of the kind do. Where that is nothing, one evaluation of the UNet
tells (`by_evaluation`).
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from pathlib import Path

from triptych.checkpoint.configs import broken, read_small
from triptych.checkpoint.sources.base import Prediction
from triptych.errors import invalid

EPSILON, VELOCITY = "epsilon", "v_prediction"
PREDICTION_TYPES = (EPSILON, VELOCITY)
UNDECIDED = "undecided"
# What a file tells, and no model here does; its registration may tell another.
UNKNOWN = "unknown"

_METADATA_KEY = "modelspec.prediction_type"
_SPELLINGS = {"epsilon": EPSILON, "eps": EPSILON, "v": VELOCITY, "v_prediction": VELOCITY, "v-prediction": VELOCITY}
# Both as ComfyUI and trainers of SDXL know them.
_VELOCITY_MARK = "v_pred"
ZERO_SNR_MARK = "ztsnr"
_DIFFUSION = b"ldm.models.diffusion.ddpm."
_PARAMETERIZATION = re.compile(rb"^[ \t-]*[\"']?parameterization[\"']?[ \t]*:[ \t]*[\"']?([\w-]+)", re.MULTILINE)


def check_prediction_type(given: str) -> str:
    """One of PREDICTION_TYPES, or "" which leaves it to the checkpoint; InvalidArgumentError for all else."""
    if given not in ("", *PREDICTION_TYPES):
        raise invalid("prediction_type", f"{given!r} is none of {', '.join(PREDICTION_TYPES)}")
    return given


def find_prediction(path: Path, names: Container[str], metadata: Mapping[str, str], usual: str) -> Prediction:
    """Of the single file at `path`; `usual` is what its kind does, "" where that differs."""
    sidecar = path.with_suffix(".yaml")
    if sidecar.is_file():
        content = read_small(sidecar, path.parent)
        if found := _PARAMETERIZATION.search(content):
            return _spelled(found[1].decode(), sidecar.name)
        if _DIFFUSION in content:  # whose default it is
            return Prediction(EPSILON, sidecar.name)
    if told := metadata.get(_METADATA_KEY):
        return _spelled(told, f"its metadata's {_METADATA_KEY}")
    if _VELOCITY_MARK in names:
        return Prediction(VELOCITY, f"its tensor {_VELOCITY_MARK}")
    return Prediction(usual, "its kind") if usual else Prediction(UNDECIDED, "")


def check_known(path: Path, prediction: Prediction) -> None:
    """CheckpointInvalidError where what the checkpoint at `path` tells is UNKNOWN."""
    if prediction.type == UNKNOWN:
        remedy = f"register it with the prediction_type that it was trained for, {' or '.join(PREDICTION_TYPES)}"
        raise broken(path, f"{prediction.told_by}, which is none of {', '.join(_SPELLINGS)}; {remedy}")


def _spelled(text: str, told_by: str) -> Prediction:
    if found := _SPELLINGS.get(text.strip().lower()):
        return Prediction(found, told_by)
    return Prediction(UNKNOWN, f"its prediction type is {text[:100]!r} by {told_by}")
