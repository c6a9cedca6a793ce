"""What is derived from the contract is what Triton reads, and what is committed is fresh."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

from triptych.contract import MODELS, STAGES, ModelSpec, model_name
from triptych.contract.repository import config_pbtxt, model_config, model_shim

ROOT = Path(__file__).parent.parent.parent
PARAMETERS = {"checkpoint": "", "engine": "onnxruntime"}


@pytest.mark.parametrize("spec", MODELS.values(), ids=MODELS)
def test_the_rendered_text_is_the_configuration(spec: ModelSpec) -> None:
    written = text_format.Parse(config_pbtxt(spec), model_config_pb2.ModelConfig())
    meant = json_format.ParseDict({"name": spec.name, **model_config(spec, PARAMETERS)}, model_config_pb2.ModelConfig())
    assert written == meant
    assert [tensor.name for tensor in written.input] == [tensor.name for tensor in spec.inputs]
    assert {tensor.name: tensor.optional for tensor in written.input} == {
        tensor.name: tensor.optional for tensor in spec.inputs
    }
    assert written.max_batch_size == spec.max_batch_size > 1 and written.backend == "python"
    assert (ROOT / "triton_repo" / spec.name / "config.pbtxt").read_text() == config_pbtxt(spec)


@pytest.mark.parametrize("spec", MODELS.values(), ids=MODELS)
def test_parameters_of_any_text_survive(spec: ModelSpec) -> None:
    parameters = {"checkpoint": '/a "b"\\c\n{d}', "engine": "torch"}
    config = json_format.ParseDict(model_config(spec, parameters), model_config_pb2.ModelConfig())
    assert {key: value.string_value for key, value in config.parameters.items()} == parameters


@pytest.mark.parametrize("spec", MODELS.values(), ids=MODELS)
def test_the_shim_names_a_class_of_this_model(spec: ModelSpec) -> None:
    scope: dict[str, object] = {}
    exec(compile(model_shim(spec), "model.py", "exec"), scope)
    assert scope["TritonPythonModel"].spec is spec  # type: ignore[attr-defined]
    assert len(model_shim(spec).splitlines()) <= 30


def test_stages_and_names() -> None:
    assert {spec.stage for spec in MODELS.values()} == set(STAGES)
    names = [
        "encoder",
        "encoder_2",
        "unet",
        "vae_decoder",
        "vae_encoder",
        "upscaler",
        "preprocessor",
        "safety_checker",
        "image_encoder",
    ]
    assert [model_name("a.b", spec) for spec in MODELS.values()] == [f"a.b.{name}" for name in names]
    with pytest.raises(KeyError):
        MODELS["unet"].input("nope")


def test_what_is_committed_is_fresh() -> None:
    command = [sys.executable, "tools/generate.py", "--check"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
