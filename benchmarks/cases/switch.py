"""The first picture after a switch to another checkpoint, against those that follow it.

Two names for one checkpoint take turns: one is unloaded and the other loaded into all three stages. So the weights
come from the system's file cache, as those of checkpoints in use do, and not from a disk.
"""

from __future__ import annotations

from statistics import median

from benchmarks.report import print_judgement, print_seconds
from benchmarks.setting import Setting
from benchmarks.turns import timed
from triptych.sdk import Client

TARGET_RATIO = 1.2
_FOLLOWING = 2


def run(setting: Setting) -> bool:
    """Prints the table; whether the target is met."""
    seconds: dict[str, list[float]] = {"loading": [], "first picture": [], "those that follow": []}
    loaded, other = "bench", "bench-again"
    checkpoint = setting.checkpoint()
    with setting.stack(checkpoint) as client:
        client.register_checkpoint(other, str(checkpoint))
        _picture(client, setting, loaded, "warm-up")
        for index in range(setting.rounds):
            loaded, other = other, loaded
            seconds["loading"].append(_switch(client, other, loaded))
            pictures = [_picture(client, setting, loaded, f"{index}, {number}") for number in range(1 + _FOLLOWING)]
            seconds["first picture"].append(pictures[0])
            seconds["those that follow"] += pictures[1:]
            print(f"round {index + 1}: " + ", ".join(f"{each:.3f} s" for each in pictures), flush=True)
    print(f"pictures of {setting.steps} steps, {setting.describe()}")
    print_seconds(seconds)
    ratio = median(seconds["first picture"]) / median(seconds["those that follow"])
    return print_judgement("ratio of the medians of pictures", ratio, TARGET_RATIO)


def _switch(client: Client, old: str, new: str) -> float:
    client.unload_checkpoint(old)
    return timed(lambda: client.load_checkpoint(new))


def _picture(client: Client, setting: Setting, checkpoint: str, number: str) -> float:
    # A new prompt each time, for Triptych remembers what it has encoded.
    prompt = f"a red circle, {checkpoint}, {number}"
    return timed(lambda: client.generate(prompt, checkpoint=checkpoint, **setting.parameters()))
