"""Latents made larger: `torch.nn.functional.interpolate` with a size, in numpy, in the ways that A1111 offers.

enlarge_latents("latent", latents, (128, 128))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
# The weights of all inputs for each output along one axis, [outputs, inputs], of two extents.
_Weights = Callable[[int, int], Array]

# Of Catmull and Rom's cubic and of torch's, the slope that both call a.
_PLAIN_SLOPE, _ANTIALIASED_SLOPE = -0.75, -0.5


def enlarge_latents(name: str, latents: Array, size: tuple[int, int]) -> Array:
    """Latents [B, C, h, w] with that height and width; the name is one of LATENT_UPSCALERS."""
    weights = LATENT_UPSCALERS[name]
    along_height, along_width = (weights(*extents) for extents in zip(latents.shape[2:], size, strict=True))
    return np.asarray(along_height @ (latents @ along_width.T), np.float32)


def middle(latents: Array, size: Sequence[int]) -> Array:
    """That of latents [B, C, H, W], of a height and width; of an odd rest more goes at the end, as A1111 has it."""
    top, left = ((own - extent) // 2 for own, extent in zip(latents.shape[2:], size, strict=True))
    return latents[:, :, top : top + size[0], left : left + size[1]]


def _nearest(inputs: int, outputs: int) -> Array:
    return _at(_floor(np.arange(outputs) * _ratio(inputs, outputs), inputs), inputs)


def _nearest_exact(inputs: int, outputs: int) -> Array:
    return _at(_floor(_places(inputs, outputs) + 0.5, inputs), inputs)


def _bilinear(inputs: int, outputs: int) -> Array:
    places = np.maximum(_places(inputs, outputs), 0.0)
    left = np.floor(places).astype(int)
    share = (places - left).astype(np.float32)[:, None]
    return np.asarray((1 - share) * _at(left, inputs) + share * _at(np.minimum(left + 1, inputs - 1), inputs))


def _bicubic(inputs: int, outputs: int) -> Array:
    places = _places(inputs, outputs)
    left = np.floor(places).astype(int)
    weights = np.zeros((outputs, inputs), np.float32)
    for neighbour in (left - 1, left, left + 1, left + 2):
        share = _cubic(places - neighbour, _PLAIN_SLOPE).astype(np.float32)
        weights += share[:, None] * _at(np.clip(neighbour, 0, inputs - 1), inputs)
    return weights


def _antialiased(kernel: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> _Weights:
    def weights(inputs: int, outputs: int) -> Array:
        """Neighbours beyond the edge are left out, and the others weigh more; see ATen's UpSampleKernel.cpp."""
        centres = ((np.arange(outputs) + 0.5) * _ratio(inputs, outputs)).astype(np.float32)
        apart = (np.arange(inputs) + 0.5)[None, :] - centres[:, None]
        shares = kernel(np.abs(apart) / max(inputs / outputs, 1.0))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)

    return weights


def _triangle(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(1.0 - distance, 0.0)


def _wide_cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    return _cubic(distance, _ANTIALIASED_SLOPE)


def _cubic(distance: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    """Keys 1981, Cubic convolution interpolation, equation 15."""
    x = np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _places(inputs: int, outputs: int) -> NDArray[np.float64]:
    """Where the middle of each output lies among the middles of the inputs."""
    # Rounded once, as by the fused instruction that torch's kernels are compiled to.
    places = (np.arange(outputs) + 0.5) * _ratio(inputs, outputs) - 0.5
    return places.astype(np.float32).astype(np.float64)


def _ratio(inputs: int, outputs: int) -> float:
    """In float32 as torch's, which decides where a place falls that lies between two."""
    return float(np.float32(inputs) / np.float32(outputs))


def _floor(places: NDArray[np.float64], inputs: int) -> NDArray[np.int_]:
    return np.minimum(np.floor(places.astype(np.float32)).astype(int), inputs - 1)


def _at(indices: NDArray[np.int_], inputs: int) -> Array:
    """A weight of 1 for one input each."""
    return np.eye(inputs, dtype=np.float32)[indices]


LATENT_UPSCALERS: Mapping[str, _Weights] = {
    "latent": _bilinear,
    "latent_antialiased": _antialiased(_triangle),
    "latent_bicubic": _bicubic,
    "latent_bicubic_antialiased": _antialiased(_wide_cubic),
    "latent_nearest": _nearest,
    "latent_nearest_exact": _nearest_exact,
}
"""A1111's "Latent", "Latent (antialiased)" and so on."""
