"""What is unregistered is gone from an orchestrator's memory: one in the test's own process, before real stages."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from tests.conftest import Served
from tests.e2e.serving import SIZE
from tests.loras import save_lora
from triptych.sdk import AsyncClient
from triptych.v1 import checkpoints_pb2_grpc, generation_pb2_grpc, system_pb2_grpc
from triptych_orchestrator.api.checkpoints import CheckpointService
from triptych_orchestrator.api.generation import GenerationService
from triptych_orchestrator.api.interceptor import ErrorInterceptor
from triptych_orchestrator.api.system import SystemService
from triptych_orchestrator.jobs.admission import Admission
from triptych_orchestrator.library.catalog import Catalog
from triptych_orchestrator.library.loras.choice import LoraChooser
from triptych_orchestrator.library.loras.registry import LoraRegistry
from triptych_orchestrator.pipeline.painter import Painter
from triptych_orchestrator.settings import Settings
from triptych_orchestrator.stages.pool import ReplicaPool

ROUNDS = 3


@pytest.fixture
def settings(served: Served, tmp_path: Path) -> Settings:
    stages = {replica.stage: [replica.address] for replica in served.client.server_info().replicas}
    return Settings("127.0.0.1:0", None, stages, tmp_path / "state")


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[ReplicaPool]:
    pool = ReplicaPool(settings)
    await pool.start()
    yield pool
    await pool.stop()


@pytest.fixture
def catalog(settings: Settings, pool: ReplicaPool) -> Catalog:
    return Catalog(settings, pool)


@pytest.fixture
async def registry(settings: Settings, checkpoints: dict[str, Path], tmp_path: Path) -> LoraRegistry:
    registry = LoraRegistry(settings.lora_folder, settings.limits)
    await registry.add("ink", save_lora(tmp_path / "ink.safetensors", checkpoints["sd1"]))
    return registry


@pytest.fixture
async def client(
    settings: Settings, pool: ReplicaPool, catalog: Catalog, registry: LoraRegistry
) -> AsyncIterator[AsyncClient]:
    painter, limits = Painter(pool, settings.call_timeout_s), settings.limits
    generation = GenerationService(catalog, LoraChooser(registry), painter, Admission(limits), limits)
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    generation_pb2_grpc.add_GenerationServiceServicer_to_server(generation, server)
    checkpoints_pb2_grpc.add_CheckpointServiceServicer_to_server(CheckpointService(catalog), server)
    system = SystemService(pool, catalog, painter, limits)
    system_pb2_grpc.add_SystemServiceServicer_to_server(system, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with AsyncClient(address) as client:
        yield client
    await server.stop(None)


async def measured(client: AsyncClient) -> set[str]:
    """The models that batch sizes are told of."""
    return {size.model for replica in (await client.server_info()).replicas for size in replica.batch_sizes}


async def test_nothing_keeps_a_checkpoint_that_was_unregistered(
    client: AsyncClient, catalog: Catalog, checkpoints: dict[str, Path]
) -> None:
    left: list[weakref.ref[object]] = []
    for number in range(ROUNDS):
        name = f"gone-{number}"
        await client.register_checkpoint(name, checkpoints["sd1"])
        # Two steps: the first of a size counts as warming up.
        await client.generate("a star", loras=["ink"], num_inference_steps=3, checkpoint=name, **SIZE)
        assert await measured(client) == {f"{name}.unet"}
        entry = catalog.get(name)
        assert entry.tokenizers
        left += [weakref.ref(entry), weakref.ref(entry.tokenizers[0])]
        del entry
        await client.unregister_checkpoint(name)
    gc.collect()
    assert [ref() for ref in left] == [None] * (2 * ROUNDS)
    assert await measured(client) == set()
