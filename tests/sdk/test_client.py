from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.fake_server import STEPS, FakeServer
from triptych import errors
from triptych.sdk import Client, Queued, Result, Step, calls


def test_generate(client: Client, server: FakeServer) -> None:
    result = client.generate(
        "a red circle",
        checkpoint="tiny",
        negative_prompt="",
        num_inference_steps=2,
        guidance_scale=7.5,
        seed=[7, 8],
        width=24,
        height=32,
        num_images_per_prompt=2,
        scheduler="ddim",
    )
    assert [image.size for image in result.images] == [(24, 32)] * 2
    assert result.images[1].getpixel((0, 0)) == (8, 0, 0)
    assert result.images[0].info["parameters"] == "Seed: 7"
    assert result.pngs[0].startswith(b"\x89PNG") and b"Seed: 7" in result.pngs[0]
    assert (result.seeds, result.warnings, result.request_id) == ([7, 8], [], "made-by-server")
    assert result.timings.total_seconds == 2.5
    assert (result.timings.unet.calls, result.timings.unet.replicas) == (4, ["unet-0"])
    assert server.requests[0].guidance_scale == 7.5
    assert "PNG" not in repr(result)


def test_stream_yields_every_event(client: Client) -> None:
    queued, *steps, result = client.stream("a red circle", preview_every_steps=2)
    assert isinstance(queued, Queued) and isinstance(result, Result)
    assert (queued.checkpoint, queued.num_inference_steps, queued.seeds) == ("tiny", STEPS, [11])
    assert all(isinstance(step, Step) for step in steps)
    assert [(step.step, step.total) for step in steps if isinstance(step, Step)] == [(1, 3), (2, 3), (3, 3)]
    previews = [step.preview for step in steps if isinstance(step, Step)]
    assert [preview and preview.size for preview in previews] == [None, (4, 4), None]


@pytest.mark.parametrize("leave", ["close", "drop", "break"])
def test_leaving_the_stream_cancels_on_the_server(client: Client, server: FakeServer, leave: str) -> None:
    events = client.stream("slow")
    assert isinstance(next(events), Queued)
    if leave == "close":
        events.close()
    del events
    assert server.ended.wait(60)


def test_a_bad_value_fails_before_anything_is_sent(client: Client, server: FakeServer) -> None:
    with pytest.raises(errors.InvalidArgumentError):
        client.stream("x", width=-1)
    assert server.requests == []


def test_a_server_error_arrives_as_its_class(client: Client) -> None:
    with pytest.raises(errors.CheckpointInvalidError, match="no luck") as raised:
        client.generate("fail CHECKPOINT_INVALID")
    assert raised.value.metadata == {"field": "prompt"}


def test_a_stream_without_result_is_an_error(client: Client) -> None:
    with pytest.raises(errors.TriptychError, match="without a result"):
        client.generate("silent")


def test_deadline_of_a_request_and_of_a_client(client: Client, server: FakeServer) -> None:
    with pytest.raises(errors.DeadlineExceededError):
        client.generate("slow", timeout_s=0.2)
    assert server.ended.wait(60)
    with Client(server.address, timeout_s=0.2) as hasty, pytest.raises(errors.DeadlineExceededError):
        hasty.generate("slow")


def test_cancel_from_another_thread(client: Client, server: FakeServer) -> None:
    events = client.stream("slow", request_id="mine")
    next(events)
    assert server.started.wait(60)
    client.cancel("mine")
    with pytest.raises(errors.CancelledError, match="cancelled by request"):
        next(events)
    with pytest.raises(errors.NotFoundError):
        client.cancel("nobody's")


def test_closing_the_client_ends_its_streams(server: FakeServer) -> None:
    client = Client(server.address)
    events = client.stream("slow")
    next(events)
    threading.Timer(0.1, client.close).start()
    with pytest.raises(errors.CancelledError):
        next(events)
    client.close()
    with pytest.raises(errors.FailedPreconditionError, match="closed"):
        client.checkpoints()


def test_threads_share_a_client(client: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda seed: client.generate("x", seed=seed), range(16)))
    assert [result.seeds for result in results] == [[seed] for seed in range(16)]


