"""An IP-Adapter's image encoder as a torch module, CLIP's and what stands behind it; needs torch and diffusers.

Run as a program it exports one's graph as `triptych.engine.exporter` does all others': it has a program of its own so
that the graphs that are shipped stay what that one makes.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from triptych.checkpoint import Architecture
from triptych.checkpoint.sources.ip_adapter import FULL, PLAIN

OUTPUTS = ["tokens"]
_MAX_BATCH = 63


class _ImageEncoder(nn.Module):
    """CLIP's and the adapter's projection: image [B, 3, h, w] as CLIP sees it, shown [B] -> tokens [B, tokens, width].

    Where `shown` is 0 the tokens are those that the negative prompt has, which are not 0: in the place of CLIP's vector
    zeros are projected, or in that of the picture zeros are looked at, as diffusers' `encode_image` has both.
    """

    def __init__(self, architecture: Architecture) -> None:
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        super().__init__()
        config = dict(architecture.config)
        self._sees_embeds = config["image_projection"] == PLAIN
        # Of others it is given the states before the last layer, which nothing else asks for then.
        layers = config["num_hidden_layers"] - (not self._sees_embeds)
        vision = CLIPVisionConfig(**config | {"num_hidden_layers": layers})
        self.model: Any = CLIPVisionModelWithProjection(vision)
        if not self._sees_embeds:
            del self.model.visual_projection, self.model.vision_model.post_layernorm
        self.image_proj = _projection(config)

    def forward(self, image: torch.Tensor, shown: torch.Tensor) -> tuple[torch.Tensor]:
        if self._sees_embeds:
            return (self.image_proj(self.model(image).image_embeds * shown[:, None]),)
        vision = self.model.vision_model
        states = vision.pre_layrnorm(vision.embeddings(image * shown[:, None, None, None]))
        return (self.image_proj(vision.encoder(inputs_embeds=states).last_hidden_state),)


def _projection(config: dict[str, Any]) -> nn.Module:
    from diffusers.models import embeddings

    width = config["cross_attention_dim"]
    projection: nn.Module
    if config["image_projection"] == PLAIN:
        projection = embeddings.ImageProjection(config["projection_dim"], width, config["prompt_tokens"])
    elif config["image_projection"] == FULL:
        projection = embeddings.IPAdapterFullImageProjection(config["hidden_size"], width)
    else:
        projection = embeddings.IPAdapterPlusImageProjection(
            embed_dims=config["hidden_size"],
            output_dims=width,
            hidden_dims=config["resampler_width"],
            depth=config["resampler_layers"],
            heads=config["resampler_heads"],
            num_queries=config["prompt_tokens"],
        )
    return projection


def build_module(architecture: Architecture) -> nn.Module:
    """As `modules.build_module`."""
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        module = _ImageEncoder(architecture)
    embeddings = module.model.vision_model.embeddings
    positions = torch.arange(embeddings.num_positions).expand(1, -1).clone()
    embeddings.register_buffer("position_ids", positions, persistent=False)
    return module.eval().requires_grad_(False)


def example_inputs(architecture: Architecture) -> tuple[dict[str, torch.Tensor], dict[str, dict[int, Any]]]:
    """As `modules.example_inputs`."""
    size, batch = architecture.config["image_size"], torch.export.Dim("batch", min=1, max=_MAX_BATCH)
    arguments = {"image": torch.zeros(2, 3, size, size), "shown": torch.ones(2)}
    return arguments, {name: {0: batch} for name in arguments}


@contextmanager
def _exporting() -> Iterator[Any]:
    """The exporter, in which this file's functions are in the place of those of `modules` meanwhile."""
    from triptych.engine import exporter

    own = {"build_module": build_module, "example_inputs": example_inputs, "output_names": lambda architecture: OUTPUTS}
    others = {name: getattr(exporter, name) for name in own}
    vars(exporter).update(own)
    try:
        yield exporter
    finally:
        vars(exporter).update(others)


def export_graph(architecture: Architecture) -> Any:
    """As the exporter's."""
    with _exporting() as exporter:
        return exporter.export_graph(architecture)


def main() -> int:
    """As the exporter's."""
    with _exporting() as exporter:
        return int(exporter.main())


if __name__ == "__main__":
    sys.exit(main())
