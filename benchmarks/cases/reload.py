"""Whether unloading and loading a checkpoint leaves memory behind: all processes' before and after many times.

The warm-up is a request and one reload. Each reload is followed by a request, so that the same pages of the weights
are in use whenever memory is looked at.
"""

from __future__ import annotations

import time

from benchmarks.processes import Memory, memory_by_process
from benchmarks.report import print_judgement, print_table
from benchmarks.setting import Setting
from triptych.embedded import Stack
from triptych.sdk import Client

TARGET_RATIO = 1.05
_SHOWN_EVERY = 5
# A model's process that was unloaded ends a moment after Triton says so.
_SETTLE_S = 2.0


def run(setting: Setting) -> bool:
    """`rounds` reloads; whether the resident sum has grown by less than the target."""
    local = setting.stack(setting.checkpoint())
    with local as client:
        client.generate("a red circle", **setting.parameters())
        _reload(client, setting)
        before = _settled(local.stack)
        for index in range(1, setting.rounds + 1):
            _reload(client, setting)
            if index % _SHOWN_EVERY == 0:
                print(f"reload {index}: {_whole(_settled(local.stack)).resident:.0f} MB", flush=True)
        after = _settled(local.stack)
    print(f"memory in MB, {setting.describe()}; after a warm-up and {setting.rounds} reloads, a request after each")
    print_table(
        ("", "resident", "then", "of it anonymous", "then"),
        [
            *(_row(name, before[name], after.get(name, Memory())) for name in before),
            _row("sum", _whole(before), _whole(after)),
        ],
    )
    print(f"ratio of the anonymous sums: {_whole(after).anonymous / _whole(before).anonymous:.3f}")
    ratio = _whole(after).resident / _whole(before).resident
    return print_judgement("ratio of the resident sums", ratio, TARGET_RATIO)


def _reload(client: Client, setting: Setting) -> None:
    client.unload_checkpoint("bench")
    client.load_checkpoint("bench")
    client.generate("a red circle", **setting.parameters())


def _settled(stack: Stack) -> dict[str, Memory]:
    time.sleep(_SETTLE_S)
    return memory_by_process(stack)


def _whole(parts: dict[str, Memory]) -> Memory:
    return sum(parts.values(), Memory())


def _row(name: str, before: Memory, after: Memory) -> tuple[str, ...]:
    values = (before.resident, after.resident, before.anonymous, after.anonymous)
    return name, *(f"{value:.0f}" for value in values)
