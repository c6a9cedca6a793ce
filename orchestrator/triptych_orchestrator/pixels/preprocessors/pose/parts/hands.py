"""A hand's joints, of CMU's hand network at four sizes (Simon et al., arXiv:1704.07809)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import cv2
import numpy as np

from triptych_orchestrator.pixels.preprocessors.networks import Answer, Ask, Floats, Pixels
from triptych_orchestrator.pixels.preprocessors.pose.joints import smoothed
from triptych_orchestrator.pixels.preprocessors.pose.parts.network import PartNetwork
from triptych_orchestrator.pixels.preprocessors.pose.person import Place, Places
from triptych_orchestrator.pixels.preprocessors.pose.plane import resized

_JOINTS = 21  # a last map is of what is no hand
_SIDES = (184, 368, 552, 736)
# Pixels of a side that become one of its maps'; and of the maps that are added up.
_STRIDE, _MAP = 8, 128
_BLURRED, _LEAST = 0.8, 0.05


def hand_of(network: PartNetwork, pixels: Pixels) -> Generator[Ask, Answer, Places]:
    """Of a picture of one hand, those joints that are seen."""
    blurred = np.asarray(cv2.GaussianBlur(pixels, (0, 0), _BLURRED), np.uint8)
    total = np.zeros((_JOINTS, _MAP, _MAP))
    for side in _SIDES:
        answer = yield Ask(replace(network, side=side), blurred)
        for joint, plane in enumerate(network.last(answer.maps)[:_JOINTS]):
            total[joint] += _sized(plane) / len(_SIDES)
    places = {joint: _place(plane, pixels) for joint, plane in enumerate(total)}
    return {joint: place for joint, place in places.items() if place}


def _sized(plane: Floats) -> Floats:
    """By way of the pixels that the network saw, as the original has it; one that is no smaller is of these."""
    if max(plane.shape) < _MAP:
        plane = resized(plane, (plane.shape[1] * _STRIDE, plane.shape[0] * _STRIDE))
    return resized(plane, (_MAP, _MAP))


def _place(plane: Floats, pixels: Pixels) -> Place | None:
    """The highest place of the largest spot; None where there is none, or in the first row or column."""
    count, spots = cv2.connectedComponents((smoothed(plane) > _LEAST).astype(np.uint8), connectivity=8)
    if count == 1:
        return None
    sums = np.bincount(spots.ravel(), weights=plane.ravel())
    inside = np.where(spots == 1 + sums[1:].argmax(), plane, 0)
    down, across = divmod(int(inside.argmax()), _MAP)
    place = across * pixels.shape[1] // _MAP, down * pixels.shape[0] // _MAP
    return place if min(place) > 0 else None
