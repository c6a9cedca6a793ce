"""Exports the graphs that come with the package, so that checkpoints of their architectures are served without torch.

Run after the exporter, its versions or a shipped architecture changed; a graph takes from seconds to minutes:

python tools/ship_graphs.py                 export what is stale or missing
python tools/ship_graphs.py "SD 1.x" SDXL   export these
python tools/ship_graphs.py --check         fail if something is stale, as far as can be told without an export
"""

from __future__ import annotations

import argparse
import ast
import functools
import gzip
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from triptych.cache_folders import MANIFEST_FILE, read_manifest
from triptych.checkpoint import Architecture
from triptych.checkpoint.sources.image_encoder import ENCODER_CLASS
from triptych.checkpoint.sources.ip_adapter import FULL, PLAIN, PLUS
from triptych.contract import (
    CONTROLNET,
    CONTROLNET_HINT,
    ENCODER,
    ENCODER_2,
    IMAGE_ENCODER,
    SAFETY_CHECKER,
    UNET,
    VAE_DECODER,
    VAE_ENCODER,
)
from triptych.demo import checkpoint_path, controlnet_paths
from triptych.engine import exporting
from triptych.engine.build import open_models
from triptych.engine.cache.artifacts import (
    COMPRESSED_FILE,
    EXPORT_REVISIONS,
    REQUEST_FILE,
    SHIPPED,
    artifact_key,
    is_sound,
    read_graph,
)
from triptych.engine.cache.kin import kin_of, with_channels

_SOURCES = ("exporter.py", "modules.py")
# By a class's name, where the network of one that is shipped stands apart from the others'.
_MORE_SOURCES = {ENCODER_CLASS: ("image_encoder.py",)}
_PACKAGES = ("torch", "diffusers", "transformers", "onnx", "onnxscript")

