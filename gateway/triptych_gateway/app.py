"""The ASGI application: the APIs, what they share, and how failures are told."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import grpc
from fastapi import FastAPI

from triptych import AsyncClient, __version__
from triptych_gateway import reference
from triptych_gateway.a1111.routes import API as A1111
from triptych_gateway.a1111.routes import CONTROLNET_API
from triptych_gateway.door import login
from triptych_gateway.door.door import Door
from triptych_gateway.errors import add_error_handlers, answering
from triptych_gateway.gateway import Gateway
from triptych_gateway.kept.models import Models
from triptych_gateway.kept.pictures import kept_pictures
from triptych_gateway.kept.sweeping import sweeping
from triptych_gateway.kept.uploads import kept_uploads
from triptych_gateway.openai.presets import read_presets
from triptych_gateway.openai.routes import API as OPENAI
from triptych_gateway.page.routes import add_page
from triptych_gateway.rest.routes import API as REST
from triptych_gateway.settings import Settings
from triptych_gateway.tasks import Tasks

# A path of none of them is answered as the last one answers.
APIS = (A1111, CONTROLNET_API, OPENAI, REST)
ANSWER = answering(APIS)


def create_app(settings: Settings) -> FastAPI:
    """An application that serves once its lifespan has begun."""
    door = Door(settings.door, settings.state_dir)
    presets = read_presets(settings.presets)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        async with AsyncClient(settings.orchestrator, credentials=_tls(settings), api_key=settings.api_key) as client:
            tasks = Tasks(client)
            pictures, uploads = kept_pictures(settings), kept_uploads(settings)
            models = Models(settings.state_dir / "models", uploads)
            app.state.gateway = Gateway(settings, client, tasks, pictures, uploads, models, presets, door.secret)
            async with sweeping(pictures, uploads):
                yield
            await tasks.close()

    app = FastAPI(
        title="Triptych",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        max_body_size=settings.door.max_body_bytes,
    )
    app.state.door = door
    add_error_handlers(app, ANSWER)
    app.include_router(login.router)
    app.include_router(reference.router)
    for api in APIS:
        app.include_router(api.router)

    add_page(app)

    @app.get("/health", include_in_schema=False)
    async def health() -> dict[str, str]:
        return {"status": "listening"}

    return app


def _tls(settings: Settings) -> grpc.ChannelCredentials | None:
    return settings.orchestrator_ca and grpc.ssl_channel_credentials(settings.orchestrator_ca.read_bytes())
