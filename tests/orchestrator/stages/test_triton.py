"""Triton's failures told apart by status and message, as the server was seen to write them."""

from __future__ import annotations

import json

import pytest
from tritonclient.utils import InferenceServerException

from triptych.contract.carried import ConditioningLostError, LoraLostError, LoraPreparingError, carry
from triptych.errors import (
    ArtifactMissingError,
    CheckpointInvalidError,
    FailedPreconditionError,
    InvalidArgumentError,
    LoraBrokenError,
    LoraInvalidError,
    ResourceExhaustedError,
    TriptychError,
)
from triptych_orchestrator.stages.triton import ModelMissingError, ReplicaDownError, _translated

SEEN: list[tuple[str, str, type[TriptychError]]] = [
    ("UNAVAILABLE", "failed to connect to all addresses", ReplicaDownError),
    ("UNAVAILABLE", "Socket closed", ReplicaDownError),
    ("INTERNAL", "Received RST_STREAM with error code 2", ReplicaDownError),
    ("CANCELLED", "Channel closed", ReplicaDownError),
    ("DEADLINE_EXCEEDED", "Deadline Exceeded", ModelMissingError),
    ("NOT_FOUND", "Request for unknown model: 'x.unet' is not found", ModelMissingError),
    ("UNAVAILABLE", "Request for unknown model: 'x.unet' has no available versions", ModelMissingError),
    ("INTERNAL", "Failed to process the request(s) ..., message: Stub process 'x' is not healthy.", ModelMissingError),
    # What a model says is told by its reason alone, whatever its words are like.
    ("NOT_FOUND", "no conditioning, no lora set", TriptychError),
    ("INTERNAL", carry(TriptychError("x.unet: RuntimeError: Stub process, unknown model")), TriptychError),
    ("UNAVAILABLE", "the model is being prepared", ReplicaDownError),
    ("INVALID_ARGUMENT", "unexpected inference input 'x'", InvalidArgumentError),
    ("INTERNAL", "something else", TriptychError),
]  # fmt: skip


@pytest.mark.parametrize(("status", "message", "kind"), SEEN)
def test_statuses_and_messages(status: str, message: str, kind: type[TriptychError]) -> None:
    error = _translated(InferenceServerException(message, f"StatusCode.{status}"), "host:1")
    assert type(error) is kind


@pytest.mark.parametrize(
    "message", ["plain", "with {braces} and } more", 'with "quotes" and\nlines', '{"reason": "x"}']
)
@pytest.mark.parametrize("kind", [CheckpointInvalidError, ArtifactMissingError, FailedPreconditionError])
def test_errors_at_load_are_carried(kind: type[TriptychError], message: str) -> None:
    carried = json.dumps({"reason": kind.reason, "message": message, "tensor": "a.b", "file": "/{x}/y"})
    text = (
        f"load failed for model 'x': version 1 is at UNAVAILABLE state: Internal: {carried}\n\nAt:\n  y.py(3): z\n;\n"
    )
    error = _translated(InferenceServerException(text, "StatusCode.INVALID_ARGUMENT"), "host:1")
    assert type(error) is kind
    assert (error.message, error.metadata) == (message, {"tensor": "a.b", "file": "/{x}/y"})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("INTERNAL", LoraBrokenError),
        ("INVALID_ARGUMENT", LoraInvalidError),
        ("INVALID_ARGUMENT", InvalidArgumentError),
        ("INTERNAL", ResourceExhaustedError),
        ("NOT_FOUND", ConditioningLostError),
        ("NOT_FOUND", LoraLostError),
        ("UNAVAILABLE", LoraPreparingError),
    ],
)
def test_what_a_stage_says_is_carried(status: str, kind: type[TriptychError]) -> None:
    text = carry(kind("/x is gone", digest="00ff"))
    error = _translated(InferenceServerException(text, f"StatusCode.{status}"), "host:1")
    assert (type(error), error.message, error.metadata) == (kind, "/x is gone", {"digest": "00ff"})


@pytest.mark.parametrize(
    "message", ['{"reason"', '{"reason": 1}', '{"reason": "NOPE", "message": "x"}', '{"reason": "INTERNAL"}']
)
def test_what_only_looks_like_a_carried_error(message: str) -> None:
    error = _translated(InferenceServerException(message, "StatusCode.INTERNAL"), "host:1")
    assert type(error) is TriptychError
