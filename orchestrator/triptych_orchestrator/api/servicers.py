"""The public API's methods; errors are raised and the interceptor maps them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import grpc

from triptych._version import __version__
from triptych.contract.engines import ENGINES
from triptych.errors import CancelledError, FailedPreconditionError, TriptychError, invalid
from triptych.legible import legible
from triptych.logs import request_id as log_request_id
from triptych.v1 import checkpoints_pb2, checkpoints_pb2_grpc, generation_pb2, generation_pb2_grpc, system_pb2
from triptych.v1 import system_pb2_grpc as system_grpc
from triptych.wire.status import MESSAGE_LIMIT_BYTES
from triptych_orchestrator import metrics
from triptych_orchestrator.batching.profile import BatchProfile
from triptych_orchestrator.batching.seats import Batchers
from triptych_orchestrator.jobs.admission import Admission
from triptych_orchestrator.jobs.unread import drop_previews
from triptych_orchestrator.jobs.validation import Job, check, deadline_of, request_id_of
from triptych_orchestrator.library.catalog import Catalog, Entry
from triptych_orchestrator.library.loras.choice import LoraChooser
from triptych_orchestrator.pipeline.painter import Painter
from triptych_orchestrator.sampling.schedulers import scheduler_names
from triptych_orchestrator.settings import Limits
from triptych_orchestrator.shielded import shielded
from triptych_orchestrator.stages.pool import ReplicaPool

logger = logging.getLogger("triptych.requests")

# The longest that Linux opens.
_PATH_BYTES = 4096


class GenerationService(generation_pb2_grpc.GenerationServiceServicer):  # type: ignore[misc]
    """Generate and Cancel."""

    def __init__(
        self, catalog: Catalog, loras: LoraChooser, painter: Painter, admission: Admission, limits: Limits
    ) -> None:
        self._catalog = catalog
        self._loras = loras
        self._painter = painter
        self._admission = admission
        self._limits = limits

    async def Generate(  # noqa: N802
        self, request: generation_pb2.GenerateRequest, context: grpc.aio.ServicerContext
    ) -> AsyncGenerator[generation_pb2.GenerateResponse, None]:
        """The stream of one request."""
        began, outcome = time.monotonic(), "error"
        checkpoint_label = ""
        try:
            request_id = request_id_of(request)
            log_request_id.set(request_id)
            entry = self._catalog.get(request.checkpoint)
            checkpoint_label = entry.name
            deadline_s = asyncio.get_running_loop().time() + deadline_of(request, context.time_remaining())
            produced = self._events(request, request_id, entry, deadline_s)
            stream = self._admission.stream(request_id, produced, deadline_s, thin_out=drop_previews)
            async with aclosing(stream) as events:
                async for event in events:
                    yield event
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
            extra = {"checkpoint": checkpoint_label, "outcome": outcome, "seconds": round(seconds, 3)}
            logger.info("request finished", extra=extra)

    async def _events(
        self, request: generation_pb2.GenerateRequest, request_id: str, entry: Entry, deadline_s: float
    ) -> AsyncGenerator[generation_pb2.GenerateResponse, None]:
        if entry.checkpoint is None:
            problem = f"checkpoint {entry.name!r} is broken: {entry.error}; once it is whole again, load it"
            raise FailedPreconditionError(problem, checkpoint=entry.name)
        job = check(request, request_id, entry.checkpoint, self._limits)
        async with self._loras.choose(job.loras, entry) as loras:
            self._admission.check_room()
            yield generation_pb2.GenerateResponse(queued=_queued(job, entry))
            async with (
                self._admission.turn(job.priority) as waited_s,
                self._catalog.use(entry) as used,
                aclosing(self._painter.paint(replace(job, loras=loras), used, waited_s, deadline_s)) as events,
            ):
                async for event in events:
                    yield event

    async def Cancel(  # noqa: N802
        self, request: generation_pb2.CancelRequest, context: grpc.aio.ServicerContext
    ) -> generation_pb2.CancelResponse:
        """Stops a running request."""
        self._admission.cancel(request.request_id)
        return generation_pb2.CancelResponse()


class CheckpointService(checkpoints_pb2_grpc.CheckpointServiceServicer):  # type: ignore[misc]
    """The catalog over gRPC. A load goes on when its caller leaves, as long as others wait for it."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def ListCheckpoints(  # noqa: N802
        self, request: checkpoints_pb2.ListCheckpointsRequest, context: grpc.aio.ServicerContext
    ) -> checkpoints_pb2.ListCheckpointsResponse:
        """All, by name."""
        return checkpoints_pb2.ListCheckpointsResponse(checkpoints=map(_checkpoint, self._catalog.entries()))

    async def RegisterCheckpoint(  # noqa: N802
        self, request: checkpoints_pb2.RegisterCheckpointRequest, context: grpc.aio.ServicerContext
    ) -> checkpoints_pb2.Checkpoint:
        """Checks and takes a directory."""
        registering = self._catalog.register(request.name, Path(request.path), request.engine, load=request.load)
        return _checkpoint(await registering)

    async def UnregisterCheckpoint(  # noqa: N802
        self, request: checkpoints_pb2.UnregisterCheckpointRequest, context: grpc.aio.ServicerContext
    ) -> checkpoints_pb2.UnregisterCheckpointResponse:
        """Unloads and forgets."""
        await shielded(self._catalog.unregister(_given_name(request)))
        return checkpoints_pb2.UnregisterCheckpointResponse()

    async def LoadCheckpoint(  # noqa: N802
        self, request: checkpoints_pb2.LoadCheckpointRequest, context: grpc.aio.ServicerContext
    ) -> checkpoints_pb2.Checkpoint:
        """Loads all stages' models."""
        return _checkpoint(await self._catalog.load(request.name))

    async def UnloadCheckpoint(  # noqa: N802
        self, request: checkpoints_pb2.UnloadCheckpointRequest, context: grpc.aio.ServicerContext
    ) -> checkpoints_pb2.Checkpoint:
        """Frees all stages' models."""
        return _checkpoint(await shielded(self._catalog.unload(_given_name(request))))


