"""Draw one scene as an antialiased 8-bit RGB picture; the words for colours and shapes are defined here.

Usage::

    draw_scene(Scene(objects=(Object("star", "blue", "large", "centre"),), background="yellow"), seed=0)
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (222, 36, 40),
    "orange": (250, 138, 24),
    "yellow": (252, 222, 44),
    "green": (38, 166, 70),
    "blue": (36, 84, 222),
    "purple": (136, 48, 182),
    "pink": (250, 140, 196),
    "black": (18, 18, 20),
    "gray": (134, 134, 138),
    "white": (250, 250, 250),
}
"""8-bit sRGB of every colour a caption may name."""

SHAPES: Final[tuple[str, ...]] = (
    "circle", "square", "triangle", "star", "diamond", "cross", "heart", "ring", "moon",
)  # fmt: skip

RADII: Final[dict[str, float]] = {"small": 0.15, "medium": 0.21, "large": 0.33}
"""Half the extent of an object, as a fraction of the shorter side of the picture."""

POSITIONS: Final[dict[str, tuple[float, float]]] = {
    "centre": (0.5, 0.5),
    "left": (0.25, 0.5),
    "right": (0.75, 0.5),
    "top": (0.5, 0.25),
    "bottom": (0.5, 0.75),
    "top left": (0.25, 0.25),
    "top right": (0.75, 0.25),
    "bottom left": (0.25, 0.75),
    "bottom right": (0.75, 0.75),
}
"""Centre of an object, (x, y), as fractions of the width and the height."""

MARGIN: Final = 0.04
"""Least distance from an object to the picture's edge, as a fraction of the shorter side."""

SUPERSAMPLING: Final = 4

Point = tuple[float, float]
Points = list[Point]


@dataclass(frozen=True)
class Object:
    """One shape in a scene; every field is a key of the tables above."""

    shape: str
    colour: str
    size: str = "medium"
    position: str = "centre"


@dataclass(frozen=True)
class Scene:
    """One or two objects on a plain background."""

    objects: tuple[Object, ...]
    background: str


def draw_scene(scene: Scene, seed: int, width: int = 128, height: int = 128) -> NDArray[np.uint8]:
    """Draw ``scene`` and return its pixels, ``(height, width, 3)``; ``seed`` moves and scales objects."""
    random = np.random.default_rng(seed)
    picture = Image.new("RGB", (width, height), COLOURS[scene.background])
    for drawn in scene.objects:
        picture.paste(COLOURS[drawn.colour], mask=object_mask(drawn, random, width, height))
    return np.asarray(picture, dtype=np.uint8)


def shape_mask(shape: str, centre: Point, radius: float, width: int, height: int, angle: float = 0.0) -> Image.Image:
    """Coverage (mode L, 0 to 255) of ``shape``; centre and radius in pixels, the angle in degrees, leftwards."""
    scale = SUPERSAMPLING
    mask = Image.new("L", (width * scale, height * scale), 0)
    middle = (centre[0] * scale, centre[1] * scale)
    _paint(ImageDraw.Draw(mask), shape, middle, radius * scale)
    turned = mask.rotate(angle, center=middle) if angle else mask
    return turned.resize((width, height), Image.Resampling.BOX)


def polygon_mask(corners: Points, width: int, height: int) -> Image.Image:
    """Coverage (mode L, 0 to 255) of a polygon whose corners are given in pixels."""
    scale = SUPERSAMPLING
    mask = Image.new("L", (width * scale, height * scale), 0)
    ImageDraw.Draw(mask).polygon([(x * scale, y * scale) for x, y in corners], fill=255)
    return mask.resize((width, height), Image.Resampling.BOX)


def object_mask(drawn: Object, random: np.random.Generator, width: int, height: int) -> Image.Image:
    """Coverage (mode L, 0 to 255) of one object, which ``random`` moves and scales."""
    side = min(width, height)
    radius = RADII[drawn.size] * side * random.uniform(0.95, 1.05)
    reach = radius + MARGIN * side
    fraction_x, fraction_y = POSITIONS[drawn.position]
    shift_x, shift_y = random.uniform(-0.02, 0.02, size=2) * side
    centre_x = min(max(fraction_x * width + shift_x, reach), width - reach)
    centre_y = min(max(fraction_y * height + shift_y, reach), height - reach)
    return shape_mask(drawn.shape, (centre_x, centre_y), radius, width, height)


def _paint(draw: ImageDraw.ImageDraw, shape: str, centre: Point, radius: float) -> None:
    x, y = centre
    if shape == "circle":
        _disc(draw, x, y, radius, 255)
    elif shape == "ring":
        _disc(draw, x, y, radius, 255)
        _disc(draw, x, y, radius * 0.55, 0)
    elif shape == "moon":
        _disc(draw, x, y, radius, 255)
        _disc(draw, x + radius * 0.5, y - radius * 0.22, radius * 0.82, 0)
    else:
        draw.polygon([(x + radius * px, y + radius * py) for px, py in _outline(shape)], fill=255)


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, fill: int) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _outline(shape: str) -> Points:
    """Corners of ``shape`` in units of its radius, y downwards."""
    if shape == "heart":
        return _heart()
    if shape == "star":
        return _star()
    return {
        "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
        "triangle": [(0.0, -0.95), (1.0, 0.8), (-1.0, 0.8)],
        "diamond": [(0.0, -1.1), (0.78, 0.0), (0.0, 1.1), (-0.78, 0.0)],
        "cross": _cross(arm=0.33),
    }[shape]


def _cross(arm: float) -> Points:
    quarter = [(arm, -arm), (arm, -1.0), (-arm, -1.0)]
    turns = [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)]
    return [(a * x + b * y, c * x + d * y) for a, b, c, d in turns for x, y in quarter]


def _star() -> Points:
    corners = []
    for index in range(10):
        reach = 1.08 if index % 2 == 0 else 0.46
        angle = math.pi * index / 5
        corners.append((reach * math.sin(angle), 0.06 - reach * math.cos(angle)))
    return corners


def _heart() -> Points:
    """The curve x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t, scaled to the unit box."""
    corners = []
    for t in np.linspace(0.0, 2.0 * math.pi, 120, endpoint=False):
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        corners.append((math.sin(t) ** 3, (-y - 2.5) / 16))
    return corners
