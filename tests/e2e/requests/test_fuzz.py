"""Thousands of requests that nobody in their right mind would send: each is answered, and the server is as it was."""

from __future__ import annotations

import io
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from PIL import Image

import triptych
from tests.conftest import CACHE, Served
from tests.e2e.operation.test_failure import descendants
from tests.e2e.requests.fuzzing import Outcome, Requests, send
from tests.e2e.serving import SIZE, Orchestrator, difference, orchestrator, value, wait_for
from tests.loras import save_lora
from tests.session.graphs import fill_cache
from tests.tiny import save_controlnet, save_editing_checkpoint
from triptych.v1 import checkpoints_pb2, generation_pb2, loras_pb2, system_pb2

SEED = 8
CALLERS = 8
LIMITS = {
    "max_num_inference_steps": 2, "max_num_images_per_prompt": 2, "max_pixels": 64 * 64, "max_lora_bytes": 1 << 20,
    "max_concurrent_requests": 4, "max_queued_requests": 2, "max_upscaled_pixels": 256 * 256,
}  # fmt: skip
MODULES = (generation_pb2, checkpoints_pb2, loras_pb2, system_pb2, health_pb2, reflection_pb2)
SERVICES = [service for module in MODULES for service in module.DESCRIPTOR.services_by_name.values()]
OPEN: dict[str, Any] = {"checkpoint": "fuzzed", "prompt": "a star", "num_inference_steps": 2}
REQUEST: dict[str, Any] = OPEN | SIZE
EDIT: dict[str, Any] = {"checkpoint": "edits", "prompt": "make it red", "num_inference_steps": 2}
SIDES = generation_pb2.Sides(left=9, bottom=5)
SMALL = generation_pb2.Size(height=32, width=80)
CONTROLLED: dict[str, Any] = {
    "conditioning_scale": 0.5, "guidance_start": 0.5, "control_mode": "control", "preprocessor": "canny",
    "threshold_a": 90.0, "resize_mode": "resize_and_fill",
}  # fmt: skip
PICTURE: dict[str, Any] = REQUEST | {"seed": 7, "scheduler": "ddim"}


@pytest.fixture(scope="module")
def target(
    served: Served, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Orchestrator]:
    """An orchestrator of its own, so that no other test's checkpoints can be hit."""
    root = tmp_path_factory.mktemp("fuzz")
    pipeline = "StableDiffusionInstructPix2PixPipeline"
    edits = save_editing_checkpoint(root / "edits", checkpoints["sd1"], pipeline, in_channels=8)
    arguments = ["--checkpoint", f"fuzzed={checkpoints['sd1']}", "--checkpoint", f"edits={edits}"]
    net = save_controlnet(root / "net", checkpoints["sd1"])
    fill_cache(CACHE, [net])
    arguments += ["--checkpoint", f"net={net}"]
    arguments += [part for name, value in LIMITS.items() for part in ("--limit", f"{name}={value}")]
    with orchestrator(served, root, *arguments) as one:
        yield one
        with triptych.Client(one.address) as client:  # what it loaded is in the session's stages
            for checkpoint in client.checkpoints():
                client.unregister_checkpoint(checkpoint.name)


def picture(width: int = 64, height: int = 64) -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((width, height), 90).save(stream, "PNG")
    return stream.getvalue()


def control(**more: Any) -> generation_pb2.Control:
    return generation_pb2.Control(name="net", **more)


def valid(checkpoint: Path, lora: Path) -> Mapping[str, Sequence[Message]]:
    """What the server would take; none but Generate and LoadCheckpoint knows the name of the test's own checkpoint."""
    generate, catalog, loras = generation_pb2.GenerateRequest, checkpoints_pb2, loras_pb2
    reflected = reflection_pb2.ServerReflectionRequest
    content = lora.read_bytes()
    return {
        f"triptych.v1.{method}": messages
        for method, messages in {
            "GenerationService.Generate": [
                generate(**REQUEST),
                generate(**REQUEST, preview_every_steps=1, seeds=[1], scheduler="euler", priority=3),
                generate(**REQUEST, loras=[generation_pb2.LoraUse(name="a", weight=0.5)], guidance_scale=1.0),
                generate(**REQUEST, images=[picture()], strength=0.9),
                generate(**REQUEST, image_format="jpeg", quality=80),
                generate(**EDIT, images=[picture(72, 40)], image_guidance_scale=2.0),
                generate(**EDIT, images=[picture()], guidance_scale=1.0, tiling="x", preview_every_steps=1),
                generate(**OPEN, images=[picture(40, 51)], expand=SIDES, expand_fill="noise"),
                generate(**REQUEST, images=[picture()], mask_images=[picture()], mask_blur=4, masked_content="fill"),
                generate(**REQUEST, images=[picture()], mask_images=[picture()], padding_mask_crop=8, invert_mask=True),
                generate(**REQUEST | {"width": 32, "height": 32}, hires=generation_pb2.Hires(upscaler="nearest")),
                generate(**REQUEST, subseeds=[5], subseed_strength=0.5, seed_resize_from=SMALL),
                generate(**REQUEST, upscale=generation_pb2.Upscale(scale=1.5)),
                generate(**REQUEST, controls=[control(image=picture())], guess_mode=True),
                generate(**REQUEST, controls=[control(image=picture(40, 51), **CONTROLLED), control(image=picture())]),
                generate(images=[picture()], upscale=generation_pb2.Upscale(width=99, upscaler="nearest")),
                generate(**REQUEST | {"prompt": "<lora:a:1:0.5> a star"}, negative_prompt="red", request_id="a"),
            ],
            "GenerationService.Preprocess": [
                generation_pb2.PreprocessRequest(preprocessor=name, image=picture(40, 51)) for name in ("canny", "none")
            ],
            "GenerationService.Cancel": [generation_pb2.CancelRequest(request_id="a")],
            "CheckpointService.RegisterCheckpoint": [
                catalog.RegisterCheckpointRequest(name=name, path=str(checkpoint)) for name in ("a", "b")
            ],
            "CheckpointService.LoadCheckpoint": [catalog.LoadCheckpointRequest(name="fuzzed")],
            "CheckpointService.UnloadCheckpoint": [catalog.UnloadCheckpointRequest(name="a")],
            "CheckpointService.UnregisterCheckpoint": [catalog.UnregisterCheckpointRequest(name="b")],
            "LoraService.AddLora": [
                loras.AddLoraRequest(name="a"),
                loras.AddLoraRequest(chunk=content[:100]),
                loras.AddLoraRequest(chunk=content[100:]),
            ],
            "LoraService.RemoveLora": [loras.RemoveLoraRequest(name="a")],
        }.items()
    } | {
        "grpc.health.v1.Health.Check": [health_pb2.HealthCheckRequest(service="triptych.v1.SystemService")],
        "grpc.reflection.v1alpha.ServerReflection.ServerReflectionInfo": [
            reflected(list_services=""),
            reflected(file_containing_symbol="triptych.v1.GenerateRequest"),
            reflected(file_by_filename="triptych/v1/loras.proto"),
        ],
    }  # fmt: skip


