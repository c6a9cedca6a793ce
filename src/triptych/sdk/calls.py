"""Every call of the API as a value: method, request, and how the response decodes; the transports run them.

call = register_checkpoint("tiny", "/models/tiny")
call.decode(call.method(channel)(call.request))
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc

from triptych.contract.paths import told_path
from triptych.sdk.catalog import Checkpoint, ServerInfo, decode_checkpoint, decode_server_info
from triptych.sdk.events import Event, decode_event
from triptych.sdk.fields import filled
from triptych.sdk.loras import Lora, decode_lora, upload
from triptych.sdk.preprocessing import Preprocessed, Preprocessor, decode_preprocessed, decode_preprocessor
from triptych.v1 import checkpoints_pb2 as checkpoints
from triptych.v1 import generation_pb2 as generation
from triptych.v1 import loras_pb2 as loras
from triptych.v1 import system_pb2 as system
from triptych.v1.checkpoints_pb2_grpc import CheckpointServiceStub
from triptych.v1.generation_pb2_grpc import GenerationServiceStub
from triptych.v1.loras_pb2_grpc import LoraServiceStub
from triptych.v1.system_pb2_grpc import SystemServiceStub

Value = TypeVar("Value")


@dataclass(frozen=True)
class Call(Generic[Value]):
    """One call; `method` takes a channel, sync or asyncio, and gives the callable."""

    method: Callable[[grpc.Channel], Any]
    request: Any
    decode: Callable[[Any], Value]


def generate(request: generation.GenerateRequest) -> Call[Event | None]:
    """The streaming call; `decode` is for each of its responses."""
    return Call(lambda channel: GenerationServiceStub(channel).Generate, request, decode_event)


def cancel(request_id: str) -> Call[None]:
    """Stops a running request."""
    request = filled(generation.CancelRequest(), request_id=request_id)
    return Call(lambda channel: GenerationServiceStub(channel).Cancel, request, _nothing)


def preprocess(request: generation.PreprocessRequest) -> Call[Preprocessed]:
    """What a picture becomes."""
    return Call(lambda channel: GenerationServiceStub(channel).Preprocess, request, decode_preprocessed)


def list_preprocessors() -> Call[list[Preprocessor]]:
    """All of them."""
    return Call(
        lambda channel: GenerationServiceStub(channel).ListPreprocessors,
        generation.ListPreprocessorsRequest(),
        lambda response: [decode_preprocessor(each) for each in response.preprocessors],
    )


def list_checkpoints() -> Call[list[Checkpoint]]:
    """All checkpoints."""
    return Call(
        lambda channel: CheckpointServiceStub(channel).ListCheckpoints,
        checkpoints.ListCheckpointsRequest(),
        lambda response: [decode_checkpoint(each) for each in response.checkpoints],
    )


def register_checkpoint(
    name: str,
    path: str | os.PathLike[str],
    engine: str | None,
    load: bool,
    prediction_type: str | None = None,
    variant: str | None = None,
    vae: str | os.PathLike[str] | None = None,
    with_hash: bool = False,
    image_encoder: str | os.PathLike[str] | None = None,
    *,
    purpose: str = "",
) -> Call[Checkpoint]:
    """Takes a directory or a file under a name; a relative path that exists here is sent as absolute."""
    fields: dict[str, Any] = {"name": name, "path": _server_path("path", path), "load": load, "with_hash": with_hash}
    fields["purpose"] = purpose
    choices = {"engine": engine, "prediction_type": prediction_type, "variant": variant}
    for field, given in (("vae", vae), ("image_encoder", image_encoder)):
        choices[field] = _server_path(field, given) if given else None if given is None else ""
    fields |= {field: choice for field, choice in choices.items() if choice is not None}
    request = filled(checkpoints.RegisterCheckpointRequest(), **fields)
    return Call(lambda channel: CheckpointServiceStub(channel).RegisterCheckpoint, request, decode_checkpoint)


def unregister_checkpoint(name: str) -> Call[None]:
    """Unloads and forgets."""
    request = filled(checkpoints.UnregisterCheckpointRequest(), name=name)
    return Call(lambda channel: CheckpointServiceStub(channel).UnregisterCheckpoint, request, _nothing)


def load_checkpoint(name: str) -> Call[Checkpoint]:
    """Loads in all stages."""
    request = filled(checkpoints.LoadCheckpointRequest(), name=name)
    return Call(lambda channel: CheckpointServiceStub(channel).LoadCheckpoint, request, decode_checkpoint)


def unload_checkpoint(name: str) -> Call[Checkpoint]:
    """Frees the memory of all stages."""
    request = filled(checkpoints.UnloadCheckpointRequest(), name=name)
    return Call(lambda channel: CheckpointServiceStub(channel).UnloadCheckpoint, request, decode_checkpoint)


def list_loras() -> Call[list[Lora]]:
    """All LoRAs."""
    return Call(
        lambda channel: LoraServiceStub(channel).ListLoras,
        loras.ListLorasRequest(),
        lambda response: [decode_lora(each) for each in response.loras],
    )


def add_lora(name: str, path: str | os.PathLike[str], replace: bool) -> Call[Lora]:
    """Sends a file; the request is an iterator of messages, for one call."""
    return Call(lambda channel: LoraServiceStub(channel).AddLora, upload(name, path, replace), decode_lora)


def remove_lora(name: str) -> Call[None]:
    """Forgets a name."""
    request = filled(loras.RemoveLoraRequest(), name=name)
    return Call(lambda channel: LoraServiceStub(channel).RemoveLora, request, _nothing)


def server_info() -> Call[ServerInfo]:
    """What the server is and can do."""
    request = system.GetServerInfoRequest()
    return Call(lambda channel: SystemServiceStub(channel).GetServerInfo, request, decode_server_info)


def _nothing(response: Any) -> None:
    """An empty response decodes to None."""


def _server_path(field: str, path: str | os.PathLike[str]) -> str:
    """The server's working directory is not the caller's: what is relative to ours is sent as absolute."""
    local = Path(path).expanduser()
    try:
        there = local.absolute() if local.exists() else path
    except OSError:  # no path of this machine, too long for one say: the server tells what is wrong with it
        there = path
    return told_path(field, there)
