"""The same request gives the same bytes with ONNX Runtime, alone and beside any others, through the real servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import triptych
from tests.conftest import Served
from tests.e2e.serving import SIZE, steps_and_result
from triptych.sdk.events import Step

REQUEST: dict[str, Any] = {
    "prompt": "a red circle", "negative_prompt": "a blue star", "checkpoint": "fresh", "scheduler": "euler_ancestral",
    "num_inference_steps": 6, "seed": 1, **SIZE,
}  # fmt: skip
REQUESTS = {
    "guided": REQUEST,
    "unguided": REQUEST | {"guidance_scale": 1.0},
    "two-pictures": REQUEST | {"num_images_per_prompt": 2},
    "image-to-image": REQUEST | {"image": Image.linear_gradient("L").resize((64, 64)), "strength": 0.9},
}
OWN_SAMPLES = {"guided": 2, "unguided": 1, "two-pictures": 4, "image-to-image": 2}


@contextmanager
def fresh(served: Served, path: Path) -> Iterator[None]:
    """A checkpoint that nothing is remembered of."""
    served.client.register_checkpoint("fresh", path, engine="onnxruntime", load=True)
    try:
        yield
    finally:
        served.client.unregister_checkpoint("fresh")


@contextmanager
def company(client: triptych.Client, count: int) -> Iterator[None]:
    """So many requests of other prompts, seeds and guidance, each under way, until the end."""
    begun, done = threading.Semaphore(0), threading.Event()

    def keep_company(number: int) -> None:
        changes = {"prompt": f"{number} stars", "seed": 100 + number, "guidance_scale": 1.0 + number % 3}
        events = client.stream(**REQUEST | changes | {"num_inference_steps": 200})
        for event in events:
            if isinstance(event, Step) and event.step == 1:
                begun.release()
            if done.is_set():
                events.close()

    with ThreadPoolExecutor(count) as pool:
        pending = [pool.submit(keep_company, number) for number in range(count)]
        try:
            assert all(begun.acquire(timeout=60) for _ in range(count))
            yield
        finally:
            done.set()
        for future in pending:
            future.result(timeout=60)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_request_has_the_same_bytes_alone_and_in_any_company(
    served: Served, checkpoints: dict[str, Path], family: str
) -> None:
    with fresh(served, checkpoints[family]):
        alone = {name: served.client.generate(**request).pngs for name, request in REQUESTS.items()}
        for count in range(1, 9):
            name = list(REQUESTS)[count % len(REQUESTS)]
            with company(served.client, count):
                steps, result = steps_and_result(served.client, REQUESTS[name])
            assert result.pngs == alone[name], (name, count)
            assert max(step.batch_size for step in steps) > OWN_SAMPLES[name]


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_request_has_the_same_bytes_whatever_was_encoded_before(
    served: Served, checkpoints: dict[str, Path], family: str
) -> None:
    """Its two prompts together, or the one or the other remembered."""
    pictures = []
    for before in (None, REQUEST["prompt"], REQUEST["negative_prompt"]):
        with fresh(served, checkpoints[family]):
            if before:
                served.client.generate(**REQUEST | {"prompt": before, "guidance_scale": 1.0, "num_inference_steps": 1})
            pictures.append(served.client.generate(**REQUEST).pngs)
    assert pictures[0] == pictures[1] == pictures[2]
