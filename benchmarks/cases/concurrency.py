"""Eight requests at once against the same eight in a row, on two UNet replicas of one core each."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from statistics import mean

from benchmarks.placements import two_cores, unet_on_each
from benchmarks.report import print_judgement, print_seconds
from benchmarks.setting import Setting
from benchmarks.turns import ratio_by_round, take_turns, timed
from triptych.sdk import Step

REQUESTS = 8
TARGET_RATIO = 1.0


def run(setting: Setting) -> bool:
    """Prints the table; whether the target is met."""
    placement = unet_on_each(setting.folder, two_cores())
    batches: dict[int, Counter[int]] = {1: Counter(), REQUESTS: Counter()}
    with setting.stack(setting.checkpoint(), placement) as client:

        def all_of(at_once: int, index: int) -> float:
            def request(number: int) -> None:
                # A new prompt each time, for Triptych remembers what it has encoded.
                prompt = f"a red circle, number {number} of round {index}, {at_once} at once"
                for event in client.stream(prompt, **setting.parameters() | {"seed": number}):
                    if isinstance(event, Step):
                        batches[at_once][event.batch_size] += 1

            with ThreadPoolExecutor(at_once) as pool:
                return timed(lambda: list(pool.map(request, range(REQUESTS))))

        def warm_up(number: int) -> None:
            client.generate("warm-up", **setting.parameters() | {"num_inference_steps": 1, "seed": number})

        with ThreadPoolExecutor(REQUESTS) as pool:
            list(pool.map(warm_up, range(REQUESTS)))
        sides = {
            "in a row": lambda index: all_of(1, index),
            "at once": lambda index: all_of(REQUESTS, index),
        }
        seconds = take_turns(sides, setting.rounds)
    print(f"{REQUESTS} requests, {setting.describe()}, {setting.steps} steps, guidance 7.5, two UNet replicas")
    print_seconds(seconds)
    for at_once, sizes in batches.items():
        print(f"samples in a batch, {at_once} at once: {mean(sizes.elements()):.1f} in the mean, at most {max(sizes)}")
    ratio = ratio_by_round(seconds["at once"], seconds["in a row"])
    return print_judgement("median of the rounds' ratios", ratio, TARGET_RATIO)
