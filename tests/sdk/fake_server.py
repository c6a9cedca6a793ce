"""A real gRPC server on loopback with canned pictures: what the clients are tested against."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import grpc
from grpc_status import rpc_status
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from triptych.errors import (
    BY_REASON,
    CancelledError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    TriptychError,
)
from triptych.v1 import checkpoints_pb2, generation_pb2, loras_pb2, system_pb2
from triptych.v1.checkpoints_pb2_grpc import add_CheckpointServiceServicer_to_server
from triptych.v1.generation_pb2_grpc import add_GenerationServiceServicer_to_server
from triptych.v1.loras_pb2_grpc import add_LoraServiceServicer_to_server
from triptych.v1.system_pb2_grpc import add_SystemServiceServicer_to_server
from triptych.wire.status import to_status

STEPS = 3


def abort(context: grpc.ServicerContext, error: TriptychError) -> None:
    context.abort_with_status(rpc_status.to_status(to_status(error)))


def png(seed: int, width: int, height: int, *, noisy: bool = False) -> bytes:
    text = PngInfo()
    text.add_text("parameters", f"Seed: {seed}")
    buffer = BytesIO()
    image = Image.new("RGB", (width, height), (seed % 256, 0, 0))
    if noisy:
        image = Image.frombytes("RGB", image.size, os.urandom(width * height * 3))
    image.save(buffer, "PNG", pnginfo=text, compress_level=0 if noisy else 6)
    return buffer.getvalue()


def image(image_format: str, content: bytes, seed: int) -> Any:
    """As a server sends it: in the format that was asked for."""
    with Image.open(BytesIO(content)) as picture:
        told = generation_pb2.Image(seed=seed, width=picture.width, height=picture.height)
        if image_format in ("", "png"):
            told.png, told.format = content, "png"
        else:
            stream = BytesIO()
            picture.save(stream, image_format)
            told.file, told.format = stream.getvalue(), image_format
    return told


SHA256 = "6ce0161689" + 54 * "f"


class FakeServer:
    """Answers by the prompt: "slow" never ends, "mute" nor says anything, "silent" ends without a
    result, "huge" gives noise, "fail REASON" fails.
    """

    def __init__(self, *also_at: str) -> None:
        """Listens on a free port of loopback, and at each of `also_at`, in which {port} is that port."""
        self.requests: list[Any] = []
        self.peers: list[str] = []
        self.running: dict[str, threading.Event] = {}
        self.started = threading.Event()  # a "slow" request is running
        self.ended = threading.Event()  # the call of a "slow" request is over
        self.ready = True
        self.steps = STEPS  # of a request that does not say
        self.known: dict[str, Any] = {}
        self.loras: dict[str, Any] = {}
        self.chunk_sizes: list[int] = []  # of the last upload
        self.content = b""  # likewise
        self._server = grpc.server(ThreadPoolExecutor(8))
        add_GenerationServiceServicer_to_server(self, self._server)
        add_CheckpointServiceServicer_to_server(self, self._server)
        add_LoraServiceServicer_to_server(self, self._server)
        add_SystemServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{self.port}"
        for place in also_at:
            self._server.add_insecure_port(place.format(port=self.port))

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        for stopped in list(self.running.values()):
            stopped.set()
        self._server.stop(None).wait()

    def Generate(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        self.requests.append(request)
        self.peers.append(context.peer())
        if failing := re.fullmatch(r"fail (\w+)", request.prompt):
            abort(context, BY_REASON[failing[1]](f"no luck: {failing[1]}", field="prompt"))
        if request.prompt in ("slow", "mute"):
            stopped = self._stopped_by_cancellation(request.request_id, context)
        count = request.num_images_per_prompt or 1
        seeds = list(request.seeds) or [11]
        seeds = seeds if len(seeds) == count else [seeds[0]] * count
        width, height = request.width or 16, request.height or 8
        queued = generation_pb2.Queued(
            request_id=request.request_id or "made-by-server",
            checkpoint=request.checkpoint or "tiny",
            scheduler=request.scheduler or "ddim",
            num_inference_steps=request.num_inference_steps or self.steps,
            width=width,
            height=height,
            seeds=seeds,
        )
        if request.prompt != "mute":
            yield generation_pb2.GenerateResponse(queued=queued)
        if request.prompt in ("slow", "mute"):
            stopped.wait(120)
            abort(context, CancelledError("cancelled by request"))
        for step in range(1, queued.num_inference_steps + 1):
            previewed = request.preview_every_steps and step % request.preview_every_steps == 0
            yield generation_pb2.GenerateResponse(
                step=generation_pb2.Step(
                    step=step,
                    total=queued.num_inference_steps,
                    timestep=1000 - step,
                    step_seconds=0.25,
                    batch_size=2,
                    preview_png=png(step, 4, 4) if previewed else b"",
                )
            )
        yield generation_pb2.GenerateResponse()  # an event of a kind that this client does not know
        if request.prompt == "silent":
            return
        yield generation_pb2.GenerateResponse(
            result=generation_pb2.Result(
                request_id=queued.request_id,
                images=[
                    image(request.image_format, png(s, width, height, noisy=request.prompt == "huge"), s) for s in seeds
                ],
                timings=generation_pb2.Timings(
                    total_seconds=2.5,
                    unet=generation_pb2.StageTiming(calls=4, wall_seconds=2.0, refit_seconds=0.5, replicas=["unet-0"]),
                ),
                warnings=["prompt cut"] if request.prompt == "long" else [],
            )
        )

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.request_id not in self.running:
            abort(context, NotFoundError(f"no request {request.request_id!r} is running"))
        self.running[request.request_id].set()
        return generation_pb2.CancelResponse()

    def Preprocess(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.requests.append(request)
        if request.preprocessor != "canny":
            abort(context, InvalidArgumentError(f"preprocessor: no {request.preprocessor!r}", field="preprocessor"))
        picture = png(1, request.width or 16, request.height or 8)
        return generation_pb2.PreprocessResponse(png=picture, width=16, height=8, warnings=["the first is taken"])

    def ListPreprocessors(self, request: Any, context: Any) -> Any:  # noqa: N802
        low = generation_pb2.PreprocessorParameter(label="Low", minimum=1, maximum=255, default_value=100, step=1)
        canny = generation_pb2.Preprocessor(name="canny", control_types=["Canny"], threshold_a=low)
        lacking = generation_pb2.Preprocessor(name="depth_midas", aliases=["depth"], missing="weights")
        return generation_pb2.ListPreprocessorsResponse(preprocessors=[canny, lacking])

    def ListCheckpoints(self, request: Any, context: Any) -> Any:  # noqa: N802
        return checkpoints_pb2.ListCheckpointsResponse(checkpoints=list(self.known.values()))

    def RegisterCheckpoint(self, request: Any, context: Any) -> Any:  # noqa: N802
        state = checkpoints_pb2.CHECKPOINT_STATE_LOADED if request.load else checkpoints_pb2.CHECKPOINT_STATE_REGISTERED
        self.known[request.name] = checkpoints_pb2.Checkpoint(
            name=request.name,
            path=request.path,
            state=state,
            engine=request.engine or "onnxruntime",
            family="stable-diffusion",
            default_width=512,
            default_height=512,
            weights_bytes=3_400_000_000,
            format="single-file",
            precision="float16",
            title="Ink, at night",
            trigger_words=["ink", "night"],
            architecture="320-640/768 9c1f3b2a",
            sha256=SHA256 if request.with_hash else "",
            replicas=["encoder-0", "unet-0", "vae-0"] if request.load else [],
            purpose=request.purpose or "drawing",
            prediction_type=request.prediction_type or "epsilon",
            prediction_told_by="its registration" if request.prediction_type else "its kind",
        )
        return self.known[request.name]

    def UnregisterCheckpoint(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._find(request.name, context)
        del self.known[request.name]
        return checkpoints_pb2.UnregisterCheckpointResponse()

    def LoadCheckpoint(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._find(request.name, context).state = checkpoints_pb2.CHECKPOINT_STATE_LOADED
        return self.known[request.name]

    def UnloadCheckpoint(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._find(request.name, context).state = checkpoints_pb2.CHECKPOINT_STATE_REGISTERED
        return self.known[request.name]

    def ListLoras(self, request: Any, context: Any) -> Any:  # noqa: N802
        return loras_pb2.ListLorasResponse(loras=list(self.loras.values()))

    def AddLora(self, requests: Iterator[Any], context: Any) -> Any:  # noqa: N802
        """Refuses at the first chunk what is named "full", while the client still sends."""
        first = next(requests)
        name, self.replace = first.name, first.replace
        if name == "full":
            next(requests)
            abort(context, ResourceExhaustedError("too large"))
        chunks = [request.chunk for request in requests]
        self.chunk_sizes = [len(chunk) for chunk in chunks]
        self.content = content = b"".join(chunks)
        digest = hashlib.sha256(content).hexdigest()
        self.loras[name] = loras_pb2.Lora(
            name=name, digest=digest, size_bytes=len(content), format="kohya", modules=192, rank=16, algorithms=["LoRA"]
        )
        return self.loras[name]

    def RemoveLora(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.name not in self.loras:
            abort(context, NotFoundError(f"lora: {request.name!r} is not known"))
        del self.loras[request.name]
        return loras_pb2.RemoveLoraResponse()

    def GetServerInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        return system_pb2.ServerInfo(
            version="9.9",
            schedulers=["ddim", "pndm"],
            engines=["onnxruntime"],
            limits=system_pb2.Limits(max_width=1024, max_loras=32, max_lora_bytes=2**31),
            replicas=[
                system_pb2.Replica(name="unet-0", stage="unet", address="127.0.0.1:1", ready=self.ready),
                system_pb2.Replica(name="vae-0", stage="vae", ready=True, models=["tiny.vae_decoder"]),
            ],
        )

    def _find(self, name: str, context: Any) -> Any:
        if name not in self.known:
            abort(context, NotFoundError(f"no checkpoint {name!r}; there are: {', '.join(self.known)}"))
        return self.known[name]

    def _stopped_by_cancellation(self, request_id: str, context: Any) -> threading.Event:
        stopped = threading.Event()

        def over() -> None:
            stopped.set()
            self.ended.set()

        if not context.add_callback(over):  # the client was faster and is gone already
            over()
        self.running[request_id] = stopped
        self.started.set()
        return stopped
