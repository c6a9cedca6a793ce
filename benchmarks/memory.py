"""Resident memory of all of Triptych's processes against that of one process with diffusers' pipeline."""

from __future__ import annotations

from benchmarks.checkpoints import SD15
from benchmarks.diffusers_worker import DiffusersWorker
from benchmarks.machine import cores
from benchmarks.processes import Memory, total_memory
from benchmarks.report import print_judgement, print_table
from benchmarks.setting import Setting
from triptych.embedded.process import group_members

TARGET_RATIO = 1.5


def run(setting: Setting) -> bool:
    """Both sides loaded at once, each after `rounds` requests of the same size; whether the target is met."""
    checkpoint = setting.checkpoint("sd15", SD15)
    stack = setting.stack(checkpoint)
    with stack as client, DiffusersWorker(checkpoint, cores()) as worker:
        for _ in range(setting.rounds):
            client.generate("a red circle", **setting.parameters())
            worker.generate(prompt="a red circle", **setting.parameters())
        # Each leads a process group: a Triton server and its Python stub, or the orchestrator.
        parts = {
            process.name: total_memory(group_members(process.pid))
            for process in stack.stack.processes()
            if process.pid is not None
        }
        diffusers = total_memory([worker.pid])
    whole = sum(parts.values(), Memory())
    print(f"memory in MB after {setting.rounds} requests, SD1.5-size checkpoint, {setting.size}x{setting.size}")
    print_table(
        ("", "resident", "of it anonymous", "proportional", "peak"),
        [_row(name, memory) for name, memory in {**parts, "triptych, sum": whole, "diffusers": diffusers}.items()],
    )
    print(f"ratio of the proportional sizes: {whole.proportional / diffusers.proportional:.2f}")
    return print_judgement("ratio of the resident sizes", whole.resident / diffusers.resident, TARGET_RATIO)


def _row(name: str, memory: Memory) -> tuple[str, ...]:
    values = (memory.resident, memory.anonymous, memory.proportional, memory.peak)
    return name, *(f"{value:.0f}" for value in values)
