"""Reads a checkpoint, a folder or a file: configurations, families and where every weight lies; imports no torch."""

from triptych.checkpoint.architecture import Architecture
from triptych.checkpoint.component import Component, LatentScaling
from triptych.checkpoint.directory import Checkpoint
from triptych.checkpoint.editing import INPAINTING, INSTRUCTED, Editing, image_channels
from triptych.checkpoint.families import Family, MicroConditions, Pair, TextPart, check_fields
from triptych.checkpoint.sources import Prediction

__all__ = [
    "INPAINTING",
    "INSTRUCTED",
    "Architecture",
    "Checkpoint",
    "Component",
    "Editing",
    "Family",
    "LatentScaling",
    "MicroConditions",
    "Pair",
    "Prediction",
    "TextPart",
    "check_fields",
    "image_channels",
]
