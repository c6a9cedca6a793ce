"""Low-rank layers beside a frozen UNet's own (Hu et al. 2021), and their file in the layout of kohya's sd-scripts.

Usage::

    layers = attach_lora(unet)  # the UNet's output now includes them; they change nothing yet
    save_lora(layers, Path("stripes.safetensors"))
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

RANK: Final = 6
ALPHA: Final = 6.0
PREFIX: Final = "lora_unet_"


class LoraLayer(nn.Module):
    """What is added to the output of one matrix or convolution: alpha / rank * up(down(input)).

    A convolution's down has its kernel, stride and padding, its up is 1x1 (LoCon). The parts are named as in the file.
    """

    alpha: Tensor

    def __init__(self, base: nn.Linear | nn.Conv2d, rank: int, alpha: float) -> None:
        """Start at nothing: down by chance, up zero."""
        super().__init__()
        self.register_buffer("alpha", torch.tensor(alpha))
        self.scale = alpha / rank
        self.lora_down: nn.Linear | nn.Conv2d
        self.lora_up: nn.Linear | nn.Conv2d
        if isinstance(base, nn.Linear):
            self.lora_down = nn.Linear(base.in_features, rank, bias=False)
            self.lora_up = nn.Linear(rank, base.out_features, bias=False)
        else:
            self.lora_down = _convolution_like(base, rank)
            self.lora_up = nn.Conv2d(rank, base.out_channels, 1, bias=False)
        nn.init.zeros_(self.lora_up.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the change for the base layer's own ``inputs``, in the shape of its output."""
        change: Tensor = self.lora_up(self.lora_down(inputs)) * self.scale
        return change


def attach_lora(unet: nn.Module, rank: int = RANK, alpha: float = ALPHA) -> nn.ModuleDict:
    """Freeze ``unet`` and put a layer beside each matrix of its attention blocks and each of its 3x3 convolutions.

    Returns the layers by kohya's names for them. Hooks add them, so that the UNet keeps its own names.
    """
    unet.requires_grad_(False)
    layers = nn.ModuleDict()
    for name, base in unet.named_modules():
        if _takes_lora(name, base):
            layer = LoraLayer(base, rank, alpha)
            base.register_forward_hook(_adding(layer))
            layers[PREFIX + name.replace(".", "_")] = layer
    return layers


def save_lora(layers: nn.ModuleDict, path: Path) -> int:
    """Write ``layers`` in fp16 and return the file's size in bytes."""
    halved = {name: tensor.to(torch.float16).contiguous() for name, tensor in layers.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(halved, path, {"ss_network_module": "networks.lora"})
    path.chmod(0o644)  # safetensors writes for its own user alone, but servers run as another
    return path.stat().st_size


def _takes_lora(name: str, module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        return module.kernel_size == (3, 3)
    return isinstance(module, nn.Linear) and ".attentions." in name


def _convolution_like(base: nn.Conv2d, rank: int) -> nn.Conv2d:
    kernel, stride, padding = ((int(pair[0]), int(pair[1])) for pair in (base.kernel_size, base.stride, base.padding))
    return nn.Conv2d(base.in_channels, rank, kernel, stride, padding, bias=False)


def _adding(layer: LoraLayer) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def add(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        changed: Tensor = output + layer(inputs[0])
        return changed

    return add
