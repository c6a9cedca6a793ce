"""Tells what a file is that is no LoRA, or a LoRA with more to it than two factors, so that it is refused by name."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from triptych.lora.failures import refused, shown

PICKLED = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})
# DoRA scales each merged matrix anew: the factors alone are another picture.
_DORA = ("dora_scale", "lora_magnitude_vector")
# Parts of tensor names that only one kind of adapter has.
_OTHER_KINDS = {
    ".hada_": "LoHa",
    ".lokr_": "LoKr",
    ".on_input": "(IA)^3",
    ".ia3_": "(IA)^3",
    ".oft_": "OFT",
    ".boft_": "OFT",
    ".vera_lambda": "VeRA",
    ".diff_b": "a difference of full weights",
}
_TEXTUAL_INVERSION = frozenset({"emb_params", "string_to_param", "clip_l", "clip_g"})
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


def refuse_dora(path: Path, names: Collection[str]) -> None:
    """LoraInvalidError if any module is a DoRA: to apply the rest would be wrong."""
    found = next((name for name in names if any(part in name for part in _DORA)), None)
    if found is not None:
        raise refused(path, f"a DoRA ({shown(found)}), which is not supported; extract a plain LoRA from it")


def diagnose(names: Collection[str]) -> str:
    """What a file without a single LoRA module is, and what to do with it."""
    if not names:
        return "no tensors are in it"
    if all(name.endswith(".diff") for name in names):
        return "not a LoRA but a difference of full weights, which is not supported"
    kinds = {kind for name in names for part, kind in _OTHER_KINDS.items() if part in name}
    if kinds:
        return f"not a LoRA but {' and '.join(sorted(kinds))}, which is not supported"
    if _CHECKPOINT_NAMES & set(names) or any(name.startswith(_CHECKPOINT_PREFIXES) for name in names):
        return "a whole model's weights, not a LoRA; register it as a checkpoint"
    if _TEXTUAL_INVERSION & set(names) or (len(names) == 1 and next(iter(names)).startswith("<")):
        return "a textual inversion (an embedding of new words), not a LoRA"
    return f"no LoRA modules are in it; its tensors are called {', '.join(shown(name) for name in sorted(names)[:3])}"