# Whether a request of that id is running just then.
BY_CHANCE = {"/triptych.v1.GenerationService/Cancel"}


def is_explained(outcome: Outcome) -> bool:
    """Whether a failure is one that the server means, with the reason that its API promises."""
    if outcome.code in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED):
        return False
    if not outcome.request.path.startswith("/triptych.v1."):
        return outcome.code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)
    status, info = status_pb2.Status(), error_details_pb2.ErrorInfo()
    status.ParseFromString(bytes(outcome.trailers.get("grpc-status-details-bin", b"")))  # type: ignore[arg-type]
    return any(detail.Unpack(info) and info.domain == "triptych" for detail in status.details)


def bombard(address: str, requests: Requests, count: int) -> list[Outcome]:
    # Each takes the next one: with shares of their own, some would add what the others remove when those are done.
    indices = iter(range(count))

    def caller(_: int) -> list[Outcome]:
        with grpc.insecure_channel(address) as channel:
            return [send(channel, requests.make(index)) for index in indices]

    with ThreadPoolExecutor(CALLERS) as pool:
        return list(itertools.chain.from_iterable(pool.map(caller, range(CALLERS))))


def processes(served: Served, target: Orchestrator, client: triptych.Client) -> set[tuple[int, str]]:
    """What must outlive all requests: both ends, and the process of each model of the checkpoint that none may touch.

    By pid and the model's name, since the stages are shared, and what other tests left there may end at any moment.
    """
    held = {model for replica in client.server_info().replicas for model in replica.models}
    held = {model for model in held if model.startswith(("fuzzed.", "edits."))}
    found = {(target.process.pid, "orchestrator")}
    for process in served.stack.processes():
        if process.pid:
            found.add((process.pid, process.name))
            found |= {(pid, model) for pid in descendants(process.pid) for model in held if serves(pid, model)}
    assert {model for _, model in found} >= held > set()
    return found


def serves(pid: int, model: str) -> bool:
    """Whether the process is the stub of a model's instance, which Triton names in its arguments."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(argument.startswith(f"{model}_") for argument in arguments)


@pytest.mark.parametrize("count", [2_000, pytest.param(60_000, marks=pytest.mark.slow)])
def test_whatever_comes_is_answered(
    served: Served, target: Orchestrator, checkpoints: dict[str, Path], tmp_path: Path, count: int
) -> None:
    lora = save_lora(tmp_path / "a.safetensors", checkpoints["sd1"], only="attn1")
    requests = Requests(SEED + count, SERVICES, valid(checkpoints["sd1"], lora))
    with triptych.Client(target.address) as client:
        before = client.generate(**PICTURE)
        client.generate(**PICTURE, image=picture())  # from here on all of the checkpoints' models are there
        client.generate(**EDIT, image=picture())
        running = processes(served, target, client)
        outcomes = bombard(target.address, requests, count)
        failed = [outcome for outcome in outcomes if outcome.code is not grpc.StatusCode.OK]
        assert not [outcome for outcome in failed if not is_explained(outcome)]
        # All of it was reached: nothing is refused at the door alone.
        taken = Counter(outcome.request.path for outcome in outcomes if outcome.code is grpc.StatusCode.OK)
        assert taken.keys() >= {request.path for request in map(requests.make, range(count))} - BY_CHANCE, taken
        assert running == processes(served, target, client)
        assert difference(client.generate(**PICTURE), before) == 0
        wait_for(lambda: value(target.metrics, "triptych_requests_running") == 0)
    assert "Traceback" not in target.log
