"""What all routes share: the orchestrator's client, what runs, and what is kept.

@router.get("/samplers")
async def samplers(gateway: GatewayOf) -> ...
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from triptych import AsyncClient
from triptych_gateway.a1111.options import CallersOptions
from triptych_gateway.door.secret import Secret
from triptych_gateway.kept.models import Models
from triptych_gateway.kept.pictures import Pictures
from triptych_gateway.kept.uploads import Uploads
from triptych_gateway.openai.presets import Presets
from triptych_gateway.settings import Settings
from triptych_gateway.tasks import Tasks


@dataclass(frozen=True)
class Gateway:
    """One process's; lives as long as its event loop."""

    settings: Settings
    client: AsyncClient
    tasks: Tasks
    pictures: Pictures
    uploads: Uploads
    models: Models
    presets: Presets
    secret: Secret  # `gateway.secret("purpose")` is a key to sign with, the same on every replica

    @property
    def options(self) -> CallersOptions:
        """A1111's."""
        return CallersOptions(self.settings.state_dir / "options")


def gateway_of(request: Request) -> Gateway:
    """The gateway that serves a request."""
    return cast(Gateway, request.app.state.gateway)


GatewayOf = Annotated[Gateway, Depends(gateway_of)]
