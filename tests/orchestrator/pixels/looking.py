"""Preprocessors that are networks without any: whoever asks is answered by functions of what it would be given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from triptych_orchestrator.pixels.preprocessors import Answer, Looking

# Of an image [channels, height, width] its maps.
Network = Callable[[np.ndarray], np.ndarray]


def looked(looking: Looking, networks: Mapping[str, Network], own: tuple[int, int] = (0, 0)) -> Any:
    """What is drawn; files of the networks have that size of their own."""
    answer = None
    while True:
        try:
            asked = next(looking) if answer is None else looking.send(answer)
        except StopIteration as ended:
            return ended.value
        image = asked.network.seen(asked.pixels, own)
        assert asked.network.size((asked.pixels.shape[1], asked.pixels.shape[0]), own) == image.shape[:0:-1]
        answer = Answer(networks[asked.network.name](image), (image.shape[2], image.shape[1]))
