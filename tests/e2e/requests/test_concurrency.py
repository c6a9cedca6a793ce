"""Many requests at once, through the real servers: every picture is the one made alone, and UNet batches are shared."""

from __future__ import annotations

import urllib.request
from fractions import Fraction
from typing import Any

import pytest

from tests.conftest import Served
from tests.e2e.serving import SIZE, at_once, difference, steps_and_result
from triptych.sdk.events import Step

# With torch a batch of another size may round differently in the last bit.
TOLERANCES = {"sd1": 0, "sd2-torch": 2}
REQUESTS: list[dict[str, Any]] = [
    {"prompt": "a red circle", "scheduler": "ddim", "seed": 1, "guidance_scale": 7.5},
    {"prompt": "a blue star", "scheduler": "euler", "seed": 2, "guidance_scale": 1.0},
    {"prompt": "small green square", "scheduler": "euler_ancestral", "seed": 3, "guidance_scale": 3.0},
    {"prompt": "a red circle", "scheduler": "dpmpp_2m", "seed": 4, "guidance_scale": 12.0, "negative_prompt": "blue"},
    {"prompt": "white background", "scheduler": "dpmpp_2m_karras", "seed": [5, 6], "num_images_per_prompt": 2},
    {"prompt": "large star", "scheduler": "pndm", "seed": 7, "eta": 0.0},
]


def own_samples(request: dict[str, Any]) -> int:
    return int(request.get("num_images_per_prompt", 1)) * (2 if request.get("guidance_scale", 7.5) > 1 else 1)


def executions(served: Served, model: str) -> int:
    """How many batches Triton ran of a model."""
    address = next(one.metrics_address for one in served.stack.processes() if one.name == "unet-0")
    for line in urllib.request.urlopen(f"http://{address}/metrics", timeout=10).read().decode().splitlines():
        if line.startswith("nv_inference_exec_count") and f'model="{model}"' in line:
            return int(float(line.rpartition(" ")[2]))
    raise AssertionError(f"Triton counts nothing of {model}")


@pytest.mark.parametrize("checkpoint", TOLERANCES)
def test_every_picture_is_the_one_made_alone(served: Served, checkpoint: str) -> None:
    requests = [request | SIZE | {"checkpoint": checkpoint, "num_inference_steps": 15} for request in REQUESTS]
    alone = [served.client.generate(**request) for request in requests]
    before = executions(served, f"{checkpoint}.unet")
    together = at_once(served.client, requests)
    batches = executions(served, f"{checkpoint}.unet") - before
    for (_, ours), theirs in zip(together, alone, strict=True):
        assert difference(ours, theirs) <= TOLERANCES[checkpoint]
    shares = [
        Fraction(own_samples(request), step.batch_size)
        for request, (steps, _) in zip(requests, together, strict=True)
        for step in steps
    ]
    assert batches == sum(shares) < len(shares)


def test_two_alike_go_in_lockstep(served: Served) -> None:
    request = SIZE | {"checkpoint": "sd1", "scheduler": "ddim", "seed": 9}
    # The one goes on for as long as the other takes.
    longer = served.client.stream(prompt="a red circle", num_inference_steps=200, **request)
    next(event for event in longer if isinstance(event, Step))
    steps, _ = steps_and_result(served.client, {"prompt": "a blue circle", "num_inference_steps": 40, **request})
    longer.close()
    assert sum(step.batch_size == 4 for step in steps) > 25


def test_different_sizes_at_once(served: Served) -> None:
    requests: list[dict[str, Any]] = [
        {"prompt": "a star", "checkpoint": checkpoint, "scheduler": "ddim", "num_inference_steps": 8, "seed": 5}
        | {"width": width, "height": height}
        for checkpoint in ("sd1", "sd2")
        for width, height in ((64, 64), (64, 96), (104, 72))
    ]
    alone = [served.client.generate(**request) for request in requests]
    for (_, ours), theirs in zip(at_once(served.client, requests), alone, strict=True):
        assert ours.pngs == theirs.pngs


def test_the_server_tells_what_batches_take(served: Served) -> None:
    served.client.generate(prompt="a star", checkpoint="sd1", num_inference_steps=4, **SIZE)
    (replica,) = [one for one in served.client.server_info().replicas if one.stage == "unet"]
    wanted = ("sd1.unet", 2, 8, 8, 77, "")
    # Requests under ControlNets and IP-Adapters have sizes of their own.
    sizes = [
        one
        for one in replica.batch_sizes
        if (one.model, one.samples, one.latent_height, one.latent_width, one.tokens, one.tiling) == wanted
    ]
    assert sizes and all(size.seconds_per_sample > 0 and size.max_samples >= 1 for size in sizes)
