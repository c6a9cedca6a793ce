"""Everything at once: LoRA sets, sizes, checkpoints, priorities, cancellations and a replica that is killed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import triptych
from tests.conftest import CACHE
from tests.e2e.serving import value, wait_for
from tests.loras import save_lora
from triptych.embedded import Stack, StackConfig
from triptych.errors import CancelledError, NotFoundError
from triptych.sdk.events import Event, Queued, Result, Step

COUNT = 72
CANCELLED = frozenset(range(5, COUNT, 9))
SIZES = [(64, 64), (96, 64), (72, 104)]
LORA_SETS: list[list[tuple[str, float]]] = [[], [("a", 1.0)], [("b", 0.7)], [("b", -0.5), ("a", 0.5)]]
SCHEDULERS = ["ddim", "euler_ancestral", "dpmpp_2m_karras"]


@pytest.fixture(scope="module")
def stack(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two checkpoints of one architecture, two UNet replicas, the LoRAs "a" and "b"."""
    folder = tmp_path_factory.mktemp("stress")
    # LoRAs of everything and of attention; the tiny sd1 and sd2 have the same shapes, so that they fit both.
    for name, only in (("a", ""), ("b", "attn")):
        save_lora(folder / f"{name}.safetensors", checkpoints["sd1"], len(only), only=only)
    config = StackConfig(
        {name: checkpoints[name] for name in ("sd1", "sd2")},
        run_dir=folder / "run",
        cache_dir=CACHE,
        replicas={"unet": 2},
        loras={name: folder / f"{name}.safetensors" for name in ("a", "b")},
        startup_timeout_s=900,
    )
    with Stack(config) as running:
        yield running


def request(index: int) -> dict[str, Any]:
    width, height = SIZES[index % 3]
    return {
        "prompt": f"a {'red' if index % 2 else 'blue'} star",
        "checkpoint": ("sd1", "sd2")[index // 3 % 2],
        "loras": LORA_SETS[index // 2 % 4],
        "scheduler": SCHEDULERS[index // 4 % 3],
        "guidance_scale": (7.5, 1.0, 3.0)[index // 5 % 3],
        "num_inference_steps": 5 + index % 4,
        "num_images_per_prompt": 1 + (index % 11 == 0),
        "priority": index % 3,
        "seed": index,
        "width": width,
        "height": height,
    }


def finish(client: triptych.Client, index: int, begun: threading.Semaphore) -> Result | None:
    """The result, or None of one that was cancelled: while it waits, or after some steps."""
    events = client.stream(**request(index))
    queued = next(events)
    assert isinstance(queued, Queued)
    if index in CANCELLED:
        try:
            for event, _ in zip(events, range(index // 9), strict=False):
                assert isinstance(event, Step | Result)
            client.cancel(queued.request_id)
            list(events)
        except (CancelledError, NotFoundError):  # cancelled, or done before
            return None
    following: list[Event] = []
    for event in events:
        following.append(event)
        begun.release()
    assert isinstance(following[-1], Result)
    return following[-1]


def test_every_picture_is_the_one_made_alone(stack: Stack) -> None:
    with triptych.Client(stack.address) as client:
        alone = {index: client.generate(**request(index)) for index in range(COUNT) if index not in CANCELLED}
        assert len({result.images[0].tobytes() for result in alone.values()}) == len(alone)
        begun = threading.Semaphore(0)
        with ThreadPoolExecutor(COUNT) as pool:
            pending = [pool.submit(finish, client, index, begun) for index in range(COUNT)]
            for _ in range(COUNT // 2):  # so many events have come
                begun.acquire()
            victim = next(process for process in stack.processes() if process.name == "unet-1")
            os.kill(victim.pid, signal.SIGKILL)
            together = [future.result(timeout=240) for future in pending]
        for index, result in alone.items():
            ours = together[index]
            assert ours is not None
            assert ours.pngs == result.pngs, request(index)
        # Nothing is left behind: the base is the base, and nobody waits.
        again = client.generate(**request(0))
        assert again.pngs == alone[0].pngs
        metrics = stack.processes()[-1].metrics_address
        for gauge in ("triptych_requests_running", "triptych_requests_waiting"):
            wait_for(lambda gauge=gauge: value(metrics, gauge) == 0, what=gauge)
