"""The gateway's process: uvicorn, until a signal, and an orderly end."""

from __future__ import annotations

import math

import uvicorn

from triptych_gateway.app import create_app
from triptych_gateway.settings import Settings


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; then refuses new connections and lets running requests finish, for a while."""
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=math.ceil(settings.drain_timeout_s),
    )
