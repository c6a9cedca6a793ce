"""Scenes whose shapes lie anywhere and at any angle, each with the outline that shows where.

Usage::

    example = outlined_example(seed=7)
    example.caption, example.picture, example.outline  # the caption tells nothing of place, size and angle
"""

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from triptych_training.drawing import COLOURS, MARGIN, SHAPES, Object, Scene, polygon_mask, shape_mask
from triptych_training.scenes import held_out_scenes, is_held_out, plain_caption, training_example, word_caption

CANNY_THRESHOLDS: Final = (100, 200)

PLAIN_SHARE: Final = 0.2
"""Share of the examples that are the checkpoint's own: one or two shapes, and a caption that tells all."""

NAMELESS_SHARE: Final = 0.25
"""Share of the other shapes that are polygons of any form, for which there is no word."""

NAMED_SHARE: Final = 0.7
"""How often the caption of any other shape says which it is."""

NAMELESS: Final = "shape"

RADII: Final = (0.14, 0.36)
"""Half the extent of a shape, as a fraction of the picture's side: from less than small to more than large."""


@dataclass(frozen=True)
class Outlined:
    """A scene's caption and picture (H, W, 3), its outline (H, W), white on black, and where its shape is (H, W)."""

    scene: Scene
    caption: str
    picture: NDArray[np.uint8]
    outline: NDArray[np.uint8]
    mask: NDArray[np.bool_]


def outline_of(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Canny's edges of a picture (H, W, 3): 255 on 0, a pixel broad."""
    return np.asarray(cv2.Canny(picture, *CANNY_THRESHOLDS), dtype=np.uint8)


def outlined_example(seed: int, size: int = 128) -> Outlined:
    """Return the training example number ``seed``: never a held-out scene."""
    random = np.random.default_rng([seed, 5])
    if random.random() < PLAIN_SHARE:
        plain = training_example(seed, size, size)
        return _outlined(plain.scene, plain.caption, plain.picture)
    scene = _scene(random)
    while is_held_out(scene):
        scene = _scene(random)
    shape = scene.objects[0].shape
    told = scene if random.random() < NAMED_SHARE else nameless(scene)
    return _outlined(scene, word_caption(told, random), _paint(scene, place_anywhere(shape, random, size)))


def held_out_examples(count: int, seed: int, size: int = 128) -> list[Outlined]:
    """Return ``count`` examples of held-out scenes; every other caption does not say the shape."""
    random = np.random.default_rng([seed, 6])
    examples = []
    for index, scene in enumerate(held_out_scenes(count, seed)):
        drawn = scene.objects[0]
        told = Scene((Object(drawn.shape, drawn.colour),), scene.background)
        caption = plain_caption(told if index % 2 == 0 else nameless(told))
        examples.append(_outlined(told, caption, _paint(told, place_anywhere(drawn.shape, random, size))))
    return examples


def nameless(scene: Scene) -> Scene:
    """Return ``scene`` with nothing said of its shape."""
    return Scene((Object(NAMELESS, scene.objects[0].colour),), scene.background)


def place_anywhere(shape: str, random: np.random.Generator, size: int) -> Image.Image:
    """Coverage (mode L) of ``shape``, or of some polygon where it is nameless, whole within the picture."""
    radius = random.uniform(*RADII) * size
    reach = min(radius * 1.1 + MARGIN * size, size / 2)
    x, y = random.uniform(reach, size - reach, size=2)
    angle = random.uniform(0.0, 360.0)
    if shape == NAMELESS:
        return polygon_mask(_any_corners(random, x, y, radius), size, size)
    return shape_mask(shape, (x, y), radius, size, size, angle)


def _scene(random: np.random.Generator) -> Scene:
    colour, background = (str(name) for name in random.choice(list(COLOURS), size=2, replace=False))
    shape = NAMELESS if random.random() < NAMELESS_SHARE else str(random.choice(SHAPES))
    return Scene((Object(shape, colour),), background)


def _any_corners(random: np.random.Generator, x: float, y: float, radius: float) -> list[tuple[float, float]]:
    """Three to nine corners around (x, y), each in a direction of its own."""
    count = int(random.integers(3, 10))
    turns = (np.arange(count) + random.uniform(-0.35, 0.35, size=count)) * (2.0 * math.pi / count)
    reaches = radius * random.uniform(0.45, 1.1, size=count)
    return [
        (x + reach * math.cos(turn), y + reach * math.sin(turn)) for turn, reach in zip(turns, reaches, strict=True)
    ]


def _paint(scene: Scene, mask: Image.Image) -> NDArray[np.uint8]:
    picture = Image.new("RGB", mask.size, COLOURS[scene.background])
    picture.paste(COLOURS[scene.objects[0].colour], mask=mask)
    return np.asarray(picture, dtype=np.uint8)


def _outlined(scene: Scene, caption: str, picture: NDArray[np.uint8]) -> Outlined:
    background = np.array(COLOURS[scene.background], dtype=np.int16)
    distance = np.abs(picture.astype(np.int16) - background).sum(axis=-1)
    return Outlined(scene, caption, picture, outline_of(picture), distance * 2 > distance.max())
