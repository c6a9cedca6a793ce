"""Tells what a file is that holds no adapter, or one with more to it than is applied, so that it is refused by name."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from triptych.lora.failures import refused, shown

PICKLED = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})
# Parts of tensor names that only one kind of adapter has.
_OTHER_KINDS = {
    ".vera_lambda": "VeRA",
    ".oft_r.": "an OFT of a PEFT before 0.16",
    ".hra_u": "HRA",
    ".fourierft_spectrum": "FourierFT",
    ".lora_E": "AdaLoRA",
    ".lambda_layer": "T-LoRA",
}
_TEXTUAL_INVERSION = frozenset({"emb_params", "string_to_param", "clip_l", "clip_g"})
# OneTrainer's bundles, PEFT's trained rows, and its LoRA of a table.
_LEARNED_WORDS = ("bundle_emb.", ".trainable_tokens_", ".lora_embedding_")
_CHECKPOINT_PREFIXES = ("model.diffusion_model.", "cond_stage_model.", "first_stage_model.", "conditioner.embedders.")
_CHECKPOINT_NAMES = frozenset(
    {"conv_in.weight", "decoder.conv_in.weight", "text_model.embeddings.token_embedding.weight"}
)


def refuse_pickled(path: Path) -> None:
    """LoraInvalidError for the name of a pickled file, which is not opened."""
    if path.suffix.lower() in PICKLED:
        raise refused(
            path, "a pickled file, which can run code when loaded; convert it to safetensors where you trust it"
        )


def refuse_learned_words(path: Path, names: Collection[str]) -> None:
    """LoraInvalidError if words were trained along: without them a prompt means something else."""
    found = (name for name in names if name in _TEXTUAL_INVERSION or any(part in f"{name}." for part in _LEARNED_WORDS))
    if (name := next(found, None)) is not None:
        raise refused(
            path, f"{shown(name)}: learned words (token embeddings), which are not applied; save the adapter without"
        )


def diagnose(names: Collection[str]) -> str:
    """What a file without a single module is, and what to do with it."""
    if not names:
        return "no tensors are in it"
    kinds = {kind for name in names for part, kind in _OTHER_KINDS.items() if part in f"{name}."}
    if kinds:
        return f"{' and '.join(sorted(kinds))}, which is not supported"
    if _CHECKPOINT_NAMES & set(names) or any(name.startswith(_CHECKPOINT_PREFIXES) for name in names):
        return "a whole model's weights, not a LoRA; register it as a checkpoint"
    if _TEXTUAL_INVERSION & set(names) or (len(names) == 1 and next(iter(names)).startswith("<")):
        return "a textual inversion (an embedding of new words), not a LoRA"
    return f"no LoRA modules are in it; its tensors are called {', '.join(shown(name) for name in sorted(names)[:3])}"
