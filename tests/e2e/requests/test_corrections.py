"""A checkpoint that diffusers corrects in many places while loading gives its picture, through the real servers."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests import tiny
from tests.conftest import Served
from tests.e2e.requests.test_parity import check, pipeline
from triptych.errors import InvalidArgumentError

STEPS: dict[str, Any] = {"num_inference_steps": 4, "width": 64, "height": 64}
PROMPTS = {"prompt": "a red <fox> on the <ink>, <fox>", "negative_prompt": "a <fox> and a blue star"}


def save_outdated_checkpoint(folder: Path, whole: Path) -> Path:
    """The checkpoint `whole` as one from years ago may lie there: diffusers corrects it in every place it can.

    Two textual inversions are saved with it, of three vectors and of one: `<fox>` and `<ink>`.
    """
    shutil.copytree(whole, folder)
    scheduler = {"_class_name": "PNDMScheduler", "steps_offset": 0, "clip_sample": True, "set_alpha_to_one": None}
    tiny.update(folder / "scheduler" / "scheduler_config.json", **scheduler, variance_type="fixed_small")
    index = {"_class_name": "StableDiffusionImg2ImgPipeline", "scheduler": ["diffusers", "DDIMScheduler"]}
    tiny.update(folder / "model_index.json", **index)
    tiny.update(folder / "unet" / "config.json", _diffusers_version="0.8.0", use_linear_projection=None)
    tiny.update(folder / "vae" / "config.json", shift_factor=3.0)
    _rename_old_attention(folder / "vae" / "diffusion_pytorch_model.safetensors")

    config = folder / "text_encoder" / "config.json"
    config.write_text(json.dumps({"model_type": "clip", "text_config": json.loads(config.read_text())}))
    # In the place of bytes that no prompt has, so that the text encoder stays as it is.
    words = dict(zip(("Ā", "ā", "Ă", "ă"), ("<fox>", "<fox>_1", "<fox>_2", "<ink>"), strict=True))
    file = folder / "tokenizer" / "vocab.json"
    vocabulary = {words.get(symbol, symbol): number for symbol, number in json.loads(file.read_text()).items()}
    file.write_text(json.dumps(vocabulary))
    added = {word: vocabulary[word] for word in words.values()}
    (folder / "tokenizer" / "added_tokens.json").write_text(json.dumps(added))
    return folder


def _rename_old_attention(file: Path) -> None:

    old = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}

    def renamed(name: str) -> str:
        for new, former in old.items():
            name = name.replace(new, former)
        return name

    save_file({renamed(name): tensor for name, tensor in load_file(file).items()}, file, {"format": "pt"})


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
