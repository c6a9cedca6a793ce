"""Checkpoints that edit pictures, through the real servers; that the pictures are diffusers', tests/parity shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from tests.conftest import Served
from tests.e2e.serving import difference, meeting, steps_and_result
from tests.parity.oracle import drawn
from triptych.errors import InvalidArgumentError

REQUEST: dict[str, Any] = {
    "prompt": "a red circle", "checkpoint": "instructed", "num_inference_steps": 4, "seed": 3, "scheduler": "ddim",
}  # fmt: skip
IMAGE = drawn((64, 64), 0)


@pytest.fixture(scope="module")
def instructed(served: Served, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("editing") / "instructed"
    path = tiny.save_editing_checkpoint(folder, checkpoints["sd1"], "StableDiffusionInstructPix2PixPipeline", 8)
    assert not served.client.register_checkpoint("instructed", path, load=True).warnings
    yield "instructed"
    served.client.unregister_checkpoint("instructed")


def test_both_scales_and_the_image_tell(served: Served, instructed: str) -> None:
    first = served.client.generate(**REQUEST, image=IMAGE)
    others: list[dict[str, Any]] = [
        {"image_guidance_scale": 4.0},
        {"guidance_scale": 2.0},
        {"image": drawn((64, 64), 1)},
        {"negative_prompt": "blue"},
    ]
    for other in others:
        assert difference(first, served.client.generate(**REQUEST | {"image": IMAGE} | other)) > 10
    told = first.images[0].info["parameters"]
    assert "Image CFG scale: 1.5" in told and "Denoising strength" not in told


def test_requests_of_three_parts_and_of_one_share_batches(served: Served, instructed: str) -> None:
    requests = [REQUEST | {"image": IMAGE}, REQUEST | {"image": drawn((64, 64), 1), "guidance_scale": 1.0}]
    requests = [request | {"num_inference_steps": 20} for request in requests]
    alone = [served.client.generate(**request) for request in requests]
    together = meeting(served.client, requests, samples=4)
    for ours, (_, theirs) in zip(alone, together, strict=True):
        assert [image.tobytes() for image in ours.images] == [image.tobytes() for image in theirs.images]


def test_all_steps_are_done_and_a_hundred_by_default(served: Served, instructed: str) -> None:
    steps, result = steps_and_result(served.client, {**REQUEST, "image": IMAGE, "num_inference_steps": None})
    assert [step.step for step in steps] == [*range(1, 101)] and result.timings.vae.calls == 2


def test_a_request_that_brings_too_little_is_told_what_to_bring(
    served: Served, instructed: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    path = tiny.save_editing_checkpoint(tmp_path / "x", checkpoints["sd1"], "StableDiffusionInpaintPipeline", 9)
    served.client.register_checkpoint("masked", path)
    lacking: list[tuple[str, str, dict[str, Any]]] = [
        ("images", "'instructed' edits an image as instructed .*; send images$", {}),
        ("images", "'masked' edits an image under a mask .*; send images and mask_images$", {"checkpoint": "masked"}),
        ("mask_images", "'masked' edits an image .*mask_images$", {"checkpoint": "masked", "image": IMAGE}),
    ]
    try:
        for field, problem, fields in lacking:
            with pytest.raises(InvalidArgumentError, match=f"^{field}: is missing: {problem}") as caught:
                served.client.generate(**REQUEST | fields)
            assert caught.value.metadata["field"] == field
    finally:
        served.client.unregister_checkpoint("masked")
