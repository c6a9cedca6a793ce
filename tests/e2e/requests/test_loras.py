"""LoRAs on running engines, through the real servers: diffusers' picture with them, the untouched one after them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from tests.conftest import Served
from tests.e2e.requests.test_parity import TOLERANCE, largest_difference
from tests.e2e.serving import SIZE, at_once, difference
from tests.lora import making
from tests.lora.algorithms.test_algorithms import Changes, changes, written
from tests.lora.algorithms.writers import WRITERS
from tests.loras import save_lora
from triptych.checkpoint import Checkpoint
from triptych.errors import InvalidArgumentError, LoraInvalidError, NotFoundError
from triptych.sdk.events import Result

pytest.importorskip("peft", reason="diffusers loads LoRAs with it")

REQUEST = {"prompt": "a red circle", "seed": 3, "num_inference_steps": 4, "scheduler": "ddim", **SIZE}


@pytest.fixture(scope="module")
def loras(served: Served, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of `<family>-a`, everything, and `<family>-b`, the UNet's attention alone; registered as such."""
    folder = tmp_path_factory.mktemp("loras")
    names = []
    for family in ("sd1", "sd2", "sdxl"):
        save_lora(folder / f"{family}-a.safetensors", checkpoints[family], 1)
        save_lora(folder / f"{family}-b.safetensors", checkpoints[family], 2, models=("unet",), only="attn")
        names += [f"{family}-a", f"{family}-b"]
    for name in names:
        served.client.add_lora(name, folder / f"{name}.safetensors")
    yield folder
    for name in names:
        served.client.remove_lora(name)


def expected(path: Path, folder: Path, loras: list[tuple[str, float]], **parameters: Any) -> Any:
    """diffusers' pictures with the LoRAs as adapters."""
    import diffusers
    import torch

    pipe = diffusers.DiffusionPipeline.from_pretrained(path)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # peft's, that there is more than one adapter
        for name, _ in loras:
            pipe.load_lora_weights(folder / f"{name}.safetensors", adapter_name=name)
    pipe.set_adapters([name for name, _ in loras], adapter_weights=[weight for _, weight in loras])
    generator = torch.Generator("cpu").manual_seed(parameters.pop("seed"))
    parameters.pop("scheduler")
    return pipe(generator=generator, **parameters).images


@pytest.mark.parametrize("engine", ["", "-torch"])
@pytest.mark.parametrize(
    ("family", "weights"),
    [
        ("sd1", {"a": 1.0}),
        ("sd1", {"b": 0.6}),
        ("sd1", {"a": 0.5, "b": -0.8}),
        ("sd2", {"b": 1.2, "a": 0.7}),
        ("sdxl", {"a": 0.5, "b": -0.8}),
    ],
)
def test_parity(
    served: Served,
    checkpoints: dict[str, Path],
    loras: Path,
    family: str,
    weights: dict[str, float],
    engine: str,
) -> None:
    chosen = [(f"{family}-{name}", weight) for name, weight in weights.items()]
    ours = served.client.generate(checkpoint=family + engine, loras=chosen, **REQUEST)
    base = served.client.generate(checkpoint=family + engine, **REQUEST)
    theirs = expected(checkpoints[family], loras, chosen, **REQUEST)
    assert np.asarray(theirs[0]).std() > 5
    assert difference(ours, base) > 4 * TOLERANCE  # it shows at all
    assert largest_difference(ours.images, theirs) <= TOLERANCE
    assert ours.warnings == []


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
@pytest.mark.parametrize("engine", ["", "-torch"])
def test_an_adapter_of_many_algorithms(
    served: Served,
    checkpoints: dict[str, Path],
    tmp_path: Path,
    family: str,
    engine: str,
) -> None:
    """diffusers' picture with weights that the algorithms' formulas made, biases and norms among them."""
    components = dict(Checkpoint.open(checkpoints[family]).components)
    made = {
        place: each
        for algorithm in ("norm", "full", "LoKr", "BOFT", "LoHa with DoRA")
        for place, each in changes(algorithm, family, components).items()
    }
    path = making.save(tmp_path / "many.safetensors", written(made, WRITERS["ComfyUI"], components))
    served.client.add_lora("many", path)
    try:
        prompt = f"{REQUEST['prompt']} <lyco:many:0.5>"
        ours = served.client.generate(checkpoint=family + engine, **REQUEST | {"prompt": prompt})
        base = served.client.generate(checkpoint=family + engine, **REQUEST)
    finally:
        served.client.remove_lora("many")
    theirs = changed_picture(checkpoints[family], made, 0.5, **REQUEST)
    assert np.asarray(theirs[0]).std() > 5 and difference(ours, base) > 4 * TOLERANCE
    assert largest_difference(ours.images, theirs) <= TOLERANCE
    assert ours.warnings == []


