from __future__ import annotations

from triptych_orchestrator.stages.replica import Replica
from triptych_orchestrator.stages.triton import TritonServer


async def test_of_many_lora_sets_those_lately_used_are_remembered() -> None:
    server = TritonServer("127.0.0.1:1")
    replica = Replica("unet-0", "unet", server, 1.0)
    for number in range(16):
        replica.remember_loras(bytes([number]))
    for key in (0, 1, 0, 16, 17):
        replica.remember_loras(bytes([key]))
    assert list(replica.lora_keys) == [bytes([number]) for number in [*range(4, 16), 1, 0, 16, 17]]
    await server.close()
