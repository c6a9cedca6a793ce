"""PyTorch: the reference engine, diffusers' own modules with the checkpoint's tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from triptych.checkpoint import Component
from triptych.engine.modules import OUTPUT_NAMES, build_module, parameter_names
from triptych.engine.port import Array, Engine, EngineSettings
from triptych.engine.weights import check_parameters, float32_weights


class TorchEngine(Engine):
    """The module of `triptych.engine.modules` in float32 on the CPU."""

    def __init__(self, module: torch.nn.Module, output_name: str) -> None:
        self._module = module
        self._output_name = output_name

    @classmethod
    def load(cls, component: Component, settings: EngineSettings) -> TorchEngine:
        """Copies the checkpoint's tensors into the module."""
        torch.set_num_threads(settings.threads)
        module = build_module(component.architecture)
        own_names = parameter_names(module)
        parameters = dict(module.named_parameters())
        check_parameters(component, {own: tuple(parameters[name].shape) for name, own in own_names.items()})
        module_names = {own: name for name, own in own_names.items()}
        state = {module_names[own]: torch.tensor(array) for own, array in float32_weights(component, module_names)}
        module.load_state_dict(state, strict=True, assign=True)
        return cls(module, OUTPUT_NAMES[component.architecture.model])

    @torch.inference_mode()
    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs one batch."""
        output = self._module(**{name: torch.from_numpy(array) for name, array in inputs.items()})
        return {self._output_name: output.numpy()}
