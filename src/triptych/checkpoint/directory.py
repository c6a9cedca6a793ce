"""A checkpoint, checked whole before anything is loaded from it.

checkpoint = Checkpoint.open(Path("stable-diffusion-v1-5"))
checkpoint.components["unet"].architecture.digest()
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from triptych.checkpoint.checks import check_optional, latent_scaling
from triptych.checkpoint.component import Component, LatentScaling
from triptych.checkpoint.configs import broken
from triptych.checkpoint.corrections import scheduler_config
from triptych.checkpoint.editing import INSTRUCTED, Editing, editing
from triptych.checkpoint.families import Family, family_of
from triptych.checkpoint.families.base import as_the_file_says
from triptych.checkpoint.families.controls import usually_sized
from triptych.checkpoint.identity.fingerprint import Fingerprint
from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources import Prediction, Source, VaeFile, open_source
from triptych.checkpoint.sources.prediction import UNDECIDED
from triptych.contract import UNET, VAE_DECODER


@dataclass(frozen=True)
class Checkpoint:
    """All that orchestrator and stages need to know of a checkpoint; sizes in pixels unless named latent.

    `components` are by the contract's model names; `prediction` is what `scheduler_config` takes the UNet's output for,
    or none of both is known until the UNet was asked; `own_prediction` is what the files tell. The default
    sizes are 0 where the checkpoint names none. `zeroes_negative`: zeros stand for a negative prompt that is not given.
    """

    source: Source
    family: Family
    components: Mapping[str, Component]
    scheduler_config: Mapping[str, Any]
    prediction: Prediction
    own_prediction: Prediction
    tokens: int
    latent_channels: int
    vae_scale_factor: int
    default_height: int
    default_width: int
    zeroes_negative: bool = False

    @classmethod
    def open(
        cls,
        path: Path,
        variant: str = "",
        vae: Path | None = None,
        optional: Collection[str] = (),
        image_encoder: Path | None = None,
    ) -> Checkpoint:
        """Checks a folder or a file whole; CheckpointInvalidError names the file and the remedy.

        `variant` is diffusers': of the components' weights those under such a name (`*.fp16.safetensors`) where there
        are any. `vae` is another folder or file, whose VAE takes the place of its own. `optional` are the contract's
        models that a checkpoint which draws must have here, and is read without elsewhere. `image_encoder` is where an
        IP-Adapter's lies that does not lie beside it.
        """
        try:
            return cls._open(open_source(path, variant, vae, image_encoder), optional)
        except OSError as error:
            file = Path(str(error.filename or path))
            raise broken(file, error.strerror or str(error)) from error

    @classmethod
    def _open(cls, source: Source, optional: Collection[str]) -> Checkpoint:
        index = source.index()
        family = family_of(*index)
        if family.draws:
            check_optional(index, family.parts, optional)
        read = functools.cache(source.weights)  # the VAE's two models lie in one part
        components = {
            model: Component.open(source, index, model, part, read)
            for model, part in family.parts.items()
            if not part.optional or model in optional
        }
        family.check(components)
        prediction = source.prediction()
        if VAE_DECODER.name not in components:
            return cls(source, family, usually_sized(components), {}, prediction, prediction, 0, 0, 1, 0, 0)
        vae = components[VAE_DECODER.name]
        # AutoencoderKL's default is true.
        upcast = family.upcasts_vae and bool(vae.config.get("force_upcast", True))
        if not family.draws:
            # Whoever draws with it scales the latents, by what its kind is scaled by.
            unscaled = {
                model: replace(part, latent_scaling=LatentScaling(1.0), overflows_in_half=upcast)
                for model, part in components.items()
            }
            return cls(source, family, unscaled, {}, prediction, prediction, 0, *_latents(vae), 0, 0)
        scheduler = scheduler_config(source.config("scheduler").values, index.values)
        encoder, unet = components[family.texts[0].model], components[UNET.name]
        channels, scale = _latents(vae)
        height, width = (extent * scale for extent in family.sample_size(unet.file, unet.config))
        # The VAE's own configuration may name another size, and the VAE draws what the UNet makes.
        own_size = (height // scale or 64, width // scale or 64)
        scaling = latent_scaling(vae, normalizes=family.normalizes_latents)
        return cls(
            source=source,
            family=family,
            components={
                model: replace(
                    part,
                    latent_size=own_size,
                    latent_scaling=scaling,
                    overflows_in_half=upcast and part.architecture.class_name == vae.architecture.class_name,
                )
                for model, part in components.items()
            },
            scheduler_config=scheduler,
            prediction=prediction,
            own_prediction=prediction,
            tokens=encoder.architecture.config["max_position_embeddings"],
            latent_channels=channels,
            vae_scale_factor=scale,
            default_height=height,
            default_width=width,
            zeroes_negative=family.zeroes_negative(index.values),
        )

    def scaling_with(self, vae: Checkpoint) -> LatentScaling:
        """What lies between this one's UNet and a VAE, its own or one alone.

        A configuration says so; for a VAE's file, in which nothing does, it is as with its own.
        """
        own = self.components[VAE_DECODER.name].latent_scaling
        if vae is self or isinstance(vae.source, VaeFile):
            return own
        return latent_scaling(vae.components[VAE_DECODER.name], normalizes=self.family.normalizes_latents)

    def predicting(self, prediction: Prediction) -> Checkpoint:
        """The same with that for its prediction."""
        config = {key: value for key, value in self.scheduler_config.items() if key != "prediction_type"}
        if prediction.type != UNDECIDED:
            config["prediction_type"] = prediction.type
        return replace(self, scheduler_config=config, prediction=prediction)

    def fingerprint(self) -> Fingerprint:
        """Of all files that were read for it so far, and of those that would have been."""
        return Fingerprint.of(self.source.states, self.source.missing)

    @property
    def is_undecided(self) -> bool:
        """Whether only the UNet itself can tell what it predicts."""
        return self.prediction.type == UNDECIDED

    @property
    def warning(self) -> str:
        """What is worth knowing of its files; "" where nothing is."""
        if not self.unaligned_bytes:
            return ""
        problem = "its tensors are not aligned to their type, so that each process copies those that it reads"
        return f"{problem} ({self.unaligned_bytes / 1e6:,.0f} MB); written anew by safetensors they would be mapped"

    @property
    def unaligned_bytes(self) -> int:
        """Of tensors that cannot be read where they lie, so that whoever reads one copies it.

        A preprocessor's are ONNX Runtime's to read, which copies them wherever they lie.
        """
        if self.family.prepares:
            return 0
        return sum(info.size_bytes for info in self._tensors() if not info.is_aligned)

    @property
    def editing(self) -> Editing | None:
        """How it edits pictures; None where it draws from text and noise alone."""
        return editing(self.components[UNET.name].architecture, self.latent_channels) if self.family.draws else None

    def pipeline_scheduler_config(self, config: Mapping[str, object], is_own: bool) -> dict[str, object]:
        """What its pipeline makes of a scheduler's configuration; that for InstructPix2Pix leaves it alone."""
        return (as_the_file_says if self.editing is INSTRUCTED else self.family.scheduler_config)(config, is_own)

    @property
    def weights_bytes(self) -> int:
        """Bytes of all tensors of its models."""
        return sum(info.size_bytes for info in self._tensors())

    def _tensors(self) -> Iterator[TensorInfo]:
        for part in self.components.values():
            yield from part.weights.values()
            yield from (info for factors in part.factors.values() for info in factors)

    @property
    def most_clip_skip(self) -> int:
        """The most layers that a request may leave out, besides those that its family does."""
        encoders = {text: self.components[text.model].architecture.config for text in self.family.texts}
        return min(int(config["num_hidden_layers"]) - text.skip_layers for text, config in encoders.items())


def _latents(vae: Component) -> tuple[int, int]:
    """Channels, and pixels a latent."""
    config = vae.architecture.config
    return config["latent_channels"], 2 ** (len(config["block_out_channels"]) - 1)
