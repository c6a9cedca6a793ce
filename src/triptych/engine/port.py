"""The port behind which every engine stands: named numpy arrays in, named numpy arrays out, weights exchangeable."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.checkpoint import Component
from triptych.errors import FailedPreconditionError

Array = npt.NDArray[np.generic]
Weights = Mapping[str, npt.NDArray[Any] | None]
"""Parameters by the checkpoint's own names, in its own shapes; None is the checkpoint's own value.

Those that its files have in half precision are in that type, all others float32: `triptych.engine.weights.held_type`.
"""


@dataclass(frozen=True)
class EngineSettings:
    """What an operator decides about engines: cores one may use, where artifacts are cached, device and precision.

    `device` is "cpu" or "cuda:<index>"; `precision` "fp32", "fp16" or "bf16", inside the engine: what goes in and
    comes out is float32 all the same. `tf32`: whether a GPU may round the factors of float32's products to the 10 bits
    of a fraction that float16 has as well.
    """

    threads: int
    cache_dir: Path
    device: str = "cpu"
    precision: str = "fp32"
    tf32: bool = False

    def suiting(self, component: Component) -> EngineSettings:
        """The same, but float32's range in the place of float16's for a component that would overflow in it."""
        if component.overflows_in_half and self.precision == "fp16":
            return replace(self, precision="fp32", tf32=True)
        return self


class Engine(ABC):
    """One model of one checkpoint, weights in place, ready to run; not thread-safe.

    Inputs and outputs are those of `triptych.engine.modules`: `encoder` and `encoder_2` inputs_embeds,
    pooled_position, skip_layers, final_norm -> hidden_states, pooled; `unet` latents, timestep and the tensors of
    `conditioning_dims`, under a ControlNet its residuals, under an adapter its features, of IP-Adapters image_prompt
    -> noise_pred; `t2i_adapter` image -> features; `controlnet` the same with hint and scales in their place ->
    residuals; `controlnet_hint` image -> hint, and both with what `engine.unions` says of a union's; `vae_decoder`
    latents -> image; `vae_encoder` image -> moments; `upscaler` image -> sample; `safety_checker` image ->
    special_scores, concept_scores; `image_encoder` image, shown -> tokens. All float tensors are float32.
    """

    @classmethod
    @abstractmethod
    def load(cls, component: Component, settings: EngineSettings) -> Engine:
        """Brings a component's weights into an engine; CheckpointInvalidError if they do not fit its architecture."""

    @abstractmethod
    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs one batch; every array has the batch as its first dimension."""

    def infer_wrapped(self, inputs: Mapping[str, Array], axes: str) -> dict[str, Array]:
        """As `infer`, but convolutions wrap around along "x", "y" or "xy" instead of padding, with the same weights.

        FailedPreconditionError from an engine that cannot.
        """
        remedy = "register the checkpoint with the engine onnxruntime or torch"
        raise FailedPreconditionError(f"{type(self).__name__} makes no pictures that tile; {remedy}")

    def infer_kept(self, inputs: Mapping[str, Any], axes: str = "") -> dict[str, Any]:
        """As `infer`, or with axes as `infer_wrapped`, for the next run of an engine of this kind on this device.

        What comes out may stay on the device, see `engine.kept`; `infer` takes it among its inputs.
        """
        return dict(self.infer_wrapped(inputs, axes) if axes else self.infer(inputs))

    def require_wrapped(self, axes: str) -> None:  # noqa: B027
        """Has what `infer_wrapped` needs made; FailedPreconditionError until that is there, where it takes long."""

    def prepare_residuals(self, axes: str = "") -> None:
        """Has done what a UNet needs before it runs under a ControlNet; may be called beside all others.

        FailedPreconditionError from an engine that cannot. `axes` as of `infer_wrapped`.
        """
        remedy = "register the checkpoint with the engine onnxruntime or torch"
        raise FailedPreconditionError(f"{type(self).__name__} takes no ControlNet; {remedy}")

    def prepare_image_prompt(self, count: int = 1, axes: str = "") -> None:
        """Has done what a UNet needs before it looks at pictures beside the text, by so many IP-Adapters.

        As `prepare_residuals` otherwise; `image_prompt` is as the contract has it.
        """
        remedy = "register the checkpoint with the engine onnxruntime or torch"
        raise FailedPreconditionError(f"{type(self).__name__} takes no IP-Adapter; {remedy}")

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """InvalidArgumentError where `infer` would refuse inputs of these shapes; an engine may take all there are."""
        return

    @abstractmethod
    def refit(self, weights: Weights) -> None:
        """Replaces those parameters from the next `infer` on; all others keep what they have.

        Weights and biases of layers may be named, of norms too: those that an adapter can change. Tables of embeddings
        may not. Putting None back gives the checkpoint's bits again. The arrays must not be written to any more, for
        one that is replaced may be kept for when it comes again.
        """

    def prepare_refit(self, names: Iterable[str]) -> None:  # noqa: B027
        """Has done what those parameters need before they can be replaced: nothing, for most engines.

        FailedPreconditionError while that is being done, or where it cannot be. May be called beside all others, from
        one thread, and may take seconds.
        """

    def about(self) -> dict[str, str]:
        """What its numbers depend on besides weights, inputs and settings: versions, say, and the graph's SHA-256."""
        return {}

    def close(self) -> None:  # noqa: B027
        """Ends what the engine has begun beside its runs; it is not used any more."""


def one_by_one(run: Callable[[Mapping[str, Array]], dict[str, Array]], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """A batch's outputs, each sample run by itself: so its bits cannot depend on its company.

    In a batch they would: products are cut by the batch's size, between threads and along the sums.
    """
    samples = range(len(next(iter(inputs.values()))))
    alone = [run({name: array[sample : sample + 1] for name, array in inputs.items()}) for sample in samples]
    if len(alone) == 1:
        return alone[0]
    return {name: np.concatenate([outputs[name] for outputs in alone]) for name in alone[0]}
