"""What the split costs: the part of each step's wall time that was not spent in the UNet's engine.

Sampling, guidance, both directions of gRPC, Triton's queue and its Python backend. Taken with a tiny UNet on latents
of the full size, so that differences of milliseconds do not drown in seconds of arithmetic.
"""

from __future__ import annotations

from statistics import median, quantiles

from benchmarks.report import print_judgement, print_table
from benchmarks.setting import Setting
from triptych.sdk import Step

TARGET_MILLISECONDS = 4.0


def run(setting: Setting) -> bool:
    """Prints the table; whether the target is met."""
    with setting.stack(setting.checkpoint()) as client:
        list(client.stream("warm-up", **setting.parameters()))
        steps = [
            event
            for _ in range(setting.rounds)
            for event in client.stream("a red circle", **setting.parameters())
            # A request's first step carries the conditioning as well.
            if isinstance(event, Step) and event.step > 1
        ]
    wall = [1000 * step.step_seconds for step in steps]
    engine = [1000 * step.engine_seconds for step in steps]
    rest = [1000 * (step.step_seconds - step.engine_seconds) for step in steps]
    print(f"cost of the split, {setting.describe()}, guidance: 2 samples; {len(steps)} steps")
    print_table(
        ("milliseconds", "median", "p90"),
        [_row("step", wall), _row("in the engine", engine), _row("the difference", rest)],
    )
    return print_judgement("median difference", median(rest), TARGET_MILLISECONDS, " ms")


def _row(name: str, milliseconds: list[float]) -> tuple[str, str, str]:
    return name, f"{median(milliseconds):.2f}", f"{quantiles(milliseconds, n=10)[-1]:.2f}"
