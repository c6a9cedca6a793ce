"""What prepares a picture for a ControlNet, by name."""

from triptych_orchestrator.pixels.preprocessors.base import Parameter, Pixels, Preprocessor, Settings
from triptych_orchestrator.pixels.preprocessors.edges import CANNY, LINES, SCRIBBLE, SOFT_EDGES
from triptych_orchestrator.pixels.preprocessors.networks import Answer, Ask, Looking, Network
from triptych_orchestrator.pixels.preprocessors.tones import (
    BLURRED,
    GRID,
    HIDDEN,
    INTENSITY,
    INVERTED,
    LUMINANCE,
    SMALLER,
    THRESHOLD,
)
from triptych_orchestrator.pixels.preprocessors.weighted import WEIGHTED

# As they are offered.
WEIGHTLESS: tuple[Preprocessor, ...] = (
    CANNY,
    LINES,
    SCRIBBLE,
    SOFT_EDGES,
    INVERTED,
    THRESHOLD,
    SMALLER,
    BLURRED,
    LUMINANCE,
    INTENSITY,
    GRID,
    HIDDEN,
)

__all__ = [
    "WEIGHTED",
    "WEIGHTLESS",
    "Answer",
    "Ask",
    "Looking",
    "Network",
    "Parameter",
    "Pixels",
    "Preprocessor",
    "Settings",
]