class SystemService(system_grpc.SystemServiceServicer):  # type: ignore[misc]
    """What this server is."""

    def __init__(self, pool: ReplicaPool, batchers: Batchers, limits: Limits) -> None:
        self._pool = pool
        self._batchers = batchers
        self._limits = limits

    async def GetServerInfo(  # noqa: N802
        self, request: system_pb2.GetServerInfoRequest, context: grpc.aio.ServicerContext
    ) -> system_pb2.ServerInfo:
        """Version, names, limits and the replicas' state."""
        return system_pb2.ServerInfo(
            version=__version__,
            schedulers=scheduler_names(),
            engines=ENGINES,
            limits=system_pb2.Limits(**vars(self._limits)),
            replicas=[
                system_pb2.Replica(
                    name=replica.name,
                    stage=replica.stage,
                    address=replica.server.address,
                    ready=replica.ready,
                    models=sorted(replica.held),
                    batch_sizes=_batch_sizes(self._batchers.profiles(replica)),
                )
                for replica in self._pool.replicas
            ],
        )


def _batch_sizes(profiles: Mapping[str, BatchProfile]) -> Iterator[system_pb2.BatchSize]:
    for model, profile in sorted(profiles.items()):
        for shape in profile.shapes():
            for samples, seconds in sorted(profile.seconds_per_sample(shape).items()):
                yield system_pb2.BatchSize(
                    model=model,
                    latent_height=shape[-2],
                    latent_width=shape[-1],
                    samples=samples,
                    seconds_per_sample=seconds,
                    max_samples=profile.cap(shape),
                )


def _queued(job: Job, entry: Entry) -> generation_pb2.Queued:
    return generation_pb2.Queued(
        request_id=job.request_id,
        checkpoint=entry.name,
        scheduler=job.scheduler,
        num_inference_steps=job.num_inference_steps,
        width=job.width,
        height=job.height,
        seeds=job.seeds,
    )


def _given_name(
    request: checkpoints_pb2.UnregisterCheckpointRequest | checkpoints_pb2.UnloadCheckpointRequest,
) -> str:
    """Where a server has one checkpoint, an empty name means that one; but not to whoever takes it away."""
    if not request.name:
        raise invalid("name", "is empty; name the checkpoint")
    return str(request.name)


def _checkpoint(entry: Entry) -> checkpoints_pb2.Checkpoint:
    message = checkpoints_pb2.Checkpoint(
        name=entry.name,
        path=legible(str(entry.path), _PATH_BYTES),
        state=f"CHECKPOINT_STATE_{entry.state.value}",
        error=legible(entry.error, MESSAGE_LIMIT_BYTES),
        engine=entry.engine or entry.default_engine,
    )
    if checkpoint := entry.checkpoint:
        message.family = checkpoint.family
        message.scheduler = entry.scheduler
        message.warnings.extend([entry.warning] if entry.warning else [])
        message.default_width, message.default_height = checkpoint.default_width, checkpoint.default_height
        message.vae_scale_factor = checkpoint.vae_scale_factor
        message.weights_bytes = checkpoint.weights_bytes
    return message
