"""The encoder model: token ids in, hidden states out."""

from __future__ import annotations

import numpy as np

from triptych.checkpoint import Checkpoint
from triptych.contract import ENCODER
from triptych.errors import invalid
from triptych.stage import Batch, StageModel


class EncoderModel(StageModel):
    """`<checkpoint>.encoder`: input_ids int64 [B, tokens] -> hidden_states float32 [B, tokens, hidden]."""

    spec = ENCODER

    def warm_up_inputs(self, checkpoint: Checkpoint) -> Batch:
        """One empty prompt."""
        return {"input_ids": np.zeros((1, checkpoint.tokens), np.int64)}

    def prepare(self, batch: Batch) -> Batch:
        """Refuses ids that the vocabulary does not have, which an engine would read out of bounds."""
        config = self.component.architecture.config
        ids = batch["input_ids"]
        if ids.shape[1] != config["max_position_embeddings"]:
            raise invalid("input_ids", f"has {ids.shape[1]} tokens, must have {config['max_position_embeddings']}")
        if ids.min() < 0 or ids.max() >= config["vocab_size"]:
            raise invalid("input_ids", f"must lie within the vocabulary of {config['vocab_size']}")
        return batch

    def run(self, batch: Batch) -> Batch:
        """Runs the text encoder."""
        return self.engine.infer(batch)
