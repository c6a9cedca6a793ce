"""Whose an HTTP request is: progress, interrupts and options never reach across callers.

@router.get("/progress")
async def progress(caller: CallerOf) -> ...
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

_NAMED = "name:"


@dataclass(frozen=True)
class Caller:
    """Whoever sends one credential; where none is sent, whoever has one network address (see door/authentication)."""

    scope: str

    @classmethod
    def named(cls, name: str) -> Caller:
        """One that the file of credentials knows."""
        return cls(f"{_NAMED}{name}")

    @property
    def name(self) -> str | None:
        """Its name in the file of credentials."""
        return self.scope.removeprefix(_NAMED) if self.scope.startswith(_NAMED) else None


def caller_of(request: Request) -> Caller:
    """The caller of a request that was let in."""
    return cast(Caller, request.state.caller)


CallerOf = Annotated[Caller, Depends(caller_of)]
