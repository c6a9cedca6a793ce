"""The public API without the SDK: plain gRPC stubs, and what an error says.

python examples/raw_grpc.py [ADDRESS] [CHECKPOINT]   # by default the first that the server has
"""

from __future__ import annotations

import sys
from pathlib import Path

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from triptych.v1 import checkpoints_pb2, checkpoints_pb2_grpc, generation_pb2, generation_pb2_grpc

# Pictures may be larger than gRPC's own limit; and a proxy of the environment would be asked for loopback too.
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]


def first_checkpoint(channel: grpc.Channel) -> str:
    """The name of one that can be drawn with; a request may leave it out where there is only one."""
    service = checkpoints_pb2_grpc.CheckpointServiceStub(channel)
    known = service.ListCheckpoints(checkpoints_pb2.ListCheckpointsRequest()).checkpoints
    usable = [each.name for each in known if each.state != checkpoints_pb2.CHECKPOINT_STATE_FAILED and draws(each)]
    if not usable:
        raise SystemExit("the server has no checkpoint; add one: triptych checkpoints add NAME PATH")
    return str(usable[0])


def draws(checkpoint: checkpoints_pb2.Checkpoint) -> bool:
    """Whether a prompt is enough for it: a refiner begins with an image, and a VAE alone makes none."""
    return checkpoint.family in ("stable-diffusion", "stable-diffusion-xl")


def main(address: str = "127.0.0.1:50051", checkpoint: str = "") -> None:
    """One picture, then one refused request."""
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        checkpoint = checkpoint or first_checkpoint(channel)
        service = generation_pb2_grpc.GenerationServiceStub(channel)
        request = generation_pb2.GenerateRequest(
            checkpoint=checkpoint,
            prompt="a blue square on a yellow background",
            num_inference_steps=20,
            seeds=[7],
        )
        for response in service.Generate(request, timeout=300):
            kind = response.WhichOneof("event")
            if kind == "step":
                print(f"step {response.step.step} of {response.step.total}")
            elif kind == "result":
                Path("square.png").write_bytes(response.result.images[0].png)
                print("square.png")
        try:
            list(service.Generate(generation_pb2.GenerateRequest(checkpoint=checkpoint, width=100, height=100)))
        except grpc.RpcError as error:
            status = rpc_status.from_call(error)
            info = error_details_pb2.ErrorInfo()
            if status is not None and status.details[0].Unpack(info):
                print(f"{error.code().name}: {info.reason} {dict(info.metadata)}: {error.details()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
