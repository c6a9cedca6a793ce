"""ComfyUI's graph of nodes, as far as it is a simple one: a sampler, its prompts, its latents, its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PureWindowsPath
from typing import Any

from triptych.sdk.reading.picture_request import PictureRequest, broken, json_object

_WHOSE = "ComfyUI's prompt"
_SAMPLERS = ("KSampler", "KSamplerAdvanced")
# Between a sampler and what its model comes from.
_LONGEST_CHAIN = 64
_SILENT = {"SaveImage", "PreviewImage", "VAEDecode", "VAEEncode"}
_SCHEDULERS = {
    ("euler", "normal"): "euler",
    ("euler_ancestral", "normal"): "euler_ancestral",
    ("dpmpp_2m", "normal"): "dpmpp_2m",
    ("dpmpp_2m", "karras"): "dpmpp_2m_karras",
    ("ddim", "ddim_uniform"): "ddim",
    ("ddim", "normal"): "ddim",
}


def comfyui_request(text: str) -> PictureRequest:
    """InvalidArgumentError where it is damaged or samples nothing; what is not understood is left out."""
    nodes = {str(name): node for name, node in json_object(text, _WHOSE).items() if _is_node(node)}
    reading = _Reading(nodes)
    sampler = next((name for name in sorted(nodes) if nodes[name]["class_type"] in _SAMPLERS), None)
    if sampler is None:
        raise broken(f"{_WHOSE}, in which no KSampler is,")
    reading.sampler(sampler)
    unread = sorted({node["class_type"] for name, node in nodes.items() if name not in reading.read} - _SILENT)
    left_out = [*reading.left_out, *(f"{kind}: is no node that is read here" for kind in unread)]
    return PictureRequest(reading.parameters, left_out, "comfyui")


def _is_node(node: Any) -> bool:
    return isinstance(node, dict) and isinstance(node.get("class_type"), str) and isinstance(node.get("inputs"), dict)


class _Reading:
    """Follows links from the sampler; `read` are the nodes that were understood."""

    def __init__(self, nodes: Mapping[str, Mapping[str, Any]]) -> None:
        self._nodes = nodes
        self.read: set[str] = set()
        self.parameters: dict[str, Any] = {"prompt": ""}
        self.left_out: list[str] = []

    def sampler(self, name: str) -> None:
        """The sampler itself, and whatever leads to it."""
        inputs = self._take(name)
        for key, parameter in (("steps", "num_inference_steps"), ("cfg", "guidance_scale")):
            self._number(inputs, key, parameter)
        self._number(inputs, "seed" if "seed" in inputs else "noise_seed", "seed")
        sampler, schedule = str(inputs.get("sampler_name")), str(inputs.get("scheduler"))
        if scheduler := _SCHEDULERS.get((sampler, schedule)):
            self.parameters["scheduler"] = scheduler
        else:
            self.left_out.append(f"sampler_name {sampler}, scheduler {schedule}: are none that are here")
        self._text(inputs.get("positive"), "prompt")
        self._text(inputs.get("negative"), "negative_prompt")
        self._latents(inputs.get("latent_image"), inputs.get("denoise"))
        self._model(inputs.get("model"))

    def _take(self, name: str) -> Mapping[str, Any]:
        self.read.add(name)
        inputs: Mapping[str, Any] = self._nodes[name]["inputs"]
        return inputs

    def _linked(self, link: Any, *kinds: str) -> str | None:
        """The node that a link [name, output] leads to, where it is of one of these kinds."""
        name = str(link[0]) if isinstance(link, list) and link else ""
        return name if name in self._nodes and self._nodes[name]["class_type"] in kinds else None

    def _number(self, inputs: Mapping[str, Any], key: str, parameter: str) -> None:
        if isinstance(value := inputs.get(key), int | float) and not isinstance(value, bool):
            self.parameters[parameter] = value
        else:
            self.left_out.append(f"{key}: another node says it")

    def _text(self, link: Any, parameter: str) -> None:
        node = self._linked(link, "CLIPTextEncode")
        if node is None:
            self.left_out.append(f"{parameter}: does not come from CLIPTextEncode alone")
            return
        inputs = self._take(node)
        if isinstance(text := inputs.get("text"), str):
            self.parameters[parameter] = text
        else:
            self.left_out.append(f"{parameter}: another node says it")
        self._clip(inputs.get("clip"))

    def _clip(self, link: Any) -> None:
        """CLIPSetLastLayer counts back from -1, which leaves out none."""
        if (node := self._linked(link, "CLIPSetLastLayer")) is None:
            return
        last = self._take(node).get("stop_at_clip_layer")
        if isinstance(last, int) and last < -1:
            self.parameters["clip_skip"] = -1 - last

    def _latents(self, link: Any, denoise: Any) -> None:
        if (node := self._linked(link, "EmptyLatentImage")) is not None:
            inputs = self._take(node)
            sizes = {"width": "width", "height": "height", "batch_size": "num_images_per_prompt"}
            for key, parameter in sizes.items():
                self._number(inputs, key, parameter)
            if denoise not in (None, 1, 1.0):
                self.left_out.append(f"denoise {denoise}: is of an image, and there is none")
            return
        self.left_out.append("latent_image: is not an empty one; bring the picture that it is made of as image")
        if isinstance(denoise, int | float):
            self.parameters["strength"] = denoise

    def _model(self, link: Any) -> None:
        """The checkpoint, and the LoRAs on the way to it, the last one first."""
        loras: list[tuple[str, Any, Any]] = []
        for _ in range(_LONGEST_CHAIN):
            if (node := self._linked(link, "LoraLoader")) is None or node in self.read:
                break
            inputs = self._take(node)
            unet, encoder = inputs.get("strength_model", 1.0), inputs.get("strength_clip", 1.0)
            loras.append((_stem(inputs.get("lora_name")), unet, encoder))
            link = inputs.get("model")
        if loras:
            self.parameters["loras"] = loras[::-1]
        if (node := self._linked(link, "CheckpointLoaderSimple")) is not None:
            self.parameters["checkpoint"] = _stem(self._take(node).get("ckpt_name"))
        else:
            self.left_out.append("model: does not come from CheckpointLoaderSimple and LoraLoader alone")


def _stem(name: Any) -> str:
    """A file's name as it was on whichever system, without folders and ending."""
    return PureWindowsPath(str(name)).stem
