"""The options for larger pictures, of `generate` and of `upscale`.

client.generate(prompt, **enlarging(arguments))
"""

from __future__ import annotations

import argparse
from typing import Any

from triptych.sdk import GenerateParameters

Larger = dict[str, Any]


def add_enlarging_options(parser: argparse.ArgumentParser) -> None:
    """Adds --hires and --upscale, with what belongs to them."""
    group = parser.add_argument_group("larger pictures")
    group.add_argument(
        "--hires", type=larger, metavar="SCALE|WxH", help="enlarge the pictures and draw them again, 2 or 1024x768 say"
    )
    group.add_argument("--hires-upscaler", metavar="NAME", help="of latents or of pictures (default: latent)")
    group.add_argument("--hires-strength", type=float, metavar="X", help="how much is drawn anew (default: 0.7)")
    group.add_argument("--hires-steps", type=int, metavar="N", help="scheduler steps (default: as of the first pass)")
    group.add_argument("--upscale", type=larger, metavar="SCALE|WxH", help="enlarge the pictures at last")
    group.add_argument("--upscaler", metavar="NAME", help="of pictures (default: lanczos)")


def enlarging(arguments: argparse.Namespace) -> GenerateParameters:
    """The parameters as the SDK takes them; a part of one asks for the whole."""
    hires = {
        **(arguments.hires or {}),
        "upscaler": arguments.hires_upscaler,
        "strength": arguments.hires_strength,
        "num_inference_steps": arguments.hires_steps,
    }
    upscale = {**(arguments.upscale or {}), "upscaler": arguments.upscaler}
    return {"hires": _given(hires), "upscale": _given(upscale)}


def larger(text: str) -> Larger:
    """A scale, or width and height in pixels."""
    width, by, height = text.partition("x")
    try:
        return {"width": int(width), "height": int(height)} if by else {"scale": float(text)}
    except ValueError:
        raise argparse.ArgumentTypeError(f"neither a scale nor WIDTHxHEIGHT: {text!r}") from None


def _given(parts: Larger) -> Larger | None:
    return parts if any(value is not None for value in parts.values()) else None
