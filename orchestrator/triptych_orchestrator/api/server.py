"""The orchestrator's process: services, health, reflection, metrics, and an orderly end."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import signal
from collections.abc import Sequence
from types import FrameType

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import start_http_server

from triptych.contract.hub import HubId
from triptych.errors import FailedPreconditionError
from triptych.keys import Keys
from triptych.v1 import (
    checkpoints_pb2,
    checkpoints_pb2_grpc,
    generation_pb2,
    generation_pb2_grpc,
    loras_pb2,
    loras_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
)
from triptych_orchestrator.api.authentication import Authentication
from triptych_orchestrator.api.checkpoints import CheckpointService
from triptych_orchestrator.api.drain import Drain, cut_off
from triptych_orchestrator.api.generation import GenerationService
from triptych_orchestrator.api.health import Health
from triptych_orchestrator.api.interceptor import ErrorInterceptor
from triptych_orchestrator.api.loras import LoraService
from triptych_orchestrator.api.patience import Patience
from triptych_orchestrator.api.system import SystemService
from triptych_orchestrator.jobs.admission import Admission
from triptych_orchestrator.jobs.hints.preprocessors import Preprocessors
from triptych_orchestrator.library.catalog import Catalog
from triptych_orchestrator.library.collecting import collect_seldom
from triptych_orchestrator.library.loras.choice import LoraChooser
from triptych_orchestrator.library.loras.registry import LoraRegistry
from triptych_orchestrator.library.networks import StageNetworks
from triptych_orchestrator.library.upscalers import Upscalers
from triptych_orchestrator.metrics import REGISTRY, REPLICAS_READY
from triptych_orchestrator.pipeline.hooks.chosen import hooks_of
from triptych_orchestrator.pipeline.painter import Painter
from triptych_orchestrator.pipeline.tiling.upscaling import StageUpscalers
from triptych_orchestrator.settings import Settings
from triptych_orchestrator.stages.pool import ReplicaPool

logger = logging.getLogger("triptych.server")

# A second server on the port would share its calls unseen; messages carry pictures.
_OPTIONS = [("grpc.so_reuseport", 0), ("grpc.max_send_message_length", -1)]
# gRPC's own limit, for what a request brings besides pictures; and the largest that it can be told.
_MESSAGE_BYTES, _MOST_MESSAGE_BYTES = 4 << 20, 2**31 - 1
# After the drain: for what was said to go out, and for all that is left to do.
_PARTING_S = 1.0
_END_S = 3.0
_SERVICES = tuple(f"triptych.v1.{name}Service" for name in ("Generation", "Checkpoint", "Lora", "System"))


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; then refuses new requests and lets running ones finish, for a while.

    Health says SERVING once every LoRA of the command line is taken and every checkpoint loaded and warm.
    """
    collect_seldom()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    pool = ReplicaPool(settings)
    catalog = Catalog(settings, pool)
    loras = LoraRegistry(settings.lora_folder, settings.limits)
    health, drain, admission = Health(_SERVICES), Drain(), Admission(settings.limits)
    server = _server(settings, pool, catalog, loras, health, drain, admission)
    await server.start()
    await pool.start()
    try:
        prepared = asyncio.create_task(_prepare(settings, catalog, loras))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait([prepared, stopped], return_when=asyncio.FIRST_COMPLETED)
        if prepared.done():
            prepared.result()
            health.announce(serving=True)
            logger.info("serving", extra={"address": settings.listen})
            await stopped
        prepared.cancel()
    finally:
        health.announce(serving=False)
        await _drain(settings.drain_timeout_s, drain, admission)
        health.close()
        # Until here the server answers, so that whoever comes is told why not; what was said last still goes out.
        await server.stop(_PARTING_S)
        await pool.stop()
        logger.info("stopped")


async def _drain(timeout_s: float, drain: Drain, admission: Admission) -> None:
    logger.info("draining", extra={"timeout_s": timeout_s})
    _end_within(timeout_s + _END_S)
    drain.begin()
    await drain.idle(timeout_s)
    drain.end()
    admission.stop_all(cut_off())


