"""The engines there are, by name; imports nothing, so that the orchestrator can check a name."""

from __future__ import annotations

from triptych.errors import invalid

ENGINES = ("onnxruntime", "torch", "tensorrt")
DEFAULT_ENGINE = "onnxruntime"


def check_engine_name(name: str) -> str:
    """The name, if there is such an engine; InvalidArgumentError with the names there are otherwise."""
    if name not in ENGINES:
        raise invalid("engine", f"{name!r} is not one of {', '.join(ENGINES)}")
    return name
