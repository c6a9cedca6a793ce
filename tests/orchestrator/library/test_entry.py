"""Which models the stages are to hold for a checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

from triptych.checkpoint import Checkpoint
from triptych.contract import MODELS
from triptych_orchestrator.library.entry import Entry, as_registered
from triptych_orchestrator.library.registered import Registered


def test_a_checkpoint_has_its_familys_models(checkpoints: dict[str, Path], sdxl: Path) -> None:
    for path in (checkpoints["sd1"], sdxl):
        entry = Entry("x", path, "unet=torch")
        entry.open()
        assert entry.checkpoint is not None
        present = entry.checkpoint.family.parts.keys() & MODELS.keys()
        assert {name: model.name for name, model in entry.models().items()} == {name: f"x.{name}" for name in present}
        # The VAE's encoder waits for the first request with an image.
        assert {model.spec.name for model in entry.models_to_load()} == present - {"vae_encoder", "safety_checker"}
        assert entry.models()["unet"].parameters["engine"] == "torch"


def test_one_that_is_not_open_may_have_left_any_model(checkpoints: dict[str, Path]) -> None:
    entry = Entry("x", checkpoints["sd1"], "")
    entry.open()
    twin = entry.twin(Registered("torch"))
    assert {model.name for model in twin.models().values()} == {f"x~.{name}" for name in MODELS}
    assert twin.models_to_load() == []


def test_what_the_files_tell_of_the_prediction_is_not_read_again(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """The event loop asks, and a file system may hang."""
    copy = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "copy"))
    checkpoint = Checkpoint.open(copy)
    shutil.rmtree(copy)
    other = as_registered(checkpoint, "v_prediction")
    assert other.prediction == ("v_prediction", "its registration")
    assert as_registered(other, "").prediction == ("epsilon", "scheduler_config.json")
