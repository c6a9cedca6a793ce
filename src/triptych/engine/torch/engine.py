"""PyTorch on a CPU or an NVIDIA GPU: the reference engine, diffusers' own modules with the checkpoint's tensors.

Attention is scaled_dot_product_attention, diffusers' default. On a GPU what runs once a step, UNets and ControlNets,
becomes a CUDA graph for each shape that comes again, unless TRIPTYCH_TORCH_GRAPHS=0. With TRIPTYCH_TORCH_COMPILE=1 each
such shape of the plain UNet is compiled besides, beside its runs. Without CUDA graphs all models are compiled for any
shape then; that is off because on the CPU it was slower than eager.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from triptych.checkpoint import Architecture, Component
from triptych.contract import CONTROLNET, ENCODERS, IMAGE_ENCODER, IMAGE_PROMPT, T2I_ADAPTER, UNET
from triptych.engine import image_encoder
from triptych.engine.conditions import cross_attention_widths
from triptych.engine.kept import Kept
from triptych.engine.memory import run_in_memory
from triptych.engine.modules import build_module, output_names, parameter_names
from triptych.engine.port import Array, Engine, EngineSettings, Weights
from triptych.engine.t2i_adapters import output_names as feature_outputs
from triptych.engine.torch.adapted import build_adapter, taking_features
from triptych.engine.torch.compiler import Compiler, Module, keep_compiled_in
from triptych.engine.torch.graphs import GraphedModule
from triptych.engine.torch.halves import LAYERS, shared_tensor, widen_when_called
from triptych.engine.torch.prompting import Prompted
from triptych.engine.torch.wrapping import wrapped
from triptych.engine.weights import (
    Maps,
    check_parameters,
    check_refit,
    float32_weights,
    held_type,
    held_weights,
    map_files,
)
from triptych.errors import FailedPreconditionError, invalid

_EACH_STEP = (UNET.name, CONTROLNET)
_WIDE = ("timestep", "time_ids")
_REFERENCE = ("cpu", torch.float32)
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TorchEngine(Engine):
    """The module of `triptych.engine.modules` on one device, its parameters in one precision."""

    def __init__(
        self, module: nn.Module, component: Component, maps: Maps, device: torch.device, dtype: torch.dtype
    ) -> None:
        """`maps` are of the component's files, made before the module was filled from them."""
        self._component, self._maps = component, maps
        self._device, self._dtype = device, dtype
        self._output_names = _output_names(component.architecture)
        self._parameters = layer_parameters(module)
        if (device.type, dtype) == _REFERENCE:
            widen_when_called(module)
        self._records = device.type == "cuda" and os.environ.get("TRIPTYCH_TORCH_GRAPHS", "1") != "0"
        self._eager, self._module = module, self._fast(module, compiles=_compiles())
        self._variants: dict[tuple[str, bool], Module] = {("", False): self._module}

    @classmethod
    def load(cls, component: Component, settings: EngineSettings) -> TorchEngine:
        """Copies the checkpoint's tensors into the module."""
        device, dtype = torch_device(settings.device), torch_dtype(settings)
        torch.set_num_threads(settings.threads)
        keep_compiled_in(settings.cache_dir)
        round_factors(settings.tf32)
        maps, module = map_files(component), _module(component.architecture)
        own_names = parameter_names(module)
        shapes = {own_names[name]: tuple(parameter.shape) for name, parameter in module.named_parameters()}
        check_parameters(component, shapes)
        module_names = {own: name for name, own in own_names.items()}
        halves = _mapped_halves(module, component, module_names) if (device.type, dtype) == _REFERENCE else {}
        state = halves | {
            module_names[own]: torch.tensor(array).to(device, dtype)
            for own, array in float32_weights(
                component, [own for own in module_names if module_names[own] not in halves]
            )
        }
        module.load_state_dict(state, strict=True, assign=True)
        module = module.to(device)
        if device.type == "cuda" and component.architecture.model not in ENCODERS:
            module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(module, component, maps, device, dtype)

    def infer(self, inputs: Mapping[str, Kept]) -> dict[str, Array]:
        """Runs one batch, in parts where the GPU's memory is too small for it whole."""
        return self._infer(inputs, "", _fetched)

    def infer_wrapped(self, inputs: Mapping[str, Kept], axes: str) -> dict[str, Array]:
        """Runs one batch by a module of the same parameters."""
        return self._infer(inputs, axes, _fetched)

    def infer_kept(self, inputs: Mapping[str, Kept], axes: str = "") -> dict[str, Kept]:
        """Runs one batch, whose outputs are tensors on the device, in this engine's precision."""
        return self._infer(inputs, axes, torch.clone)  # for a graph writes over its own

    def prepare_residuals(self, axes: str = "") -> None:
        """The module takes them as it is."""

    def prepare_image_prompt(self, count: int = 1, axes: str = "") -> None:
        """Makes the module for it, of the one of those axes; it is the same for any count."""
        self._variant(axes, is_prompted=True)

    def _infer(self, inputs: Mapping[str, Kept], axes: str, finish: Callable[[torch.Tensor], Kept]) -> dict[str, Kept]:
        module = self._variant(axes, is_prompted=IMAGE_PROMPT.name in inputs)
        return run_in_memory(partial(self._run, module, finish), inputs, self._release)

    def _variant(self, axes: str, *, is_prompted: bool) -> Module:
        """A module over the same parameters, made when first asked for."""
        key = axes, is_prompted
        if key not in self._variants:
            module = wrapped(self._eager, axes) if axes else self._eager
            if is_prompted:
                module = Prompted(module, cross_attention_widths(self._component))
            self._variants[key] = self._fast(module)
        return self._variants[key]

    def _fast(self, module: nn.Module, *, compiles: bool = False) -> Module:
        """The module as it is called: as CUDA graphs, compiled, or itself."""
        if self._records:
            model = self._component.architecture.model
            if model not in _EACH_STEP:
                return module
            compiles = compiles and model == UNET.name
            return GraphedModule(module, self._device, Compiler(module, self._device) if compiles else None)
        compiled: Module = torch.compile(module, dynamic=True) if compiles else module
        return compiled

    def _release(self) -> None:
        for module in list(self._variants.values()):  # at once, for one may be made beside this
            if isinstance(module, GraphedModule):
                module.forget()
        torch.cuda.empty_cache()

    @torch.inference_mode()
    def _run(
        self, module: Module, finish: Callable[[torch.Tensor], Kept], inputs: Mapping[str, Kept]
    ) -> dict[str, Kept]:
        outputs = module(**{name: self._moved(name, array) for name, array in inputs.items()})
        return {name: finish(output) for name, output in zip(self._output_names, outputs, strict=True)}

    @torch.no_grad()
    def about(self) -> dict[str, str]:
        """The libraries' versions, and the GPU."""
        versions = {"torch": str(torch.__version__), "diffusers": version("diffusers")}
        versions["transformers"] = version("transformers")
        if self._device.type == "cuda":
            versions["gpu"] = torch.cuda.get_device_name(self._device)
        return versions

    def refit(self, weights: Weights) -> None:
        """Copies into the parameters, all or none: a name or shape that is wrong raises InvalidArgumentError.

        A parameter that stays half is pointed at the array instead, for its own place is a mapped file.
        """
        check_refit(self._component, weights, self._parameters)
        base = [name for name, array in weights.items() if array is None]
        originals = held_weights(self._component, base, self._maps)
        replaced = ((name, array) for name, array in weights.items() if array is not None)
        for values in (originals, replaced):
            for name, array in values:
                self._put(self._parameters[name], array)

    def _put(self, parameter: torch.Tensor, array: npt.NDArray[Any]) -> None:
        if (self._device.type, self._dtype) == _REFERENCE and parameter.dtype != torch.float32:
            parameter.data = shared_tensor(array)
        else:
            # As it is to the device: widening a thousand arrays on the way takes longer than the copies.
            parameter.copy_(shared_tensor(array).to(self._device))

    def _moved(self, name: str, array: Kept) -> torch.Tensor:
        """An input on the device; what sines and cosines are taken of stays float32."""
        if isinstance(array, torch.Tensor):
            return array.to(self._device, self._dtype)  # from an engine of another precision, or the same tensor
        tensor = torch.tensor(array)
        if self._device.type == "cuda":  # from pinned memory the copy runs beside the kernels before it
            tensor = tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor.to(self._dtype) if tensor.is_floating_point() and name not in _WIDE else tensor