# Configurations as far as they differ from their classes' defaults; what belongs to a picture's size shapes no graph.
_SD1 = {"cross_attention_dim": 768}
_SD2 = {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True}
_SDXL = {
    "block_out_channels": [320, 640, 1280],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": [1, 2, 10],
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
_SDXL_REFINER = {
    **_SDXL,
    "block_out_channels": [384, 768, 1536, 1536],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": 4,
    "attention_head_dim": [6, 12, 24, 24],
    "cross_attention_dim": 1280,
    "projection_class_embeddings_input_dim": 2560,
}
_VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
}
_CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
_OPEN_CLIP_H = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "hidden_act": "gelu",
}
_OPEN_CLIP_BIG_G = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
    "projection_dim": 1280,
}
# CLIP's ViT-L/14 again, its half that sees.
_SAFETY_CHECKER = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "projection_dim": 768,
}
# OpenCLIP's halves that see, which IP-Adapters come with.
_SEEING = {"patch_size": 14, "num_attention_heads": 16, "hidden_act": "gelu"}
_VIT_H = {**_SEEING, "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "projection_dim": 1024}
_VIT_BIG_G = {
    **_SEEING,
    "hidden_size": 1664,
    "intermediate_size": 8192,
    "num_hidden_layers": 48,
    "projection_dim": 1280,
}
_FOUR_TOKENS = {"image_projection": PLAIN, "prompt_tokens": 4}
_RESAMPLER = {"image_projection": PLUS, "prompt_tokens": 16, "resampler_layers": 4}
# The adapters of h94/IP-Adapter, by the encoder, what stands behind it, and the width of the UNet's text.
_IP_ADAPTERS: Mapping[str, Mapping[str, Any]] = {
    "IP-Adapter SD 1.x": {**_VIT_H, **_FOUR_TOKENS, **_SD1},
    "IP-Adapter SD 1.x ViT-G": {**_VIT_BIG_G, **_FOUR_TOKENS, **_SD1},
    "IP-Adapter SD 1.x plus": {**_VIT_H, **_RESAMPLER, "resampler_width": 768, "resampler_heads": 12, **_SD1},
    "IP-Adapter SD 1.x full face": {**_VIT_H, "image_projection": FULL, **_SD1},
    "IP-Adapter SDXL": {**_VIT_BIG_G, **_FOUR_TOKENS, "cross_attention_dim": 2048},
    "IP-Adapter SDXL ViT-H": {**_VIT_H, **_FOUR_TOKENS, "cross_attention_dim": 2048},
    "IP-Adapter SDXL plus": {
        **_VIT_H, **_RESAMPLER, "resampler_width": 1280, "resampler_heads": 20, "cross_attention_dim": 2048,
    },
}  # fmt: skip
# Of latents alone; of a mask and a masked picture's latents besides; of a picture's latents besides.
_TEXT_TO_IMAGE, _INPAINTING, _PIX2PIX = 4, 9, 8
# An aesthetic score stands in the place of the target size.
_REFINER_TIME_IDS = 5


def shipped() -> Mapping[str, Architecture]:
    """By name, what is to be there."""
    found = {
        "CLIP ViT-L": Architecture.of(ENCODER.name, "CLIPTextModel", _CLIP_L),
        "OpenCLIP ViT-H": Architecture.of(ENCODER.name, "CLIPTextModel", _OPEN_CLIP_H),
        "OpenCLIP ViT-bigG": Architecture.of(ENCODER_2.name, "CLIPTextModelWithProjection", _OPEN_CLIP_BIG_G),
        "VAE decoder": Architecture.of(VAE_DECODER.name, "AutoencoderKL", _VAE),
        "VAE encoder": Architecture.of(VAE_ENCODER.name, "AutoencoderKL", _VAE),
        "safety checker": Architecture.of(SAFETY_CHECKER.name, "StableDiffusionSafetyChecker", _SAFETY_CHECKER),
        "SDXL refiner": Architecture.of(UNET.name, "UNet2DConditionModel", _SDXL_REFINER, _REFINER_TIME_IDS),
    }
    bases: Mapping[str, Mapping[str, Any]] = {"SD 1.x": _SD1, "SD 2.x": _SD2, "SDXL": _SDXL}
    for name, config in bases.items():
        found[name] = _unet(config, _TEXT_TO_IMAGE)
        found[f"{name} inpainting"] = _unet(config, _INPAINTING)
        found[f"{name} pix2pix"] = _unet(config, _PIX2PIX)
        found[f"{name} ControlNet"] = _control_net(config)
    # The one of the original's fourteen that pools.
    found["SD 1.x ControlNet shuffle"] = _control_net({**_SD1, "global_pool_conditions": True})
    found["ControlNet hint"] = Architecture.of(CONTROLNET_HINT, "ControlNetConditioningEmbedding", {})
    for name, config in _IP_ADAPTERS.items():
        found[name] = Architecture.of(IMAGE_ENCODER.name, ENCODER_CLASS, config)
    parts = [part for path in (checkpoint_path(), *controlnet_paths().values()) for part in open_models(path)]
    return found | {f"demo {part.architecture.model}": part.architecture for part in parts}


def _unet(config: Mapping[str, Any], in_channels: int) -> Architecture:
    return Architecture.of(UNET.name, "UNet2DConditionModel", {**config, "in_channels": in_channels})


def _control_net(unet: Mapping[str, Any]) -> Architecture:
    return Architecture.of(CONTROLNET, "ControlNetModel", unet)


def stale() -> list[str]:
    """Names of what is missing or damaged, or was made by something else than what is here; and folders too many."""
    wanted = shipped()
    found = [name for name, each in wanted.items() if not is_fresh(SHIPPED / artifact_key(each), made_for(each))]
    keys = {artifact_key(architecture) for architecture in wanted.values()}
    return found + sorted(folder.name for folder in SHIPPED.glob("*") if folder.name not in keys)


def made_for(architecture: Architecture) -> dict[str, str]:
    """What its graph is to be made by."""
    return made_by(*_MORE_SOURCES.get(architecture.class_name, ()))


@functools.cache
def made_by(*more_sources: str) -> dict[str, str]:
    """What shapes a graph besides its architecture: packages' versions, and the exporter's statements."""
    folder = Path(exporting.__file__).parent
    statements = "\n".join(_statements((folder / source).read_text()) for source in (*_SOURCES, *more_sources))
    # Not which build it is: torch's for a CPU and those for GPUs trace alike.
    versions = {name: version(name).partition("+")[0] for name in _PACKAGES}
    return versions | {"exporter": hashlib.sha256(statements.encode()).hexdigest()}


def _statements(source: str) -> str:
    """What a module does, whatever is said about it."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.unparse(tree)


def is_fresh(folder: Path, present: Mapping[str, str]) -> bool:
    """Whether its graph is whole, and made by what `made_by` says of today."""
    return is_sound(folder, COMPRESSED_FILE) and read_manifest(folder).get("made_by") == present


def make(architecture: Architecture) -> bytes:
    """The graph; a UNet of more channels has that of its kin for text but for two numbers, so that one is traced."""
    kin = kin_of(architecture)
    if kin is None:
        return export(architecture)
    folder = SHIPPED / artifact_key(kin)
    graph = read_graph(folder / COMPRESSED_FILE) if is_fresh(folder, made_by()) else export(kin)
    return with_channels(graph, architecture.config["in_channels"])


def export(architecture: Architecture) -> bytes:
    """The graph, traced in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        request, graph = Path(scratch) / REQUEST_FILE, Path(scratch) / "graph.onnx"
        request.write_text(architecture.traced().canonical())
        exporting.run_exporter(sys.executable, architecture.class_name, [str(request), str(graph)])
        return graph.read_bytes()


def ship(
    architecture: Architecture, graph: bytes, root: Path = SHIPPED, maker: Mapping[str, str] | None = None
) -> None:
    """Writes the graph's folder below `root`, compressed, with what it was made by."""
    content = gzip.compress(graph, mtime=0)
    manifest = {
        "revision": EXPORT_REVISIONS[architecture.model],
        "sha256": hashlib.sha256(content).hexdigest(),
        "made_by": maker or made_for(architecture),
    }
    folder = root / artifact_key(architecture)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / COMPRESSED_FILE).write_bytes(content)
    (folder / REQUEST_FILE).write_text(architecture.traced().canonical())
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n")
    _say(f"{folder.name}: {len(graph):,} bytes, compressed {len(content):,}")


def _say(message: str) -> None:
    sys.stderr.write(message + "\n")


def main() -> int:
    """Writes, or with --check looks; exit code 1 when something is stale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", help="what to export, fresh or not")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    wanted = shipped()
    if unknown := set(arguments.name) - wanted.keys():
        parser.error(f"{', '.join(unknown)}: none of {', '.join(wanted)}")
    names = arguments.name or stale()
    if arguments.check:
        for name in names:
            _say(f"stale: {name} (run `make graphs`)")
        return 1 if names else 0
    for name in names:
        if name in wanted:
            _say(name)
            ship(wanted[name], make(wanted[name]))
        else:
            shutil.rmtree(SHIPPED / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
