"""How large a request's pictures are to be: as it says, or as its first image is, or as the checkpoint's own are."""

from __future__ import annotations

from triptych.checkpoint import Checkpoint
from triptych.errors import invalid
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.extents import Size, check_size
from triptych_orchestrator.jobs.pictures import field_of
from triptych_orchestrator.settings import Limits


def size_of(asked: Asked, checkpoint: Checkpoint, limits: Limits, image_size: Size | None) -> Size:
    """Width and height in pixels, within the limits; `image_size` is the first image's."""
    scale, remedy = checkpoint.vae_scale_factor, ""
    if image_size:
        remedy = f": {field_of(0)} is {image_size[0]} x {image_size[1]}, so give width and height"
    own_width, own_height = _own_size(checkpoint, image_size)
    width = _given("width", asked.width, own_width)
    height = _given("height", asked.height, own_height)
    check_size((width, height), ("width", "height"), scale, limits, remedy)
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
