"""Reads adapters of every algorithm, finds their places in a checkpoint, merges them into its weights; without torch.

lora = LoraFile.open(Path("watercolour.safetensors"))
targets = match_lora(lora, checkpoint.components).targets["unet"]
merged = merge(base, [(targets[0], 0.8)], {})
"""

from triptych.lora.content import has_digest
from triptych.lora.file import LoraFile, LoraModule
from triptych.lora.matching import Match, Target, find_targets, match_lora
from triptych.lora.merging import merge

__all__ = ["LoraFile", "LoraModule", "Match", "Target", "find_targets", "has_digest", "match_lora", "merge"]
