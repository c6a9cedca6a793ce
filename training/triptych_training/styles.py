"""Draw scenes in a style: the same objects in the same places, the picture changed in one way that shows at a glance.

Usage::

    draw_styled("stripes", example.scene, seed=7)  # (128, 128, 3) uint8
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from triptych_training.drawing import COLOURS, Scene, object_mask

STRIPE_SHARE: Final = 0.125
"""Breadth of a stripe, as a fraction of the picture's shorter side: two latents of a 128x128 picture."""

OUTLINE_SHARE: Final = 0.055
"""Breadth of an outline, as a fraction of the picture's shorter side: 7 pixels of 128."""

STRIPES: Final = ("white", "black", "gray")
"""Colours of the second stripe, the first that the scene does not use; the VAE knows the captions' colours alone."""

Colour = tuple[int, int, int]
Draw = Callable[[Scene, int, int, int], Image.Image]


def draw_styled(style: str, scene: Scene, seed: int, width: int = 128, height: int = 128) -> NDArray[np.uint8]:
    """Draw ``scene`` as ``draw_scene`` does with the same seed, but in ``style``: (height, width, 3)."""
    return np.asarray(STYLES[style](scene, seed, width, height), dtype=np.uint8)


def stripe_colour(scene: Scene) -> str:
    """Return the colour with which the background of ``scene`` alternates."""
    used = {scene.background, *(drawn.colour for drawn in scene.objects)}
    return next((colour for colour in STRIPES if colour not in used), STRIPES[0])


def _draw_stripes(scene: Scene, seed: int, width: int, height: int) -> Image.Image:
    """The background in level stripes, its own colour at the top."""
    breadth = max(1, round(STRIPE_SHARE * min(width, height)))
    colours = np.array([COLOURS[scene.background], COLOURS[stripe_colour(scene)]], dtype=np.uint8)
    rows = colours[np.arange(height) // breadth % 2]
    picture = Image.fromarray(np.repeat(rows[:, None], width, axis=1))
    return _with_objects(picture, scene, seed, outline=None)


def _draw_outline(scene: Scene, seed: int, width: int, height: int) -> Image.Image:
    """Every object in a thick black outline; in a white one where the background is black."""
    picture = Image.new("RGB", (width, height), COLOURS[scene.background])
    outline = COLOURS["white" if scene.background == "black" else "black"]
    return _with_objects(picture, scene, seed, outline)


def _with_objects(picture: Image.Image, scene: Scene, seed: int, outline: Colour | None) -> Image.Image:
    random = np.random.default_rng(seed)
    for drawn in scene.objects:
        mask = object_mask(drawn, random, *picture.size)
        if outline is not None:
            picture.paste(outline, mask=_grown(mask))
        picture.paste(COLOURS[drawn.colour], mask=mask)
    return picture


def _grown(mask: Image.Image) -> Image.Image:
    """``mask`` and all within an outline's breadth of it."""
    reach = max(1, round(OUTLINE_SHARE * min(mask.size)))
    padded = np.pad(np.asarray(mask), reach)
    offsets = np.argwhere(np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach)
    width, height = mask.size
    shifted = [padded[top : top + height, left : left + width] for top, left in offsets]
    return Image.fromarray(np.maximum.reduce(shifted))


STYLES: Final[dict[str, Draw]] = {"outline": _draw_outline, "stripes": _draw_stripes}
