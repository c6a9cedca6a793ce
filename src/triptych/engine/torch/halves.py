"""Layers whose weights stay in half precision where they lie, mapped, and are widened for as long as a call takes."""

from __future__ import annotations

import warnings
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.utils import parametrize

LAYERS = (nn.Linear, nn.Conv2d)


def shared_tensor(array: npt.NDArray[Any]) -> torch.Tensor:
    """The array's own memory as a tensor, which nobody writes to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        if array.dtype == ml_dtypes.bfloat16:
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(array)


def widen_when_called(module: nn.Module) -> None:
    """Has every layer that holds a half compute in float32, as if it held that."""
    for layer in list(module.modules()):
        if isinstance(layer, LAYERS) and layer.weight.dtype != torch.float32:
            parametrize.register_parametrization(layer, "weight", _Widened(), unsafe=True)


class _Widened(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight.float()
