"""What this server is, over gRPC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import grpc

from triptych._version import __version__
from triptych.contract.engines import ENGINES
from triptych.v1 import system_pb2
from triptych.v1 import system_pb2_grpc as system_grpc
from triptych_orchestrator.api.checkpoints import checkpoint_messages
from triptych_orchestrator.batching.profile import BatchProfile
from triptych_orchestrator.batching.signature import dims_of
from triptych_orchestrator.library.catalog import Catalog
from triptych_orchestrator.pipeline.painter import Painter
from triptych_orchestrator.sampling.interpolation import LATENT_UPSCALERS
from triptych_orchestrator.sampling.schedulers import scheduler_names
from triptych_orchestrator.settings import Limits
from triptych_orchestrator.stages.pool import ReplicaPool


class SystemService(system_grpc.SystemServiceServicer):  # type: ignore[misc]
    """What this server is."""

    def __init__(self, pool: ReplicaPool, catalog: Catalog, painter: Painter, limits: Limits) -> None:
        self._pool = pool
        self._catalog = catalog
        self._painter = painter
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
                    batch_sizes=_batch_sizes(self._painter.batchers.profiles(replica)),
                )
                for replica in self._pool.replicas
            ],
            checkpoints=checkpoint_messages(self._catalog),
            upscalers=self._painter.upscalers.names(),
            latent_upscalers=LATENT_UPSCALERS,
            hooks=self._painter.hooks.names,
        )


def _batch_sizes(profiles: Mapping[str, BatchProfile]) -> Iterator[system_pb2.BatchSize]:
    for model, profile in sorted(profiles.items()):
        for kind in profile.known():
            *_, height, width = dims_of(kind.extents, "latents")
            for samples, seconds in sorted(profile.seconds_per_sample(kind).items()):
                yield system_pb2.BatchSize(
                    model=model,
                    latent_height=height,
                    latent_width=width,
                    samples=samples,
                    seconds_per_sample=seconds,
                    max_samples=profile.cap(kind),
                    tokens=next(iter(dims_of(kind.extents, "encoder_hidden_states")), 0),
                    tiling=kind.tiling,
                )
