"""A stage's model between Triton and an engine, both stood in for: batches, their parts, and whose error is whose."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from tritonclient.utils import InferenceServerException

from triptych._version import __version__
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.pixels import rounded
from triptych.contract import NO_LORAS, Report
from triptych.contract.processor import processor_kind
from triptych.contract.wrapping import AXES
from triptych.engine import EngineSettings
from triptych.errors import FailedPreconditionError, InvalidArgumentError, ResourceExhaustedError
from triptych.stage import NOT_FINITE, Batch
from triptych.stage.model import chosen_engine, engine_settings
from triptych_encoder.model import EncoderModel
from triptych_orchestrator.stages.triton import _translated
from triptych_unet.conditioning import ConditioningStore
from triptych_unet.model import UNetModel
from triptych_vae.model import VaeDecoderModel, VaeEncoderModel


class Tensor:
    def __init__(self, name: str, array: Any) -> None:
        self.name = name
        self.array = array

    def as_numpy(self) -> Any:
        return self.array


class Request:
    def __init__(self, identity: str, **tensors: Any) -> None:
        self.identity = identity
        self.tensors = {name: Tensor(name, array) for name, array in tensors.items()}

    def request_id(self) -> str:
        return self.identity


class Response:
    def __init__(self, tensors: Any = (), error: Any = None) -> None:
        self.outputs = {tensor.name: tensor.array for tensor in tensors}
        self.error = error


class TritonError:
    NOT_FOUND, INVALID_ARG, INTERNAL, UNAVAILABLE = "NOT_FOUND", "INVALID_ARG", "INTERNAL", "UNAVAILABLE"

    def __init__(self, message: str, code: str) -> None:
        self.message = message
        self.code = code


class TritonModelException(Exception):  # noqa: N818
    pass


@pytest.fixture
def triton(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("triton_python_backend_utils")
    module.Tensor, module.InferenceResponse, module.TritonError = Tensor, Response, TritonError  # type: ignore[attr-defined]
    module.TritonModelException = TritonModelException  # type: ignore[attr-defined]
    module.get_input_tensor_by_name = lambda request, name: request.tensors.get(name)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


class Engine:
    """Adds up what it is given, sample by sample, and notes the batches."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def infer(self, inputs: Batch) -> Batch:
        self.batches.append(inputs)
        if "latents" in inputs and inputs["latents"].shape[-1] == 13:
            raise RuntimeError("no memory")
        if "latents" in inputs and inputs["latents"].shape[-1] == 14:
            raise ResourceExhaustedError("the GPU's memory is too small")
        states = inputs["encoder_hidden_states"].astype(np.float32).sum((1, 2))
        scale = (states + inputs["timestep"])[:, None, None, None]
        return {"noise_pred": inputs["latents"] + scale}


@pytest.fixture
def unet(triton: ModuleType) -> UNetModel:
    model = UNetModel()
    config = {"in_channels": 4, "out_channels": 4, "cross_attention_dim": 2}
    model._triton, model.name, model.store = triton, "x.unet", ConditioningStore(10_000, 60)
    model.component = SimpleNamespace(architecture=SimpleNamespace(config=config, time_ids=0))  # type: ignore[assignment]
    model.engine = Engine()  # type: ignore[assignment]
    return model


def step(
    identity: str, key: int, states: float | None = None, width: int = 8, samples: int = 1, **changes: Any
) -> Request:
    tensors: dict[str, Any] = {
        "latents": np.full((samples, 4, 8, width), 10, np.float32),
        "timestep": np.full((samples, 1), 0.5, np.float32),
        "conditioning_key": np.full((samples, 16), key, np.uint8),
    }
    if states is not None:
        tensors["encoder_hidden_states"] = np.full((samples, 3, 2), states, np.float32)
    return Request(identity, **tensors | changes)


def test_what_it_is_made_of_is_answered_beside_steps(unet: UNetModel, monkeypatch: pytest.MonkeyPatch) -> None:
    unet.engine_name, unet.settings = "onnxruntime", EngineSettings(3, Path("/x"), "cuda:1", "fp16")
    unet.component.overflows_in_half = False  # type: ignore[misc]
    monkeypatch.setattr(unet.engine, "about", lambda: {"graph": "ab"}, raising=False)
    # Whatever else it brings counts for nothing.
    question = Request("about", latents=np.zeros((1, 1, 1, 1)), about=np.zeros((1, 1), np.uint8))
    answer, other = unet.execute([question, step("a", 1, 1.0)])
    assert other.error is None and "about" not in other.outputs
    assert answer.outputs.keys() == {"about"}
    told = json.loads(answer.outputs["about"][0, 0])
    assert (told["engine"], told["device"], told["precision"], told["threads"]) == ("onnxruntime", "cuda", "fp16", 3)
    assert told["graph"] == "ab" and told["triptych"] == __version__ and told["processor"] == processor_kind()