def test_results_may_be_larger_than_grpcs_own_4_mib(client: Client) -> None:
    result = client.generate("huge", width=1400, height=1400)
    assert len(result.pngs[0]) > 5 * 2**20


def test_checkpoints(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.checkpoints() == []
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    registered = client.register_checkpoint("tiny", "tiny", engine="torch")
    assert (registered.state, registered.engine) == ("registered", "torch")
    assert registered.path == str(tmp_path / "tiny")
    assert client.register_checkpoint("far", "only/there", load=True).path == "only/there"
    assert client.register_checkpoint("long", "a" * 5000).path == "a" * 5000
    client.unregister_checkpoint("long")
    assert client.load_checkpoint("tiny").state == "loaded"
    assert client.unload_checkpoint("tiny").state == "registered"
    client.unregister_checkpoint("tiny")
    assert [checkpoint.name for checkpoint in client.checkpoints()] == ["far"]
    with pytest.raises(errors.NotFoundError, match="there are: far"):
        client.load_checkpoint("tiny")


def test_what_a_registration_leaves_open_is_not_sent() -> None:
    """The server keeps what it knows; "" asks for something else."""
    left_open = calls.register_checkpoint("tiny", "/tiny", None, False, None, None, None, False).request
    chosen = calls.register_checkpoint("tiny", "/tiny", "", False, "", "", "", False, "").request
    for field in ("engine", "prediction_type", "variant", "vae", "image_encoder"):
        assert chosen.HasField(field) and not left_open.HasField(field)
    assert chosen.vae == ""


def test_a_vaes_path_is_sent_as_the_checkpoints_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vae").mkdir()
    for vae, sent in (("vae", str(tmp_path / "vae")), (Path("only/there"), "only/there")):
        assert calls.register_checkpoint("tiny", "/tiny", None, False, None, None, vae, False).request.vae == sent
        adapter = calls.register_checkpoint(
            "tiny", "/tiny", None, False, image_encoder=vae, purpose="prompting"
        ).request
        assert (adapter.image_encoder, adapter.HasField("vae")) == (sent, False)


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("path", lambda client: client.register_checkpoint("tiny", "\udcff")),
        ("name", lambda client: client.register_checkpoint("\udcff", "tiny")),
        ("name", lambda client: client.load_checkpoint("\udcff")),
        ("name", lambda client: client.add_lora("\udcff", "tiny.safetensors")),
        ("name", lambda client: client.remove_lora("\udcff")),
        ("request_id", lambda client: client.cancel("\udcff")),
    ],
)
def test_text_that_is_none_is_refused_by_its_field(client: Client, field: str, call: Callable[[Client], Any]) -> None:
    with pytest.raises(errors.InvalidArgumentError) as caught:
        call(client)
    assert caught.value.metadata["field"] == field


def test_server_info(client: Client) -> None:
    info = client.server_info()
    assert (info.version, info.schedulers, info.limits.max_width) == ("9.9", ["ddim", "pndm"], 1024)
    assert [(each.stage, each.ready, each.models) for each in info.replicas][1] == ("vae", True, ["tiny.vae_decoder"])


def test_nobody_there(nowhere: str) -> None:
    with Client(nowhere) as client:
        with pytest.raises(errors.UnavailableError, match=f"{nowhere} does not answer"):
            client.generate("x")
        with pytest.raises(errors.UnavailableError, match=r"not ready after 0\.3 s: .* does not answer"):
            client.wait_ready(0.3)


def test_a_server_slow_to_shake_hands_is_there(tardy: str) -> None:
    with Client(tardy) as client:
        assert client.server_info().version == "9.9"


def test_wait_ready_outlasts_a_late_start() -> None:
    late = FakeServer()
    late.ready = False
    threading.Timer(0.2, late.start).start()
    threading.Timer(0.5, setattr, (late, "ready", True)).start()
    with Client(late.address) as client:
        assert client.wait_ready(60).replicas[0].ready
    late.stop()


def test_wait_ready_names_the_stage_that_is_missing(client: Client, server: FakeServer) -> None:
    server.ready = False
    with pytest.raises(errors.UnavailableError, match="no replica is ready of: unet"):
        client.wait_ready(0.3)
