"""Image-to-image, inpaint and hires fix beside text-to-image: Triptych and diffusers in eager mode, in turns."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.report import print_judgement, print_seconds
from benchmarks.setting import Setting
from benchmarks.turns import Side, ratio_by_round, take_turns, timed
from triptych.measuring.machine import cores
from triptych.measuring.tasks_worker import tasks_worker
from triptych.measuring.worker import Worker
from triptych.sdk import Client

# Of the ratio that text-to-image has in the same run.
MOST_ABOVE = 1.05
_STRENGTH = 0.7
_SCALE = 2


def run(setting: Setting) -> bool:
    """Prints the ratios; whether no task's is more than 5% above text-to-image's."""
    checkpoint = setting.checkpoint()
    with (
        tempfile.TemporaryDirectory() as folder,
        setting.stack(checkpoint) as client,
        tasks_worker(checkpoint, threads=cores()) as diffusers,
    ):
        diffusers.wait_ready()
        sides: dict[str, Side] = {}
        for task, parameters in _requests(setting, Path(folder)).items():
            sides[f"triptych, {task}"] = functools.partial(_ours, client, task, parameters)
            sides[f"diffusers, {task}"] = functools.partial(_theirs, diffusers, task, parameters)
        for side in sides.values():
            side(-1)
        seconds = take_turns(sides, setting.rounds)
    print(
        f"{setting.describe()}, {setting.steps} steps, guidance 7.5, strength {_STRENGTH}, hires from {_first(setting)}"
    )
    print_seconds(seconds)
    return _judged(seconds)


def _judged(seconds: Mapping[str, list[float]]) -> bool:
    tasks = [name.partition(", ")[2] for name in seconds if name.startswith("triptych")]
    ratios = {task: ratio_by_round(seconds[f"triptych, {task}"], seconds[f"diffusers, {task}"]) for task in tasks}
    text = ratios.pop("text-to-image")
    print(f"text-to-image: {text:.2f} of diffusers' time")
    return all([print_judgement(task, ratio, MOST_ABOVE * text) for task, ratio in ratios.items()])


def _first(setting: Setting) -> int:
    return setting.size // _SCALE


def _requests(setting: Setting, folder: Path) -> dict[str, dict[str, Any]]:
    """By task what both sides are asked for, prompt aside."""
    image, mask = _picture(setting.size), Image.new("L", (setting.size, setting.size))
    mask.paste(255, (setting.size // 4, setting.size // 4, setting.size // 2, setting.size // 2))
    files = {"image": str(folder / "image.png"), "mask_image": str(folder / "mask.png")}
    image.save(files["image"])
    mask.save(files["mask_image"])
    common = {"num_inference_steps": setting.steps, "seed": 7, "strength": _STRENGTH}
    size = {"width": setting.size, "height": setting.size}
    return {
        "text-to-image": {**setting.parameters()},
        "image-to-image": {**common, "image": files["image"]},
        "inpaint": {**common, **files, **size},
        "hires": {**common, "scale": _SCALE, "width": _first(setting), "height": _first(setting)},
    }


def _picture(size: int) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, size), np.linspace(0, 255, size))
    return Image.fromarray(np.stack([x, y, (x + y) / 2], axis=-1).astype(np.uint8))


def _ours(client: Client, task: str, parameters: Mapping[str, Any], index: int) -> float:
    asked = dict(parameters)
    if task == "hires":
        asked["hires"] = {"scale": asked.pop("scale"), "strength": asked.pop("strength")}
    if task == "inpaint":
        asked["paste_original"] = False
    return timed(lambda: client.generate(_prompt(index), **asked))


def _theirs(diffusers: Worker, task: str, parameters: Mapping[str, Any], index: int) -> float:
    return diffusers.ask({"task": task, "prompt": _prompt(index), **parameters})


def _prompt(index: int) -> str:
    """A new one each round, for Triptych remembers what it has encoded."""
    return f"a red circle, number {index}"
