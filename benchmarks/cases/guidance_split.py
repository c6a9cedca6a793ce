"""The halves of guidance on two replicas of one core each, against one such replica that takes both as a batch.

Whole requests, prompt to picture, each side served by a stack of its own, of which only one works at a time. Encoder
and VAE may use all cores on both sides.
"""

from __future__ import annotations

from benchmarks.placements import two_cores, unet_on_each
from benchmarks.report import print_judgement, print_seconds
from benchmarks.setting import Setting
from benchmarks.turns import ratio_by_round, take_turns, timed
from triptych.sdk import Client, Result

TARGET_RATIO = 0.58
_WARM_UP_STEPS = 2


def run(setting: Setting) -> bool:
    """Prints the table; whether the target is met."""
    checkpoint = setting.checkpoint()
    first, second = two_cores()
    one_core, both_cores = (unet_on_each(setting.folder, cores) for cores in ((first,), (first, second)))
    results: list[Result] = []
    with setting.stack(checkpoint, one_core) as alone, setting.stack(checkpoint, both_cores) as pair:

        def request(client: Client, index: int) -> float:
            # A new prompt each time, for Triptych remembers what it has encoded.
            prompt = f"a red circle, number {index}"
            return timed(lambda: results.append(client.generate(prompt, **setting.parameters())))

        for client in (alone, pair):
            client.generate("warm-up", **setting.parameters() | {"num_inference_steps": _WARM_UP_STEPS})
        sides = {
            "one replica": lambda index: request(alone, index),
            "two replicas": lambda index: request(pair, index),
        }
        seconds = take_turns(sides, setting.rounds)
    split = sum(result.timings.unet.split_calls for result in results)
    print(f"whole request, {setting.describe()}, {setting.steps} steps, guidance 7.5, UNet replicas of one core each")
    print_seconds(seconds)
    print(f"steps whose halves went to two replicas: {split} of {setting.rounds * setting.steps}")
    ratio = ratio_by_round(seconds["two replicas"], seconds["one replica"])
    return print_judgement("median of the rounds' ratios", ratio, TARGET_RATIO)
