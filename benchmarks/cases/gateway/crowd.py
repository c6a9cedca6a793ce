"""200 calls of A1111's txt2img at once, where 8 may run and 32 wait: each is answered right, or with 429."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import triptych
from benchmarks.cases.gateway.calls import Txt2Img, file_of, parameters
from benchmarks.processes import PeakEach, processes_of
from benchmarks.report import print_judgement, print_table
from benchmarks.setting import Setting
from benchmarks.turns import timed

CALLS, RUNNING, WAITING = 200, 8, 32
PROMPT = "a red circle in a crowd"
TARGET_MORE_MB = 100.0


def run(setting: Setting) -> bool:
    """Prints the tables; whether all was right, and memory bounded."""
    limits = {"max_concurrent_requests": RUNNING, "max_queued_requests": WAITING}
    local = triptych.local(cache_dir=setting.cache_dir, gateway=True, limits=limits)
    with local as client:
        answers: dict[int, tuple[int, bytes]] = {}
        together = threading.Barrier(CALLS)

        def call(seed: int) -> None:
            together.wait()
            status, answer = Txt2Img(client.gateway_url)(setting, PROMPT, seed)
            answers[seed] = status, file_of(answer) if status == 200 else b""

        def crowd() -> None:
            with ThreadPoolExecutor(CALLS) as pool:
                list(pool.map(call, range(CALLS)))

        crowd()  # the first fills caches and pools; what the others add to it is a leak
        with PeakEach(lambda: processes_of(local.stack)) as first:
            crowd()
        with PeakEach(lambda: processes_of(local.stack)) as later:
            for index in range(setting.rounds):
                seconds = timed(crowd)
                counted = dict(Counter(status for status, _ in answers.values()))
                print(f"round {index + 1}: {seconds:.1f} s, answers by status {counted}", flush=True)
        drawn = {seed: file for seed, (status, file) in answers.items() if status == 200}
        right = sum(client.generate(PROMPT, **parameters(setting, seed)).files[0] == drawn[seed] for seed in drawn)
    print(f"{CALLS} calls at once, {RUNNING} running and {WAITING} waiting, {setting.size}x{setting.size}")
    print(f"of the last round {len(drawn)} pictures, {right} as `Generate` makes them, byte for byte")
    names = ("gateway", "orchestrator")
    rows = [(name, *(f"{peak.peaks[name].own * 1000:.0f}" for peak in (first, later))) for name in names]
    print_table(("own memory at most, MB", "one crowd", f"{setting.rounds} crowds more"), rows)
    more_mb = sum(later.peaks[name].own - first.peaks[name].own for name in names) * 1000
    is_bounded = print_judgement("own memory more", more_mb, TARGET_MORE_MB, " MB")
    is_right = right == len(drawn) >= RUNNING + WAITING and {status for status, _ in answers.values()} <= {200, 429}
    print(f"each right or refused: {'yes' if is_right else 'NO'}")
    return is_bounded and is_right
