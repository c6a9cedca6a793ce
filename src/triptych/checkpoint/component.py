"""One model of a checkpoint: its configuration and where its weights lie, read and checked without loading them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from triptych.checkpoint.architecture import Architecture
from triptych.checkpoint.configs import broken
from triptych.checkpoint.corrections import text_config, vision_config
from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources import Factors, Source, Told
from triptych.checkpoint.sources.feature_extractor import FeatureExtractor
from triptych.checkpoint.values import check_values, count_layers
from triptych.checkpoint.weights import is_text_encoder
from triptych.contract import TIME_IDS

# AutoencoderKL's own, where a configuration names none.
_SCALING_FACTOR = 0.18215

ReadWeights = Callable[[str, str], Mapping[str, TensorInfo]]


@dataclass(frozen=True)
class Part:
    """Where one model of the contract lies in a checkpoint, by its folder's name, and the class that it must be.

    `prefixes` are how the names of its weights begin, where that part holds another model's too. What is `on_demand` is
    not loaded with the checkpoint, but by the first request that needs it. What is `optional` counts only where it is
    asked for. `extractor` is the folder of what prepares pictures for it. `time_ids`: see Architecture.
    """

    folder: str
    class_name: str
    prefixes: tuple[str, ...] = ("",)
    on_demand: bool = False
    optional: bool = False
    extractor: str = ""
    time_ids: int = TIME_IDS


@dataclass(frozen=True)
class LatentScaling:
    """What lies between a VAE's latents and a UNet's: unet = (vae - mean) * factor / std, by channel where given."""

    factor: float = _SCALING_FACTOR
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True)
class Component:
    """One model of a checkpoint: what it is, its configuration's values, and where every weight lies.

    `place` is where all of it lies, a folder or a file, and `file` where errors about the configuration send people to.
    `name` is its part's: "unet".
    """

    place: Path
    architecture: Architecture
    config: Mapping[str, Any]
    weights: Mapping[str, TensorInfo]
    file: Path = Path("config.json")
    name: str = ""
    latent_size: tuple[int, int] = (64, 64)  # height and width of the latents of the checkpoint's own pictures
    latent_scaling: LatentScaling = LatentScaling()
    overflows_in_half: bool = False  # what it computes on the way is too large for float16
    extractor: FeatureExtractor | None = None
    factors: Mapping[str, Factors] = field(default_factory=dict)  # added to weights of what it stands over

    @classmethod
    def open(cls, source: Source, index: Told, model: str, part: Part, read: ReadWeights) -> Component:
        """Reads one component's configuration and its weight files' headers, these by the source's own `weights`."""
        entry = index.values.get(part.folder)
        if entry in (None, [None, None]):
            raise broken(index.file, f"{part.folder} must be a {part.class_name}, and it names none")
        if not isinstance(entry, list) or len(entry) != 2 or entry[1] != part.class_name:
            raise broken(index.file, f"{part.folder} must be a {part.class_name}, not {entry!r}")
        file, config = source.config(part.folder)
        if is_text_encoder(part.class_name):
            config = text_config(file, config)
        elif part.extractor:
            config = vision_config(file, config)
        extractor = FeatureExtractor.of(*source.config(part.extractor)) if part.extractor else None
        architecture = Architecture.of(model, part.class_name, config, part.time_ids)
        check_values(file, part.class_name, architecture.config)
        weights = read(part.folder, part.class_name)
        own = {name: info for name, info in weights.items() if name.startswith(part.prefixes)}
        factors = source.factors(part.folder)
        if (layers := count_layers(part.class_name, architecture.config)) > len(own) + len(factors):
            raise broken(file, f"asks for {layers} layers, but the weights have {len(own) + len(factors)} tensors")
        return cls(
            source.place(part.folder),
            architecture,
            config,
            own,
            file,
            part.folder,
            extractor=extractor,
            factors=factors,
        )

    def over(self, other: Component) -> Component:
        """The same with the other's weights where it has none of its own; its factors are still to be added."""
        return replace(self, weights={**other.weights, **self.weights}, latent_size=other.latent_size)

    def expect_shape(self, name: str, shape: tuple[int, ...], *keys: str) -> None:
        """CheckpointInvalidError unless the tensor is there in that shape, which the configuration gives by `keys`."""
        found = self.weights.get(name) or self.factors.get(name)
        if found is None or found.shape != shape:
            what = "is missing" if found is None else f"has shape {found.shape}"
            problem = f"the configuration asks for {name} {shape}, which {what}{self.assumed(*keys)}"
            raise broken(self.file, problem)

    def assumed(self, *keys: str) -> str:
        """For the end of an error about the keys: which of them the file does not say, so that a default was taken."""
        defaults = [f"{key}={self.architecture.config[key]}" for key in keys if self.config.get(key) is None]
        return f" (it does not say {', '.join(defaults)}, which is the default)" if defaults else ""
