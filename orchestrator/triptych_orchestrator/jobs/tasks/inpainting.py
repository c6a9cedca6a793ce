"""Inpainting: what a request says of masks, checked, and what a job has of it."""

from __future__ import annotations

from dataclasses import dataclass

from triptych.errors import invalid
from triptych_orchestrator.pixels.borders import COPY, REFLECT, Sides
from triptych_orchestrator.pixels.regions import Box, Size

# As A1111 names them; the last two are about latents, so that no picture shows them.
ORIGINAL, FILL, LATENT_NOISE, LATENT_NOTHING = "original", "fill", "latent_noise", "latent_nothing"
MASKED_CONTENTS = (ORIGINAL, FILL, LATENT_NOISE, LATENT_NOTHING)
NOISE = "noise"
EXPAND_FILLS = (COPY, REFLECT, NOISE)
_MOST_BLUR = 256
# Of an outpainting, so that no edge shows where the image ends.
_EXPANDING_BLUR = 4


@dataclass(frozen=True)
class InpaintAsked:
    """As `Asked` has it, of one request: nothing checked, None for what was left open."""

    mask_images: tuple[bytes, ...] = ()
    padding_mask_crop: int | None = None
    mask_blur: int | None = None
    masked_content: str = ""
    invert_mask: bool = False
    paste_original: bool | None = None
    expand: Sides | None = None
    expand_fill: str = ""

    @property
    def wanted(self) -> bool:
        """Whether a picture is to be drawn anew in part."""
        return bool(self.mask_images or self.expand)


@dataclass(frozen=True)
class Original:
    """What a picture is laid on once it is drawn: RGB of the drawn size, or a part, `box`, of a file's picture.

    `shares` say how much of what was drawn counts, 8 bits a pixel of the drawn size, or of the part. Width and height
    are those of what it is laid on. `cut` is what goes out of it, where that is not all.
    """

    shares: bytes
    width: int
    height: int
    pixels: bytes = b""
    file: bytes = b""
    box: Box | None = None
    cut: Box | None = None


@dataclass(frozen=True)
class Inpaint:
    """Of one job; an outpainting where `expand` says so.

    `masks` are 8-bit grey of the drawn size, one for all pictures or one for each.
    So are `originals`; none where nothing is laid on anything. `is_seen`: the UNet sees mask and masked picture.
    """

    padding_mask_crop: int | None
    mask_blur: int
    masked_content: str
    invert_mask: bool
    paste_original: bool
    expand: Sides | None
    expand_fill: str
    is_seen: bool
    masks: tuple[bytes, ...] = ()
    originals: tuple[Original, ...] = ()

    @property
    def lays(self) -> bool:
        """Whether what is drawn is laid on the original: a part always is."""
        return self.paste_original or self.padding_mask_crop is not None or self.expand is not None

    @property
    def infotext(self) -> dict[str, object]:
        """As A1111 tells it."""
        told: dict[str, object] = {"Mask blur": self.mask_blur} if self.mask_blur else {}
        if self.masked_content != ORIGINAL:
            told["Masked content"] = self.masked_content.replace("_", " ")
        if self.invert_mask:
            told["Mask mode"] = "Inpaint not masked"
        if self.padding_mask_crop is not None:
            told |= {"Inpaint area": "Only masked", "Masked area padding": self.padding_mask_crop}
        return told

    def begins_with_noise(self, strength: float) -> bool:
        """Whether nothing of the image is left under the noise, which is diffusers' reading of a strength of 1."""
        contents = (LATENT_NOISE,) if self.expand else (ORIGINAL, LATENT_NOISE)
        return strength == 1.0 and self.masked_content in contents


def inpaint_of(
    asked: InpaintAsked, images: int, *, with_hires: bool = False, with_upscale: bool = False, is_seen: bool = False
) -> Inpaint | None:
    """Masks left out; InvalidArgumentError that names what is wrong or comes without what it is about."""
    if not asked.wanted:
        _refuse_alone(asked)
        return None
    if not images:
        field = "expand" if asked.expand else "mask_images"
        raise invalid(field, "says what is drawn anew of an image; send one as well")
    if with_hires:
        raise invalid("hires", "does not go with mask_images or expand; leave one of them out")
    if with_upscale and asked.padding_mask_crop is not None:
        raise invalid("upscale", "does not go with padding_mask_crop; enlarge the picture in a request of its own")
    if asked.expand:
        _check_expanding(asked)
    elif asked.expand_fill:
        raise invalid("expand_fill", "says what new sides begin with; give expand, or leave it out")
    if asked.masked_content and asked.masked_content not in MASKED_CONTENTS:
        raise invalid("masked_content", f"must be one of {', '.join(MASKED_CONTENTS)}, not {asked.masked_content!r}")
    blur = asked.mask_blur
    if blur is None:
        blur = _EXPANDING_BLUR if asked.expand else 0
    if blur > _MOST_BLUR:
        raise invalid("mask_blur", f"must be from 0 to {_MOST_BLUR} pixels, not {blur}")
    return Inpaint(
        asked.padding_mask_crop,
        blur,
        asked.masked_content or (LATENT_NOISE if asked.expand_fill == NOISE else ORIGINAL),
        asked.invert_mask,
        asked.paste_original is not False,
        asked.expand,
        asked.expand_fill or COPY,
        is_seen,
    )


def result_size(asked: InpaintAsked, drawn: Size, image_size: Size | None) -> Size:
    """How large a picture is that was drawn in that size, parts laid on larger images apart."""
    if not (asked.expand and image_size):
        return drawn
    left, top, right, bottom = asked.expand
    return left + image_size[0] + right, top + image_size[1] + bottom


def check_count(asked: InpaintAsked, count: int) -> None:
    """InvalidArgumentError where so many pictures have another number of masks."""
    if len(asked.mask_images) not in (0, 1, count):
        raise invalid(
            "mask_images", f"must be one for all, or one for each of the {count}, not {len(asked.mask_images)}"
        )


def _check_expanding(asked: InpaintAsked) -> None:
    if not any(asked.expand or ()):
        raise invalid("expand", "adds nothing; give some side at least one pixel, or leave it out")
    if asked.expand_fill and asked.expand_fill not in EXPAND_FILLS:
        raise invalid("expand_fill", f"must be one of {', '.join(EXPAND_FILLS)}, not {asked.expand_fill!r}")
    for field in ("padding_mask_crop", "masked_content"):
        if getattr(asked, field) not in (None, ""):
            raise invalid(field, "does not go with expand; leave one of them out")


def _refuse_alone(asked: InpaintAsked) -> None:
    left_open = InpaintAsked()
    for field, value in vars(asked).items():
        if value != getattr(left_open, field):
            raise invalid(field, "is about what is drawn anew; send mask_images, or leave it out")
