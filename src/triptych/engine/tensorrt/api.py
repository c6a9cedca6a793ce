"""TensorRT's Python package, and all that differs between its versions 10 and 11.

What is used elsewhere is the same in both, as read from the bindings of 10.13 and 11.4 themselves: networks are made
STRONGLY_TYPED (11 has no others, but still takes the flag), flags are used by name (their numbers changed), memory for
activations is asked for by shape (`device_memory_size` is gone in 11), and weights come from a file beside the graph
(`load_initializer` is there from 10.13 on, `parse_with_weight_descriptors` up to 10). A refitted engine is never
serialized, so that SerializationFlag.INCLUDE_REFIT, there from 10.14 on, is not needed.
"""

from __future__ import annotations

import importlib
import logging
from functools import cache
from typing import Any

from triptych.engine.tensorrt.complaints import note_error
from triptych.errors import FailedPreconditionError

# Versions whose engines are known to be wrong without an error are refused, each with what was reported of it.
OLDEST = (10, 11)
_OLDER = "engines with dynamic sizes and several profiles gave wrong values (NVIDIA/TensorRT#4419, #4250)"
FAULTS = {
    (11, 1): "samples of a batch leak into each other (NVIDIA/TensorRT#4813)",
    (11, 3): "a refittable engine may lose the biases of its matrix products (its release notes)",
}
logger = logging.getLogger("triptych.engine.tensorrt")


@cache
def tensorrt() -> Any:
    """The package; FailedPreconditionError with the remedy where it cannot be loaded, or is known to be wrong."""
    try:
        package: Any = importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:
        raise FailedPreconditionError(
            f"the tensorrt engine needs the package tensorrt ({error}): pip install triptych[server,torch,tensorrt]"
        ) from error
    if fault := _fault(package.__version__):
        raise FailedPreconditionError(
            f"TensorRT {package.__version__} is refused: {fault}. Install 10.11 or later, but neither 11.1 nor 11.3 "
            f"(pip install triptych[server,torch,tensorrt])"
        )
    return package


@cache
def trt_logger() -> Any:
    """One logger for the process, for TensorRT keeps the first; messages go to `triptych.engine.tensorrt`."""
    trt = tensorrt()
    levels = {
        trt.ILogger.INTERNAL_ERROR: logging.CRITICAL,
        trt.ILogger.ERROR: logging.ERROR,
        trt.ILogger.WARNING: logging.WARNING,
        trt.ILogger.INFO: logging.DEBUG,
        trt.ILogger.VERBOSE: logging.NOTSET,
    }

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            if level := levels.get(severity):
                logger.log(level, "%s", msg)
            if level and level >= logging.ERROR:
                note_error(msg)

    return Logger()


def activations_by_shape(config: Any) -> None:
    """Lets contexts ask for the memory of the shape they run, not of the largest, where the version can (10.10 on)."""
    preview = tensorrt().PreviewFeature
    if feature := getattr(preview, "RUNTIME_ACTIVATION_RESIZE_10_10", None):
        config.set_preview_feature(feature, True)


def _fault(version: str) -> str | None:
    major, minor = [*version.split("."), "0"][:2]
    numbers = int(major), int(minor)
    return _OLDER if numbers < OLDEST else FAULTS.get(numbers)
