"""The request in its picture: what was asked for, what was filled in, and what one picture of several needs."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from triptych import demo
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.identity.digests import Digests
from triptych.v1.generation_pb2 import GenerateRequest, LoraUse
from triptych_orchestrator.api.messages import asked_of, told_of
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.validation import check
from triptych_orchestrator.pipeline.writing.made_of import MadeOf
from triptych_orchestrator.pipeline.writing.pictures import request_json
from triptych_orchestrator.settings import Limits


def job_of(**fields: Any) -> Job:
    request = GenerateRequest(prompt="a fox", checkpoint="demo", **fields)
    asked = replace(asked_of(request), told=told_of(request))
    return check(asked, Checkpoint.open(demo.checkpoint_path()), Limits(), (64, 64) if request.images else None)


def told(job: Job, index: int = 0, made_of: MadeOf | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request_json(job, index, made_of or MadeOf()))
    return found


def test_nothing_is_open_and_nothing_tells_who_asked_or_when() -> None:
    job = job_of(request_id="mine", priority=3, deadline_seconds=60.0, preview_every_steps=2)
    assert told(job)["request"] == {
        "prompt": "a fox", "checkpoint": "demo", "num_inference_steps": 50, "guidance_scale": 7.5, "width": job.width,
        "height": job.height, "num_images_per_prompt": 1, "seeds": list(job.seeds), "scheduler": job.scheduler,
        "image_format": "png",
    }  # fmt: skip


def test_files_are_told_by_their_digests_and_messages_by_their_fields() -> None:
    loras = [LoraUse(name="ink", weight=0.5), LoraUse(name="oil")]
    found = told(job_of(images=[b"a picture"], loras=loras, negative_prompt="", quality=80, image_format="jpeg"))
    request = found["request"]
    assert request["images"] == [f"sha256:{sha256(b'a picture').hexdigest()}"] and request["strength"] == 0.8
    assert request["loras"] == [{"name": "ink", "weight": 0.5}, {"name": "oil"}]
    assert (request["negative_prompt"], request["quality"], request["image_format"]) == ("", 80, "jpeg")


def test_a_picture_with_a_seed_of_its_own_needs_no_company() -> None:
    job = job_of(seeds=[5, 6], images=[b"one", b"two"])
    ours = told(job, 1)
    alone = job_of(seeds=[6], images=[b"two"], num_images_per_prompt=1)
    assert ours == told(alone) and "index" not in ours


def test_a_random_variation_is_told() -> None:
    job = job_of(subseed_strength=0.5)
    assert job.variation and told(job)["request"]["subseeds"] == list(job.variation.subseeds)
    # One beside several seeds is each picture's.
    shared = told(job_of(subseed_strength=0.5, subseeds=[1], seeds=[2, 3], num_images_per_prompt=2), 1)
    assert (shared["request"]["subseeds"], shared["request"]["seeds"], "index" in shared) == ([1], [3], False)
    own = told(job_of(subseed_strength=0.5, seeds=[2, 3], num_images_per_prompt=2), 1)
    assert len(own["request"]["subseeds"]) == 1 and "index" not in own


def test_one_of_a_batch_needs_those_before_it() -> None:
    found = told(job_of(seeds=[5], num_images_per_prompt=3), 2)
    assert (found["index"], found["request"]["num_images_per_prompt"], found["request"]["seeds"]) == (2, 3, [5])


def test_what_it_is_made_of() -> None:
    made_of = MadeOf({"demo": Digests("1" * 64, "", "2" * 64)}, {"demo.unet": ['{"engine": "onnxruntime"}']})
    found = told(job_of(), made_of=made_of)["made_of"]
    assert found["checkpoints"] == {"demo": {"weights": "1" * 64, "settings": "2" * 64}}
    assert found["models"] == {"demo.unet": [{"engine": "onnxruntime"}]}
    assert found["orchestrator"].keys() == {"triptych", "numpy", "pillow", "processor"}


@pytest.mark.parametrize("prompt", ["größer 図 \x00", "\ud7ff\uffff"])
def test_it_is_ascii_whatever_was_asked_for(prompt: str) -> None:
    request = GenerateRequest(prompt=prompt)
    job = check(replace(asked_of(request), told=told_of(request)), Checkpoint.open(demo.checkpoint_path()), Limits())
    text = request_json(job, 0, MadeOf())
    assert text.isascii() and json.loads(text)["request"]["prompt"] == prompt