def test_one_batch_many_requests(unet: UNetModel) -> None:
    responses = unet.execute([step("a", 1, 1.0), step("b", 2, 2.0, samples=2), step("c", 1, None, samples=3)])
    assert [response.error for response in responses] == [None] * 3
    assert [len(response.outputs["noise_pred"]) for response in responses] == [1, 2, 3]
    assert [float(response.outputs["noise_pred"].max()) for response in responses] == [16.5, 22.5, 16.5]
    assert all((response.outputs["report"][:, 1] == 6).all() for response in responses)
    assert len(unet.engine.batches) == 1  # type: ignore[attr-defined]


def test_errors_answer_only_their_own_request(unet: UNetModel) -> None:
    wrong = np.zeros((1, 5, 8, 8), np.float32)
    requests = [
        step("lost", 9),
        step("sound", 1, 1.0),
        step("channels", 1, 1.0, latents=wrong),
        step("narrow", 1, encoder_hidden_states=np.zeros((1, 3, 7), np.float32)),
        step("engine", 1, 1.0, width=13),
        step("other size", 1, None, width=16),
    ]
    responses = unet.execute(requests)
    codes = [response.error.code if response.error else None for response in responses]
    assert codes == ["NOT_FOUND", None, "INVALID_ARG", "INVALID_ARG", "INTERNAL", None]
    assert "conditioning" in responses[0].error.message and "no memory" in responses[4].error.message
    assert responses[5].outputs["noise_pred"].shape == (1, 4, 8, 16)


def test_no_error_in_reading_one_request_is_anothers(unet: UNetModel, caplog: pytest.LogCaptureFixture) -> None:
    bad = step("bad", 1)
    bad.tensors["latents"].as_numpy = lambda: np.load("missing.npy")  # type: ignore[method-assign]
    two_tokens = np.zeros((1, 2, 2), np.float32)
    sound, short, failed = unet.execute(
        [step("sound", 1, 1.0), step("short", 2, encoder_hidden_states=two_tokens), bad]
    )
    assert sound.error is None and short.error is None
    assert failed.error.code == "INTERNAL" and "FileNotFoundError" in failed.error.message
    assert [record.request_ids for record in caplog.records if record.exc_info] == [["bad"]]  # type: ignore[attr-defined]


def test_an_error_that_triton_has_no_code_for_arrives_whole(unet: UNetModel) -> None:
    refused, sound = unet.execute([step("large", 1, 1.0, width=14), step("sound", 1, 1.0)])
    assert sound.error is None
    failure = InferenceServerException(refused.error.message, "StatusCode.INTERNAL")
    error = _translated(failure, "127.0.0.1:8001")
    assert type(error) is ResourceExhaustedError and error.message == "the GPU's memory is too small"


def test_a_lora_that_the_engine_is_not_ready_for_says_so_by_itself(unet: UNetModel) -> None:
    def not_yet(_key: bytes, _content: bytes | None) -> Any:
        raise FailedPreconditionError("an engine with conv_in.weight open is being built: ask again then")

    closed: list[str] = []
    unet.lora_sets = SimpleNamespace(  # type: ignore[assignment]
        require=not_yet, active_key=NO_LORAS, activate=lambda _set: 0.0, close=lambda: closed.append("sets")
    )
    unet.engine.close = lambda: closed.append("engine")  # type: ignore[method-assign]
    lora = np.ones((1, 16), np.uint8)
    refused, sound = unet.execute([step("convolutions", 1, 1.0, lora_key=lora), step("none", 2, 1.0)])
    assert sound.error is None
    error = _translated(InferenceServerException(refused.error.message, "StatusCode.INTERNAL"), "127.0.0.1:8001")
    assert type(error) is FailedPreconditionError and error.message.endswith("is being built: ask again then")
    unet.finalize()
    assert closed == ["sets", "engine"]


