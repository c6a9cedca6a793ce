"""The rows of a text encoder's token embeddings, where they lie in the checkpoint's mapped file."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from triptych.checkpoint import Component
from triptych.checkpoint.safetensors import map_tensor
from triptych.engine.weights import check_parameters

_NAME = "embeddings.token_embedding.weight"


class TokenTable:
    """[vocabulary, hidden]; only the rows that are asked for are read, and widened."""

    def __init__(self, component: Component) -> None:
        config = component.architecture.config
        check_parameters(component, {_NAME: (config["vocab_size"], config["hidden_size"])})
        self._table = map_tensor(component.weights[_NAME], {})

    def rows(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The embeddings [..., hidden] of ids [...], which must lie within the vocabulary."""
        return self._table[ids].astype(np.float32, copy=False)