def _fetched(output: torch.Tensor) -> Array:
    return output.float().cpu().numpy()


def _compiles() -> bool:
    return os.environ.get("TRIPTYCH_TORCH_COMPILE", "0") == "1"


def _module(architecture: Architecture) -> nn.Module:
    if architecture.model == T2I_ADAPTER:
        return build_adapter(architecture)
    if architecture.model == IMAGE_ENCODER.name:
        return image_encoder.build_module(architecture)
    module = build_module(architecture)
    return taking_features(module) if architecture.model == UNET.name else module


def _output_names(architecture: Architecture) -> list[str]:
    if architecture.model == IMAGE_ENCODER.name:
        return image_encoder.OUTPUTS
    return (feature_outputs if architecture.model == T2I_ADAPTER else output_names)(architecture)


def _mapped_halves(module: nn.Module, component: Component, module_names: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """The weights of layers that the files have in half precision, by the module's names."""
    layers = {f"{name}.weight" for name, layer in module.named_modules() if isinstance(layer, LAYERS)}
    names = [
        own for own, name in module_names.items() if name in layers and held_type(component.weights[own]) != np.float32
    ]
    return {module_names[own]: shared_tensor(array) for own, array in held_weights(component, names)}


def layer_parameters(module: nn.Module) -> dict[str, torch.Tensor]:
    """The weights and biases of all layers but tables, those that a refit may name, by the checkpoint's names."""
    own_names = parameter_names(module)
    tables = {f"{name}.weight" for name, layer in module.named_modules() if isinstance(layer, nn.Embedding)}
    return {own_names[name]: parameter for name, parameter in module.named_parameters() if name not in tables}


def torch_device(name: str) -> torch.device:
    """The device "cpu" or "cuda:<index>"; FailedPreconditionError where that GPU is not there."""
    kind, _, index = name.partition(":")
    if name != "cpu" and (kind != "cuda" or not index.isdecimal()):
        raise invalid("device", f"{name!r} is neither cpu nor cuda:<index>")
    if kind == "cuda" and int(index) >= torch.cuda.device_count():
        raise FailedPreconditionError(
            f"there is no {name}: torch {torch.__version__} sees {torch.cuda.device_count()} GPUs; "
            "install a torch with CUDA and check `nvidia-smi`, or use the device cpu"
        )
    return torch.device(name)


def torch_dtype(settings: EngineSettings) -> torch.dtype:
    """The precision's type; InvalidArgumentError for one that is unknown or that the device has no fast kernels for."""
    if settings.precision not in DTYPES:
        raise invalid("precision", f"{settings.precision!r} is not one of {', '.join(DTYPES)}")
    if settings.device == "cpu" and settings.precision == "fp16":
        raise invalid("precision", "fp16 is for GPUs: a CPU computes it slower than fp32; use fp32 or bf16")
    return DTYPES[settings.precision]


def round_factors(tf32: bool) -> None:
    """Whether a GPU's float32 convolutions and matrix products may use 10 of a fraction's 23 bits, as cuDNN's would."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
