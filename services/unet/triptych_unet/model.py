"""The UNet model: latents and timesteps in, predicted noise out, each sample with the conditioning its key names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from triptych.checkpoint import Checkpoint, image_channels
from triptych.contract import CONDITIONING_TENSORS, IMAGE_LATENTS, IMAGE_PROMPT, UNET
from triptych.contract.carried import ConditioningLostError
from triptych.engine.conditions import added, conditioning_dims, cross_attention_widths, prompts_in, residual_names
from triptych.engine.port import Array
from triptych.errors import invalid
from triptych.stage import Batch, StageModel, axes_of
from triptych_unet.conditioning import ConditioningStore
from triptych_unet.control_inputs import gathered, parted, scaled
from triptych_unet.controls import Controls, controlnet_cache_bytes
from triptych_unet.image_prompts import ImagePrompts

_CAPACITY_BYTES = 256 * 1024 * 1024
_TTL_S = 900.0


class UNetModel(StageModel):
    """`<checkpoint>.unet`: latents [B, C, h, w], timestep [B, 1], conditioning_key [B, 16] -> noise_pred [B, C, h, w].

    A request that brings the tensors of its conditioning, encoder_hidden_states [B, tokens, hidden] and whatever else
    the UNet takes, has them kept under its keys. A key that is not held answers NOT_FOUND, which tells the orchestrator
    to send all again. A UNet that edits pictures takes image_latents [B, C', h, w] among them, which lie beside each
    step's latents; one that looks at a picture by an IP-Adapter takes image_prompt [B, sides, tokens, widths].
    """

    spec = UNET

    @cached_property
    def store(self) -> ConditioningStore:
        """What requests have brought, empty after a load."""
        return ConditioningStore(_CAPACITY_BYTES, _TTL_S)

    @cached_property
    def _dims(self) -> Mapping[str, tuple[int | str, ...]]:
        return conditioning_dims(self.component.architecture)

    @cached_property
    def _image_channels(self) -> int:
        return image_channels(self.component.architecture)

    def warm_up_inputs(self, checkpoint: Checkpoint) -> Batch:
        """One sample."""
        channels = self.component.architecture.config["in_channels"]
        inputs: Batch = {
            "latents": np.zeros((1, channels, *self.warm_up_size()), np.float32),
            "timestep": np.ones(1, np.float32),
        }
        for name, dims in self._dims.items():
            shape = (extent if isinstance(extent, int) else checkpoint.tokens for extent in dims)
            inputs[name] = np.zeros((1, *shape), np.float32)
        return inputs

    @cached_property
    def controls(self) -> Controls:
        """The ControlNets that stand beside it, none after a load."""
        limit = controlnet_cache_bytes()
        return Controls(self.engine, self.component, self.engine_name, self.settings, limit, self.fingerprint)

    @cached_property
    def image_prompts(self) -> ImagePrompts:
        """Not ready after a load: most requests have none."""
        return ImagePrompts(self.engine, sum(cross_attention_widths(self.component).values()))

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """As of any stage."""
        if "controls" in vars(self):  # else no request has asked for any
            self.controls.forget()
        return super().execute(requests)

    def finalize(self) -> None:
        """As of any stage."""
        if "controls" in vars(self):
            self.controls.close()
        if "image_prompts" in vars(self):
            self.image_prompts.close()
        super().finalize()

    def prepare(self, batch: Batch) -> Batch:
        """Gathers each sample's conditioning by its key, and puts beside its latents what the UNet sees there.

        Beside those, for `run`, what its ControlNets are given.
        """
        latents, channels = batch["latents"], self.component.architecture.config["out_channels"]
        if latents.shape[1] != channels:
            raise invalid("latents", f"has {latents.shape[1]} channels, must have {channels}")
        keys = [row.tobytes() for row in batch["conditioning_key"]]
        brought = {name: batch[name] for name in CONDITIONING_TENSORS if name in batch}
        if brought:
            self._check(brought)
            for key, row in dict(zip(keys, range(len(keys)), strict=True)).items():
                self.store.put(key, {name: array[row] for name, array in brought.items()})
        else:
            brought = self._gather(keys)
        if count := prompts_in(brought):
            self.image_prompts.require(count)
        controls = self._controls(batch) if "control_keys" in batch else {}
        if self._image_channels:
            latents = _side_by_side(latents, brought.pop(IMAGE_LATENTS.name))
        return {"latents": latents, "timestep": batch["timestep"][:, 0], **brought, **controls}

    def _controls(self, batch: Batch) -> Batch:
        """What `run` is to know of the samples' ControlNets."""
        keys, scales = batch["control_keys"], batch["control_scales"]
        nothing = np.full(keys.shape[:2], b"", np.object_)
        contents, images = (batch.get(name, nothing).ravel().tolist() for name in ("controlnets", "control_images"))
        rows = [key.tobytes() for key in keys.reshape(-1, keys.shape[-1])]
        held = self.controls.require(rows, contents, images)
        wanted = (*keys.shape[:2], len(residual_names(self.component.architecture)))
        if scales.shape != wanted:
            raise invalid("control_scales", f"is {scales.shape}, must be {wanted}")
        return gathered([held[start : start + wanted[1]] for start in range(0, len(held), wanted[1])], scales)

    def _check(self, brought: Batch) -> None:
        """InvalidArgumentError about a tensor that the UNet wants, or does not take, or not so wide."""
        wanted = [*self._dims, *([IMAGE_LATENTS.name] if self._image_channels else [])]
        for name in sorted({*wanted} ^ brought.keys() - {IMAGE_PROMPT.name}):
            problem = "is missing: this UNet takes" if name in wanted else "is none of what this UNet takes:"
            raise invalid(name, f"{problem} {', '.join(wanted)}")
        for name, dims in self._dims.items():
            if brought[name].shape[-1] != dims[-1]:
                raise invalid(name, f"must be {dims[-1]} wide, is {brought[name].shape[-1]}")
        if self._image_channels and (channels := brought[IMAGE_LATENTS.name].shape[1]) != self._image_channels:
            raise invalid(IMAGE_LATENTS.name, f"has {channels} channels, must have {self._image_channels}")
        if IMAGE_PROMPT.name in brought:
            self.image_prompts.check(brought[IMAGE_PROMPT.name])

    def _gather(self, keys: Sequence[bytes]) -> Batch:
        held = {key: self.store.get(key) for key in set(keys)}
        lost = [key.hex() for key, value in held.items() if value is None]
        if lost:
            raise ConditioningLostError(f"conditioning {', '.join(lost)} is not held here; send its tensors again")
        samples = [value for key in keys if (value := held[key]) is not None]
        if len({tuple(array.shape for array in sample.values()) for sample in samples}) > 1:
            raise invalid("conditioning_key", "the samples of a request must have conditionings of one shape")
        return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}

    def run(self, batch: Batch) -> Batch:
        """Runs the ControlNets, and with what they add the UNet."""
        batch, controls = parted(batch)
        if not controls:
            return self.infer(batch)
        # What an editing UNet sees besides is nothing to a ControlNet, nor is what is looked at beside the text.
        latents = batch["latents"][:, : self.component.architecture.config["out_channels"]]
        common = batch | {"latents": np.ascontiguousarray(latents)}
        common.pop(IMAGE_PROMPT.name, None)
        return self.infer(batch | added(self._given(number, common, inputs) for number, inputs in controls))

    def _given(self, number: int, common: Batch, inputs: Batch) -> Batch:
        """What one ControlNet adds."""
        engine = self.controls.engine(number)
        return engine.infer_kept(*axes_of(common | inputs)) if engine else scaled(inputs)


def _side_by_side(latents: Array, image_latents: Array) -> Array:
    """Along the channels, as diffusers' pipelines lay them."""
    if image_latents.shape[2:] != latents.shape[2:]:
        ours, theirs = (" x ".join(map(str, array.shape[2:])) for array in (latents, image_latents))
        raise invalid(IMAGE_LATENTS.name, f"is {theirs}, must be as the latents are, {ours}")
    return np.concatenate([latents, image_latents.astype(latents.dtype, copy=False)], axis=1)
