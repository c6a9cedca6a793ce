"""Outlines show where shapes are, captions do not; and the judge tells the right picture from others."""

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("diffusers")

from triptych_training.outlines import held_out_examples, outlined_example
from triptych_training.scenes import is_held_out
from triptych_training.score_controlnet import judge_outlines, overlap


def test_an_outline_runs_around_the_shape() -> None:
    for example in held_out_examples(20, seed=1):
        assert set(np.unique(example.outline)) == {0, 255}
        rim = np.argwhere(example.outline > 0)
        inside = np.argwhere(example.mask)
        assert np.abs(rim.min(axis=0) - inside.min(axis=0)).max() <= 2
        assert np.abs(rim.max(axis=0) - inside.max(axis=0)).max() <= 2


def test_training_never_draws_what_is_held_out() -> None:
    assert not any(is_held_out(outlined_example(seed).scene) for seed in range(100))
    examples = held_out_examples(20, seed=1)
    assert all(is_held_out(example.scene) for example in examples)
    assert [" shape " in example.caption for example in examples] == [False, True] * 10
    assert not [example for example in examples if " large " in example.caption or " left" in example.caption]


def test_examples_are_those_of_their_number() -> None:
    one, other = outlined_example(3), outlined_example(3)
    assert one.caption == other.caption
    assert np.array_equal(one.picture, other.picture)


def test_the_judge_finds_no_fault_in_what_was_asked() -> None:
    examples = held_out_examples(40, seed=2)
    score = judge_outlines(examples, np.stack([example.picture for example in examples]))
    assert (score.placed, score.colours, score.both, score.mistakes) == (100.0, 100.0, 100.0, ())
    assert score.mean_overlap > 0.95


def test_the_judge_sees_another_place_and_another_colour() -> None:
    examples = held_out_examples(2, seed=2)
    moved = np.roll(examples[0].picture, 40, axis=0)
    other = examples[1].picture[..., ::-1]
    assert overlap(examples[0].mask, moved) < 0.7
    score = judge_outlines(examples, np.stack([moved, other]))
    assert (score.placed, score.colours, score.both) == (50.0, 50.0, 0.0)
    assert len(score.mistakes) == 2
