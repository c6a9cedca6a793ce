"""A checkpoint that diffusers corrects in many places while loading gives its picture, through the real servers."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from tests.conftest import Served
from tests.e2e.requests.outdated import save_outdated_checkpoint
from tests.e2e.requests.test_parity import check, pipeline
from triptych.errors import InvalidArgumentError

STEPS: dict[str, Any] = {"num_inference_steps": 4, "width": 64, "height": 64}
PROMPTS = {"prompt": "a red <fox> on the <ink>, <fox>", "negative_prompt": "a <fox> and a blue star"}


@pytest.fixture(scope="module")
def outdated(served: Served, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Served as `outdated`."""
    path = save_outdated_checkpoint(tmp_path_factory.mktemp("corrections") / "outdated", checkpoints["sd1"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the pipeline's notices about what it corrects
        pipeline(path)
    served.client.register_checkpoint("outdated", path)
    yield path
    served.client.unregister_checkpoint("outdated")


def test_it_is_listed_as_diffusers_loads_it(served: Served, outdated: Path) -> None:
    (one,) = (each for each in served.client.checkpoints() if each.name == "outdated")
    theirs = pipeline(outdated)
    size = theirs.unet.config.sample_size * theirs.vae_scale_factor
    assert (one.default_width, one.default_height) == (size, size) == (512, 512)
    assert one.scheduler == "ddim" and type(theirs.scheduler).__name__ == "DDIMScheduler"
    assert one.warnings == []


@pytest.mark.parametrize("scheduler", ["", "pndm", "euler", "dpmpp_2m"])
def test_it_draws_diffusers_picture(served: Served, outdated: Path, scheduler: str) -> None:
    check(served, outdated, "outdated", scheduler, 5, **PROMPTS, **STEPS)


def test_no_size_and_no_scheduler_of_its_own(served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """What a checkpoint leaves open a request must say; both are told."""
    path = Path(shutil.copytree(checkpoints["sd2"], tmp_path / "open"))
    tiny.update(path / "unet" / "config.json", sample_size=None)
    tiny.update(path / "scheduler" / "scheduler_config.json", algorithm_type="sde-dpmsolver++", solver_order=3)
    tiny.update(path / "model_index.json", scheduler=["diffusers", "DPMSolverMultistepScheduler"])
    client = served.client
    one = client.register_checkpoint("open", path)
    try:
        assert (one.state, one.scheduler, one.default_width, one.default_height) == ("registered", "", 0, 0)
        (warning,) = one.warnings
        assert "algorithm_type" in warning and "can be asked for: ddim, euler, euler_ancestral, pndm" in warning
        assert one in client.checkpoints()
        for request, field in (
            ({"width": 64, "height": 64}, "scheduler"),
            ({"scheduler": "ddim", "width": 64}, "height"),
        ):
            with pytest.raises(InvalidArgumentError) as caught:
                client.generate("a star", checkpoint="open", **request)
            assert caught.value.metadata["field"] == field
        check(served, path, "open", "ddim", 3, prompt="a star", **STEPS)
    finally:
        client.unregister_checkpoint("open")


def test_syntax_of_a1111_is_told(served: Served) -> None:
    request = {"num_inference_steps": 1, "width": 64, "height": 64, "checkpoint": "sd1", "scheduler": "ddim"}
    plain = served.client.generate("a red circle", negative_prompt="blue", **request)
    assert plain.warnings == []
    told = served.client.generate("a (red:1.3) circle BREAK", negative_prompt="[blue]", **request).warnings
    assert len(told) == 3 and all("is taken literally" in text for text in told)
    assert sum("the negative prompt's '[blue]'" in text for text in told) == 1
    # Without guidance the negative prompt is not read at all.
    assert served.client.generate("a circle", negative_prompt="[blue]", guidance_scale=1, **request).warnings == []
