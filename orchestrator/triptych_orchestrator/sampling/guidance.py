"""Guidance: predictions for several conditionings, weighed into one.

Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598, equation 6, in diffusers' parametrisation) is two of
them: the unconditional one weighs 1 - guidance_scale, the conditional one guidance_scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
# A number, or a map over the latents that broadcasts with [B, C, h, w].
Weight = float | Array


def is_guided(guidance_scale: float) -> bool:
    """Whether the unconditional half is computed at all."""
    return guidance_scale > 1


def classifier_free(guidance_scale: float) -> tuple[Weight, ...]:
    """The weights of the unconditional and the conditional prediction; of the latter alone where it is not guided."""
    return (1 - guidance_scale, guidance_scale) if is_guided(guidance_scale) else (1.0,)


def instructed(guidance_scale: float, image_guidance_scale: float) -> tuple[Weight, ...]:
    """The weights of the predictions without text and image, with the image alone, and with both.

    Brooks et al. 2022 (InstructPix2Pix, arXiv:2211.09800), equation 3, gathered by predictions; where it is not guided,
    that with both alone.
    """
    if not is_guided(guidance_scale):
        return (1.0,)
    return (1 - image_guidance_scale, image_guidance_scale - guidance_scale, guidance_scale)


def combine(predictions: Sequence[Array], weights: Sequence[Weight]) -> Array:
    """The sum of weight * prediction [B, C, h, w] in float32, for weights that add up to 1 everywhere.

    The first weight follows from the others, so that the sum is taken as first + weight * (prediction - first) + ...;
    with two predictions these are diffusers' operations in diffusers' order, equal to the last bit.
    """
    first, *others = predictions
    guided = first
    for prediction, weight in zip(others, weights[1:], strict=True):
        guided = guided + np.asarray(weight, np.float32) * (prediction - first)
    return guided


def rescale(guided: Array, conditional: Array, guidance_rescale: float) -> Array:
    """Brings each sample's deviation towards the conditional prediction's; both are [B, C, h, w].

    Lin et al. 2023, arXiv:2305.08891, section 3.4, as diffusers' rescale_noise_cfg; guidance_rescale is their phi.
    """
    rescaled = guided * (_deviation(conditional) / _deviation(guided))
    return np.float32(guidance_rescale) * rescaled + np.float32(1 - guidance_rescale) * guided


def _deviation(prediction: Array) -> Array:
    """[B, 1, 1, 1], unbiased as torch's."""
    axes = tuple(range(1, prediction.ndim))
    deviation: Array = prediction.std(axes, ddof=1, keepdims=True, dtype=np.float64).astype(np.float32)
    return deviation
