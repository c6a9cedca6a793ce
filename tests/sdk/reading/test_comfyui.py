"""ComfyUI's graphs: the simple ones read whole, of others what means something here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from triptych.errors import InvalidArgumentError
from triptych.sdk.reading.comfyui import comfyui_request

# As ComfyUI's own default workflow is saved, with two LoRAs and another layer of the text encoder.
GRAPH: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 156680208700286, "steps": 20, "cfg": 8, "sampler_name": "euler", "scheduler": "normal",
            "denoise": 1, "model": ["11", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "SD1.5\\v1-5.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 2}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "scenery", "clip": ["12", 0]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "text, watermark", "clip": ["12", 0]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["8", 0]}},
    "10": {
        "class_type": "LoraLoader",
        "inputs": {"lora_name": "ink.safetensors", "strength_model": 0.5, "strength_clip": 1, "model": ["4", 0]},
    },
    "11": {"class_type": "LoraLoader", "inputs": {"lora_name": "oil.safetensors", "model": ["10", 0]}},
    "12": {"class_type": "CLIPSetLastLayer", "inputs": {"stop_at_clip_layer": -2, "clip": ["11", 1]}},
}  # fmt: skip


def changed(**nodes: Any) -> str:
    return json.dumps({**GRAPH, **{name.removeprefix("n"): node for name, node in nodes.items()}})


def test_a_simple_graph_is_read_whole() -> None:
    request = comfyui_request(json.dumps(GRAPH))
    assert request.parameters == {
        "prompt": "scenery", "negative_prompt": "text, watermark", "num_inference_steps": 20, "guidance_scale": 8,
        "seed": 156680208700286, "scheduler": "euler", "width": 512, "height": 768, "num_images_per_prompt": 2,
        "clip_skip": 1, "loras": [("ink", 0.5, 1), ("oil", 1.0, 1.0)], "checkpoint": "v1-5",
    }  # fmt: skip
    assert request.left_out == [] and request.origin == "comfyui"


def test_what_it_does_not_understand_is_left_out() -> None:
    control = {"class_type": "ControlNetApply", "inputs": {"conditioning": ["6", 0]}}
    sampler = {"class_type": "KSampler", "inputs": GRAPH["3"]["inputs"] | {"positive": ["20", 0], "seed": ["21", 0]}}
    sampler["inputs"] |= {"sampler_name": "lcm", "latent_image": ["22", 0], "denoise": 0.6}
    request = comfyui_request(changed(n3=sampler, n20=control, n22={"class_type": "LoadImage", "inputs": {}}))
    assert request.parameters["strength"] == 0.6 and request.parameters.keys().isdisjoint(
        {"seed", "scheduler", "width"}
    )
    assert request.left_out == [
        "seed: another node says it",
        "sampler_name lcm, scheduler normal: are none that are here",
        "prompt: does not come from CLIPTextEncode alone",
        "latent_image: is not an empty one; bring the picture that it is made of as image",
        "CLIPTextEncode: is no node that is read here",
        "ControlNetApply: is no node that is read here",
        "EmptyLatentImage: is no node that is read here",
        "LoadImage: is no node that is read here",
    ]


def test_a_graph_that_bites_its_tail_ends() -> None:
    loop = {"class_type": "LoraLoader", "inputs": {"lora_name": "a", "model": ["11", 0]}}
    request = comfyui_request(changed(n11=loop))
    assert request.parameters["loras"] == [("a", 1.0, 1.0)] and "checkpoint" not in request.parameters


@pytest.mark.parametrize(
    "graph", [{}, {"1": 3}, {"1": {"class_type": 3, "inputs": {}}}, {"1": {"class_type": "KSampler"}}]
)
def test_one_that_samples_nothing_is_refused(graph: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="ComfyUI's prompt"):
        comfyui_request(json.dumps(graph))
