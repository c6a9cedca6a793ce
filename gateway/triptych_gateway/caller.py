"""Whose an HTTP request is: progress, interrupts and options never reach across callers.

@router.get("/progress")
async def progress(caller: CallerOf) -> ...
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request


@dataclass(frozen=True)
class Caller:
    """Whoever sends one credential; where none is sent, whoever has one network address."""

    scope: str


def caller_of(request: Request) -> Caller:
    """The caller of a request that was let in."""
    return Caller(f"address:{request.client.host if request.client else ''}")


CallerOf = Annotated[Caller, Depends(caller_of)]