def test_the_log_names_the_requests(unet: UNetModel, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    unet.execute([step("a", 1, 1.0), step("b", 1), step("c", 1, width=13)])
    told = {record.message: record.request_ids for record in caplog.records}  # type: ignore[attr-defined]
    assert told == {"batch": ["a", "b"], "batch failed": ["c"]}


def test_the_encoder_refuses_ids_beyond_its_vocabulary() -> None:
    model = EncoderModel()
    config = {"max_position_embeddings": 3, "vocab_size": 10}
    model.component = SimpleNamespace(architecture=SimpleNamespace(config=config, time_ids=0))  # type: ignore[assignment]
    for ids in ([[0, 10, 1]], [[-1, 0, 0]], [[0, 0]]):
        with pytest.raises(InvalidArgumentError, match="input_ids"):
            model.prepare({"input_ids": np.array(ids)})


def test_pictures_are_rounded_as_diffusers_does() -> None:
    model = VaeDecoderModel()
    image = np.array([[[[-2.0, -1.0, 0.0, 0.0039, 1.0, 3.0]]] * 3], np.float32).reshape(1, 3, 1, 6)
    model.engine = SimpleNamespace(infer=lambda batch: {"image": image})  # type: ignore[assignment]
    made = model.run({"latents": np.zeros(1)})["image"]
    assert made.shape == (1, 1, 6, 3) and made[0, 0, :, 0].tolist() == [0, 0, 128, 128, 255, 255]


def test_samples_that_are_no_numbers_are_reported(unet: UNetModel) -> None:
    requests = [
        step("a", 1, 1.0),
        step("b", 2, float("nan"), samples=2),
        step("c", 1, latents=np.full((1, 4, 8, 8), np.inf)),
    ]
    responses = unet.execute(requests)
    assert [Report.of(response.outputs).not_finite for response in responses] == [0, 1, 1]
    vae = VaeDecoderModel()
    image = np.array([[0.0, np.nan, 1.0], [0.0, 0.5, 1.0]], np.float32).reshape(2, 1, 1, 3).repeat(3, axis=1)
    vae.engine = SimpleNamespace(infer=lambda batch: {"image": image})  # type: ignore[assignment]
    made = vae.run({"latents": np.zeros(2)})
    assert made[NOT_FINITE].tolist() == [True, False] and made["image"][0, 0, :, 0].tolist() == [128, 0, 255]


def test_a_picture_becomes_what_diffusers_makes_of_it(triton: ModuleType, checkpoints: dict[str, Path]) -> None:
    vae = VaeEncoderModel()
    vae.component = Checkpoint.open(checkpoints["sd1"]).components["vae_encoder"]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), np.uint8)
    (image,) = vae.prepare({"image": pixels}).values()
    expected = VaeImageProcessor().preprocess([Image.fromarray(picture) for picture in pixels]).numpy()
    assert image.dtype == np.float32 and image.shape == (2, 3, 16, 24)
    np.testing.assert_array_equal(image, expected)
    for wrong in (pixels[..., :1], pixels[:, :12], pixels[:, :, :5], pixels[:, :0]):
        with pytest.raises(InvalidArgumentError, match="multiples of 8"):
            vae.prepare({"image": wrong})


def test_a_size_can_be_asked_about_before_it_is_decoded(triton: ModuleType, checkpoints: dict[str, Path]) -> None:
    class Narrow:
        def check(self, shapes: dict[str, tuple[int, ...]]) -> None:
            if shapes["latents"][2] > 8:
                raise InvalidArgumentError("size: the engine was not built for that")

        def infer(self, batch: Batch) -> Batch:
            return {"image": np.zeros((len(batch["latents"]), 3, 64, 64), np.float32)}

        def require_wrapped(self, axes: str) -> None:
            raise FailedPreconditionError(f"the engine that wraps around along {axes} is being built")

    vae = VaeDecoderModel()
    vae.name, vae._triton = "x.vae_decoder", triton
    vae.component, vae.engine = Checkpoint.open(checkpoints["sd1"]).components["vae_decoder"], Narrow()  # type: ignore[assignment]
    asked = np.ones((1, 1), np.uint8)
    small, large = (np.zeros((1, 4, extent, extent), np.float32) for extent in (8, 16))
    requests = [
        Request("a", latents=small, size_check=asked),
        Request("b", latents=large, size_check=asked),
        Request("c", latents=small),
        Request("d", latents=large),
    ]
    answers = vae.execute(requests)
    assert [answer.outputs["image"].shape for answer in answers[::2]] == [(1, 1, 1, 3), (1, 64, 64, 3)]
    assert [answer.error.code for answer in answers[1::2]] == ["INVALID_ARG"] * 2
    wrapping = np.full((1, 1), AXES.index("xy"), np.uint8)
    (answer,) = vae.execute([Request("e", latents=small, size_check=asked, wrapping=wrapping)])
    assert "wraps around along xy is being built" in answer.error.message


