"""The engines there are, by name, and where each runs; imports no engine, so that an orchestrator can check a name.

Which engine a stage's model gets is said in up to three places, of which the first that says something wins: the
checkpoint's registration; the replica (TRIPTYCH_ENGINE in its environment, `engine` in a placement file); the
orchestrator's default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from triptych.contract.models import STAGES
from triptych.errors import invalid

ENGINES = ("onnxruntime", "torch", "tensorrt")
DEFAULT_ENGINE = "onnxruntime"
# How long a stack may take to be ready, and so one load, where engines may have to be built.
BUILDING_S = 3600.0
PRECISIONS = ("fp32", "fp16", "bf16")
DEVICE = re.compile(r"cpu|cuda:(0|[1-9][0-9]{0,3})")

# What an engine computes on, and how finely there.
_RUNS_ON: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "onnxruntime": {"cpu": ("fp32",)},
    "torch": {"cpu": ("fp32", "bf16"), "cuda": PRECISIONS},
    "tensorrt": {"cuda": PRECISIONS},
}


def default_precision(device: str) -> str:
    """A GPU has fused attention in half precision alone; a CPU computes that slower than float32."""
    return "fp16" if device.startswith("cuda") else "fp32"


def check_engine_name(name: str) -> str:
    """The name, if there is such an engine; InvalidArgumentError with the names there are otherwise."""
    if name not in ENGINES:
        raise invalid("engine", f"{name!r} is not one of {', '.join(ENGINES)}")
    return name


def parse_engines(text: str) -> dict[str, str]:
    """The engine of each stage by `torch` or `unet=torch,vae=onnxruntime`; "" where the text leaves it open.

    InvalidArgumentError names what is wrong.
    """
    if "=" not in text:
        return dict.fromkeys(STAGES, check_engine_name(text) if text else "")
    engines: dict[str, str] = {}
    for part in text.split(","):
        stage, _, name = part.partition("=")
        if stage not in STAGES:
            raise invalid("engine", f"{stage!r} in {text!r} is not one of the stages {', '.join(STAGES)}")
        if stage in engines:
            raise invalid("engine", f"{text!r} names {stage} twice")
        engines[stage] = check_engine_name(name)
    return {stage: engines.get(stage, "") for stage in STAGES}


def join_engines(engines: Mapping[str, str]) -> str:
    """The one text for what `parse_engines` gives, so that two registrations can be compared."""
    if len(set(engines.values())) == 1:
        return next(iter(engines.values()))
    return ",".join(f"{stage}={name}" for stage, name in engines.items() if name)


def check_runtime(engine: str, device: str, precision: str) -> None:
    """InvalidArgumentError where no engine, or not this one, runs on that device in that precision; "" is open."""
    if engine:
        check_engine_name(engine)
    if device and not DEVICE.fullmatch(device):
        raise invalid("device", f"{device!r} is neither cpu nor cuda:<index>")
    if precision and precision not in PRECISIONS:
        raise invalid("precision", f"{precision!r} is not one of {', '.join(PRECISIONS)}")
    kind = device.partition(":")[0] or "cpu"
    if engine and kind not in _RUNS_ON[engine]:
        raise invalid("device", f"{engine} runs on {' or '.join(_RUNS_ON[engine])}, not on {kind}")
    able = [name for name, kinds in _RUNS_ON.items() if (precision or default_precision(kind)) in kinds.get(kind, ())]
    if not able or (engine and engine not in able):
        known = ", ".join(_RUNS_ON[engine or "torch"][kind])
        raise invalid("precision", f"{engine or 'an engine'} on {kind} computes in {known}, not in {precision}")
    if not engine and DEFAULT_ENGINE not in able:
        raise invalid("engine", f"must be named: {' or '.join(able)} can do this, {DEFAULT_ENGINE} cannot")
