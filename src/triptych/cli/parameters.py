"""The generation parameters as command-line options: diffusers' names in kebab-case.

client.generate(prompt, **parameters(arguments))
"""

from __future__ import annotations

import argparse

from triptych.cli import controls, inpainting, ip_adapters
from triptych.cli.enlarging import add_enlarging_options, enlarging
from triptych.cli.pictures.formats import ENDINGS
from triptych.contract.engines import ENGINES
from triptych.sdk import GenerateParameters
from triptych.sdk.loras import LoraChoice

# Sizes that Stable Diffusion XL is told, each by its two numbers.
_PAIRS = {
    "original_size": "HEIGHT,WIDTH",
    "crops_coords_top_left": "TOP,LEFT",
    "target_size": "HEIGHT,WIDTH",
    "negative_original_size": "HEIGHT,WIDTH",
    "negative_crops_coords_top_left": "TOP,LEFT",
    "negative_target_size": "HEIGHT,WIDTH",
}
_NAMES = (
    "checkpoint",
    "prompt_2",
    "negative_prompt",
    "negative_prompt_2",
    "clip_skip",
    "image",
    "strength",
    *inpainting.NAMES,
    *controls.NAMES,
    *ip_adapters.NAMES,
    "image_guidance_scale",
    "num_inference_steps",
    "guidance_scale",
    "guidance_rescale",
    *_PAIRS,
    "refiner",
    "refiner_start",
    "vae",
    "engine",
    "tiling",
    "aesthetic_score",
    "negative_aesthetic_score",
    "width",
    "height",
    "num_images_per_prompt",
    "seed",
    "subseed",
    "subseed_strength",
    "seed_resize_from",
    "scheduler",
    "eta",
    "image_format",
    "quality",
    "loras",
    "priority",
    "deadline_seconds",
)


def add_parameter_options(parser: argparse.ArgumentParser) -> None:
    """Adds an option for each generation parameter but the prompt; the server chooses what is not given."""
    group = parser.add_argument_group("picture")
    group.add_argument("--checkpoint", metavar="NAME", help="see `triptych checkpoints` (default: the only one)")
    group.add_argument("--negative-prompt", metavar="TEXT", help="what the picture should not show")
    group.add_argument("--prompt-2", metavar="TEXT", help="for a second text encoder (default: the prompt)")
    group.add_argument("--negative-prompt-2", metavar="TEXT", help="likewise (default: the negative prompt)")
    group.add_argument("--clip-skip", type=int, metavar="N", help="last layers of the text encoder to leave out")
    group.add_argument(
        "--image", metavar="FILE", action="append", help="begin with this picture; repeat for one per picture made"
    )
    group.add_argument(
        "--strength", type=float, metavar="X", help="how much of --image is drawn anew, 0 to 1 (default: 0.8, XL 0.3)"
    )
    group.add_argument(
        "--image-guidance-scale", type=float, metavar="X", help="with InstructPix2Pix, 1 or more (default: 1.5)"
    )
    group.add_argument("--num-inference-steps", "--steps", type=int, metavar="N", help="scheduler steps (default: 50)")
    group.add_argument("--guidance-scale", type=float, metavar="X", help="1 and below: off (default: 7.5, XL 5)")
    group.add_argument("--guidance-rescale", type=float, metavar="X", help="0 to 1 (default: 0)")
    group.add_argument("--width", type=int, metavar="PIXELS", help="default: the checkpoint's own, or --image's")
    group.add_argument("--height", type=int, metavar="PIXELS", help="default: the checkpoint's own, or --image's")
    for name, numbers in _PAIRS.items():
        option = f"--{name.replace('_', '-')}"
        group.add_argument(option, type=_pair, metavar=numbers, help="pixels, for Stable Diffusion XL")
    group.add_argument("--refiner", metavar="NAME", help="a second checkpoint, of XL, that does the last steps")
    group.add_argument(
        "--refiner-start", type=float, metavar="X", help="where it takes over, between 0 and 1 (default: 0.8)"
    )
    group.add_argument("--vae", metavar="NAME", help="a VAE that was added alone (default: the checkpoint's own)")
    group.add_argument(
        "--engine", choices=ENGINES, help="another than the checkpoint is added with, for this picture alone"
    )
    group.add_argument(
        "--tiling", nargs="?", const="xy", choices=("x", "y", "xy"), help="edges meet where pictures lie side by side"
    )
    for name, default in (("--aesthetic-score", 6), ("--negative-aesthetic-score", 2.5)):
        group.add_argument(
            name, type=float, metavar="X", help=f"for Stable Diffusion XL's refiner (default: {default})"
        )
    group.add_argument(
        "--num-images-per-prompt", type=int, metavar="N", help="pictures per prompt (default: 1, or one per --image)"
    )
    group.add_argument(
        "--seed", type=_seed, metavar="N[,N...]", help="one for all, or one per picture (default: random)"
    )
    group.add_argument(
        "--subseed", type=_seed, metavar="N[,N...]", help="a variation: the other seed (default: random)"
    )
    group.add_argument("--subseed-strength", type=float, metavar="X", help="how much of it, 0 to 1 (default: 0)")
    group.add_argument(
        "--seed-resize-from", type=_pair, metavar="HEIGHT,WIDTH", help="pixels, for which the seed's noise is drawn"
    )
    group.add_argument("--scheduler", metavar="NAME", help="ddim, say (default: the checkpoint's own)")
    group.add_argument(
        "--lora",
        dest="loras",
        type=_lora,
        action="append",
        metavar="NAME[:WEIGHT[:TEXT_ENCODER_WEIGHT]]",
        help="see `triptych loras`; repeatable (default weight: 1, the text encoder's the same)",
    )
    group.add_argument("--eta", type=float, metavar="X", help="DDIM's eta (default: 0)")
    group.add_argument(
        "--image-format", choices=list(ENDINGS), help="what files are made (default: what -o ends in, or png)"
    )
    group.add_argument(
        "--quality", type=int, metavar="N", help="1 to 100, of a JPEG (default: 95) or a WebP (default: lossless)"
    )
    group.add_argument("--priority", type=int, metavar="N", help="the highest go first; -100 to 100 (default: 0)")
    group.add_argument("--deadline-seconds", type=float, metavar="X", help="give up after that (default: never)")
    inpainting.add_inpainting_options(parser)
    controls.add_control_options(parser)
    ip_adapters.add_ip_adapter_options(parser)
    add_enlarging_options(parser)


def parameters(arguments: argparse.Namespace) -> GenerateParameters:
    """The parameters as the SDK takes them."""
    given: GenerateParameters = {name: getattr(arguments, name) for name in _NAMES}  # type: ignore[assignment]
    return {**given, **enlarging(arguments)}


def _lora(text: str) -> LoraChoice:
    name, *weights = text.split(":")
    try:
        match [float(weight) for weight in weights]:
            case []:
                return name
            case [both]:
                return name, both
            case [unet, text_encoder]:
                return name, unet, text_encoder
    except ValueError:
        raise argparse.ArgumentTypeError(f"a weight is no number: {text!r}") from None
    raise argparse.ArgumentTypeError(f"more than two weights: {text!r}")


def _pair(text: str) -> tuple[int, int]:
    try:
        first, second = (int(each) for each in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not two integers with a comma: {text!r}") from None
    return first, second


def _seed(text: str) -> int | list[int]:
    try:
        seeds = [int(each) for each in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"not an integer, nor several with commas: {text!r}") from None
    return seeds[0] if len(seeds) == 1 else seeds
