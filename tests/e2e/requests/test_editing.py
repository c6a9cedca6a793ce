"""Checkpoints that edit pictures: taken, loaded, and refused to requests that could not bring what they draw from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests import tiny
from tests.conftest import Served
from tests.e2e.serving import SIZE
from triptych.errors import FailedPreconditionError


def test_a_checkpoint_for_inpainting_is_loaded_and_asked_for_in_vain(
    served: Served, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    path = tiny.save_editing_checkpoint(tmp_path / "x", checkpoints["sd1"], "StableDiffusionInpaintPipeline", 9)
    taken = served.client.register_checkpoint("inpainting", path, load=True)
    try:
        assert (taken.state, taken.family) == ("loaded", "stable-diffusion")
        assert taken.warnings == ["it edits images under a mask (inpainting), which no request can ask for yet"]
        asked: list[dict[str, Any]] = [SIZE, {"image": Image.new("RGB", (64, 64))}]
        for fields in asked:
            with pytest.raises(FailedPreconditionError, match="'inpainting' edits an image under a mask") as caught:
                served.client.generate("a fox", checkpoint="inpainting", **fields)
            assert caught.value.metadata["field"] == "images"
    finally:
        served.client.unregister_checkpoint("inpainting")
