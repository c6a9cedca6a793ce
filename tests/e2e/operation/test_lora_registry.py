"""LoRAs named on the orchestrator's command line and sent by clients, across restarts of the real process."""

from __future__ import annotations

from pathlib import Path

import pytest

import triptych
from tests.conftest import Served
from tests.e2e.serving import SIZE, Orchestrator, difference, orchestrator, wait_for
from tests.loras import save_lora
from tests.orchestrator.lora_files import any_lora
from triptych.errors import LoraBrokenError, LoraInvalidError, NotFoundError
from triptych.sdk.events import Result


def kept(one: Orchestrator) -> dict[str, str]:
    with triptych.Client(one.address) as client:
        return {lora.name: lora.digest for lora in client.loras()}


def test_the_command_line_wins_and_what_was_sent_stays(served: Served, tmp_path: Path) -> None:
    ink, other, sent = (any_lora(tmp_path, name, seed) for seed, name in enumerate(("ink", "other", "sent")))
    with orchestrator(served, tmp_path, "--lora", f"ink={ink}") as one:
        with triptych.Client(one.address) as client:
            client.add_lora("sent (2)", sent)
            assert client.server_info().limits.max_loras == 32
        first = kept(one)
        assert first.keys() == {"ink", "sent (2)"}
        assert one.stop() == 0
    with orchestrator(served, tmp_path, "--lora", f"ink={other}", "--limit", "max_lora_bytes=9000") as one:
        second = kept(one)
        assert second.keys() == first.keys() and second["sent (2)"] == first["sent (2)"]
        assert second["ink"] != first["ink"] and '"lora replaced"' in one.log
        assert one.stop() == 0
    with orchestrator(served, tmp_path) as one:
        assert kept(one) == second
    folder = tmp_path / "state" / "loras"
    assert sorted(path.stem for path in folder.glob("*.safetensors")) == sorted(second.values())


@pytest.mark.parametrize("content", [b"not a LoRA", None])
def test_a_file_that_cannot_be_taken_ends_the_start(served: Served, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ink.safetensors"
    if content is not None:
        path.write_bytes(content)
    one = Orchestrator(served, tmp_path, "--lora", f"ink={path}", "--lora-dir", str(tmp_path / "kept"))
    assert one.process.wait(60) == 1
    assert "Traceback" not in one.log and "ink" in one.log
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_request_is_refused_before_it_is_queued(served: Served, tmp_path: Path) -> None:
    stream = served.client.stream("a star <lora:nope:0.5>", checkpoint="sd1", **SIZE)
    with pytest.raises(NotFoundError, match="'nope' is not known; there are: none"):
        next(stream)
    served.client.add_lora("stray", any_lora(tmp_path))
    try:
        with pytest.raises(LoraInvalidError, match="'stray' does not fit the checkpoint 'sd1'"):
            next(served.client.stream("a star", checkpoint="sd1", loras=[("stray", 0.5)], **SIZE))
    finally:
        served.client.remove_lora("stray")


def test_a_file_that_is_deleted_or_changed_while_it_is_served(
    served: Served, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    assert served.stack.run_dir is not None
    client, folder = served.client, served.stack.run_dir / "state" / "loras"
    sent, other = (save_lora(tmp_path / f"{seed}.safetensors", checkpoints["sd1"], seed) for seed in (5, 6))
    kept = folder / f"{client.add_lora('fading', sent).digest}.safetensors"

    def draw(weight: float) -> Result:
        parameters = {"num_inference_steps": 2, "seed": 1, "loras": [("fading", weight)], **SIZE}
        return client.generate("a star", checkpoint="sd1", **parameters)

    def problem() -> str:
        return {lora.name: lora.error for lora in client.loras()}["fading"]

    try:
        before = draw(0.5)
        kept.unlink()
        with pytest.raises(LoraBrokenError, match="'fading' cannot be used, its file is gone; add it again") as caught:
            draw(0.5)
        assert caught.value.metadata == {"field": "loras", "lora": "fading"}
        assert str(folder) not in caught.value.message and problem() == "its file is gone"
        kept.write_bytes(other.read_bytes())
        # What a stage has merged already is what was sent; the next weight has it read the file.
        with pytest.raises(LoraBrokenError, match="'fading' cannot be used, its file was changed") as caught:
            draw(0.25)
        assert str(folder) not in caught.value.message and problem() == "its file was changed"
        with pytest.raises(LoraBrokenError, match="changed"):
            draw(0.5)
        client.add_lora("fading", sent)
        assert problem() == "" and difference(draw(0.5), before) == 0
        draw(0.25)
    finally:
        client.remove_lora("fading")


def test_a_request_outlives_the_name_of_its_lora(served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    assert served.stack.run_dir is not None
    folder = served.stack.run_dir / "state" / "loras"
    lora = served.client.add_lora("brief", save_lora(tmp_path / "brief.safetensors", checkpoints["sd1"]))
    events = served.client.stream(
        "a star <lora:brief:0.5:0.25>",
        checkpoint="sd1",
        num_inference_steps=4,
        seed=1,
        negative_prompt="<lora:brief:1>",
        **SIZE,
    )
    next(events)
    served.client.remove_lora("brief")
    assert (folder / f"{lora.digest}.safetensors").exists()
    *_, result = events
    assert isinstance(result, Result)
    assert result.images[0].info["parameters"].startswith("a star <lora:brief:0.5:0.25>\nNegative")
    assert [warning for warning in result.warnings if "negative_prompt" in warning]
    wait_for(lambda: not (folder / f"{lora.digest}.safetensors").exists(), 10)