def changed_picture(path: Path, made: Changes, strength: float, **parameters: Any) -> Any:
    import diffusers
    import torch

    pipe = diffusers.DiffusionPipeline.from_pretrained(path)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config)
    models = {"unet": "unet", "encoder": "text_encoder", "encoder_2": "text_encoder_2"}
    with torch.no_grad():
        for (model, layer), each in made.items():
            module = getattr(pipe, models[model])
            named = {name.removeprefix("text_model."): parameter for name, parameter in module.named_parameters()}
            for role, change in (("weight", each.weight), ("bias", each.bias)):
                if change is not None and f"{layer}.{role}" in named:
                    own = named[f"{layer}.{role}"].double()
                    named[f"{layer}.{role}"].copy_(own + strength * (change(own) - own))
    generator = torch.Generator("cpu").manual_seed(parameters.pop("seed"))
    parameters.pop("scheduler")
    return pipe(generator=generator, **parameters).images


def test_tags_in_the_prompt_are_the_same(served: Served, loras: Path) -> None:
    asked = served.client.generate(checkpoint="sd1", loras=[("sd1-b", 0.7), ("sd1-a", 0.5, 0.0)], **REQUEST)
    prompt = "a red<lora:sd1-b:0.7> circle<lora:sd1-a:te=0:unet=0.5>"
    tagged = served.client.generate(checkpoint="sd1", **REQUEST | {"prompt": prompt})
    assert difference(asked, tagged) == 0
    told = [[image.info["parameters"] for image in result.images] for result in (asked, tagged)]
    assert told[0] == told[1]
    whole = served.client.generate(checkpoint="sd1", loras=[("sd1-b", 0.7), ("sd1-a", 0.5)], **REQUEST)
    assert difference(asked, whole) > 0  # the text encoder's share


@pytest.mark.parametrize(("family", "engine"), [("sd1", ""), ("sd1", "-torch"), ("sdxl", "")])
def test_the_base_is_the_base_again(served: Served, loras: Path, family: str, engine: str) -> None:
    def base() -> Result:
        return served.client.generate(checkpoint=f"{family}{engine}", **REQUEST)

    before = base()
    a, b = f"{family}-a", f"{family}-b"
    for chosen in ([(a, 1.0)], [(b, 0.5), (a, -1.0)], [(b, 2.0)]):
        swapped = served.client.generate(checkpoint=f"{family}{engine}", loras=chosen, **REQUEST)
        assert swapped.images != before.images
        assert swapped.timings.unet.refit_seconds > 0
        assert base().images == before.images