def test_a_failed_load_carries_its_reason(triton: ModuleType, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    assert Checkpoint.open(checkpoints["sd1"])
    config = {"parameters": {"checkpoint": {"string_value": str(tmp_path)}, "engine": {"string_value": "torch"}}}
    with pytest.raises(TritonModelException) as caught:
        VaeDecoderModel().initialize({"model_name": "x.vae_decoder", "model_config": json.dumps(config)})
    carried = json.loads(str(caught.value))
    assert carried["reason"] == "CHECKPOINT_INVALID" and carried["file"].endswith("model_index.json")


@pytest.mark.parametrize(
    ("registered", "own", "default", "expected"),
    [
        ("torch", "tensorrt", "onnxruntime", "torch"),
        ("", "tensorrt", "torch", "tensorrt"),
        ("", "", "torch", "torch"),
        ("", None, None, "onnxruntime"),
    ],
)
def test_whose_word_on_the_engine_counts(
    registered: str, own: str | None, default: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIPTYCH_ENGINE", raising=False)
    if own is not None:
        monkeypatch.setenv("TRIPTYCH_ENGINE", own)
    parameters = {"engine": registered} | ({} if default is None else {"default_engine": default})
    assert chosen_engine(parameters) == expected


def test_what_the_environment_says_of_device_and_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRIPTYCH_THREADS", "TRIPTYCH_DEVICE", "TRIPTYCH_PRECISION"):
        monkeypatch.delenv(name, raising=False)
    settings = engine_settings()
    assert (settings.device, settings.precision) == ("cpu", "fp32")
    monkeypatch.setenv("TRIPTYCH_THREADS", "3")
    monkeypatch.setenv("TRIPTYCH_DEVICE", "cuda:0")
    settings = engine_settings()
    assert (settings.threads, settings.device, settings.precision) == (3, "cuda:0", "fp16")
    monkeypatch.setenv("TRIPTYCH_PRECISION", "fp32")
    assert engine_settings().precision == "fp32"


def test_who_blends_tiles_gets_what_was_not_rounded(triton: ModuleType, checkpoints: dict[str, Path]) -> None:
    vae = VaeDecoderModel()
    vae.name, vae._triton = "x.vae_decoder", triton
    vae.component = Checkpoint.open(checkpoints["sd1"]).components["vae_decoder"]
    image = np.random.default_rng(0).normal(0, 2, (1, 3, 64, 64)).astype(np.float32)
    engine = SimpleNamespace(
        infer=lambda batch: {"image": image.repeat(len(batch["latents"]), 0)}, check=lambda _: None
    )
    vae.engine = engine  # type: ignore[assignment]
    latents, asked = np.zeros((1, 4, 8, 8), np.float32), np.ones((1, 1), np.uint8)
    answers = vae.execute([Request("a", latents=latents, unrounded=asked), Request("b", latents=latents)])
    tile, picture = (answer.outputs for answer in answers)
    assert tile.keys() == {"sample", "report"} and picture.keys() == {"image", "report"}
    np.testing.assert_array_equal(tile["sample"], image)
    np.testing.assert_array_equal(rounded(tile["sample"]), picture["image"])


def test_samples_whose_pictures_tile_are_run_apart(unet: UNetModel) -> None:
    wrapped: list[tuple[str, int]] = []

    def infer_wrapped(inputs: Batch, axes: str) -> Batch:
        wrapped.append((axes, len(inputs["latents"])))
        return unet.engine.infer(inputs)

    unet.engine.infer_wrapped = infer_wrapped  # type: ignore[method-assign]
    places = [np.full((1, 1), place, np.uint8) for place in range(4)]
    requests = [step(str(place), 1, 1.0, wrapping=places[place]) for place in (0, 1, 3, 1)]
    responses = unet.execute([*requests, step("plain", 1, 1.0)])
    assert [response.error for response in responses] == [None] * 5
    assert wrapped == [("x", 2), ("xy", 1)] and [response.outputs["report"][0, 1] for response in responses] == [
        2,
        2,
        1,
        2,
        2,
    ]
    for wrong in (np.full((1, 1), 4, np.uint8), np.array([[1], [2]], np.uint8)):
        (response,) = unet.execute([step("wrong", 1, 1.0, samples=len(wrong), wrapping=wrong)])
        assert response.error.code == "INVALID_ARG" and "wrapping" in response.error.message
