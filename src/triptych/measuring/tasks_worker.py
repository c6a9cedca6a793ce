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


def tasks_worker(checkpoint: Path, *, threads: int, controlnet: Path | None = None) -> Worker:
    """The process; pictures are named by their paths. With a ControlNet there is the task "controlled" as well."""
    net = str(controlnet) if controlnet else ""
    return Worker(__name__, {"checkpoint": str(checkpoint), "threads": threads, "controlnet": net})


def load(setting: dict[str, Any]) -> Work:
    """The pipelines in eager mode, in float32 on the CPU; what they do with a request."""
    import torch
    from diffusers import (
        AutoPipelineForImage2Image,
        AutoPipelineForInpainting,
        AutoPipelineForText2Image,
        ControlNetModel,
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
    for pipeline in pipelines.values():
        pipeline.set_progress_bar_config(disable=True)

    def work(parameters: dict[str, Any]) -> None:
        task, seed = parameters.pop("task"), parameters.pop("seed")
        files = {name: Image.open(parameters.pop(name)) for name in ("image", "mask_image") if name in parameters}
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
