"""The demo checkpoint, its LoRAs and its ControlNet, which come with the package: a picture takes seconds on a CPU."""

from __future__ import annotations

from pathlib import Path

from triptych.errors import NotFoundError


def checkpoint_path() -> Path:
    """The diffusers-format directory of the demo checkpoint."""
    path = Path(__file__).parent / "checkpoint"
    if not (path / "model_index.json").is_file():
        raise NotFoundError(
            f"the demo checkpoint is missing: {path} has no model_index.json; name a checkpoint of your own"
        )
    return path


def lora_paths() -> dict[str, Path]:
    """The demo checkpoint's LoRAs that come with the package, by name: each paints its scenes in another style."""
    folder = Path(__file__).parent / "loras"
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def controlnet_paths() -> dict[str, Path]:
    """The demo checkpoint's ControlNets that come with the package, by name: "canny" draws a shape in an outline."""
    folder = Path(__file__).parent / "controlnets"
    return {path.parent.name: path.parent for path in sorted(folder.glob("*/config.json"))}
