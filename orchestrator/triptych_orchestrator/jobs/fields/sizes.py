"""How large a request's pictures are to be: as it says, or as its first image is, or as the checkpoint's own are."""

from __future__ import annotations

from triptych.checkpoint import Checkpoint
from triptych.errors import invalid
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.extents import Size, check_size
from triptych_orchestrator.jobs.pictures import field_of
from triptych_orchestrator.pixels.borders import Sides, layout
from triptych_orchestrator.settings import Limits


def size_of(asked: Asked, checkpoint: Checkpoint, limits: Limits, image_size: Size | None) -> Size:
    """Width and height in pixels, within the limits; `image_size` is the first image's."""
    scale, remedy = checkpoint.vae_scale_factor, ""
    if asked.inpaint.expand and image_size:
        return _expanded_size(asked, asked.inpaint.expand, image_size, scale, limits)
    if asked.inpaint.padding_mask_crop is not None:  # a part is drawn as large as the checkpoint's own pictures
        image_size = None
    if image_size:
        remedy = f": {field_of(0)} is {image_size[0]} x {image_size[1]}, so give width and height"
    own_width, own_height = _own_size(checkpoint, image_size)
    width = _given("width", asked.width, own_width)
    height = _given("height", asked.height, own_height)
    check_size((width, height), ("width", "height"), scale, limits, remedy)
    return width, height


def _expanded_size(asked: Asked, sides: Sides, image_size: Size, scale: int, limits: Limits) -> Size:
    for field in ("width", "height"):
        if getattr(asked, field) is not None:
            raise invalid(field, "follows from the image and expand; leave it out")
    width, height = layout(image_size, sides, scale).size
    if not (2 * scale <= width <= limits.max_width and 2 * scale <= height <= limits.max_height):
        bounds = f"each side must be from {2 * scale} to {limits.max_width} and {limits.max_height}"
        raise invalid("expand", f"makes it {width} x {height}; {bounds}")
    if width * height > limits.max_pixels:
        raise invalid("expand", f"makes it {width} x {height}, more than the {limits.max_pixels} pixels of this server")
    return width, height


def _own_size(checkpoint: Checkpoint, image_size: Size | None) -> tuple[int | None, int | None]:
    """An image's as diffusers' VaeImageProcessor cuts it; None where a checkpoint names none."""
    if image_size is None:
        return checkpoint.default_width or None, checkpoint.default_height or None
    width, height = (extent - extent % checkpoint.vae_scale_factor for extent in image_size)
    return width, height


def _given(field: str, value: int | None, default: int | None) -> int:
    value = default if value is None else value
    if value is None:
        raise invalid(field, "must be given: the checkpoint names no size (sample_size in unet/config.json)")
    return value
