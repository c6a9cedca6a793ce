"""The gateway's process: uvicorn, until a signal, and an orderly end."""

from __future__ import annotations

import asyncio
import signal
from types import FrameType

import uvicorn
from fastapi import FastAPI

from triptych_gateway.app import ANSWER, create_app
from triptych_gateway.door.metrics import DRAINING, TASKS, serve_metrics
from triptych_gateway.door.protocol import PatientProtocol
from triptych_gateway.settings import Settings
from triptych_gateway.tasks import Tasks

# After the drain: for answers to go out; then event streams, which end with their reader, are cut.
_PARTING_S = 1


class Server(uvicorn.Server):
    """Goes on listening while it drains: what runs is asked after, and what is new is told why it is refused."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_timeout_s: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain_timeout_s = drain_timeout_s
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Has signals begin the drain."""
        await super().startup()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop, number)

    def _stop(self, number: int) -> None:
        if self._draining is not None:  # asked again: at once
            self.handle_exit(number, None)
        else:
            self._draining = asyncio.create_task(self._drain(number))

    async def _drain(self, number: int) -> None:
        tasks: Tasks = self._app.state.gateway.tasks
        DRAINING.set(1)
        try:
            await tasks.drain(self._drain_timeout_s)
        finally:
            self.handle_exit(number, None)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As uvicorn's, but the signal has been heard: it is not raised once more at the end."""
        super().handle_exit(sig, frame)
        self._captured_signals.clear()


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; then takes no new work, and lets what runs finish, for a while."""
    door = settings.door
    app = create_app(settings)
    if door.metrics:
        serve_metrics(door.metrics)
    TASKS.set_function(lambda: app.state.gateway.tasks.running())
    config = uvicorn.Config(
        app.state.door.before(app, ANSWER),
        host=settings.host,
        port=settings.port,
        http=PatientProtocol.within(door.max_pause_s, door.max_unread_s),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=door.max_connections,
        ssl_certfile=door.tls_cert,
        ssl_keyfile=door.tls_key,
        timeout_graceful_shutdown=_PARTING_S,
    )
    Server(config, app, settings.drain_timeout_s).run()
