"""What inpainting draws on: pictures and masks of the drawn size, and what the result is laid on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from PIL import Image

from triptych.errors import InvalidArgumentError, invalid
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.pictures import Grey, PictureReader, field_of, mask, picture
from triptych_orchestrator.jobs.tasks.inpainting import FILL, NOISE, Inpaint, Original
from triptych_orchestrator.pixels.borders import REFLECT, Layout, around, bordered, layout
from triptych_orchestrator.pixels.filling import filled
from triptych_orchestrator.pixels.masks import binary, blurred, inverted
from triptych_orchestrator.pixels.pasting import share
from triptych_orchestrator.pixels.regions import Size, fitted, region

# Pixels each way, of the formats that hold less than any picture that is read.
_MOST_EXTENT = {"webp": 16_383, "jpeg": 65_500}


class Canvas(NamedTuple):
    """One picture to draw on and its mask, both of the drawn size, and what the result is laid on."""

    picture: Image.Image
    mask: Image.Image
    original: Original


async def read_canvases(
    asked: Asked, job: Job, inpaint: Inpaint, pictures: PictureReader, image_size: Size, scale: int
) -> Job:
    """The job with its images and masks; as many images as were sent, unless each mask makes another of one.

    `image_size` is the first image's own; `scale` is of the VAE: pixels a latent.
    """
    masks = asked.inpaint.mask_images
    found: list[Canvas] = []
    warnings: list[str] = []
    place = layout(image_size, inpaint.expand, scale) if inpaint.expand else (job.width, job.height)
    for index in range(max(len(asked.images), len(masks))):
        at = min(index, len(asked.images) - 1), min(index, len(masks) - 1)
        files = asked.images[at[0]], masks[at[1]] if masks else b""
        canvas, told = await pictures.run(partial(_read, at, files, inpaint, place, pictures.most_pixels))
        _check_whole(canvas.original, job, pictures.most_pixels)
        if not binary(canvas.mask)[::scale, ::scale].any():
            told.append(f"{_mask_field(at[1])} {_too_fine(scale)}")
        found, warnings = [*found, canvas], [*warnings, *told]
    return replace(
        job,
        images=_once(asked.images, [canvas.picture.tobytes() for canvas in found]),
        inpaint=replace(
            inpaint,
            masks=_once(masks, [canvas.mask.tobytes() for canvas in found]),
            originals=tuple(canvas.original for canvas in found) if inpaint.lays else (),
        ),
        warnings=(*job.warnings, *dict.fromkeys(warnings)),
    )


def _read(
    at: tuple[int, int], files: tuple[bytes, bytes], inpaint: Inpaint, place: Layout | Size, most_pixels: int
) -> tuple[Canvas, list[str]]:
    """Of an image and its mask, which an outpainting need not have; `at` are their places among the request's."""
    image, told = picture(field_of(at[0]), files[0], most_pixels)
    if at[1] < 0:
        grey = Grey(Image.new("L", (1, 1)), Image.Resampling.NEAREST, [])
    else:
        grey = _grey(at[1], files[1], inpaint, most_pixels)
    if isinstance(place, Layout):
        canvas = _expanded(image, grey, inpaint, place)
    elif inpaint.padding_mask_crop is None:
        canvas = _whole(image, grey, place)
    else:
        canvas = _part(image, files[0], at[1], grey, inpaint, place)
    if inpaint.masked_content == FILL:
        canvas = canvas._replace(picture=filled(canvas.picture, canvas.mask))
    return canvas, [*told, *grey.warnings]


def _grey(index: int, file: bytes, inpaint: Inpaint, most_pixels: int) -> Grey:
    """A mask of its own size, inverted and softened as asked for; of an outpainting it is softened with the sides."""
    grey = mask(_mask_field(index), file, most_pixels)
    image = inverted(grey.image) if inpaint.invert_mask else grey.image
    soft = image if inpaint.expand else blurred(image, inpaint.mask_blur)
    if not binary(soft).any():
        raise _nothing(index, inpaint)
    return grey._replace(image=soft)


def _whole(image: Image.Image, grey: Grey, size: Size) -> Canvas:
    resized, soft = image.resize(size, Image.Resampling.LANCZOS), grey.resized(size)
    return Canvas(resized, soft, Original(share(soft).tobytes(), *size, pixels=resized.tobytes()))


def _part(image: Image.Image, file: bytes, index: int, grey: Grey, inpaint: Inpaint, size: Size) -> Canvas:
    """Of the mask, by its place among the request's, what the image's size leaves."""
    soft = grey.resized(image.size)
    if soft.getbbox() is None:
        remedy = "paint it at that size, or more of it"
        raise invalid(_mask_field(index), f"is so fine that nothing is left of it at the image's size; {remedy}")
    box = region(soft, inpaint.padding_mask_crop or 0, size)
    part = soft.crop(box)
    original = Original(part.tobytes(), *image.size, file=file, box=box)
    return Canvas(fitted(image.crop(box), size), fitted(part, size), original)


def _once(files: Sequence[bytes], made: Sequence[bytes]) -> tuple[bytes, ...]:
    """What was made of files, once where it was one file and came to the same each time."""
    return tuple(made[:1] if len(files) == 1 and len(set(made)) == 1 else made)


def _expanded(image: Image.Image, grey: Grey, inpaint: Inpaint, place: Layout) -> Canvas:
    size = place.picture.size
    resized, own = image.resize(size, Image.Resampling.LANCZOS), grey.resized(size)
    # The VAE sees what is to be noise beside the picture's edge all the same.
    canvas = bordered(resized, place, REFLECT if inpaint.expand_fill == NOISE else inpaint.expand_fill)
    drawn, blur = around(place, place.kept, own), inpaint.mask_blur
    # What is drawn counts whole some way into the picture, so that where it begins to fade is not where it is new.
    soft = around(place, place.kept_within(blur) if blur else place.picture, own)
    shares = share(blurred(soft, blur)) if inpaint.paste_original else Image.new("L", place.size, "white")
    return Canvas(canvas, drawn, Original(shares.tobytes(), *place.size, pixels=canvas.tobytes(), cut=place.result))


def _mask_field(index: int) -> str:
    return f"mask_images[{index}]"


def _too_fine(scale: int) -> str:
    return f"is so fine that nothing is drawn anew: a latent is {scale} pixels wide"


def _nothing(index: int, inpaint: Inpaint) -> InvalidArgumentError:
    black, other = ("white", "without") if inpaint.invert_mask else ("black", "or use")
    problem = f"is {black} everywhere, so that nothing would be drawn anew; paint what is to be, {other} invert_mask"
    return invalid(_mask_field(index), problem)


def _check_whole(original: Original, job: Job, most_pixels: int) -> None:
    """Pictures that a part is laid on come back as large as they are, however small the part."""
    if not original.file:
        return
    size, count = f"{original.width} x {original.height}", job.num_images_per_prompt
    if original.width * original.height * count > most_pixels:
        problem = f"{count} pictures of {size} are more than the {most_pixels} pixels that this server lays parts on"
        raise invalid("padding_mask_crop", problem)
    if max(original.width, original.height) > (most := _MOST_EXTENT.get(job.format.name, most_pixels)):
        problem = f"{job.format.name} holds {most} pixels each way, and the picture comes back {size}; ask for png"
        raise invalid("image_format", problem)
