"""Stages that die, hang or lose what they held, on a stack of its own with two UNet replicas."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc as triton
from PIL import Image
from tritonclient.utils import InferenceServerException

import triptych
from tests.conftest import CACHE, Served
from tests.e2e.ip_adapters.making import save_ip_adapter
from tests.e2e.serving import SIZE, at_once, difference, orchestrator, wait_for
from tests.session.graphs import fill_cache
from tests.tiny import save_controlnet, save_editing_checkpoint
from triptych.contract import UNET
from triptych.contract.repository import model_config, model_shim
from triptych.embedded import Stack, StackConfig
from triptych.embedded.commands import Commands
from triptych.errors import UnavailableError
from triptych.sdk.events import Result, Step

STEPS = 120
# Without guidance a step is one sample wherever it is done, so that pictures are equal to the bit. So many steps of a
# random network make any picture of the last bit of a step.
REQUEST: dict[str, Any] = {
    "prompt": "a red circle", "scheduler": "ddim", "num_inference_steps": STEPS, "guidance_scale": 1.0, "seed": 3,
    **SIZE,
}  # fmt: skip


class Impatient(Commands):
    """An orchestrator that waits for a lost stage only so long."""

    def orchestrator(self) -> tuple[str, ...]:
        return (sys.executable, "-m", "triptych_orchestrator", "--recovery-timeout", "60")


@pytest.fixture(scope="module")
def fragile(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = StackConfig(
        {"sd1": checkpoints["sd1"]},
        run_dir=tmp_path_factory.mktemp("fragile"),
        cache_dir=CACHE,
        replicas={"unet": 2},
        startup_timeout_s=900,
    )
    with Stack(config, Impatient()) as stack, triptych.Client(stack.address) as client:
        yield Served(stack, client)


def descendants(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # a thread that ends meanwhile says nothing of the others' children
                found += map(int, (task / "children").read_text().split())
    return found + [grandchild for child in found for grandchild in descendants(child)]


def stub_of(fragile: Served, replica: str) -> int:
    """The process that hosts the replica's one model."""
    pid = server_of(fragile, replica)
    for child in [pid, *descendants(pid)]:
        if b"triton_python_backend_stub" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[0]:
            return child
    raise AssertionError(f"{replica} has no stub")


def server_of(fragile: Served, replica: str) -> int:
    pid = next(one.pid for one in fragile.stack.processes() if one.name == replica)
    assert pid is not None
    return pid


def all_ready(fragile: Served) -> bool:
    """Whether every replica holds its models, by the orchestrator's word and by its own.

    The orchestrator learns of a death when it next asks or calls; a server that was started again holds only what the
    orchestrator has loaded since.
    """
    return all(
        replica.ready and replica.models and all(holds(replica.address, model) for model in replica.models)
        for replica in fragile.client.server_info().replicas
    )


def holds(address: str, model: str) -> bool:
    try:
        with triton.InferenceServerClient(address) as client:
            return bool(client.is_model_ready(model, client_timeout=5))
    except InferenceServerException:
        return False


def interrupted(
    fragile: Served, interrupt: Callable[[str], None], request: Mapping[str, Any] = REQUEST
) -> tuple[list[Step], Result]:
    """A request during which `interrupt` is called with the name of its unet replica."""
    steps: list[Step] = []
    for event in fragile.client.stream(**request):
        if isinstance(event, Step):
            steps.append(event)
            if event.step == 5:
                interrupt(event.replicas[0])
    assert isinstance(event, Result)
    return steps, event


@pytest.fixture
def expected(fragile: Served) -> Result:
    wait_for(lambda: all_ready(fragile), 120, "all replicas")
    return fragile.client.generate(**REQUEST)


def test_the_other_replica_takes_over(fragile: Served, expected: Result) -> None:
    steps, result = interrupted(fragile, lambda name: os.kill(server_of(fragile, name), signal.SIGKILL))
    assert result.files == expected.files  # to the last byte, what they say of themselves among it
    assert len(steps) == STEPS and sorted(result.timings.unet.replicas) == ["unet-0", "unet-1"]
    wait_for(lambda: all_ready(fragile), 120, "the restarted replica with its models")


def test_what_a_request_had_placed_comes_back_with_the_stage(fragile: Served, expected: Result) -> None:
    image = Image.effect_noise((64, 64), 90).convert("RGB")
    request = REQUEST | {"image": image, "num_inference_steps": 4}
    before = fragile.client.generate(**request)
    os.kill(server_of(fragile, "vae-0"), signal.SIGKILL)
    assert difference(fragile.client.generate(**request), before) == 0
    wait_for(lambda: all_ready(fragile), 120, "the restarted replica with its models")
    models = [model for one in fragile.client.server_info().replicas for model in one.models if one.stage == "vae"]
    assert sorted(models) == ["sd1.vae_decoder", "sd1.vae_encoder"]


