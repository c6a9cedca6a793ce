"""Errors from one process to another as JSON: from a stage's model in Triton's message, whose codes are few, say.

carried(f"load failed: {carry(ConditioningLostError('it is not held here'))} ...")  # the same error again
"""

from __future__ import annotations

import json

from triptych.errors import BY_REASON, NotFoundError, TriptychError, UnavailableError


class ConditioningLostError(NotFoundError):
    """A UNet replica does not hold a conditioning key; the call is made again with what the key names."""

    reason = "CONDITIONING_LOST"


class LoraLostError(NotFoundError):
    """A replica does not know a LoRA set by its key; the call is made again with the set."""

    reason = "LORA_LOST"


class ControlLostError(NotFoundError):
    """A UNet replica does not hold what a ControlNet makes of a picture; the call is made again with both."""

    reason = "CONTROL_LOST"


class PreparingError(UnavailableError):
    """A replica prepares something beside its running engine; the same call succeeds once that is done."""


class ControlPreparingError(PreparingError):
    """A replica loads a ControlNet, or has it look at a picture."""

    reason = "CONTROL_PREPARING"


class LoraPreparingError(PreparingError):
    """A replica merges a LoRA set."""

    reason = "LORA_PREPARING"


class ImagePromptPreparingError(PreparingError):
    """A replica makes ready to look at pictures beside the text."""

    reason = "IMAGE_PROMPT_PREPARING"


# No client ever hears of these, so that they are not in the table that clients decode by.
_BY_REASON: dict[str, type[TriptychError]] = BY_REASON | {
    kind.reason: kind
    for kind in (
        ConditioningLostError,
        ControlLostError,
        ControlPreparingError,
        ImagePromptPreparingError,
        LoraLostError,
        LoraPreparingError,
    )
}


def carry(error: TriptychError) -> str:
    """A text from which `carried` makes the same error again, whatever is written around it."""
    return json.dumps({"reason": error.reason, "message": error.message} | error.metadata)


def carried(text: str) -> TriptychError | None:
    """The error in a text; None if it carries none."""
    start = text.find('{"reason"')
    try:
        fields = json.JSONDecoder().raw_decode(text, start)[0] if start >= 0 else {}
        return _BY_REASON[fields.pop("reason")](fields.pop("message"), **fields)
    except (KeyError, ValueError, TypeError):
        return None
