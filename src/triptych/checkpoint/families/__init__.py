"""The families by name; another one is its own file here and a line in FAMILIES."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from triptych.checkpoint.configs import broken
from triptych.checkpoint.families.autoencoder_kl import AUTOENCODER_KL
from triptych.checkpoint.families.base import Family, MicroConditions, Pair, TextPart, TimeIds
from triptych.checkpoint.families.controlnet import CONTROL_NET
from triptych.checkpoint.families.controlnet_union import CONTROL_NET_UNION
from triptych.checkpoint.families.ip_adapter import IP_ADAPTER
from triptych.checkpoint.families.preprocessors import NETWORK
from triptych.checkpoint.families.stable_diffusion import STABLE_DIFFUSION
from triptych.checkpoint.families.stable_diffusion_xl import STABLE_DIFFUSION_XL
from triptych.checkpoint.families.stable_diffusion_xl_refiner import STABLE_DIFFUSION_XL_REFINER
from triptych.checkpoint.families.t2i_adapter import T2I_ADAPTERS
from triptych.checkpoint.families.unsupported import unsupported
from triptych.checkpoint.families.upscalers import ESRGAN, ESRGAN_COMPACT
from triptych.errors import invalid

__all__ = ["FAMILIES", "Family", "MicroConditions", "Pair", "TextPart", "TimeIds", "check_fields", "family_of"]

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        STABLE_DIFFUSION,
        STABLE_DIFFUSION_XL,
        STABLE_DIFFUSION_XL_REFINER,
        AUTOENCODER_KL,
        ESRGAN,
        ESRGAN_COMPACT,
        CONTROL_NET,
        CONTROL_NET_UNION,
        NETWORK,
        T2I_ADAPTERS,
        IP_ADAPTER,
    )
}


def family_of(path: Path, index: Mapping[str, Any]) -> Family:
    """The family of the checkpoint whose `model_index.json`, at `path`, is `index`."""
    named = index.get("_class_name")
    family = next((each for each in FAMILIES.values() if named in each.pipelines and each.is_one(index)), None)
    if family is None:
        titles = {family.title: family.pipelines for family in FAMILIES.values()}
        raise broken(path, unsupported(named, titles))
    return family


def check_fields(given: Iterable[str], *families: Family) -> None:
    """InvalidArgumentError about the first of a request's fields that other families know and none of these does."""
    for field in given:
        knowing = [other.title for other in FAMILIES.values() if field in other.fields]
        if knowing and not any(field in family.fields for family in families):
            titles = " and ".join(dict.fromkeys(family.title for family in families))
            raise invalid(field, f"is not known to {titles}, only to {' and '.join(knowing)}")
