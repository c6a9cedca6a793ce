"""What a picture over A1111's txt2img takes longer than over `Generate`: the demo checkpoint, one after the other."""

from __future__ import annotations

from statistics import median

import triptych
from benchmarks.cases.gateway.calls import Txt2Img, parameters
from benchmarks.report import print_judgement, print_seconds
from benchmarks.setting import Setting
from benchmarks.turns import take_turns, timed

TARGET_MS = 30.0


def run(setting: Setting) -> bool:
    """Prints the table; whether the target is met."""
    with triptych.local(cache_dir=setting.cache_dir, gateway=True) as client:
        txt2img = Txt2Img(client.gateway_url)

        def over_http(index: int) -> float:
            return timed(lambda: txt2img(setting, f"a red circle, number {index} over HTTP", index))

        def over_grpc(index: int) -> float:
            prompt = f"a red circle, number {index} over gRPC"
            return timed(lambda: client.generate(prompt, **parameters(setting, index)))

        for warm_up in (over_http, over_grpc):
            warm_up(setting.rounds)
        seconds = take_turns({"txt2img": over_http, "Generate": over_grpc}, setting.rounds)
    print(f"the demo checkpoint, {setting.size}x{setting.size}, {setting.steps} steps")
    print_seconds(seconds)
    pairs = zip(seconds["txt2img"], seconds["Generate"], strict=True)
    more_ms = median(http - grpc for http, grpc in pairs) * 1000
    return print_judgement("median of the rounds' differences", more_ms, TARGET_MS, " ms")
