"""The options of `generate` for pictures that are drawn anew in part."""

from __future__ import annotations

import argparse

NAMES = (
    "mask_image",
    "padding_mask_crop",
    "mask_blur",
    "masked_content",
    "invert_mask",
    "paste_original",
    "expand",
    "expand_fill",
)


def add_inpainting_options(parser: argparse.ArgumentParser) -> None:
    """By the generation parameters' names but for the mask's; the server chooses what is not given."""
    add = parser.add_argument_group("inpainting").add_argument
    add(
        "--mask", dest="mask_image", metavar="FILE", action="append",
        help="draw --image anew where this is white; repeat for one per picture made",
    )  # fmt: skip
    add("--padding-mask-crop", type=int, metavar="PIXELS", help="draw the masked part alone, with that much around it")
    add("--mask-blur", type=int, metavar="PIXELS", help="soften the mask's edges (default: 0)")
    add("--masked-content", metavar="NAME", help="original (the default), fill, latent_noise or latent_nothing")
    add("--invert-mask", action="store_true", default=None, help="draw anew where the mask is black")
    add("--expand", type=_sides, metavar="LEFT,TOP,RIGHT,BOTTOM", help="pixels that --image is to have more")
    add("--expand-fill", metavar="NAME", help="what they begin with: copy (the default), reflect or noise")
    add(
        "--no-paste-original", dest="paste_original", action="store_false", default=None,
        help="leave what is kept as the VAE gives it, and not as it was",
    )  # fmt: skip


def _sides(text: str) -> tuple[int, ...]:
    try:
        left, top, right, bottom = (int(each) for each in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not four integers with commas: {text!r}") from None
    return left, top, right, bottom
