"""Four requests with four weights of one ControlNet at once, against the same four in a row."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import mean

from benchmarks.controlnets import register
from benchmarks.processes import clock_of
from benchmarks.report import print_judgement, print_seconds
from benchmarks.setting import Setting
from benchmarks.turns import counting_work, ratio_by_round, take_turns, timed
from triptych.measuring.controlnets import edges
from triptych.sdk import Control, Step

TARGET_RATIO = 1.03
SCALES = (0.4, 0.6, 0.8, 1.0)
_ROW, _TOGETHER = "in a row", "at once"


def run(setting: Setting) -> bool:
    """Prints the tables; whether the target is met."""
    batches: dict[str, Counter[int]] = {_ROW: Counter(), _TOGETHER: Counter()}
    local = setting.stack(setting.checkpoint())
    with local as client:
        name, picture = register(client, setting.controlnet()), edges(setting.size)

        def all_of(way: str, index: int) -> float:
            def request(scale: float) -> None:
                # A new prompt each time, for Triptych remembers what it has encoded.
                prompt = f"a red circle at {scale}, round {index}, {way}"
                controls = [Control(name, picture, conditioning_scale=scale)]
                for event in client.stream(prompt, controls=controls, **setting.parameters()):
                    if isinstance(event, Step):
                        batches[way][event.batch_size] += 1

            with ThreadPoolExecutor(len(SCALES) if way == _TOGETHER else 1) as pool:
                return timed(lambda: list(pool.map(request, SCALES)))

        for way in batches:
            all_of(way, -1)
            batches[way].clear()
        worked: dict[str, list[float]] = {way: [] for way in batches}
        sides = {way: counting_work(partial(all_of, way), worked[way], clock_of(local.stack)) for way in batches}
        seconds = take_turns(sides, setting.rounds)
    print(f"{len(SCALES)} requests, {setting.describe()}, {setting.steps} steps, guidance 7.5")
    print_seconds(seconds)
    print("processor seconds of all processes")
    print_seconds(worked)
    for way, sizes in batches.items():
        print(f"samples in a batch, {way}: {mean(sizes.elements()):.1f} in the mean, at most {max(sizes)}")
    worked_ratio = ratio_by_round(worked[_TOGETHER], worked[_ROW])
    print(f"median of the rounds' ratios of processor seconds: {worked_ratio:.3f}")
    ratio = ratio_by_round(seconds[_TOGETHER], seconds[_ROW])
    return print_judgement("median of the rounds' ratios", ratio, TARGET_RATIO)