def _end_within(seconds: float) -> None:
    """Ends the process then at the latest, whatever hangs: a thread that reads from a disk that is gone, say."""

    def give_up(number: int, frame: FrameType | None) -> None:
        logger.error("not ended in time; given up")
        os._exit(1)

    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)


async def _prepare(settings: Settings, catalog: Catalog, loras: LoraRegistry) -> None:
    for name, path in settings.loras.items():
        await loras.add(name, path, replace=True)
    encoders = {name: str(path.absolute()) for name, path in settings.image_encoders.items()}
    for name, path in settings.checkpoints.items():
        named = path if HubId.parse(str(path)) and not path.exists() else path.absolute()
        variant = settings.variants.get(name)
        await catalog.register(name, named, variant=variant, image_encoder=encoders.get(name), load=True)
    await catalog.restore()
    kept = {entry.name for entry in catalog.entries()}
    for name, path in settings.transient_checkpoints.items():
        if name in kept:
            await catalog.load(name)
        else:
            encoder = encoders.get(name)
            await catalog.register(name, path.absolute(), image_encoder=encoder, load=True, is_transient=True)


def _server(
    settings: Settings,
    pool: ReplicaPool,
    catalog: Catalog,
    loras: LoraRegistry,
    health: Health,
    drain: Drain,
    admission: Admission,
) -> grpc.aio.Server:
    limits = settings.limits
    guards = [Authentication(Keys(settings.credentials))] if settings.credentials else []
    interceptors = [Patience(limits.max_unread_seconds), ErrorInterceptor(), *guards, drain]
    received_bytes = min(limits.max_image_bytes + _MESSAGE_BYTES, _MOST_MESSAGE_BYTES)
    options = [*_OPTIONS, ("grpc.max_receive_message_length", received_bytes)]
    server = grpc.aio.server(interceptors=interceptors, options=options)
    upscalers = Upscalers(StageUpscalers(pool, catalog, settings.call_timeout_s, limits.max_image_pixels))
    preprocessors = Preprocessors(StageNetworks(pool, catalog, settings.call_timeout_s))
    painter = Painter(pool, settings.call_timeout_s, limits, upscalers, hooks_of(settings, pool), preprocessors)
    generation = GenerationService(catalog, LoraChooser(loras), painter, admission, limits)
    generation_pb2_grpc.add_GenerationServiceServicer_to_server(generation, server)
    checkpoints_pb2_grpc.add_CheckpointServiceServicer_to_server(CheckpointService(catalog), server)
    loras_pb2_grpc.add_LoraServiceServicer_to_server(LoraService(loras, limits.max_lora_upload_pause_seconds), server)
    system = SystemService(pool, catalog, painter, limits)
    system_pb2_grpc.add_SystemServiceServicer_to_server(system, server)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    described: Sequence[str] = [
        service.full_name
        for module in (generation_pb2, checkpoints_pb2, loras_pb2, system_pb2, health_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
    ]
    reflection.enable_server_reflection([*described, reflection.SERVICE_NAME], server)
    _listen(server, settings)
    if settings.metrics:
        host, _, port = settings.metrics.rpartition(":")
        try:
            start_http_server(int(port), host, registry=REGISTRY)
        except (OSError, ValueError, OverflowError) as error:
            raise FailedPreconditionError(f"cannot serve metrics on {settings.metrics}: {error}") from error
    for stage in settings.stages:
        REPLICAS_READY.labels(stage).set_function(functools.partial(pool.count_ready, stage))
    return server


def _listen(server: grpc.aio.Server, settings: Settings) -> None:
    addresses = [settings.listen, *([settings.listen_inside] if settings.listen_inside else [])]
    for address in addresses:
        try:
            if address == settings.listen and settings.tls_cert and settings.tls_key:
                pair = (settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())
                server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
            else:
                server.add_insecure_port(address)
        except (RuntimeError, OSError) as error:
            raise FailedPreconditionError(f"cannot listen on {address}: {error}") from error
