"""The scenes are the same everywhere, and what is held out stays out."""

import numpy as np

from triptych_training.drawing import COLOURS, SHAPES, Object, Scene, draw_scene
from triptych_training.scenes import (
    held_out,
    held_out_scenes,
    is_held_out,
    plain_caption,
    training_example,
)


def test_an_example_depends_on_its_seed_alone() -> None:
    first, second = training_example(3), training_example(3)
    assert first.caption == second.caption
    assert np.array_equal(first.picture, second.picture)
    assert first.picture.shape == (128, 128, 3)
    assert first.picture.dtype == np.uint8


def test_training_never_draws_a_held_out_combination() -> None:
    assert not any(is_held_out(training_example(seed).scene) for seed in range(300))


def test_held_out_scenes_are_different_and_all_held_out() -> None:
    scenes = held_out_scenes(200, seed=1)
    assert len(set(scenes)) == 200
    assert all(is_held_out(scene) for scene in scenes)


def test_about_an_eighth_of_the_combinations_is_held_out() -> None:
    every = [(a, shape, b) for a in COLOURS for shape in SHAPES for b in COLOURS if a != b]
    share = sum(held_out(*combination) for combination in every) / len(every)
    assert 0.08 < share < 0.16


def test_every_word_is_seen_in_training() -> None:
    scenes = [training_example(seed).scene for seed in range(600)]
    drawn = [one for scene in scenes for one in scene.objects]
    assert {one.shape for one in drawn} == set(SHAPES)
    assert {one.colour for one in drawn} == set(COLOURS)
    assert {scene.background for scene in scenes} == set(COLOURS)


def test_the_plain_caption_reads_naturally() -> None:
    star = Scene((Object("star", "blue", "large"),), "yellow")
    pair = Scene((Object("circle", "red", position="left"), Object("square", "orange", position="right")), "white")
    assert plain_caption(star) == "a large blue star on a yellow background"
    assert plain_caption(pair) == "a red circle on the left and an orange square on the right, on a white background"


def test_a_scene_may_be_drawn_at_another_size() -> None:
    scene = Scene((Object("heart", "red"),), "white")
    assert draw_scene(scene, seed=0, width=192, height=96).shape == (96, 192, 3)
