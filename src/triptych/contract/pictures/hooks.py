"""What an operator may have done to every picture that is drawn, before it goes out."""

from __future__ import annotations

from triptych.contract.pictures.watermark import message_of
from triptych.errors import invalid

SAFETY_CHECKERS = ("off", "checkpoint")
"""Where a checker comes from: nowhere, or the checkpoint itself, each of which must have one then."""


def check_hooks(safety_checker: str, watermark: str) -> None:
    """InvalidArgumentError about a choice that there is not; no watermark is ""."""
    if safety_checker not in SAFETY_CHECKERS:
        raise invalid("safety_checker", f"must be {' or '.join(SAFETY_CHECKERS)}, not {safety_checker!r}")
    if watermark:
        message_of(watermark)
