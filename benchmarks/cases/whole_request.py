"""A whole request, prompt to picture: Triptych against diffusers' pipeline in eager mode, taking turns."""

from __future__ import annotations

import time
from statistics import median

from benchmarks.report import print_judgement, print_table
from benchmarks.setting import Setting
from benchmarks.turns import ratio_by_round
from triptych.measuring.diffusers_worker import diffusers_worker
from triptych.measuring.machine import cores
from triptych.sdk import Client

TARGET_RATIO = 0.72


def run(setting: Setting) -> bool:
    """Prints the table; whether the target is met."""
    checkpoint = setting.checkpoint()
    triptych_seconds, diffusers_seconds = [], []
    with setting.stack(checkpoint) as client, diffusers_worker(checkpoint, threads=cores()) as diffusers:
        diffusers.wait_ready()
        _triptych(client, setting, "warm-up")
        diffusers.ask({"prompt": "warm-up", **setting.parameters()})
        for index in range(setting.rounds):
            # A new prompt each time, for Triptych remembers what it has encoded.
            prompt = f"a red circle, number {index}"
            triptych_seconds.append(_triptych(client, setting, prompt))
            diffusers_seconds.append(diffusers.ask({"prompt": prompt, **setting.parameters()}))
            print(f"round {index + 1}: {triptych_seconds[-1]:.2f} s, {diffusers_seconds[-1]:.2f} s", flush=True)
    print(f"whole request, {setting.describe()}, {setting.steps} steps, guidance 7.5")
    print_table(
        ("seconds", "median", "rounds"),
        [_row("triptych", triptych_seconds), _row("diffusers, eager", diffusers_seconds)],
    )
    ratio = ratio_by_round(triptych_seconds, diffusers_seconds)
    return print_judgement("median of the rounds' ratios", ratio, TARGET_RATIO)


def _triptych(client: Client, setting: Setting, prompt: str) -> float:
    began = time.perf_counter()
    client.generate(prompt, **setting.parameters())
    return time.perf_counter() - began


def _row(name: str, seconds: list[float]) -> tuple[str, str, str]:
    return name, f"{median(seconds):.2f}", " ".join(f"{value:.2f}" for value in seconds)
