"""What ships as "canny" beside the demo: an outline in, and out comes the shape at its place in its colours."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import triptych

pytest.importorskip("cv2")
pytest.importorskip("diffusers")

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "training"))

from triptych_training.outlines import held_out_examples
from triptych_training.score import SEED
from triptych_training.score_controlnet import as_picture, judge_outlines


@pytest.mark.slow
def test_shapes_are_drawn_in_their_outlines(tmp_path: Path) -> None:
    examples = held_out_examples(20, SEED)
    pictures = []
    with triptych.local(cache_dir=tmp_path) as client:
        assert {checkpoint.name for checkpoint in client.checkpoints()} == {"demo", "canny"}
        for index, example in enumerate(examples):
            controls = [triptych.Control("canny", as_picture(example.outline))]
            result = client.generate(
                example.caption, seed=SEED + index, num_inference_steps=20, guidance_scale=5.0, controls=controls
            )
            pictures.append(np.asarray(result.images[0]))
    score = judge_outlines(examples, np.stack(pictures))
    assert score.both >= 90.0, score.mistakes
