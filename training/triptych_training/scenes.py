"""Choose scenes and word their captions; some combinations are held out of training for good.

Usage::

    example = training_example(seed=7)
    example.caption, example.picture  # "a large blue star on a yellow background", (128, 128, 3) uint8
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych_training.drawing import COLOURS, POSITIONS, RADII, SHAPES, Object, Scene, draw_scene

HELD_OUT_PERCENT: Final = 12
"""Share of the (colour, shape, background) combinations that training never draws."""

TWO_OBJECTS_SHARE: Final = 0.25

SIDE_BY_SIDE: Final[tuple[tuple[str, str], ...]] = (("left", "right"), ("top", "bottom"))

WORDS: Final[dict[str, tuple[str, ...]]] = {
    "circle": ("circle", "circle", "disc", "ball"),
    "cross": ("cross", "cross", "plus"),
    "ring": ("ring", "ring", "donut"),
    "moon": ("moon", "moon", "crescent"),
    "diamond": ("diamond", "diamond", "rhombus"),
    "gray": ("gray", "grey"),
    "purple": ("purple", "purple", "violet"),
    "small": ("small", "small", "tiny", "little"),
    "large": ("large", "large", "big", "huge"),
    "centre": ("centre", "center"),
    "background": ("background", "background", "background", "backdrop"),
}
"""Words a caption may use for a term, as often as each should be drawn."""


@dataclass(frozen=True)
class Example:
    """A scene with a caption that describes it and its picture, ``(height, width, 3)`` uint8."""

    scene: Scene
    caption: str
    picture: NDArray[np.uint8]


def held_out(colour: str, shape: str, background: str) -> bool:
    """Whether training must never draw this combination; fixed by a hash, so it is the same everywhere."""
    digest = hashlib.sha256(f"{colour} {shape} {background}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < HELD_OUT_PERCENT


def is_held_out(scene: Scene) -> bool:
    """Whether any object of ``scene`` is a held-out combination."""
    return any(held_out(drawn.colour, drawn.shape, scene.background) for drawn in scene.objects)


def training_example(seed: int, width: int = 128, height: int = 128) -> Example:
    """Return the training example number ``seed``: never a held-out scene."""
    random = np.random.default_rng([seed, 1])
    scene = random_scene(random)
    while is_held_out(scene):
        scene = random_scene(random)
    return Example(scene, word_caption(scene, random), draw_scene(scene, seed, width, height))


def held_out_scenes(count: int, seed: int, object_count: int = 1) -> list[Scene]:
    """Return ``count`` different scenes whose every object is a held-out combination."""
    random = np.random.default_rng([seed, 2])
    scenes: dict[Scene, None] = {}
    while len(scenes) < count:
        scene = random_scene(random, object_count)
        if all(held_out(drawn.colour, drawn.shape, scene.background) for drawn in scene.objects):
            scenes[scene] = None
    return list(scenes)


def random_scene(random: np.random.Generator, object_count: int | None = None) -> Scene:
    """Draw a scene by chance; without ``object_count`` a quarter of the scenes hold two objects."""
    if object_count is None:
        object_count = 2 if random.random() < TWO_OBJECTS_SHARE else 1
    colours = [str(colour) for colour in random.choice(list(COLOURS), size=object_count + 1, replace=False)]
    if object_count == 1:
        size = str(random.choice(list(RADII), p=[0.25, 0.4, 0.35]))
        position = "centre" if random.random() < 0.45 else str(random.choice(list(POSITIONS)))
        return Scene((Object(str(random.choice(SHAPES)), colours[1], size, position),), colours[0])
    places = SIDE_BY_SIDE[int(random.integers(len(SIDE_BY_SIDE)))]
    sizes = [str(random.choice(["small", "medium"], p=[0.25, 0.75])) for _ in places]
    drawn = [
        Object(str(random.choice(SHAPES)), colour, size, place)
        for colour, size, place in zip(colours[1:], sizes, places, strict=True)
    ]
    return Scene(tuple(drawn), colours[0])


def plain_caption(scene: Scene) -> str:
    """Return the canonical caption, such as "a large blue star on a yellow background"."""
    phrases = [_object_phrase(drawn, None) + _place_phrase(drawn, None) for drawn in scene.objects]
    joined = " and ".join(phrases)
    comma = "," if any(drawn.position != "centre" for drawn in scene.objects) else ""
    return f"{joined}{comma} on {_article(scene.background)} background"


def word_caption(scene: Scene, random: np.random.Generator) -> str:
    """Describe ``scene`` in one of many wordings; at times the background goes unmentioned."""
    draw = random.random()
    if draw < 0.4:
        return plain_caption(scene)
    drawn = list(scene.objects)
    if len(drawn) == 2 and random.random() < 0.4:
        drawn.reverse()
    placed = [_object_phrase(one, random) + _place_phrase(one, random) for one in drawn]
    joined = " and ".join(placed)
    word = _word("background", random)
    background = _word(scene.background, random)
    if draw < 0.6:
        return f"{joined} on {_article(background)} {word}"
    if draw < 0.7:
        return f"{joined}, {background} {word}"
    if draw < 0.78:
        return f"{_article(background)} {word} with {joined}"
    if draw < 0.86:
        return f"{joined} on {background}"
    if draw < 0.94:
        opening = random.choice(["a picture of", "a drawing of", "an image of", "a photo of"])
        return f"{opening} {joined} on {_article(background)} {word}"
    return joined


def _object_phrase(drawn: Object, random: np.random.Generator | None) -> str:
    words = [_word(drawn.colour, random), _word(drawn.shape, random)]
    if drawn.size != "medium":
        words.insert(0, _word(drawn.size, random))
    elif random is not None and random.random() < 0.1:
        words.insert(0, "medium")
    phrase = " ".join(words)
    return phrase if random is not None and random.random() < 0.15 else _article(phrase)


def _place_phrase(drawn: Object, random: np.random.Generator | None) -> str:
    if drawn.position == "centre":
        spoken = random is not None and random.random() < 0.15
        return f" in the {_word('centre', random)}" if spoken else ""
    if " " in drawn.position:
        corner = random is not None and random.random() < 0.5
        return f" in the {drawn.position} corner" if corner else f" in the {drawn.position}"
    return f" {'on' if drawn.position in ('left', 'right') else 'at'} the {drawn.position}"


def _word(term: str, random: np.random.Generator | None) -> str:
    if random is None or term not in WORDS:
        return term
    return str(random.choice(WORDS[term]))


def _article(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
