"""The checkpoints over gRPC; errors are raised and the interceptor maps them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc

from triptych.checkpoint.identity.about import About
from triptych.errors import invalid
from triptych.legible import legible
from triptych.v1 import checkpoints_pb2, checkpoints_pb2_grpc
from triptych.wire.status import MESSAGE_LIMIT_BYTES
from triptych_orchestrator.library.catalog import Catalog
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.shielded import shielded

# The longest that Linux opens.
_PATH_BYTES = 4096


class CheckpointService(checkpoints_pb2_grpc.CheckpointServiceServicer):  # type: ignore[misc]
    """The catalog over gRPC. A load goes on when its caller leaves, as long as others wait for it."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def ListCheckpoints(  # noqa: N802
        self, request: checkpoints_pb2.ListCheckpointsRequest, context: grpc.aio.ServicerContext
    ) -> checkpoints_pb2.ListCheckpointsResponse:
        """All, by name."""
        return checkpoints_pb2.ListCheckpointsResponse(checkpoints=checkpoint_messages(self._catalog))

    async def RegisterCheckpoint(  # noqa: N802
        self, request: checkpoints_pb2.RegisterCheckpointRequest, context: grpc.aio.ServicerContext
    ) -> checkpoints_pb2.Checkpoint:
        """Checks and takes a directory or a file."""
        registering = self._catalog.register(
            request.name,
            Path(request.path),
            _given(request, "engine"),
            _given(request, "prediction_type"),
            variant=_given(request, "variant"),
            vae=_given(request, "vae"),
            image_encoder=_given(request, "image_encoder"),
            load=request.load,
            purpose=request.purpose,
        )
        entry = await registering
        if request.with_hash:
            await self._catalog.hashed(entry)
        return _checkpoint(self._catalog, entry)

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
        return _checkpoint(self._catalog, await self._catalog.load(request.name))

    async def UnloadCheckpoint(  # noqa: N802
        self, request: checkpoints_pb2.UnloadCheckpointRequest, context: grpc.aio.ServicerContext
    ) -> checkpoints_pb2.Checkpoint:
        """Frees all stages' models."""
        return _checkpoint(self._catalog, await shielded(self._catalog.unload(_given_name(request))))


def _given(request: checkpoints_pb2.RegisterCheckpointRequest, field: str) -> str | None:
    """An optional field's value."""
    return str(getattr(request, field)) if request.HasField(field) else None


def _given_name(
    request: checkpoints_pb2.UnregisterCheckpointRequest | checkpoints_pb2.UnloadCheckpointRequest,
) -> str:
    """Where a server has one checkpoint, an empty name means that one; but not to whoever takes it away."""
    if not request.name:
        raise invalid("name", "is empty; name the checkpoint")
    return str(request.name)


def checkpoint_messages(catalog: Catalog) -> Iterator[checkpoints_pb2.Checkpoint]:
    """All, by name."""
    return (_checkpoint(catalog, entry) for entry in catalog.entries())


def _checkpoint(catalog: Catalog, entry: Entry) -> checkpoints_pb2.Checkpoint:
    message = checkpoints_pb2.Checkpoint(
        name=entry.name,
        path=legible(str(entry.path), _PATH_BYTES),
        state=f"CHECKPOINT_STATE_{entry.state.value}",
        error=legible(entry.error, MESSAGE_LIMIT_BYTES),
        engine=entry.engine or entry.default_engine,
    )
    message.vae = legible(entry.vae, _PATH_BYTES)
    message.image_encoder = legible(entry.image_encoder, _PATH_BYTES)
    if checkpoint := entry.checkpoint:
        message.variant = entry.variant
        message.family = checkpoint.family.name
        message.scheduler = entry.scheduler
        message.warnings.extend(filter(None, [entry.warning, checkpoint.warning]))
        message.default_width, message.default_height = checkpoint.default_width, checkpoint.default_height
        message.vae_scale_factor = checkpoint.vae_scale_factor
        message.weights_bytes = checkpoint.weights_bytes
        message.prediction_type = legible(checkpoint.prediction.type, MESSAGE_LIMIT_BYTES)
        message.prediction_told_by = legible(checkpoint.prediction.told_by, MESSAGE_LIMIT_BYTES)
        if entry.about:
            _tell(message, entry.about)
        message.sha256 = entry.known_sha256
        message.replicas.extend(catalog.residence(entry))
    return message


def _tell(message: checkpoints_pb2.Checkpoint, told: About) -> None:
    message.format, message.precision, message.purpose = told.format, told.precision, told.purpose
    message.union_types.extend(told.union_types)
    message.architecture = legible(told.architecture, MESSAGE_LIMIT_BYTES)
    message.title = legible(told.title, MESSAGE_LIMIT_BYTES)
    message.trigger_words.extend(legible(word, MESSAGE_LIMIT_BYTES) for word in told.trigger_words)
