"""Torch's CPU noise in numpy: `Generator(seed).randn(shape)` is `torch.randn(shape, generator=g)`.

The raw stream is the same bit for bit; the normals differ by at most a few units in the last place, because
torch takes its logarithm, sine and cosine from vector instructions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BLOCK = 16
"""Values that torch turns into normals at once; a smaller request takes another path altogether."""


class Generator:
    """A stream of normals that equals `torch.Generator("cpu").manual_seed(seed)`, draw after draw."""

    def __init__(self, seed: int) -> None:
        # Torch seeds its MT19937 with the low 32 bits only; numpy's legacy seeding is the same init_genrand.
        self._words = np.random.RandomState(seed & 0xFFFFFFFF)
        self._kept_normal: float | None = None

    def randn(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """Standard normals of the given shape, float32."""
        size = math.prod(shape)
        flat = self._large(size) if size >= _BLOCK else self._small(size)
        return flat.reshape(tuple(shape))

    def _random32(self, count: int) -> NDArray[np.uint32]:
        return self._words.randint(0, 2**32, size=count, dtype=np.uint32)

    def _large(self, size: int) -> NDArray[np.float32]:
        whole = size - size % _BLOCK
        normals = np.empty(size, np.float32)
        uniforms = self._uniforms(size)
        normals[:whole] = _box_muller(uniforms[:whole])
        if whole < size:  # the last block is drawn again, over values that are already there
            normals[-_BLOCK:] = _box_muller(self._uniforms(_BLOCK))
        return normals

    def _uniforms(self, count: int) -> NDArray[np.float32]:
        """24 random bits each, in [0, 1)."""
        mantissas = (self._random32(count) & np.uint32(0xFFFFFF)).astype(np.float32)
        return mantissas * np.float32(2**-24)

    def _small(self, size: int) -> NDArray[np.float32]:
        return np.array([self._one_normal() for _ in range(size)], np.float32)

    def _one_normal(self) -> float:
        """One normal in double precision; its twin is kept for the next call, as torch keeps it."""
        if self._kept_normal is not None:
            kept, self._kept_normal = self._kept_normal, None
            return kept
        words = [int(word) for word in self._random32(4)]
        angle, length = (((high << 32 | low) & (2**53 - 1)) * 2.0**-53 for high, low in (words[:2], words[2:]))
        radius = math.sqrt(-2.0 * math.log1p(-length))
        self._kept_normal = radius * math.sin(2.0 * math.pi * angle)
        return radius * math.cos(2.0 * math.pi * angle)


def draw(generators: Sequence[Generator], shape: Sequence[int]) -> NDArray[np.float32]:
    """Noise of a batch, as diffusers' `randn_tensor`: one generator draws it all, several a sample each."""
    if len(generators) == 1:
        return generators[0].randn(shape)
    if len(generators) != shape[0]:
        raise ValueError(f"{len(generators)} generators cannot draw a batch of {shape[0]}")
    return np.concatenate([generator.randn((1, *shape[1:])) for generator in generators])


def _box_muller(uniforms: NDArray[np.float32]) -> NDArray[np.float32]:
    """Box & Muller 1958 on blocks of 16 as ATen lays them out: 8 lengths, then 8 angles."""
    blocks = uniforms.reshape(-1, 2, _BLOCK // 2)
    length = (np.float32(1.0) - blocks[:, 0]).astype(np.float64)  # in (0, 1], so that the logarithm is finite
    angle = np.float32(2.0 * math.pi) * blocks[:, 1]  # torch rounds the angle to float32 too
    cosine, sine = np.cos(angle, dtype=np.float64), np.sin(angle, dtype=np.float64)
    radius = np.sqrt(-2.0 * np.log(length))
    return np.stack([radius * cosine, radius * sine], axis=1, dtype=np.float32, casting="same_kind").reshape(-1)
