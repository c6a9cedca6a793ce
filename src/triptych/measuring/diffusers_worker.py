"""The other side: diffusers' own pipeline, eager or compiled, in a process of its own.

with diffusers_worker(checkpoint, threads=2) as diffusers:
    seconds = diffusers.ask({"prompt": "a red circle", "num_inference_steps": 10, "width": 256, "height": 256})
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from triptych.measuring.controlnets import edges
from triptych.measuring.worker import Work, Worker, answer_all

_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def diffusers_worker(
    checkpoint: Path,
    *,
    threads: int,
    device: str = "cpu",
    precision: str = "fp32",
    compiled: bool = False,
    controlnet: Path | None = None,
    log: Path | None = None,
) -> Worker:
    """The process; a compiled one compiles its UNet at the first request of each size.

    With a ControlNet, a request that is `controlled` is made under it.
    """
    setting = {"checkpoint": str(checkpoint), "threads": threads, "device": device}
    net = str(controlnet) if controlnet else ""
    return Worker(__name__, {**setting, "precision": precision, "compiled": compiled, "controlnet": net}, log)


def load(setting: dict[str, Any]) -> Work:
    """The pipeline as its documentation has it; what it does with a request."""
    import torch
    from diffusers import AutoPipelineForText2Image, ControlNetModel, DiffusionPipeline
    from diffusers.utils import logging
    from transformers.utils import logging as transformers_logging

    for library in (logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
    torch.set_num_threads(setting["threads"])
    dtype = getattr(torch, _DTYPES[setting["precision"]])
    pipeline = DiffusionPipeline.from_pretrained(setting["checkpoint"], dtype=dtype)
    pipeline.to(setting["device"])
    pipeline.set_progress_bar_config(disable=True)
    controlled = None
    if path := setting.get("controlnet"):
        net = ControlNetModel.from_pretrained(path, torch_dtype=dtype).to(setting["device"])
        controlled = AutoPipelineForText2Image.from_pipe(pipeline, controlnet=net)
        controlled.set_progress_bar_config(disable=True)
    if setting["compiled"]:
        # CUDA graphs with it, and each size by itself: the fastest of the ways that diffusers' pages name.
        pipeline.unet = torch.compile(pipeline.unet, mode="reduce-overhead", fullgraph=True, dynamic=False)

    def work(parameters: dict[str, Any]) -> None:
        generator = torch.Generator("cpu").manual_seed(parameters.pop("seed", 0))
        if not parameters.pop("controlled", False):
            pipeline(**parameters, generator=generator)
        elif controlled is None:
            raise ValueError("controlled: this process has no ControlNet")
        else:
            controlled(**parameters, image=edges(parameters["width"]), generator=generator)

    return work


if __name__ == "__main__":
    sys.exit(answer_all(lambda: load(json.loads(sys.argv[1]))))
