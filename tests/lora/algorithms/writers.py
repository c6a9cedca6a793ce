"""How those who write adapters call a layer: from a model and a parameter to the name before the algorithm's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.lora import making
from triptych.checkpoint import Component
from triptych.contract import UNET
from triptych.lora.original import original_name

Components = Mapping[str, Component]
Writer = Callable[[Components, str, str], str]
_CLIP = {"encoder": "clip_l", "encoder_2": "clip_g"}


def _kohya_prefix(components: Components, model: str) -> str:
    return (making.KOHYA_SDXL_PREFIXES if "encoder_2" in components else making.KOHYA_PREFIXES)[model]


def _original(components: Components, layer: str) -> str:
    name = original_name(components[UNET.name], layer)
    assert name is not None
    return name


def kohya(components: Components, model: str, layer: str) -> str:
    """sd-scripts, LyCORIS and OneTrainer; for SDXL's UNet in the original's names."""
    if model == UNET.name and "encoder_2" in components:
        layer = _original(components, layer)
    return f"{_kohya_prefix(components, model)}.{layer}".replace(".", "_")


def kohya_diffusers(components: Components, model: str, layer: str) -> str:
    """The same, but the UNet in diffusers' names, as for SD 1.x and as some write SDXL's."""
    return f"{_kohya_prefix(components, model)}.{layer}".replace(".", "_")


def lycoris(components: Components, model: str, layer: str) -> str:
    """LyCORIS' wrapper, which takes one model; here with the model's name after its own."""
    return f"lycoris_{making.PREFIXES[model]}_{layer}".replace(".", "_")


def diffusers(components: Components, model: str, layer: str) -> str:
    return f"{making.PREFIXES[model]}.{'' if model == UNET.name else 'text_model.'}{layer}"


def comfy(components: Components, model: str, layer: str) -> str:
    """ComfyUI: the original names with dots."""
    if model == UNET.name:
        return f"diffusion_model.{_original(components, layer)}"
    return f"text_encoders.{_CLIP[model]}.transformer.text_model.{layer}"


def single_file(components: Components, model: str, layer: str) -> str:
    """As in a checkpoint of one file."""
    if model == UNET.name:
        return f"model.diffusion_model.{_original(components, layer)}"
    place = (
        f"conditioner.embedders.{0 if model == 'encoder' else 1}" if "encoder_2" in components else "cond_stage_model"
    )
    return f"{place}.transformer.text_model.{layer}"


def peft(components: Components, model: str, layer: str) -> str:
    """PEFT's own prefix before whatever names the model."""
    return f"base_model.model.{making.PREFIXES[model]}.{layer}"


WRITERS: Mapping[str, Writer] = {
    "kohya": kohya,
    "kohya, diffusers' names": kohya_diffusers,
    "LyCORIS": lycoris,
    "diffusers": diffusers,
    "ComfyUI": comfy,
    "single file": single_file,
    "PEFT": peft,
}