def test_each_text_encoder_has_its_share(served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    base = served.client.generate(checkpoint="sdxl", **REQUEST)
    shares = {}
    for model in ("encoder", "encoder_2"):
        path = save_lora(tmp_path / f"{model}.safetensors", checkpoints["sdxl"], 4, models=(model,))
        served.client.add_lora(f"sdxl-{model}", path)
        shares[model] = served.client.generate(checkpoint="sdxl", loras=[(f"sdxl-{model}", 0.0, 1.5)], **REQUEST)
        served.client.remove_lora(f"sdxl-{model}")
    assert difference(shares["encoder"], base) > TOLERANCE
    assert difference(shares["encoder_2"], base) > TOLERANCE
    assert difference(shares["encoder"], shares["encoder_2"]) > TOLERANCE


@pytest.mark.parametrize(
    ("checkpoint", "lora", "family"), [("sdxl", "sd1-a", "Stable Diffusion 1.x or 2.x"), ("sd1", "sdxl-a", "SDXL")]
)
def test_one_made_for_the_other_family_is_refused_and_that_named(
    served: Served, loras: Path, checkpoint: str, lora: str, family: str
) -> None:
    with pytest.raises(LoraInvalidError, match=rf"made for another model \({family}, by the look of it\)"):
        served.client.generate(checkpoint=checkpoint, loras=[lora], **REQUEST)


def test_requests_never_see_each_others_weights(served: Served, loras: Path) -> None:
    sets: list[list[tuple[str, float]]] = [[], [("sd1-a", 1.0)], [("sd1-b", 1.0)], [("sd1-a", 0.5), ("sd1-b", 0.5)]]
    requests = [
        {"checkpoint": checkpoint, **REQUEST, "seed": seed, "loras": chosen, "num_inference_steps": 6}
        for seed, chosen in enumerate(sets * 2)
        for checkpoint in ("sd1", "sd1-torch")
    ]
    alone = [served.client.generate(**request) for request in requests]
    for request, (_, together), single in zip(requests, at_once(served.client, requests), alone, strict=True):
        assert difference(together, single) <= 1, request


def test_a_lora_can_go_while_it_is_used(served: Served, checkpoints: dict[str, Path], loras: Path) -> None:
    served.client.add_lora("short-lived", loras / "sd1-b.safetensors")
    request = {"checkpoint": "sd1", **REQUEST, "loras": ["short-lived"], "num_inference_steps": 30}
    events = served.client.stream(**request)
    next(events)
    served.client.remove_lora("short-lived")
    *_, result = events
    with pytest.raises(NotFoundError, match="short-lived"):
        served.client.generate(**request)
    assert isinstance(result, Result)


def test_what_cannot_be_applied_is_refused(served: Served, loras: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="'nameless'"):
        served.client.generate(checkpoint="sd1", loras=["nameless"], **REQUEST)
    tensors = load_file(loras / "sd1-b.safetensors")
    save_file({name.replace("attn", "elsewhere"): tensor for name, tensor in tensors.items()}, tmp_path / "foreign")
    served.client.add_lora("foreign", tmp_path / "foreign")
    with pytest.raises(LoraInvalidError, match="none of its 32 modules is part of this checkpoint"):
        served.client.generate(checkpoint="sd1", loras=["foreign"], **REQUEST)
    served.client.remove_lora("foreign")
    with pytest.raises(InvalidArgumentError, match="loras"):
        served.client.generate(checkpoint="sd1", loras=[("sd1-a", float("nan"))], **REQUEST)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes((loras / "sd1-a.safetensors").read_bytes()[:-100])
    with pytest.raises(LoraInvalidError):
        served.client.add_lora("broken", broken)
    assert "broken" not in {lora.name for lora in served.client.loras()}
    save_file({name: tensor * float("nan") for name, tensor in tensors.items()}, tmp_path / "absurd")
    served.client.add_lora("absurd", tmp_path / "absurd")
    with pytest.raises(LoraInvalidError, match=r"^loras: 'absurd': .* not finite, or absurdly large$") as caught:
        served.client.generate(checkpoint="sd1", loras=["absurd"], **REQUEST)
    assert caught.value.metadata == {"field": "loras", "file": "absurd"}
    served.client.remove_lora("absurd")


def test_left_over_keys_are_a_warning(served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    path = save_lora(tmp_path / "partly.safetensors", checkpoints["sd1"], 3)
    tensors = load_file(path)
    tensors |= {
        name.replace("to_q", "to_z"): tensor.clone() for name, tensor in tensors.items() if "0_attn1_to_q" in name
    }
    save_file(tensors, path)
    served.client.add_lora("partly", path)
    try:
        result = served.client.generate(checkpoint="sd1", loras=["partly"], **REQUEST)
    finally:
        served.client.remove_lora("partly")
    assert any("partly" in warning and "to_z" in warning for warning in result.warnings)
