"""UNets that see a picture or a mask beside the latents have the graph of those that do not, but for two numbers."""

from __future__ import annotations

from dataclasses import replace

from triptych.checkpoint import Architecture
from triptych.contract import UNET

_TEXT_TO_IMAGE = 4


def kin_of(architecture: Architecture) -> Architecture | None:
    """The UNet like this one whose latents come alone, unless they do here or it is no UNet."""
    if architecture.model != UNET.name or architecture.config["in_channels"] == _TEXT_TO_IMAGE:
        return None
    return replace(architecture, config={**architecture.config, "in_channels": _TEXT_TO_IMAGE})


def with_channels(graph: bytes, channels: int) -> bytes:
    """A UNet's graph as it is where latents have so many channels."""
    import onnx  # which whoever only lists the cache does without

    model = onnx.load_model_from_string(graph)
    (latents,) = (value for value in model.graph.input if value.name == "latents")
    (kernel,) = (tensor for tensor in model.graph.initializer if tensor.name == "conv_in.weight")
    latents.type.tensor_type.shape.dim[1].dim_value = kernel.dims[1] = channels
    return bytes(model.SerializeToString(deterministic=True))