def test_the_half_of_a_guided_step_is_done_again(fragile: Served, expected: Result) -> None:
    guided = REQUEST | {"guidance_scale": 3.0, "num_inference_steps": 12}
    before = fragile.client.generate(**guided)
    assert before.timings.unet.split_calls == 12 and before.timings.unet.replicas == ["unet-0", "unet-1"]
    for event in fragile.client.stream(**guided):
        if isinstance(event, Step) and event.step == 4:
            assert event.replicas == ["unet-0", "unet-1"]
            os.kill(server_of(fragile, "unet-1"), signal.SIGKILL)
    assert isinstance(event, Result)
    assert difference(event, before) <= 2


def test_a_controlled_request_is_done_again(fragile: Served, expected: Result, checkpoints: dict[str, Path]) -> None:
    path = save_controlnet(fragile.stack.run_dir / "canny", checkpoints["sd1"])
    fill_cache(CACHE, [path])
    fragile.client.register_controlnet("canny", path)
    control = triptych.Control("canny", Image.effect_noise((64, 64), 90))
    request = REQUEST | {"controls": [control]}
    before = fragile.client.generate(**request)
    assert difference(before, expected) > 3
    _, result = interrupted(fragile, lambda name: os.kill(server_of(fragile, name), signal.SIGKILL), request)
    assert result.files == before.files
    wait_for(lambda: all_ready(fragile), 120, "the restarted replica with its models")
    fragile.client.unregister_checkpoint("canny")


