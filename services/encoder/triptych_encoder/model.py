"""The encoder models: token ids in, hidden states and the pooled vector out."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from triptych.checkpoint import Checkpoint
from triptych.checkpoint.configs import whole_number
from triptych.contract import ENCODER, ENCODER_2
from triptych.engine.port import Array, one_by_one
from triptych.errors import invalid
from triptych.stage import Batch, StageModel
from triptych_encoder.token_table import TokenTable

# Of transformers' CLIPTextConfig.
_DEFAULT_EOS = 49407
# Of before transformers 4.31 (huggingface/transformers#24773): the end of a text is its highest id then.
_LEGACY_EOS = 2


class EncoderModel(StageModel):
    """`<checkpoint>.encoder`: input_ids int64 [B, tokens] -> hidden_states [B, tokens, hidden], pooled [B, projection].

    The engine's graph starts at the tokens' embeddings, which are taken here from the checkpoint's file: so they need
    no memory, and a learned word's rows can stand among them.
    """

    spec = ENCODER

    @cached_property
    def token_table(self) -> TokenTable:
        """The embeddings of all tokens."""
        return TokenTable(self.component)

    @cached_property
    def _eos(self) -> int:
        config = self.component.config
        if config.get("eos_token_id") is None:
            return _DEFAULT_EOS
        return whole_number(self.component.file, config, "eos_token_id", low=0, high=1 << 24)

    def warm_up_inputs(self, checkpoint: Checkpoint) -> Batch:
        """One prompt of the first token alone."""
        return self.prepare({"input_ids": np.zeros((1, checkpoint.tokens), np.int64)})

    def prepare(self, batch: Batch) -> Batch:
        """From ids to their embeddings.

        Refuses what the text encoder does not have and an engine would read out of bounds: tokens, layers.
        """
        config = self.component.architecture.config
        ids = batch["input_ids"]
        if ids.shape[1] != config["max_position_embeddings"]:
            raise invalid("input_ids", f"has {ids.shape[1]} tokens, must have {config['max_position_embeddings']}")
        if ids.min() < 0 or ids.max() >= config["vocab_size"]:
            raise invalid("input_ids", f"must lie within the vocabulary of {config['vocab_size']}")
        samples = len(ids)
        skip_layers = batch.get("skip_layers", np.zeros((samples, 1), np.int32))[:, 0]
        if skip_layers.min() < 0 or skip_layers.max() > config["num_hidden_layers"]:
            raise invalid("skip_layers", f"must be from 0 to the {config['num_hidden_layers']} that there are")
        return {
            "inputs_embeds": self.token_table.rows(ids.astype(np.int64, copy=False)),
            "pooled_position": self._pooled_position(ids),
            "skip_layers": skip_layers.astype(np.int64),
            "final_norm": batch.get("final_norm", np.ones((samples, 1), np.bool_))[:, 0],
        }

    def run(self, batch: Batch) -> Batch:
        """Each sample by itself, whatever the engine: what it remembers must not depend on a prompt's company."""
        return one_by_one(self.engine.infer, batch)

    def _pooled_position(self, ids: Array) -> Array:
        """Where each text ends, int64 [B], as CLIPTextModel finds it."""
        position: Array = np.argmax(ids if self._eos == _LEGACY_EOS else ids == self._eos, axis=1)
        return position


class SecondEncoderModel(EncoderModel):
    """`<checkpoint>.encoder_2`, likewise."""

    spec = ENCODER_2
