"""The ASGI application: the APIs, what they share, and how failures are told."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from triptych import AsyncClient, __version__
from triptych_gateway.a1111.routes import API as A1111
from triptych_gateway.door.leaving import CancelOnDisconnect
from triptych_gateway.errors import add_error_handlers
from triptych_gateway.gateway import Gateway
from triptych_gateway.openai.routes import API as OPENAI
from triptych_gateway.rest.routes import API as REST
from triptych_gateway.settings import Settings
from triptych_gateway.tasks import Tasks

# A path of none of them is answered as the last one answers.
APIS = (A1111, OPENAI, REST)


def create_app(settings: Settings) -> FastAPI:
    """An application that serves once its lifespan has begun."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        async with AsyncClient(settings.orchestrator) as client:
            tasks = Tasks(client)
            app.state.gateway = Gateway(settings, client, tasks)
            yield
            await tasks.close()

    app = FastAPI(title="Triptych", version=__version__, lifespan=lifespan)
    app.add_middleware(CancelOnDisconnect)
    add_error_handlers(app, APIS)
    for api in APIS:
        app.include_router(api.router)

    @app.get("/health", include_in_schema=False)
    async def health() -> dict[str, str]:
        return {"status": "listening"}

    return app