@pytest.mark.slow
def test_what_looks_at_a_picture_is_done_again(
    fragile: Served, expected: Result, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    path = save_ip_adapter(tmp_path, checkpoints["sd1"])
    fill_cache(CACHE, [path])
    fragile.client.register_ip_adapter("plain", path)
    request = REQUEST | {"ip_adapters": [triptych.IpAdapter("plain", Image.effect_noise((64, 64), 90))]}
    before = fragile.client.generate(**request)
    assert difference(before, expected) > 3
    _, result = interrupted(fragile, lambda name: os.kill(server_of(fragile, name), signal.SIGKILL), request)
    assert result.files == before.files
    wait_for(lambda: all_ready(fragile), 120, "the restarted replica with its models")
    os.kill(server_of(fragile, "encoder-0"), signal.SIGKILL)
    other = REQUEST | {"ip_adapters": [triptych.IpAdapter("plain", Image.effect_noise((80, 64), 50))]}
    assert difference(fragile.client.generate(**other), before) > 3
    wait_for(lambda: all_ready(fragile), 120, "the restarted encoder with its models")
    assert fragile.client.generate(**request).files == before.files
    fragile.client.unregister_checkpoint("plain")


def test_a_dead_stub_is_brought_back(fragile: Served, expected: Result) -> None:
    _, result = interrupted(fragile, lambda name: os.kill(stub_of(fragile, name), signal.SIGKILL))
    assert result.files == expected.files
    # The replica whose stub died serves again.
    assert fragile.client.generate(**REQUEST).files == expected.files


def reloaded(fragile: Served, checkpoint: str, replica: str) -> None:
    """Whatever the replica's model of the checkpoint kept is gone."""
    address = next(one.address for one in fragile.client.server_info().replicas if one.name == replica)
    path = next(one.path for one in fragile.client.checkpoints() if one.name == checkpoint)
    with triton.InferenceServerClient(address) as client:
        client.unload_model(f"{checkpoint}.unet")
        config = json.dumps(model_config(UNET, {"checkpoint": path, "engine": "onnxruntime"}))
        client.load_model(f"{checkpoint}.unet", config=config, files={"file:1/model.py": model_shim(UNET).encode()})


def test_lost_conditioning_is_sent_again(fragile: Served, expected: Result) -> None:
    steps, result = interrupted(fragile, lambda replica: reloaded(fragile, "sd1", replica))
    assert difference(result, expected) == 0 and len(steps) == STEPS


def test_what_a_unet_sees_of_an_image_is_sent_again(
    fragile: Served, expected: Result, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """With the mask and the masked picture's latents, which come with the first step alone, as the texts do."""
    path = save_editing_checkpoint(tmp_path / "inpaint", checkpoints["sd1"], "StableDiffusionInpaintPipeline", 9)
    image = Image.effect_noise((64, 64), 90).convert("RGB")
    mask = Image.new("L", (64, 64))
    mask.paste("white", (0, 0, 40, 64))
    request = REQUEST | {"checkpoint": "inpaint", "image": image, "mask_image": mask, "num_inference_steps": 12}
    fragile.client.register_checkpoint("inpaint", path, load=True)
    try:
        before = fragile.client.generate(**request)
        lost: list[str] = []

        def lose(replica: str) -> None:
            lost.append(replica)
            reloaded(fragile, "inpaint", replica)

        steps, result = interrupted(fragile, lose, request)
    finally:
        fragile.client.unregister_checkpoint("inpaint")
    assert lost and difference(result, before) == 0 and [step.step for step in steps] == [*range(1, 13)]


def test_many_at_once_outlive_a_replica(fragile: Served, expected: Result) -> None:
    requests = [
        REQUEST | {"prompt": prompt, "seed": seed, "scheduler": scheduler}
        for seed, (prompt, scheduler) in enumerate(
            [("a red circle", "ddim"), ("a star", "euler"), ("blue", "pndm"), ("green star", "euler_ancestral")]
        )
    ]
    alone = [fragile.client.generate(**request) for request in requests]
    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(at_once, fragile.client, requests[1:])
        kill = lambda name: os.kill(server_of(fragile, name), signal.SIGKILL)  # noqa: E731
        together = [interrupted(fragile, kill, requests[0]), *others.result()]
    assert all(difference(ours, theirs) <= 2 for (_, ours), theirs in zip(together, alone, strict=True))


def test_every_unet_dies(fragile: Served, expected: Result) -> None:
    def kill(_: str) -> None:
        for name in ("unet-0", "unet-1"):
            os.kill(server_of(fragile, name), signal.SIGKILL)

    _, result = interrupted(fragile, kill)
    assert difference(result, expected) == 0


@pytest.mark.parametrize("stage", ["encoder", "vae"])
def test_encoder_and_vae_die(fragile: Served, expected: Result, stage: str) -> None:
    request = REQUEST | {"prompt": f"a blue star {stage}", "num_inference_steps": 4}
    before = fragile.client.generate(**request)
    os.kill(server_of(fragile, f"{stage}-0"), signal.SIGKILL)
    other = fragile.client.generate(**request | {"prompt": f"another {stage}"})
    assert len(other.images) == 1
    assert difference(fragile.client.generate(**request), before) == 0


@pytest.mark.parametrize("stage", ["encoder", "vae"])
def test_encoder_and_vae_stubs_die(fragile: Served, expected: Result, stage: str) -> None:
    request = REQUEST | {"num_inference_steps": 4}
    before = fragile.client.generate(**request)
    os.kill(stub_of(fragile, f"{stage}-0"), signal.SIGKILL)
    fragile.client.generate(**request | {"prompt": f"yet another {stage}"})
    assert difference(fragile.client.generate(**request), before) == 0


def test_a_replica_that_hangs_is_left_for_the_other(fragile: Served, expected: Result) -> None:
    frozen: list[int] = []

    def freeze(name: str) -> None:
        frozen.append(server_of(fragile, name))
        os.kill(frozen[0], signal.SIGSTOP)

    try:
        _, result = interrupted(fragile, freeze)
        assert difference(result, expected) == 0
        assert len(result.timings.unet.replicas) == 2
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: all_ready(fragile), 60)


def test_a_cancelled_request_does_not_wait_for_a_hanging_stage(fragile: Served, expected: Result) -> None:
    frozen = [server_of(fragile, name) for name in ("unet-0", "unet-1")]
    try:
        events = fragile.client.stream(**REQUEST, request_id="hanging")
        for event in events:
            if isinstance(event, Step):
                break
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        fragile.client.cancel("hanging")
        with pytest.raises(triptych.errors.CancelledError):  # while they are frozen
            list(events)
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: all_ready(fragile), 60)
    assert difference(fragile.client.generate(**REQUEST), expected) == 0


def test_requests_spread_over_replicas(fragile: Served, expected: Result) -> None:
    first = fragile.client.stream(**REQUEST)
    second = fragile.client.stream(**REQUEST | {"prompt": "a star"})
    for events in (first, second):
        next(events)
        next(events)
    results = [list(events)[-1] for events in (first, second)]
    replicas = {replica for result in results if isinstance(result, Result) for replica in result.timings.unet.replicas}
    assert replicas == {"unet-0", "unet-1"}


def test_a_stage_that_stays_down_is_unavailable_in_time(
    fragile: Served, expected: Result, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    frozen = [server_of(fragile, name) for name in ("unet-0", "unet-1")]
    with (
        orchestrator(fragile, tmp_path, "--recovery-timeout", "3") as one,
        triptych.Client(one.address) as client,
    ):
        client.register_checkpoint("down", checkpoints["sd1"], load=True)
        events = client.stream(**REQUEST)
        for event in events:
            if isinstance(event, Step):
                break
        try:
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            began = time.monotonic()
            with pytest.raises(UnavailableError, match="no unet replica is up"):
                list(events)
            assert time.monotonic() - began < 40
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        wait_for(lambda: all_ready(fragile), 60)
        assert isinstance(list(client.stream(**REQUEST | {"num_inference_steps": 2}))[-1], Result)
        client.unregister_checkpoint("down")
