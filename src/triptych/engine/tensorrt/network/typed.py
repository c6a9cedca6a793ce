"""A component's graph as TensorRT is to see it: in one precision, with its profiles and its exchangeable weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import onnx

from triptych.checkpoint import Component
from triptych.contract import CONTROLNET_HINT, ENCODERS, LORA_MODELS, UNET
from triptych.engine.cache.artifacts import ensure_graph, read_graph
from triptych.engine.onnxruntime.exchange import free_weights
from triptych.engine.port import Array, EngineSettings
from triptych.engine.rewriting.variant import PLAIN, Variant
from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.engine.tensorrt.network.added import added_dims, fix_sizes
from triptych.engine.tensorrt.network.floats import PRECISIONS
from triptych.engine.tensorrt.network.precision import to_precision
from triptych.engine.tensorrt.network.profiles import Dims, Profile, input_dims, most_batch, profiles_of, sizes_of
from triptych.engine.tensorrt.probe import Sample, probe_sample
from triptych.engine.tensorrt.run.padding import pad
from triptych.engine.weights import Maps, check_parameters, map_files
from triptych.errors import invalid


@dataclass(frozen=True)
class TypedGraph:
    """`model` holds no weights; `parameters` are their names and shapes, `targets` those that a LoRA can change.

    `content` is all that shapes an engine but for its sizes and weights; `maps` are of the component's files. A
    `variant` has the parameters of the plain graph, under the same names.
    """

    component: Component
    maps: Maps
    precision: str
    model: onnx.ModelProto
    content: bytes
    dims: Mapping[str, Dims]
    profiles: Sequence[Profile]
    parameters: Mapping[str, tuple[int, ...]]
    targets: Sequence[str]
    variant: Variant = PLAIN

    @classmethod
    def of(
        cls, component: Component, settings: EngineSettings, variant: Variant = PLAIN, maps: Maps | None = None
    ) -> TypedGraph:
        """From the architecture's graph; CheckpointInvalidError if the component's weights do not fit it.

        `maps` are those of the plain graph, where it is a variant of one that is loaded.
        """
        if settings.precision not in PRECISIONS:
            raise invalid("precision", f"{settings.precision!r} is not one of {', '.join(PRECISIONS)}")
        path = ensure_graph(component.architecture, settings.cache_dir, component=component)
        model = onnx.load_model_from_string(read_graph(path))
        external = onnx.TensorProto.EXTERNAL
        shapes = {t.name: tuple(t.dims) for t in model.graph.initializer if t.data_location == external}
        check_parameters(component, shapes)
        variant.rewrite(model, component)
        fix_sizes(model, added_dims(component, variant))
        to_precision(model, settings.precision, bool(component.architecture.config.get("upcast_attention")))
        targets = exchangeable(component, model)
        return cls(
            component,
            map_files(component) if maps is None else maps,
            settings.precision,
            model,
            model.SerializeToString(deterministic=True) + "\n".join(targets).encode(),
            input_dims(model.graph),
            profiles_of(component, variant),
            shapes,
            targets,
            variant,
        )

    @property
    def first_plan(self) -> RefitPlan:
        """How it is built before anything was measured, and before a LoRA has asked for more."""
        usual, all_targets = (self.open_names(plan) for plan in (RefitPlan.USUAL, RefitPlan.PER_CHECKPOINT))
        return RefitPlan.USUAL if len(usual) < len(all_targets) else RefitPlan.PER_CHECKPOINT

    def open_names(self, plan: RefitPlan) -> Sequence[str]:
        """The weights that stay exchangeable: none, a LoRA's usual targets, all its targets, or all there are."""
        match plan:
            case RefitPlan.PLAIN:
                return ()
            case RefitPlan.USUAL:
                return [name for name in self.targets if self._is_usual(name)]
            case RefitPlan.PER_CHECKPOINT:
                return self.targets
            case RefitPlan.PER_ARCHITECTURE:
                return sorted(self.parameters)

    def samples(self) -> list[Sample]:
        """Random inputs of each profile's best size and of its largest."""
        return [self._sample(index, which) for index in range(len(self.profiles)) for which in ("best", "most")]

    def best_sample(self) -> dict[str, Array]:
        """Random inputs of the size that the engine is tuned for."""
        return self._sample(0, "best").inputs

    def own_samples(self) -> Iterator[tuple[int, Mapping[str, Array]]]:
        """Every batch that is run whole at that size, with inputs for it."""
        best = self.best_sample()
        sizes = sizes_of(self.dims, {name: array.shape for name, array in best.items()})
        for batch in range(1, most_batch(self.profiles, sizes) + 1):
            yield batch, pad({name: array[:1] for name, array in best.items()}, batch)

    def _sample(self, index: int, which: Literal["best", "most"]) -> Sample:
        return probe_sample(self.dims, self.profiles, index, which, self._below)

    def _is_usual(self, target: str) -> bool:
        """Of a UNet, what stands in its Transformer2DModels: trainers leave convolutions alone unless told to."""
        return self.component.architecture.model != UNET.name or ".attentions." in target

    @property
    def _below(self) -> Mapping[str, int]:
        """What inputs that are indices must be below."""
        config = self.component.architecture.config
        if self.component.architecture.model == CONTROLNET_HINT:
            return {"control_type": config.get("num_control_type", 0)}
        if self.component.architecture.model not in ENCODERS:
            return {}
        return {"pooled_position": config["max_position_embeddings"], "skip_layers": config["num_hidden_layers"] + 1}


def exchangeable(component: Component, model: onnx.ModelProto) -> list[str]:
    """The weights that a LoRA can change, as the onnxruntime engine has them; none where no LoRA changes the model.

    Of a ControlNet those that a control-LoRA has something to add to.
    """
    if component.factors:
        return sorted(component.factors)
    if component.architecture.model not in LORA_MODELS:
        return []
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return free_weights(copy)
