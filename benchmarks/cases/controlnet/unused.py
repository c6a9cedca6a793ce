"""What a registered ControlNet takes of anonymous memory as long as nothing is drawn under it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.controlnets import copies, register
from benchmarks.processes import own_bytes, processes_of
from benchmarks.report import print_judgement, print_table
from benchmarks.setting import Setting
from triptych.measuring.controlnets import edges
from triptych.sdk import Control

TARGET_MEGABYTES = 1.0


def run(setting: Setting) -> bool:
    """Registers `rounds` beside one that is used; whether one takes no more than the limit, in the mean."""
    local = setting.stack(setting.checkpoint())
    with local as client, tempfile.TemporaryDirectory(dir=setting.folder, prefix="control-unused-") as scratch:
        used, *others = copies(setting.controlnet(), Path(scratch), setting.rounds + 1)
        controls = [Control(register(client, used), edges(setting.size))]
        client.generate("a red circle", controls=controls, **setting.parameters())
        held = [own_bytes(processes_of(local.stack))]
        for path in others:
            register(client, path, with_hash=False)
            held.append(own_bytes(processes_of(local.stack)))
    print(f"{setting.rounds} more ControlNets registered, {setting.describe()}; own memory in MB")
    before, after = held[0], held[-1]
    rows = [(name, f"{before[name] / 1e6:.2f}", f"{(after[name] - before[name]) / 1e6:.2f}") for name in before]
    print_table(("", "before", "more in the end"), rows)
    each = (sum(after.values()) - sum(before.values())) / len(others) / 1e6
    second = (sum(held[1].values()) - sum(before.values())) / 1e6
    print(f"the second one alone: {second:.2f} MB")
    return print_judgement("each more, in the mean", each, TARGET_MEGABYTES, " MB")
