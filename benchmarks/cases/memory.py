"""Resident memory of all of Triptych's processes against that of one process with diffusers' pipeline."""

from __future__ import annotations

from benchmarks.processes import Memory, memory_by_process, total_memory
from benchmarks.report import print_judgement, print_table
from benchmarks.setting import Setting
from triptych.measuring.diffusers_worker import diffusers_worker
from triptych.measuring.machine import cores

TARGET_RATIO = 1.5


def run(setting: Setting) -> bool:
    """Both sides loaded at once, each after `rounds` requests of the same size; whether the target is met."""
    checkpoint = setting.checkpoint()
    stack = setting.stack(checkpoint)
    with stack as client, diffusers_worker(checkpoint, threads=cores()) as worker:
        worker.wait_ready()
        for _ in range(setting.rounds):
            client.generate("a red circle", **setting.parameters())
            worker.ask({"prompt": "a red circle", **setting.parameters()})
        parts = memory_by_process(stack.stack)
        diffusers = total_memory([worker.pid])
    whole = sum(parts.values(), Memory())
    print(f"memory in MB after {setting.rounds} requests, {setting.describe()}")
    print_table(
        ("", "resident", "of it anonymous", "shared", "proportional", "peak"),
        [_row(name, memory) for name, memory in {**parts, "triptych, sum": whole, "diffusers": diffusers}.items()],
    )
    print(f"ratio of the proportional sizes: {whole.proportional / diffusers.proportional:.2f}")
    return print_judgement("ratio of the resident sizes", whole.resident / diffusers.resident, TARGET_RATIO)


def _row(name: str, memory: Memory) -> tuple[str, ...]:
    values = (memory.resident, memory.anonymous, memory.shared, memory.proportional, memory.peak)
    return name, *(f"{value:.0f}" for value in values)
