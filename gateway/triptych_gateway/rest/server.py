"""What the server is and can do."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from triptych.sdk import Checkpoint, Lora
from triptych.sdk.catalog import BatchSize, Limits, Replica, ServerInfo
from triptych_gateway.described import Answer, described
from triptych_gateway.gateway import GatewayOf

router = APIRouter(tags=["server"])

CheckpointAnswer: Any = described("Checkpoint", Checkpoint, Answer)
LoraAnswer: Any = described("Lora", Lora, Answer)
BatchSizeAnswer: Any = described("BatchSize", BatchSize, Answer)
ReplicaAnswer: Any = described("Replica", Replica, Answer, changed={"batch_sizes": list[BatchSizeAnswer]})
LimitsAnswer: Any = described("Limits", Limits, Answer)
ServerAnswer: Any = described(
    "Server",
    ServerInfo,
    Answer,
    changed={"limits": LimitsAnswer, "replicas": list[ReplicaAnswer]},
    without=("checkpoints",),
)


@router.get("/server", response_model=ServerAnswer)
async def server(gateway: GatewayOf) -> Any:
    """Version, schedulers, engines, upscalers, limits, the stages' replicas, and hooks."""
    return await gateway.client.server_info()
