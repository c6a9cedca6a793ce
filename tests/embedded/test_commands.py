from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from triptych.demo import checkpoint_path, controlnet_paths
from triptych.embedded import StackConfig
from triptych.embedded.commands import make_plan
from triptych.errors import InvalidArgumentError
from triptych.keys import KeyFile
from triptych.keys.entry import Entry

from .standin import StandIns

CANNY = controlnet_paths()["canny"]
DEMO = f"--transient-checkpoint demo={checkpoint_path()} --transient-checkpoint canny={CANNY}"


def orchestrators_arguments(config: StackConfig, run_dir: Path) -> str:
    return " ".join(make_plan(config, StandIns(), run_dir, run_dir / "tmp").orchestrator.command)


def test_the_demo_is_served_where_nothing_else_is(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    assert DEMO in orchestrators_arguments(StackConfig(None), tmp_path)
    for checkpoints in ({}, {"x": tmp_path}):
        assert DEMO not in orchestrators_arguments(StackConfig(checkpoints), tmp_path)
    (state / "checkpoints.json").write_text("{}")
    assert DEMO in orchestrators_arguments(StackConfig(None), tmp_path)
    (state / "checkpoints.json").write_text(json.dumps({"x": {"path": "/x"}}))
    assert DEMO not in orchestrators_arguments(StackConfig(None), tmp_path)


def test_a_control_net_alone_stands_beside_the_demo_and_goes_with_it(tmp_path: Path) -> None:
    net = tmp_path / "canny.safetensors"
    net.touch()
    config = StackConfig(None, others={"canny": net})
    in_place_of_the_demos = DEMO.replace(str(CANNY), str(net))
    assert in_place_of_the_demos in orchestrators_arguments(config, tmp_path)
    depth = StackConfig(None, others={"depth": net})
    assert f"{DEMO} --transient-checkpoint depth={net}" in orchestrators_arguments(depth, tmp_path)
    beside = StackConfig({"x": tmp_path}, others={"canny": net})
    assert f"--checkpoint x={tmp_path} --checkpoint canny={net}" in orchestrators_arguments(beside, tmp_path)
    for checkpoints, name in (({"x": tmp_path}, "x"), (None, "demo")):
        with pytest.raises(InvalidArgumentError, match=rf"^controlnets: '{name}' is what a checkpoint is called"):
            StackConfig(checkpoints, others={name: net}).validate()


def test_the_image_encoder_of_an_ip_adapter_goes_with_it(tmp_path: Path) -> None:
    adapter, encoder = tmp_path / "plus.safetensors", tmp_path / "vision"
    adapter.touch()
    encoder.mkdir()
    config = StackConfig(None, others={"plus": adapter}, image_encoders={"plus": encoder})
    config.validate()
    arguments = orchestrators_arguments(config, tmp_path)
    assert f"--transient-checkpoint plus={adapter} " in arguments and f"--image-encoder plus={encoder} " in arguments
    for encoders, problem in (
        ({"face": encoder}, "'face' is none of the IP-Adapters plus"),
        ({"plus": "x"}, "plus: .*x is no"),
    ):
        with pytest.raises(InvalidArgumentError, match=rf"^image_encoders: {problem}"):
            StackConfig(None, others={"plus": adapter}, image_encoders=encoders).validate()


def test_the_orchestrators_file_names_are_utf8_in_any_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}.items():
        monkeypatch.setenv(name, value)
    environment = make_plan(StackConfig({}), StandIns(), tmp_path, tmp_path / "tmp").orchestrator.env
    ask = (sys.executable, "-c", "import sys; print(sys.getfilesystemencoding())")
    assert subprocess.check_output(ask, env=environment, text=True) == "utf-8\n"


@pytest.mark.parametrize("port", [0, 25_000])
def test_chosen_ports_are_taken_as_they_are_and_given_to_nobody_else(port: int, tmp_path: Path) -> None:
    config = StackConfig({}, port=port, metrics_port=25_001, replicas={"unet": 2})
    plan = make_plan(config, StandIns(), tmp_path, tmp_path / "tmp")
    assert plan.orchestrator.metrics_address == "127.0.0.1:25001"
    assert [spec.metrics_address for spec in plan.stages] == [f"127.0.0.1:{25_002 + number}" for number in range(4)]
    assert [spec.name for spec in plan.stages] == ["encoder-0", "unet-0", "unet-1", "vae-0"]
    others = {spec.address for spec in (*plan.stages, plan.orchestrator)}
    assert len(others | {f"127.0.0.1:{number}" for number in range(25_001, 25_006)}) == 10
    if port:
        assert plan.orchestrator.address == "127.0.0.1:25000"


def test_the_gateways_metrics_come_last(tmp_path: Path) -> None:
    config = StackConfig({}, metrics_port=25_001, gateway_port=25_009)
    plan = make_plan(config, StandIns(), tmp_path, tmp_path / "tmp")
    assert plan.gateway and plan.gateway.metrics_address == "127.0.0.1:25005"


def test_credentials_go_to_both_and_the_gateways_own_key_to_none_else(tmp_path: Path) -> None:
    KeyFile(tmp_path / "credentials").put(Entry.with_password("ann", "correct horse"))
    config = StackConfig({}, gateway_port=0, host="0.0.0.0", credentials=[tmp_path / "credentials"])
    plan = make_plan(config, StandIns(), tmp_path, tmp_path / "tmp")
    assert plan.gateway
    name, _, secret = plan.gateway.env["TRIPTYCH_API_KEY"].partition(".")
    command = plan.orchestrator.command
    files = [Path(value) for option, value in pairwise(command) if option == "--credentials"]
    assert [sorted(KeyFile(file).entries()) for file in files] == [["ann"], [name]]
    assert KeyFile(files[1]).entries()[name].matches(secret)
    assert secret not in " ".join((*plan.gateway.command, *plan.orchestrator.command))
    assert secret not in str(plan.orchestrator.env)


def test_a_gateway_stands_before_the_orchestrator_and_is_stopped_before_it(tmp_path: Path) -> None:
    plan = make_plan(StackConfig({}, gateway_port=0), StandIns(), tmp_path, tmp_path / "tmp")
    assert plan.gateway is not None
    assert f"--orchestrator {plan.orchestrator.address} " in " ".join(plan.gateway.command)
    assert plan.gateway.stop_order > plan.orchestrator.stop_order > plan.stages[0].stop_order
    assert make_plan(StackConfig({}), StandIns(), tmp_path, tmp_path / "tmp").gateway is None
