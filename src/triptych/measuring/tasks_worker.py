"""diffusers' own pipelines for several tasks over one checkpoint's modules, in a process of its own.

with tasks_worker(checkpoint, threads=2) as diffusers:
    seconds = diffusers.ask({"task": "inpaint", "prompt": "a red circle", "image": "a.png", "mask_image": "b.png"})
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from triptych.measuring.worker import Work, Worker, answer_all

_PICTURES = ("image", "mask_image", "ip_adapter_image")


def tasks_worker(
    checkpoint: Path,
    *,
    threads: int,
    controlnet: Path | None = None,
    t2i_adapter: Path | None = None,
    ip_adapter: Path | None = None,
) -> Worker:
    """The process; pictures are named by their paths.

    With a ControlNet there is the task "controlled" as well, with a T2I-Adapter "t2i-adapter". With an IP-Adapter there
    is "ip-adapter" alone, for the UNet is another then.
    """
    given = {"controlnet": controlnet, "t2i_adapter": t2i_adapter, "ip_adapter": ip_adapter}
    beside = {name: str(path) for name, path in given.items() if path}
    return Worker(__name__, {"checkpoint": str(checkpoint), "threads": threads, **beside})


def load(setting: dict[str, Any]) -> Work:
    """The pipelines in eager mode, in float32 on the CPU; what they do with a request."""
    import torch
    from diffusers import (
        AutoPipelineForImage2Image,
        AutoPipelineForInpainting,
        AutoPipelineForText2Image,
        ControlNetModel,
        StableDiffusionAdapterPipeline,
        T2IAdapter,
    )
    from diffusers.utils import logging
    from PIL import Image
    from transformers.utils import logging as transformers_logging

    for library in (logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
    torch.set_num_threads(setting["threads"])
    text = AutoPipelineForText2Image.from_pretrained(setting["checkpoint"], dtype=torch.float32)
    pipelines = {
        "text-to-image": text,
        "image-to-image": AutoPipelineForImage2Image.from_pipe(text),
        "inpaint": AutoPipelineForInpainting.from_pipe(text),
    }
    if path := setting.get("controlnet"):
        net = ControlNetModel.from_pretrained(path, torch_dtype=torch.float32)
        pipelines["controlled"] = AutoPipelineForText2Image.from_pipe(text, controlnet=net)
    if path := setting.get("t2i_adapter"):
        adapter = T2IAdapter.from_pretrained(path, torch_dtype=torch.float32)
        own = {name: part for name, part in text.components.items() if name != "image_encoder"}
        pipelines["t2i-adapter"] = StableDiffusionAdapterPipeline(**own, adapter=adapter, requires_safety_checker=False)
    if path := setting.get("ip_adapter"):
        text.load_ip_adapter(str(Path(path).parent), subfolder="", weight_name=Path(path).name)
        pipelines = {"ip-adapter": text}
    for pipeline in pipelines.values():
        pipeline.set_progress_bar_config(disable=True)

    def work(parameters: dict[str, Any]) -> None:
        task, seed = parameters.pop("task"), parameters.pop("seed")
        files = {name: Image.open(parameters.pop(name)) for name in _PICTURES if name in parameters}
        made(task, seed, **parameters, **files)

    def made(task: str, seed: int, **parameters: Any) -> Any:
        if task == "hires":
            return second_pass(seed, **parameters)
        generator = torch.Generator("cpu").manual_seed(seed)
        return pipelines[task](**parameters, generator=generator).images

    def second_pass(seed: int, strength: float, scale: int, **parameters: Any) -> Any:
        latents = made("text-to-image", seed, **parameters, output_type="latent")
        larger = torch.nn.functional.interpolate(latents, scale_factor=scale, mode="bilinear")
        kept = {name: value for name, value in parameters.items() if name not in ("width", "height")}
        return made("image-to-image", seed, image=larger, strength=strength, **kept)

    return work


if __name__ == "__main__":
    sys.exit(answer_all(lambda: load(json.loads(sys.argv[1]))))
