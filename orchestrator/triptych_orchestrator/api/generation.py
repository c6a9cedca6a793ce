"""Generate, what is done without drawing, and Cancel; errors are raised and the interceptor maps them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing, nullcontext
from dataclasses import replace

import grpc

from triptych.checkpoint import Checkpoint
from triptych.errors import CancelledError, FailedPreconditionError, TriptychError, invalid
from triptych.logs import request_id as log_request_id
from triptych.v1 import generation_pb2, generation_pb2_grpc
from triptych_orchestrator import metrics
from triptych_orchestrator.api.messages import asked_of, response_of, told_of
from triptych_orchestrator.api.preprocessing import Preprocessing
from triptych_orchestrator.jobs.admission import Admission
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.caller import Caller
from triptych_orchestrator.jobs.events import Event, Queued
from triptych_orchestrator.jobs.pictures import PictureReader
from triptych_orchestrator.jobs.tasks.controls import AskedControl, check_count, control_field
from triptych_orchestrator.jobs.tasks.ip_adapters import AskedIpAdapter, adapter_field, check_adapters
from triptych_orchestrator.jobs.unread import drop_previews
from triptych_orchestrator.jobs.validation import deadline_of, resolve
from triptych_orchestrator.library.catalog import Catalog
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.library.loras.choice import LoraChooser
from triptych_orchestrator.pipeline.painter import Painter
from triptych_orchestrator.pipeline.upscaling import PictureUpscaler, check_upscalers, is_only_enlarged
from triptych_orchestrator.settings import Limits

logger = logging.getLogger("triptych.requests")


class GenerationService(generation_pb2_grpc.GenerationServiceServicer):  # type: ignore[misc]
    """Generate, Preprocess, and Cancel."""

    def __init__(
        self, catalog: Catalog, loras: LoraChooser, painter: Painter, admission: Admission, limits: Limits
    ) -> None:
        self._catalog = catalog
        self._loras = loras
        self._painter = painter
        self._admission = admission
        self._limits = limits
        self._pictures = PictureReader(limits)
        self._preprocessors = painter.preprocessors
        self._preprocessing = Preprocessing(self._pictures, self._preprocessors, admission, limits)
        self._upscaler = PictureUpscaler(painter.pool, painter.upscalers, self._pictures, admission, limits)

    async def Generate(  # noqa: N802
        self, request: generation_pb2.GenerateRequest, context: grpc.aio.ServicerContext
    ) -> AsyncGenerator[generation_pb2.GenerateResponse, None]:
        """The stream of one request."""
        began, outcome = time.monotonic(), "error"
        checkpoint_label, caller = "", _caller(context)
        try:
            asked = asked_of(request)
            key = caller.new_key(asked.request_id)
            log_request_id.set(key.request_id)
            deadline_s = asyncio.get_running_loop().time() + deadline_of(asked, context.time_remaining())
            told = await asyncio.to_thread(told_of, request)
            asked = replace(asked, request_id=key.request_id, told=told)
            checkpoint_label, produced = self._produced(asked, deadline_s)
            del request, asked  # the files that they may bring are `_events`' alone to keep
            stream = self._admission.stream(key, produced, deadline_s, thin_out=drop_previews)
            async with aclosing(stream) as events:
                async for event in events:
                    yield response_of(event)
            outcome = "ok"
        except (asyncio.CancelledError, GeneratorExit, CancelledError):
            outcome = "cancelled"
            raise
        except TriptychError as error:
            outcome = error.reason.lower()
            raise
        finally:
            seconds = time.monotonic() - began
            metrics.REQUESTS.labels(checkpoint_label, outcome).inc()
            metrics.REQUEST_SECONDS.labels(checkpoint_label).observe(seconds)
            told = {"checkpoint": checkpoint_label, "outcome": outcome, "seconds": round(seconds, 3)}
            # Ids that callers choose may be the same.
            logger.info("request finished", extra=told | {"caller": caller.scope})

    def _produced(self, asked: Asked, deadline_s: float) -> tuple[str, AsyncGenerator[Event, None]]:
        """The checkpoint's name, where one draws, and the events."""
        if is_only_enlarged(asked):
            return "", self._upscaler.events(asked)
        entry = self._catalog.get(asked.checkpoint)
        refiner = self._catalog.get(asked.refiner, "refiner") if asked.refiner else None
        vae = self._catalog.get(asked.vae, "vae") if asked.vae else None
        self._catalog.on_engine(entry, asked.engine)  # tells of one that is none
        nets = _controls(asked.controls, self._catalog, self._limits)
        adapters = _ip_adapters(asked.ip_adapters, self._catalog)
        asked = replace(asked, checkpoint=entry.name)
        return entry.name, self._events(asked, entry, refiner, vae, nets, adapters, deadline_s)

    async def _events(
        self,
        asked: Asked,
        entry: Entry,
        refiner: Entry | None,
        vae: Entry | None,
        nets: Sequence[Entry],
        adapters: Sequence[Entry],
        deadline_s: float,
    ) -> AsyncGenerator[Event, None]:
        check_upscalers(asked, self._painter.upscalers)
        checkpoint = _sound(entry)
        controlnets, ip_adapters = ([_sound(each) for each in named] for named in (nets, adapters))
        finishing, decoding = (_sound(each) if each else None for each in (refiner, vae))
        with self._admission.preparing() if asked.files else nullcontext():  # decoding them is work
            job = await resolve(
                asked,
                checkpoint,
                self._limits,
                self._pictures,
                finishing,
                decoding,
                controlnets,
                ip_adapters,
                self._preprocessors,
            )
        used = {self._catalog.on_engine(each, asked.engine) for each in (entry, refiner, vae) if each}
        del asked  # what it needs of the files the job has
        async with AsyncExitStack() as held:
            with self._admission.preparing() if job.loras.names else nullcontext():  # so is reading and matching LoRAs
                loras = await held.enter_async_context(self._loras.choose(job.loras, entry, refiner))
            self._admission.check_room()
            models = self._painter.models_of(job)
            yield Queued.of(job)
            async with (
                self._admission.turn(job.priority) as waited_s,
                self._catalog.use_all({*used, *nets, *adapters}, models) as experts,
                aclosing(self._painter.paint(replace(job, loras=loras), experts, waited_s, deadline_s)) as events,
            ):
                async for event in events:
                    yield event

    async def Preprocess(  # noqa: N802
        self, request: generation_pb2.PreprocessRequest, context: grpc.aio.ServicerContext
    ) -> generation_pb2.PreprocessResponse:
        """What a picture becomes."""
        return await self._preprocessing.answer(request)

    async def ListPreprocessors(  # noqa: N802
        self, request: generation_pb2.ListPreprocessorsRequest, context: grpc.aio.ServicerContext
    ) -> generation_pb2.ListPreprocessorsResponse:
        """Those that there are."""
        return self._preprocessing.listed()

    async def Cancel(  # noqa: N802
        self, request: generation_pb2.CancelRequest, context: grpc.aio.ServicerContext
    ) -> generation_pb2.CancelResponse:
        """Stops a running request."""
        self._admission.cancel(request.request_id, _caller(context))
        return generation_pb2.CancelResponse()


def _sound(entry: Entry) -> Checkpoint:
    """The entry's checkpoint, which is open unless one that was kept is broken."""
    if entry.checkpoint is None:
        problem = f"checkpoint {entry.name!r} is broken: {entry.error}; once it is whole again, load it"
        raise FailedPreconditionError(problem, checkpoint=entry.name)
    return entry.checkpoint


def _controls(asked: Sequence[AskedControl], catalog: Catalog, limits: Limits) -> list[Entry]:
    """What the controls name."""
    check_count(asked, limits)
    for index, control in enumerate(asked):
        if not control.name:
            raise invalid(control_field(index, "name"), "is missing; name a ControlNet that is registered")
    return [catalog.get(control.name, control_field(index, "name")) for index, control in enumerate(asked)]


def _ip_adapters(asked: Sequence[AskedIpAdapter], catalog: Catalog) -> list[Entry]:
    """What they name."""
    check_adapters(asked)
    return [catalog.get(each.name, adapter_field(index, "name")) for index, each in enumerate(asked)]


def _caller(context: grpc.aio.ServicerContext) -> Caller:
    metadata = context.invocation_metadata() or ()
    return Caller.of([value.encode() for name, value in metadata if name == "authorization" and value], context.peer())
