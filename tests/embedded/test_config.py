from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import triptych
from triptych.embedded import StackConfig
from triptych.embedded.config import LIMIT_NAMES
from triptych.errors import InvalidArgumentError
from triptych.v1 import system_pb2
from triptych_orchestrator import settings


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [({}, 300.0), ({"engine": "tensorrt"}, 3600.0), ({"engine": "tensorrt", "startup_timeout_s": 5.0}, 5.0)],
)
def test_a_start_may_take_as_long_as_builds_do(changes: dict[str, Any], seconds: float) -> None:
    assert StackConfig({}, **changes).startup_limit_s == seconds


@pytest.mark.parametrize(("startup_s", "load_s"), [(None, 3600.0), (5.0, 3600.0), (7200.0, 7200.0)])
def test_a_load_may_take_as_long_as_the_start(startup_s: float | None, load_s: float) -> None:
    config = StackConfig({}, engine="tensorrt", startup_timeout_s=startup_s)
    assert config.load_limit_s == load_s >= settings.Settings.load_timeout_s == 3600.0


def test_one_replica_that_builds_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "placement.toml"
    file.write_text('[[replica]]\nstage = "unet"\ndevice = "cuda:0"\nengine = "tensorrt"\n')
    assert StackConfig({}, placement=file).startup_limit_s == 3600.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("checkpoints", {"../up": "."}),
        ("checkpoints", {"x" * 65: "."}),
        ("checkpoints", {"trailing\n": "."}),
        ("checkpoints", {"demo": "no/such/folder"}),
        ("engine", "magic"),
        ("host", ""),
        ("host", "0.0.0.0"),
        ("host", "example.org"),
        ("tls_cert", "no/such/file"),
        ("tls_key", "no/such/file"),
        ("port", 65_536),
        ("metrics_port", -1),
        ("metrics_port", 65_533),
        ("run_dir", ""),
        ("run_dir", "~no-such-user/run"),
        ("cache_dir", "~no-such-user/cache"),
        ("lora_dir", "~no-such-user/loras"),
        ("startup_timeout_s", 0.0),
        ("startup_timeout_s", float("nan")),
        ("safety_checker", "on"),
        ("watermark", "far too long a text"),
        ("drain_timeout_s", 0.0),
        ("drain_timeout_s", float("nan")),
        ("drain_timeout_s", float("inf")),
        ("replicas", {"unet": 0}),
        ("replicas", {"decoder": 1}),
        ("threads", {"vae": -1}),
        ("limits", {"max-width": 1}),
        ("limits", {"max_pixel": 1}),
        ("loras", {"../up": __file__}),
        ("loras", {".hidden": __file__}),
        ("loras", {"x" * 129: __file__}),
        ("loras", {"ink": "no/such/file"}),
        ("loras", {"ink": "."}),
    ],
)
def test_a_wrong_field_is_named(field: str, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{field}: ") as caught:
        StackConfig(**{"checkpoints": {}, field: value}).validate()
    assert caught.value.metadata["field"] == field


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    config = StackConfig({"tiny": "tiny"}, cache_dir="cache")
    config.validate()
    assert config.checkpoint_paths() == {"tiny": tmp_path / "tiny"}
    assert config.cache_path == tmp_path / "cache"
    monkeypatch.setenv("TRIPTYCH_CACHE_DIR", "/from/environment")
    assert StackConfig({}).cache_path == Path("/from/environment")


def test_the_module_is_the_function_and_checks_before_it_starts(tmp_path: Path) -> None:
    assert triptych.local({"tiny": tmp_path}).stack.config.checkpoints == {"tiny": tmp_path}
    with pytest.raises(InvalidArgumentError, match=r"checkpoints: tiny: .* is no file or directory"):
        triptych.local(checkpoints={"tiny": tmp_path / "missing"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("runwayml/stable-diffusion-v1-5", "run `hf download runwayml/stable-diffusion-v1-5 --include"),
        ("https://hub.example/me/tiny", "download the whole repository"),
    ],
)
def test_what_is_no_checkpoint_is_called_what_it_is(given: str, said: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"checkpoints: x: .* is no file or directory: .*{said}"):
        StackConfig({"x": given}).validate()


def test_limits_are_those_that_the_orchestrator_takes_and_tells() -> None:
    taken = tuple(limit.name for limit in fields(settings.Limits))
    assert sorted(LIMIT_NAMES) == sorted(taken) == sorted(system_pb2.Limits.DESCRIPTOR.fields_by_name)


def test_loras_are_kept_with_the_state_unless_said_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ink.safetensors").touch()
    config = triptych.local({}, loras={"ink (2)": "ink.safetensors"}, lora_dir="kept").stack.config
    assert config.lora_paths() == {"ink (2)": tmp_path / "ink.safetensors"}
    assert config.lora_folder(Path("/run")) == tmp_path / "kept"
    assert StackConfig({}).lora_folder(Path("/run")) == Path("/run/state/loras")


def test_metrics_ports_follow_each_other_and_leave_the_apis_alone(tmp_path: Path) -> None:
    assert not StackConfig({}, port=50051).metrics_ports()
    assert StackConfig({}, metrics_port=50052, replicas={"unet": 2}).metrics_ports() == range(50052, 50057)
    placement = tmp_path / "placement.toml"
    placement.write_text('[[replica]]\nstage = "vae"\naddress = "10.0.0.7:8001"\n')
    assert StackConfig({}, metrics_port=65_533, placement=placement).metrics_ports() == range(65_533, 65_536)
    with pytest.raises(InvalidArgumentError, match=r"^metrics_port: 50052 to 50055 include the API's port 50055$"):
        StackConfig({}, port=50055, metrics_port=50052).validate()
