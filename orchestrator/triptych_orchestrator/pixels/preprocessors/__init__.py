"""What prepares a picture for a ControlNet, by name: those that need no weights."""

from triptych_orchestrator.pixels.preprocessors.base import Parameter, Pixels, Preprocessor, Settings
from triptych_orchestrator.pixels.preprocessors.edges import CANNY

# As they are offered.
WEIGHTLESS: tuple[Preprocessor, ...] = (CANNY,)

__all__ = ["WEIGHTLESS", "Parameter", "Pixels", "Preprocessor", "Settings"]
