"""Reads a diffusers-format directory: configurations, families and where every weight lies; imports no torch."""

from triptych.checkpoint.architecture import Architecture
from triptych.checkpoint.directory import Checkpoint, Component

__all__ = ["Architecture", "Checkpoint", "Component"]
