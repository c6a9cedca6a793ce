"""Train, export and score the demo checkpoint, and train its LoRAs and its ControlNet.

Usage::

    python -m triptych_training all --work-dir build/training
    python -m triptych_training lora --style stripes --minutes 4 --work-dir build/training
    python -m triptych_training controlnet --minutes 35 --work-dir build/training
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import Final

import torch

from triptych_training.controlnet import save_controlnet
from triptych_training.export import export_checkpoint
from triptych_training.lora import save_lora
from triptych_training.score import Sampling, Score, score_checkpoint
from triptych_training.score_controlnet import score_controlnet
from triptych_training.styles import STYLES
from triptych_training.trainers.controlnet import train_controlnet
from triptych_training.trainers.lora import train_lora
from triptych_training.trainers.unet import train_unet
from triptych_training.trainers.vae import train_vae

STAGES: Final = ("vae", "unet", "export", "score", "all", "lora", "controlnet", "score-controlnet")
DEMO: Final = Path(__file__).resolve().parents[2] / "src" / "triptych" / "demo"
CHECKPOINT: Final = DEMO / "checkpoint"
LORAS: Final = DEMO / "loras"
CONTROLNET: Final = DEMO / "controlnets" / "canny"
COLOURS_GOAL: Final = 95.0
SHAPES_GOAL: Final = 85.0
CONTROL_GOAL: Final = 90.0


def main() -> int:
    """Run the stages named on the command line; return 1 when the score misses its goal."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    stage: str = arguments.stage
    if stage in ("vae", "all"):
        train_vae(arguments.work_dir, arguments.vae_minutes * 60.0)
    if stage in ("unet", "all"):
        train_unet(arguments.work_dir, arguments.unet_minutes * 60.0)
    if stage in ("export", "all"):
        size_bytes = export_checkpoint(arguments.work_dir, arguments.checkpoint)
        _print(f"{arguments.checkpoint}: {size_bytes / 1e6:.1f} MB")
    if stage in ("score", "all"):
        return _score(arguments)
    if stage == "lora":
        _lora(arguments)
    if stage == "controlnet":
        _controlnet(arguments)
    if stage == "score-controlnet":
        return _score_controlnet(arguments)
    return 0


def _lora(arguments: argparse.Namespace) -> None:
    style, path = arguments.style, arguments.loras / f"{arguments.style}.safetensors"
    layers = train_lora(style, arguments.checkpoint, arguments.work_dir, arguments.minutes * 60.0)
    size_bytes = save_lora(layers, path)
    _print(f"{path}: {size_bytes / 1e3:.0f} kB")


def _controlnet(arguments: argparse.Namespace) -> None:
    controlnet = train_controlnet(arguments.checkpoint, arguments.work_dir, arguments.minutes * 60.0)
    size_bytes = save_controlnet(controlnet, arguments.controlnet)
    _print(f"{arguments.controlnet}: {size_bytes / 1e6:.1f} MB")


def _score(arguments: argparse.Namespace) -> int:
    sampling = Sampling(arguments.steps, arguments.guidance_scale)
    single = score_checkpoint(arguments.checkpoint, arguments.count, sampling)
    _report("one object", single)
    double = score_checkpoint(arguments.checkpoint, arguments.count // 2, sampling, object_count=2)
    _report("two objects", double)
    return 0 if single.colours >= COLOURS_GOAL and single.shapes >= SHAPES_GOAL else 1


def _score_controlnet(arguments: argparse.Namespace) -> int:
    sampling = Sampling(arguments.steps, arguments.guidance_scale)
    score = score_controlnet(arguments.checkpoint, arguments.controlnet, arguments.count, sampling)
    for mistake in score.mistakes:
        _print(f"  {mistake}")
    rates = f"placed {score.placed:.1f}%, colours {score.colours:.1f}%, both {score.both:.1f}%"
    _print(f"{score.count} held-out outlines: {rates}; mean overlap {score.mean_overlap:.3f}")
    return 0 if score.both >= CONTROL_GOAL else 1


def _report(title: str, score: Score) -> None:
    for mistake in score.mistakes:
        _print(f"  {mistake}")
    rates = f"colours {score.colours:.1f}%, shapes {score.shapes:.1f}%"
    _print(f"{title}, {score.count} held-out prompts: {rates}")


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="triptych_training", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "stage", choices=["vae", "unet", "export", "score", "all", "lora", "controlnet", "score-controlnet"]
    )
    parser.add_argument("--work-dir", type=Path, default=Path("build/training"), help="snapshots and latents")
    parser.add_argument(
        "--checkpoint", type=Path, default=CHECKPOINT, help="where to export, what to score, what a LoRA is for"
    )
    parser.add_argument("--loras", type=Path, default=LORAS, help="where LoRAs are written")
    parser.add_argument("--controlnet", type=Path, default=CONTROLNET, help="where to write and score the ControlNet")
    parser.add_argument("--style", choices=sorted(STYLES), default="stripes", help="of the LoRA")
    parser.add_argument("--minutes", type=float, default=4.0, help="for the LoRA or the ControlNet")
    parser.add_argument("--vae-minutes", type=float, default=22.0)
    parser.add_argument("--unet-minutes", type=float, default=95.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--count", type=int, default=200, help="held-out prompts to score")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance-scale", type=float, default=5.0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
