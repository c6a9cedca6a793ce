"""Who leaves before the answer is whole cancels the request, as a gRPC call does that its client cancels.

No ASGI server does so by itself: a route would go on for nobody. What is to outlive its caller is a task of its own
(`Tasks.start`); what must not be cut in two is `asyncio.shield`ed.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class CancelOnDisconnect:
    """Middleware around an application: its task is cancelled once the client has gone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        messages: asyncio.Queue[Message] = asyncio.Queue()
        is_answered = False

        async def watch() -> None:
            while (message := await receive())["type"] != "http.disconnect":
                messages.put_nowait(message)
                if message.get("more_body", False):
                    await messages.join()  # taken first, lest a body pile up
            messages.put_nowait(message)

        async def taken() -> Message:
            message = await messages.get()
            messages.task_done()
            return message

        async def answered(message: Message) -> None:
            nonlocal is_answered
            is_answered = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        running = asyncio.ensure_future(self._app(scope, taken, answered))
        watching = asyncio.create_task(watch())
        try:
            await asyncio.wait({running, watching}, return_when=asyncio.FIRST_COMPLETED)
            if running.done() or is_answered:
                await running
        finally:
            for task in (running, watching):
                task.cancel()
            await asyncio.gather(running, watching, return_exceptions=True)
