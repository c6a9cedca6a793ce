"""Whoever is found is looked at, one after the other."""

from __future__ import annotations

from dataclasses import replace

from triptych_orchestrator.pixels.preprocessors.networks import Ask, Looking, Pixels
from triptych_orchestrator.pixels.preprocessors.pose.drawing import drawn
from triptych_orchestrator.pixels.preprocessors.pose.dwpose.detector import Detector
from triptych_orchestrator.pixels.preprocessors.pose.dwpose.whole_body import WholeBody, person_of

DETECTOR = Detector("yolox")
WHOLE_BODY = WholeBody("dw_openpose_full")


def look(pixels: Pixels, _: float, __: float) -> Looking:
    """All of everybody, in the order of how sure the detector is."""
    size = pixels.shape[1], pixels.shape[0]
    people = []
    for box in DETECTOR.boxes((yield Ask(DETECTOR, pixels)), size):
        one = replace(WHOLE_BODY, box=box)
        people.append(person_of(one.points((yield Ask(one, pixels)))))
    return drawn(people, size)
