"""The algorithms that adapter files are made with; a new one is a file here and a line in ALGORITHMS."""

from triptych.lora.algorithms.base import MAGNITUDES, Algorithm, Array, Numbers, Options, Role, Shape, Shapes, squeezed
from triptych.lora.algorithms.generalized import Generalized
from triptych.lora.algorithms.hadamard import Hadamard
from triptych.lora.algorithms.kronecker import Kronecker
from triptych.lora.algorithms.low_rank import LowRank
from triptych.lora.algorithms.peft_rotation import PeftButterfly, PeftRotation
from triptych.lora.algorithms.rotation import Rotation
from triptych.lora.algorithms.scaling import PeftScaling, Scaling
from triptych.lora.algorithms.whole import Difference, NormDifference, Saved

LOW_RANK = LowRank()
SAVED = Saved()
# Whichever comes first takes the parts that several could have: (IA)^3 its weight before SAVED does.
ALGORITHMS: tuple[Algorithm, ...] = (
    LOW_RANK,
    Hadamard(),
    Kronecker(),
    Generalized(),
    Rotation(),
    PeftRotation(),
    PeftButterfly(),
    Scaling(),
    PeftScaling(),
    Difference(),
    NormDifference(),
    SAVED,
)

__all__ = [
    "ALGORITHMS",
    "LOW_RANK",
    "MAGNITUDES",
    "SAVED",
    "Algorithm",
    "Array",
    "Numbers",
    "Options",
    "Role",
    "Shape",
    "Shapes",
    "squeezed",
]
