"""A style changes what it is about and leaves the rest of the scene where it was."""

import numpy as np
import pytest

from triptych_training.detect import find_objects
from triptych_training.drawing import COLOURS, Object, Scene, draw_scene
from triptych_training.scenes import training_example
from triptych_training.styles import STYLES, draw_styled, stripe_colour

STAR = Scene((Object("star", "blue", "large"),), "yellow")


def is_colour(picture: np.ndarray, name: str) -> np.ndarray:
    exact: np.ndarray = (picture == np.array(COLOURS[name])).all(axis=-1)
    return exact


@pytest.mark.parametrize("style", STYLES)
def test_every_scene_has_its_picture_in_every_style(style: str) -> None:
    for seed in range(30):
        scene = training_example(seed).scene
        picture = draw_styled(style, scene, seed)
        assert picture.shape == (128, 128, 3)
        assert picture.dtype == np.uint8
        assert np.array_equal(picture, draw_styled(style, scene, seed))
        assert not np.array_equal(picture, draw_scene(scene, seed))
    assert draw_styled(style, STAR, 0, width=192, height=96).shape == (96, 192, 3)


@pytest.mark.parametrize("style", STYLES)
def test_the_object_stays_where_it_was(style: str) -> None:
    plain = is_colour(draw_scene(STAR, 3), "blue")
    assert np.array_equal(is_colour(draw_styled(style, STAR, 3), "blue"), plain)


def test_stripes_alternate_all_over_the_background() -> None:
    picture = draw_styled("stripes", STAR, 3)
    left = picture[:, 0]
    assert is_colour(left, "yellow").sum() == is_colour(left, "white").sum() == 64
    assert np.count_nonzero((left[1:] != left[:-1]).any(axis=-1)) == 7


def test_the_second_stripe_is_none_of_the_scenes_colours() -> None:
    for seed in range(300):
        scene = training_example(seed).scene
        assert stripe_colour(scene) not in {scene.background, *(drawn.colour for drawn in scene.objects)}


@pytest.mark.parametrize(("background", "line"), [("yellow", "black"), ("black", "white")])
def test_an_outline_goes_all_round(background: str, line: str) -> None:
    scene = Scene((Object("circle", "red"),), background)
    picture = draw_styled("outline", scene, 3)
    middle_row = picture[find_row(picture)]
    widths = is_colour(middle_row, line).sum()
    assert 10 <= widths <= 18
    columns = np.flatnonzero(is_colour(middle_row, "red"))
    assert is_colour(middle_row[columns[0] - 4], line)
    assert is_colour(middle_row[columns[-1] + 4], line)


def find_row(picture: np.ndarray) -> int:
    """The row in which there is most red."""
    return int(is_colour(picture, "red").sum(axis=1).argmax())


def test_an_outline_leaves_the_background_plain() -> None:
    finding = find_objects(draw_styled("outline", STAR, 3))
    assert finding.background == "yellow"
    assert len(finding.objects) == 1
