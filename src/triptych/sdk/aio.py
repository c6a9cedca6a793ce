"""The asyncio client; the methods are those of `triptych.Client`, awaited.

async with triptych.AsyncClient("127.0.0.1:50051") as client:
    result = await client.generate("a red circle", seed=7)
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from types import TracebackType
from typing import Any, Self, Unpack

import grpc
import grpc.aio

from triptych.errors import CancelledError, DeadlineExceededError, UnavailableError
from triptych.sdk import calls
from triptych.sdk.catalog import Checkpoint, ServerInfo
from triptych.sdk.channel import DEFAULT_ADDRESS, Connection
from triptych.sdk.events import Event, Result, require_result
from triptych.sdk.images import ImageInput, add_images
from triptych.sdk.loras import Lora
from triptych.sdk.parameters import GenerateParameters, UpscaleParameters, build_request
from triptych.sdk.parts.enlarging import Upscale
from triptych.sdk.preprocessing import Preprocessed, Preprocessor, preprocess_request
from triptych.sdk.readiness import POLL_INTERVAL_S, Readiness
from triptych.sdk.reading.picture_request import PictureRequest
from triptych.sdk.reading.settling import read_request, settled
from triptych.v1.generation_pb2 import GenerateRequest


class AsyncClient:
    """As `triptych.Client`, same arguments; belongs to the event loop of its first call."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        api_key: str = "",
        timeout_s: float | None = None,
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        self._connection = Connection(grpc.aio, address, credentials, timeout_s, api_key, options)
        # grpc's asyncio transport may make an internal error of a refusal that comes amid an upload.
        self._uploads = Connection(grpc, address, credentials, timeout_s, api_key, options)

    @property
    def address(self) -> str:
        """Where the server is."""
        return self._connection.address

    async def generate(
        self, prompt: str, *, timeout_s: float | None = None, **parameters: Unpack[GenerateParameters]
    ) -> Result:
        """Makes pictures; see `Client.generate`."""
        last: Event | None = None
        async with aclosing(self.stream(prompt, timeout_s=timeout_s, **parameters)) as events:
            async for event in events:
                last = event
        return require_result(last)

    def stream(
        self, prompt: str, *, timeout_s: float | None = None, **parameters: Unpack[GenerateParameters]
    ) -> AsyncGenerator[Event, None]:
        """Yields every event; see `Client.stream`. Images are read, by another thread, with the first event.

        Leaving the loop early? Wrap the generator in `contextlib.aclosing`: the work is cancelled at once.
        """
        images = {"image": parameters.pop("image", None), "mask_image": parameters.pop("mask_image", None)}
        return self._generation(build_request(prompt, **parameters), images, timeout_s)

    async def upscale(
        self,
        image: ImageInput | Sequence[ImageInput],
        *,
        scale: float | None = None,
        upscaler: str | None = None,
        width: int | None = None,
        height: int | None = None,
        timeout_s: float | None = None,
        **parameters: Unpack[UpscaleParameters],
    ) -> Result:
        """Enlarges pictures; see `Client.upscale`."""
        upscale = Upscale(scale, upscaler, width, height)
        return await self.generate("", image=image, upscale=upscale, timeout_s=timeout_s, **parameters)

    async def preprocess(
        self,
        preprocessor: str,
        image: ImageInput,
        *,
        processor_res: int | None = None,
        threshold_a: float | None = None,
        threshold_b: float | None = None,
        mask_image: ImageInput | None = None,
        width: int | None = None,
        height: int | None = None,
        resize_mode: str | None = None,
        timeout_s: float | None = None,
    ) -> Preprocessed:
        """What a picture becomes before a ControlNet looks at it; see `Client.preprocess`."""
        numbers = {"processor_res": processor_res, "threshold_a": threshold_a, "threshold_b": threshold_b}
        fields = {**numbers, "width": width, "height": height, "resize_mode": resize_mode}
        request = await asyncio.to_thread(preprocess_request, preprocessor, image, mask_image, fields)
        return await self._run(calls.preprocess(request), timeout_s)

    async def preprocessors(self, *, timeout_s: float | None = None) -> list[Preprocessor]:
        """What pictures can be prepared with for ControlNets, ready or not."""
        return await self._run(calls.list_preprocessors(), timeout_s)

    async def request_from(self, picture: ImageInput, *, timeout_s: float | None = None) -> PictureRequest:
        """What a picture says of how it was made; see `Client.request_from`."""
        request = await asyncio.to_thread(read_request, picture)
        return settled(request, await self.checkpoints(timeout_s=timeout_s), await self.loras(timeout_s=timeout_s))

    async def cancel(self, request_id: str, *, timeout_s: float | None = None) -> None:
        """Stops a running request; see `Client.cancel`."""
        await self._run(calls.cancel(request_id), timeout_s)

    async def checkpoints(self, *, timeout_s: float | None = None) -> list[Checkpoint]:
        """The checkpoints that the server knows."""
        return await self._run(calls.list_checkpoints(), timeout_s)

    async def register_checkpoint(
        self,
        name: str,
        path: str | os.PathLike[str],
        engine: str | None = None,
        load: bool = False,
        *,
        prediction_type: str | None = None,
        variant: str | None = None,
        vae: str | os.PathLike[str] | None = None,
        image_encoder: str | os.PathLike[str] | None = None,
        with_hash: bool = False,
        timeout_s: float | None = None,
    ) -> Checkpoint:
        """Takes a directory or a file under a name; see `Client.register_checkpoint`."""
        choices = (prediction_type, variant, vae, with_hash, image_encoder)
        return await self._run(calls.register_checkpoint(name, path, engine, load, *choices), timeout_s)

    async def register_upscaler(
        self,
        name: str,
        path: str | os.PathLike[str],
        engine: str | None = None,
        load: bool = False,
        *,
        timeout_s: float | None = None,
    ) -> Checkpoint:
        """Takes an upscaler's file under a name; see `Client.register_upscaler`."""
        return await self._run(calls.register_checkpoint(name, path, engine, load, purpose="upscaling"), timeout_s)

    async def register_controlnet(
        self,
        name: str,
        path: str | os.PathLike[str],
        load: bool = False,
        *,
        variant: str | None = None,
        timeout_s: float | None = None,
    ) -> Checkpoint:
        """Takes a ControlNet under a name; see `Client.register_controlnet`."""
        call = calls.register_checkpoint(name, path, None, load, variant=variant, purpose="controlling")
        return await self._run(call, timeout_s)

    async def register_preprocessor(
        self, name: str, path: str | os.PathLike[str], load: bool = False, *, timeout_s: float | None = None
    ) -> Checkpoint:
        """Takes the network of a preprocessor under its name; see `Client.register_preprocessor`."""
        call = calls.register_checkpoint(name, path, None, load, purpose="preparing")
        return await self._run(call, timeout_s)

    async def register_ip_adapter(
        self,
        name: str,
        path: str | os.PathLike[str],
        engine: str | None = None,
        load: bool = False,
        *,
        image_encoder: str | os.PathLike[str] | None = None,
        timeout_s: float | None = None,
    ) -> Checkpoint:
        """Takes an IP-Adapter under a name; see `Client.register_ip_adapter`."""
        call = calls.register_checkpoint(name, path, engine, load, image_encoder=image_encoder, purpose="prompting")
        return await self._run(call, timeout_s)

    async def unregister_checkpoint(self, name: str, *, timeout_s: float | None = None) -> None:
        """Unloads and forgets a checkpoint."""
        await self._run(calls.unregister_checkpoint(name), timeout_s)

    async def load_checkpoint(self, name: str, *, timeout_s: float | None = None) -> Checkpoint:
        """Loads a checkpoint in every stage."""
        return await self._run(calls.load_checkpoint(name), timeout_s)

    async def unload_checkpoint(self, name: str, *, timeout_s: float | None = None) -> Checkpoint:
        """Frees a checkpoint's memory in every stage."""
        return await self._run(calls.unload_checkpoint(name), timeout_s)

    async def loras(self, *, timeout_s: float | None = None) -> list[Lora]:
        """The LoRAs that the server keeps."""
        return await self._run(calls.list_loras(), timeout_s)

    async def add_lora(
        self, name: str, path: str | os.PathLike[str], *, replace: bool = False, timeout_s: float | None = None
    ) -> Lora:
        """Sends a LoRA's file to the server; see `Client.add_lora`."""
        call = calls.add_lora(name, path, replace)
        method = call.method(self._uploads.channel())
        sending = method.future(call.request, **self._uploads.call_options(timeout_s))
        try:
            with self._uploads.translated_errors():
                return call.decode(await asyncio.to_thread(sending.result))
        finally:
            sending.cancel()

    async def remove_lora(self, name: str, *, timeout_s: float | None = None) -> None:
        """Has the server forget a LoRA."""
        await self._run(calls.remove_lora(name), timeout_s)

    async def server_info(self, *, timeout_s: float | None = None) -> ServerInfo:
        """The server's version, schedulers, engines, limits and stage replicas."""
        return await self._run(calls.server_info(), timeout_s)

    async def wait_ready(self, timeout_s: float = 60.0) -> ServerInfo:
        """Waits until the server can serve; see `Client.wait_ready`."""
        readiness = Readiness(self.address, timeout_s)
        while True:
            left_s = readiness.left_s()
            try:
                info = await self.server_info(timeout_s=left_s)
                if readiness.accepts(info):
                    return info
            except (DeadlineExceededError, UnavailableError) as error:
                readiness.missed(error)
            await asyncio.sleep(POLL_INTERVAL_S)

    async def close(self) -> None:
        """Closes the connection and cancels what still runs on it; more than once is fine."""
        channel, uploads = self._connection.retire(), self._uploads.retire()
        if uploads is not None:
            uploads.close()
        if channel is not None:
            await channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, call: calls.Call[calls.Value], timeout_s: float | None) -> calls.Value:
        method = call.method(self._connection.channel())
        with self._translated_errors():
            return call.decode(await method(call.request, **self._connection.call_options(timeout_s)))

    async def _generation(
        self, request: GenerateRequest, images: Mapping[str, Any], timeout_s: float | None
    ) -> AsyncGenerator[Event, None]:
        if any(given is not None for given in images.values()):
            await asyncio.to_thread(add_images, request, images)
        async with aclosing(self._events(calls.generate(request), timeout_s)) as events:
            async for event in events:
                yield event

    async def _events(self, call: calls.Call[Event | None], timeout_s: float | None) -> AsyncGenerator[Event, None]:
        method = call.method(self._connection.channel())
        responses = method(call.request, **self._connection.call_options(timeout_s))
        try:
            with self._translated_errors():
                async for response in responses:
                    event = call.decode(response)
                    if event is not None:
                        yield event
        finally:
            responses.cancel()

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """As the connection's; besides, grpc.aio tells of a closed channel as of a cancelled task."""
        try:
            with self._connection.translated_errors():
                yield
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if self._connection.is_closed and not (task and task.cancelling()):
                raise CancelledError("the client was closed during the call") from error
            raise
