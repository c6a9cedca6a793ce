"""What one API of the gateway is: its routes, and the shape in which it tells of errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter

from triptych.errors import TriptychError


@dataclass(frozen=True)
class Api:
    """Routes below one path; `tell` makes an error's body, of the error and its HTTP status."""

    prefix: str
    router: APIRouter
    tell: Callable[[TriptychError, int], dict[str, Any]]
    challenge: str = "Bearer"  # asked for where no credentials come; of Basic browsers make a dialog
