"""Files that torch itself wrote: the tensors are what `torch.load` gives, bit for bit, whatever lies beside them."""

from __future__ import annotations

import argparse
import collections
import datetime
import enum
import pathlib
import random
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from tests.checkpoint.pickles import writing
from triptych.checkpoint.pickles import as_safetensors
from triptych.checkpoint.safetensors import read_header, read_metadata
from triptych.errors import CheckpointInvalidError

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
DTYPES += [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]
NEWER = [torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2]
DTYPES += NEWER


def bits(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Any bits at all, NaNs of every kind among them."""
    if dtype is torch.bool:
        return torch.randint(0, 2, shape, dtype=torch.uint8).bool()
    size = torch.empty((), dtype=dtype).element_size()
    return torch.randint(0, 256, (*shape[:-1], shape[-1] * size), dtype=torch.uint8).view(dtype)


BASE = torch.arange(4 * 6 * 8, dtype=torch.float32).reshape(4, 6, 8)
VIEWS: dict[str, torch.Tensor] = {
    "whole": BASE,
    "turned": BASE.permute(2, 0, 1),
    "rows": BASE[1:3],
    "columns": BASE[:, 2:5],
    "every second": BASE[:, :, ::2],
    "one": BASE[2, 3, 4],
    "expanded": torch.ones(1, 3).expand(5, 3),
    "windows": torch.arange(10.0).unfold(0, 4, 1),
    "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "scalar": torch.tensor(3.5),
    "empty": torch.zeros(0, 4),
    "parameter": torch.nn.Parameter(torch.randn(3, 3)),
    "buffer": torch.nn.Buffer(torch.randn(2)),
    "odd": bits((7,), torch.uint8),
}


def saved(path: Path, value: object, **options: Any) -> Path:
    torch.save(value, path, **options)
    return path


def read(path: Path, cache: Path) -> dict[str, torch.Tensor]:
    """What the file converts to, by the reference implementation."""
    return safetensors.torch.load_file(as_safetensors(path, cache))


def assert_same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape), name
        alike = [each.detach().contiguous().reshape(-1).view(torch.uint8) for each in (found[name], tensor)]
        assert torch.equal(*alike), name


@pytest.fixture(params=[True, False], ids=["zip", "legacy"])
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"_use_new_zipfile_serialization": request.param}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_type_of_numbers(tmp_path: Path, options: dict[str, Any], dtype: torch.dtype) -> None:
    tensors = {"a": bits((5, 3), dtype), "b": bits((4, 6), dtype).T, "c": bits((1,), dtype)[0]}
    path = saved(tmp_path / "x.ckpt", tensors, **options)
    assert_same(read(path, tmp_path), tensors)
    # Of the old kind torch 2.13 writes some types that it cannot read again.
    if options["_use_new_zipfile_serialization"] or dtype not in NEWER:
        assert_same(torch.load(path, weights_only=True), tensors)


def test_views_share_storages_and_come_out_whole(tmp_path: Path, options: dict[str, Any]) -> None:
    path = saved(tmp_path / "x.ckpt", VIEWS, **options)
    assert_same(read(path, tmp_path), torch.load(path, weights_only=True))


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_every_protocol_that_torch_can_write(tmp_path: Path, options: dict[str, Any], protocol: int) -> None:
    value = {"state_dict": VIEWS, "text": "é" * 300, "many": list(range(1500)), "number": -(10**30), "none": None}
    assert_same(read(saved(tmp_path / "x.pt", value, pickle_protocol=protocol, **options), tmp_path), VIEWS)


def test_every_tensor_lies_aligned(tmp_path: Path) -> None:
    tensors = {f"{dtype}{count}": bits((count,), dtype) for dtype in DTYPES for count in (1, 3, 64, 640)}
    header = read_header_of_any_type(as_safetensors(saved(tmp_path / "x.ckpt", tensors), tmp_path))
    assert len(header) == len(tensors)
    for name, (offset, size_bytes) in header.items():
        assert offset % (64 if size_bytes % 64 == 0 else tensors[name].element_size()) == 0, name


def read_header_of_any_type(path: Path) -> dict[str, tuple[int, int]]:
    import json

    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    entries = json.loads(content[8 : 8 + length])
    del entries["__metadata__"]
    return {
        name: (8 + length + begin, end - begin)
        for name, entry in entries.items()
        for begin, end in [entry["data_offsets"]]
    }


class Colour(enum.Enum):
    RED = 1


class Callback(dict[str, Any]):
    """What training frameworks leave in their files: an object of a class that nobody here has."""

    def __init__(self) -> None:
        super().__init__(best=torch.ones(3), monitor="val/loss")
        self.best_model_path = pathlib.Path("/runs/best.ckpt")
        self.monitor_op = torch.lt
        self.sooner = datetime.timedelta(hours=1)


JUNK: dict[str, Any] = {
    "epoch": 3,
    "global_step": 470_000,
    "pytorch-lightning_version": "1.4.2",
    "callbacks": {Callback: Callback(), "more": [Callback()]},
    "hyper_parameters": argparse.Namespace(colour=Colour.RED, sizes=(1, 2), kinds={int}, when=datetime.date.today()),
    "lr_schedulers": [{"_last_lr": [np.float64(1e-5)], "lambdas": [None, {}], "at": np.arange(5)}],
    "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3), "step": 7}}, "param_groups": [{"lr": 1e-5}]}],
    "seen": collections.Counter("abc"),
    "by": collections.defaultdict(list, a=[1]),
    "rng": (random.getstate(), np.random.get_state()),
    "raw": bytearray(b"ab"),
    "frozen": frozenset({1}),
    "complex": 1j,
    "tuple key": {(1, 2): 3},
}


@pytest.mark.parametrize("protocol", [2, 4])
def test_what_a_training_leaves_beside_the_weights_is_inert(
    tmp_path: Path, options: dict[str, Any], protocol: int
) -> None:
    tensors = {name: tensor for name, tensor in VIEWS.items() if name != "empty"}
    value = JUNK | {"state_dict": collections.OrderedDict(tensors)}
    path = saved(tmp_path / "model.ckpt", value, pickle_protocol=protocol, **options)
    made = as_safetensors(path, tmp_path)
    assert_same(safetensors.torch.load_file(made), tensors)
    notes = {"epoch": "3", "global_step": "470000", "pytorch-lightning_version": "1.4.2", "format": "pt"}
    assert read_metadata(made) == notes
    assert read_header(made).keys() == tensors.keys()


def test_a_state_dict_with_modules_metadata(tmp_path: Path, options: dict[str, Any]) -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    path = saved(tmp_path / "x.bin", module.state_dict(), **options)
    assert_same(read(path, tmp_path), dict(module.state_dict()))


def test_nested_dicts_are_named_by_dots(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pt", {"unet": {"a": BASE}, "text_encoder": {"b": {"c": BASE}}})
    assert_same(read(path, tmp_path), {"unet.a": BASE, "text_encoder.b.c": BASE})


def test_a_packed_archive(tmp_path: Path) -> None:
    stored = saved(tmp_path / "stored.ckpt", VIEWS)
    packed = tmp_path / "packed.ckpt"
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert_same(read(packed, tmp_path), torch.load(stored, weights_only=True))


def test_an_archive_with_64_bit_sizes(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (("data.pkl", writing.program(**writing.SOUND)), ("data/0", writing.NUMBERS)):
            with archive.open(zipfile.ZipInfo(f"archive/{name}"), "w", force_zip64=True) as entry:
                entry.write(content)
    assert_same(read(path, tmp_path), {"a": torch.tensor([1.0, 2.0, 3.0, 4.0])})


def test_numbers_of_a_big_endian_machine(tmp_path: Path) -> None:
    program = writing.program(a=writing.tensor(writing.storage()), t=writing.tensor(writing.storage(), (2, 2), (1, 2)))
    path = writing.as_zip(tmp_path / "x.ckpt", program, {"0": np.arange(4, dtype=">f4").tobytes()}, byteorder=b"big")
    assert_same(read(path, tmp_path), {"a": torch.arange(4.0), "t": torch.tensor([[0.0, 2.0], [1.0, 3.0]])})


def test_files_of_torch_before_0_4_have_parts_of_storages(tmp_path: Path) -> None:
    part = writing.tuple_of(writing.text("1"), writing.number(1), writing.number(2))
    held = writing.tuple_of(
        writing.text("storage"), writing.named("torch", "FloatStorage"), writing.text("0"), writing.text("cpu"),
        writing.number(4), part,
    ) + b"Q"  # fmt: skip
    program = writing.program(a=writing.tensor(held, (2,)))
    path = writing.as_legacy(tmp_path / "x.pth", program, {"0": writing.NUMBERS})
    assert_same(read(path, tmp_path), {"a": torch.tensor([2.0, 3.0])})


UNREADABLE = {
    "sparse": lambda: torch.eye(3).to_sparse(),
    "quantized": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
    "complex": lambda: torch.ones(3, dtype=torch.complex64),
    "conjugated": lambda: torch.ones(3, dtype=torch.complex64).conj(),
    "negated": lambda: torch._neg_view(torch.ones(3)),
    "without numbers": lambda: torch.ones(3, device="meta"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_tensor_that_cannot_be_read_is_named(tmp_path: Path, options: dict[str, Any], case: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        odd = UNREADABLE[case]()
        path = saved(tmp_path / "x.ckpt", {"fine": BASE, "odd": odd}, **options)
        beside = saved(tmp_path / "y.ckpt", {"state_dict": {"fine": BASE}, "odd": odd}, **options)
    with pytest.raises(CheckpointInvalidError, match="its tensor odd is"):
        as_safetensors(path, tmp_path)
    assert_same(read(beside, tmp_path), {"fine": BASE})


@pytest.mark.parametrize("value", [[BASE], {}, {"state_dict": {}}, {"a": 1}, BASE, torch.nn.Linear(2, 2)], ids=repr)
def test_a_file_without_a_state_dict_says_what_it_is(tmp_path: Path, options: dict[str, Any], value: object) -> None:
    with pytest.raises(CheckpointInvalidError, match="no tensors are in it"):
        as_safetensors(saved(tmp_path / "x.ckpt", value, **options), tmp_path)


def test_a_program_is_called_one(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), tmp_path / "x.pt")
    with pytest.raises(CheckpointInvalidError, match="TorchScript"):
        as_safetensors(tmp_path / "x.pt", tmp_path)
