"""The detector must be right on drawn scenes before it may judge painted ones."""

import numpy as np
import pytest

from triptych_training.detect import components, find_objects, nearest_colour
from triptych_training.drawing import COLOURS, SHAPES, Object, Scene, draw_scene
from triptych_training.scenes import training_example


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_every_shape_is_recognised_at_every_size(shape: str, size: str) -> None:
    picture = draw_scene(Scene((Object(shape, "blue", size),), "yellow"), seed=5)
    finding = find_objects(picture)
    assert finding.background == "yellow"
    assert [(found.shape, found.colour) for found in finding.objects] == [(shape, "blue")]


@pytest.mark.parametrize("colour", COLOURS)
def test_every_colour_is_its_own_nearest(colour: str) -> None:
    assert nearest_colour(np.array(COLOURS[colour], dtype=np.float64)) == colour


def test_drawn_scenes_are_read_without_a_mistake() -> None:
    for seed in range(60):
        example = training_example(seed)
        finding = find_objects(example.picture)
        assert finding.background == example.scene.background
        drawn = sorted((one.shape, one.colour) for one in example.scene.objects)
        assert sorted((found.shape, found.colour) for found in finding.objects) == drawn, example.caption


def test_an_empty_picture_holds_no_objects() -> None:
    finding = find_objects(np.full((128, 128, 3), 250, dtype=np.uint8))
    assert finding.background == "white"
    assert finding.objects == ()


def test_components_are_parted_at_corners() -> None:
    mask = np.array([[1, 0, 0], [0, 1, 1], [0, 1, 0]], dtype=bool)
    assert sorted(int(part.sum()) for part in components(mask)) == [1, 3]
