"""Pickles that want to run something, or to take all time and memory: refused by what they want, nothing is left."""

from __future__ import annotations

import os
import pickle
import pickletools
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint.pickles.writing import (
    NUMBERS,
    SOUND,
    Write,
    as_legacy,
    as_zip,
    call,
    named,
    number,
    program,
    storage,
    tensor,
    text,
    tuple_of,
)
from triptych.checkpoint.pickles import as_safetensors
from triptych.checkpoint.pickles.machine.machine import MOST_INSTRUCTIONS
from triptych.checkpoint.safetensors import read_header
from triptych.errors import CheckpointInvalidError

BOTH = pytest.mark.parametrize("write", [as_zip, as_legacy], ids=["zip", "legacy"])
# Besides what Python, numpy and the file system cache take.
MOST_BYTES = 500_000_000
MOST_SECONDS = 40


def refusal(path: Path, cache: Path) -> str:
    """What is said of the file, which leaves nothing in the cache but a lock."""
    with pytest.raises(CheckpointInvalidError) as caught:
        as_safetensors(path, cache)
    assert caught.value.metadata["file"] == str(path) and caught.value.message.startswith(f"{path}: ")
    assert not [left for left in cache.rglob("*") if left.is_file() and left.suffix != ".lock" and left != path]
    return caught.value.message


class Run:
    """Pickles as a call of whatever it is given."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.called = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.called


def attacks(canary: Path) -> dict[str, tuple[object, str]]:
    command = f"touch {canary}"
    return {
        "os.system": (Run(os.system, command), "posix.system"),
        "subprocess": (Run(subprocess.Popen, ["touch", str(canary)]), "subprocess.Popen"),
        "eval": (Run(eval, f"open({str(canary)!r}, 'w')"), "builtins.eval"),
        "exec": (Run(exec, f"open({str(canary)!r}, 'w')"), "builtins.exec"),
        "open": (Run(open, str(canary), "w"), "open"),
        "import": (Run(__import__, "antigravity"), "builtins.__import__"),
        "unpickling": (Run(pickle.loads, pickle.dumps(Run(os.system, command))), "pickle.loads"),
        "remove": (Run(os.remove, str(canary.parent)), "posix.remove"),
    }


@pytest.mark.parametrize("protocol", range(6))
@BOTH
def test_what_a_file_wants_to_run_is_named_and_not_run(tmp_path: Path, write: Write, protocol: int) -> None:
    canary = tmp_path / "canary"
    for attack, wanted in attacks(canary).values():
        for value in (attack, {"state_dict": {}, "epoch": attack}, {"callbacks": [{"x": (attack,)}]}):
            path = write(tmp_path / "x.ckpt", pickle.dumps(value, protocol))
            said = refusal(path, tmp_path / "cache")
            assert wanted in said and "nothing of it was run" in said
    assert not canary.exists()


GADGETS = {
    "commands of Python 2": (call(named("commands", "getoutput"), text("id")), "subprocess.getoutput"),
    "an instance": (b"(" + text("id") + b"iposix\nsystem\n", "posix.system"),
    "an old object": (b"(" + named("posix", "system") + text("id") + b"o", "posix.system"),
    "a class of the standard library": (named("code", "InteractiveInterpreter") + b")\x81", "code.Interactive"),
    "a name from the stack": (text("posix") + text("system") + b"\x93" + tuple_of(text("id")) + b"R", "posix.system"),
    "a method by its dotted name": (text("builtins") + text("str.format") + b"\x93" + b")R", "builtins.str.format"),
    "getattr on a module": (
        call(call(named("builtins", "getattr"), call(named("foo", "Module")), text("system")), text("id")),
        "builtins.getattr",
    ),
    "what partial made": (call(call(named("functools", "partial"), named("foo", "run"))), "functools.partial"),
    "another package's function": (call(named("torch.hub", "load"), text("evil/evil")), "torch.hub.load"),
    "numpy's own eval": (call(named("numpy.testing._private.utils", "runstring"), text("x")), "runstring"),
    "a function in a class' place": (call(named("torch.serialization", "load"), text("x")), "torch.serialization.load"),
    "state that sets a method": (
        call(named("foo", "Bar")) + b"}" + text("__setstate__") + named("os", "system") + b"sb" + text("id") + b"b",
        "os.system",
    ),
    "code": (call(named("types", "CodeType")), "types.CodeType"),
    "marshal": (call(named("marshal", "loads"), text("x")), "marshal.loads"),
    "a persistent id": (
        tuple_of(text("storage"), named("os", "system"), text("0"), text("cpu"), number(4)) + b"Q",
        "os",
    ),
    "an extension": (b"\x82\x07", "extension registry"),
    "a wide extension": (b"\x84\x07\0\0\0", "extension registry"),
    "a buffer out of band": (b"\x97", "buffer"),
    "a read-only buffer": (b"N\x98", "buffer"),
    "a persistent id as text": (b"P0\n", "by a text"),
}


@pytest.mark.parametrize("case", GADGETS)
@BOTH
def test_every_way_to_name_or_call(tmp_path: Path, write: Write, case: str) -> None:
    gadget, wanted = GADGETS[case]
    path = write(tmp_path / "x.ckpt", program(**SOUND, evil=gadget), {"0": NUMBERS})
    assert wanted in refusal(path, tmp_path / "cache")


MALFORMED: dict[str, bytes] = {
    "nothing on the stack": b"\x80\x02.",
    "no end": b"\x80\x02N",
    "nothing at all": b"",
    "a newer protocol": b"\x80\x06N.",
    "no instruction": b"\x80\x02\xffN.",
    "a text that is not there": b"\x80\x04\x8d" + (1 << 62).to_bytes(8, "little") + b"x.",
    "bytes that are not there": b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"x.",
    "a long text that is not there": b"\x80\x02X\xff\xff\xff\xff.",
    "a huge integer": b"\x80\x02\x8b" + (1 << 20).to_bytes(4, "little") + b"\x01" * (1 << 20) + b".",
    "an integer of a thousand digits": b"I" + b"9" * 2000 + b"\n.",
    "an integer that is none": b"Ix\n.",
    "a float that is none": b"Fx\n.",
    "a text without quotes": b"Sx\n.",
    "a text that is no Unicode": b"\x80\x02X\x01\0\0\0\xff.",
    "a memo that is not there": b"\x80\x02h\x07.",
    "a memo below zero": b"N" + b"p-1\n.",
    "a mark that is not there": b"\x80\x02t.",
    "two marks too few": b"\x80\x02(NNtee.",
    "an append to a number": b"\x80\x02K\x01Na.",
    "an item of a list": b"\x80\x02]NNs.",
    "a key without a value": b"\x80\x02}(Nu.",
    "a name that is no text": b"\x80\x04NN\x93.",
    "a name without end": b"c" + b"x" * 5000,
    "a long name": b"\x80\x02" + named("x" * 400, "y") + b".",
    "a call of nothing": b"\x80\x02N)R.",
    "a call of a text": b"\x80\x02" + text("os.system") + b")R.",
    "no arguments": b"\x80\x02" + named("collections", "OrderedDict") + b"NR.",
    "an object of nothing": b"\x80\x02(o.",
    "pairs that are none": b"\x80\x02" + call(named("collections", "OrderedDict"), b"](K\x01K\x02e") + b".",
}
REFERENCES = {
    "no tuple": number(0) + b"Q",
    "a short one": tuple_of(text("storage")) + b"Q",
    "of another kind": tuple_of(text("file"), *[number(1)] * 4) + b"Q",
    "of no type": tuple_of(text("storage"), text("FloatStorage"), text("0"), text("cpu"), number(4)) + b"Q",
    "of a type that is none": storage(kind="FloatTensor"),
    "with a number for a key": tuple_of(text("storage"), named("torch", "FloatStorage"), *[number(0)] * 3) + b"Q",
    "of fewer than no numbers": storage(count=-4),
    "of more than there are": storage(count=5),
    "of fewer than there are": storage(count=3),
    "that is not there": storage(key="1"),
    "of another type too": storage(kind="IntStorage") + b"0" + storage(),
    "of a part beyond it": tuple_of(
        text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), number(4),
        tuple_of(text("1"), number(3), number(2)),
    ) + b"Q",
}  # fmt: skip
TENSORS = {
    "beyond its storage": tensor(storage(), (5,)),
    "beyond by its offset": tensor(storage(), (4,), (1,), 1),
    "beyond by its strides": tensor(storage(), (2, 2), (3, 1)),
    "beyond by a huge stride": tensor(storage(), (2,), (1 << 47,)),
    "of a negative size": tensor(storage(), (-1,)),
    "of a negative stride": tensor(storage(), (2,), (-1,), 3),
    "at a negative offset": tensor(storage(), (2,), (1,), -1),
    "of an absurd size": tensor(storage(), (1 << 60,), (0,)),
    "with fewer strides": tensor(storage(), (2, 2), (1,)),
    "of many dimensions": tensor(storage(), (1,) * 40, (1,) * 40),
    "larger than any file": tensor(storage(), (1 << 40, 1 << 40), (0, 0)),
    "of no storage": tensor(text("0")),
    "of too few arguments": call(named("torch._utils", "_rebuild_tensor_v2"), storage()),
    "of a shape that is a number": call(
        named("torch._utils", "_rebuild_tensor"), storage(), number(0), number(4), number(1)
    ),
    "of a type without arguments": call(named("torch._tensor", "_rebuild_from_type_v2"), text("x")),
}


@pytest.mark.parametrize("case", MALFORMED)
@BOTH
def test_a_malformed_pickle(tmp_path: Path, write: Write, case: str) -> None:
    refusal(write(tmp_path / "x.ckpt", MALFORMED[case]), tmp_path / "cache")


@pytest.mark.parametrize("held", [*REFERENCES.values()], ids=REFERENCES)
@BOTH
def test_a_storage_that_lies(tmp_path: Path, write: Write, held: bytes) -> None:
    refusal(write(tmp_path / "x.ckpt", program(**SOUND, x=tensor(held)), {"0": NUMBERS}), tmp_path / "cache")


@pytest.mark.parametrize("made", [*TENSORS.values()], ids=TENSORS)
@BOTH
def test_a_tensor_that_lies(tmp_path: Path, write: Write, made: bytes) -> None:
    refusal(write(tmp_path / "x.ckpt", program(**SOUND, x=made), {"0": NUMBERS}), tmp_path / "cache")


@pytest.mark.parametrize("name", ["__metadata__", "x" * 600, "\ud800"], ids=["metadata", "long", "surrogate"])
def test_a_name_that_safetensors_cannot_have(tmp_path: Path, name: str) -> None:
    encoded = name.encode("utf-8", "surrogatepass")
    key = b"X" + len(encoded).to_bytes(4, "little") + encoded
    path = as_zip(tmp_path / "x.ckpt", b"\x80\x02}" + key + tensor(storage()) + b"s.", {"0": NUMBERS})
    assert "name" in refusal(path, tmp_path / "cache")


def test_overlapping_views_beyond_all_measure(tmp_path: Path) -> None:
    """A view for each of a thousand names, of a megabyte: a file of one would unpack to a thousand."""
    views = {f"t{i}": b"h\x63" for i in range(1000)}
    shared = tensor(storage(count=1 << 18), (1 << 18,)) + b"q\x630"
    code = b"\x80\x02" + shared + program(**views)[2:]
    assert "unpack to" in refusal(as_zip(tmp_path / "x.ckpt", code, {"0": b"\0" * (1 << 20)}), tmp_path / "cache")
    few = b"\x80\x02" + shared + program(**dict(list(views.items())[:3]))[2:]
    path = as_zip(tmp_path / "y.ckpt", few, {"0": b"\0" * (1 << 20)})
    assert len(read_header(as_safetensors(path, tmp_path / "cache"))) == 3


MANY = MOST_INSTRUCTIONS - 1000
HUGE_TEXT = text("k" * 20_000_000)


def one_key_for_dicts(count: int) -> bytes:
    """A huge text, once in the file, as the key of every dict."""
    dicts = b"".join(number(i) + b"}h\0Ns" for i in range(count))
    return b"\x80\x02" + HUGE_TEXT + b"q\0" + b"0}(" + dicts + b"u."


def one_key_again(count: int) -> bytes:
    """A huge text as a key, and another that is equal in its place, again and again."""
    return b"\x80\x02" + HUGE_TEXT + b"q\0" + HUGE_TEXT + b"q\1" + b"00}h\0Ns" + b"h\1Ns" * count + b"."


BOMBS: dict[str, bytes] = {
    "a billion laughs": b"\x80\x02]" + b"2\x86" * (MANY // 2) + b".",
    "a billion laughs for a key": b"\x80\x02})" + b"2\x86" * (MANY // 2) + b"Ns.",
    "dicts within themselves": b"\x80\x02}" + b"q\0X\1\0\0\0ah\0sX\1\0\0\0bh\0s" * (MANY // 10) + b".",
    "a dict of two of a dict of two": b"\x80\x02}q\0" + b"0}q\1X\1\0\0\0ah\0sX\1\0\0\0bh\0sh\1q\0" * 40 + b".",
    "very deep": b"\x80\x02" + b"(" * (MANY // 2) + b"t" * (MANY // 2) + b".",
    "very deep lists": b"\x80\x02]" + b"]2a" * (MANY // 3) + b".",
    "a memo": b"\x80\x04N" + b"\x94" * MANY + b".",
    "dicts": b"\x80\x02(" + b"}" * MANY + b"l.",
    "dicts with an entry": b"\x80\x02(" + b"}NNs" * (MANY // 4) + b"l.",
    "marks": b"\x80\x02" + b"(" * MANY + b".",
    "keys of one hash": b"\x80\x02}("
    + b"".join(b"\x8a\x10" + (i * ((1 << 61) - 1)).to_bytes(16, "little") + b"N" for i in range(MANY // 3))
    + b"u.",
    "a dict made again and again": b"\x80\x02"
    + named("collections", "OrderedDict")
    + b"q\0](" + b"K\1K\2\x86" * 100_000 + b"e\x85q\1" + b"h\0h\1R0" * 400_000 + b".",
    "a huge key for every dict": one_key_for_dicts(MANY // 5),
    "a huge key again and again": one_key_again(MANY // 3),
    "wide text": b"\x80\x02" + text("\U0001f600" + "a" * (31 << 20)) + b".",
    "a pickle without end": b"\x80\x02" + text("a" * (1 << 20)) * 40 + b".",
}  # fmt: skip
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, ({most}, {most}))
from pathlib import Path
from triptych.checkpoint.pickles import as_safetensors
from triptych.errors import CheckpointInvalidError
for path in sys.argv[2:]:
    try:
        as_safetensors(Path(path), Path(sys.argv[1]))
    except CheckpointInvalidError as error:
        print(error.message)
"""


@pytest.mark.slow
@pytest.mark.parametrize("case", BOMBS)
def test_a_bomb_takes_bounded_time_and_memory(tmp_path: Path, case: str) -> None:
    path = as_zip(tmp_path / "x.ckpt", BOMBS[case])
    begun = time.monotonic()
    run = limited(tmp_path / "cache", path)
    assert run.returncode == 0 and run.stdout.startswith(f"{path}: "), run.stderr[-2000:]
    assert time.monotonic() - begun < MOST_SECONDS
    assert not (tmp_path / "cache").exists() or not [*(tmp_path / "cache").rglob("*.safetensors")]


def test_small_bombs_are_no_trouble(tmp_path: Path) -> None:
    """Each of the bombs, cut to a tenth of what is allowed."""
    paths = [
        as_zip(tmp_path / "laughs.ckpt", b"\x80\x02]" + b"2\x86" * 50_000 + b"."),
        as_zip(tmp_path / "key.ckpt", b"\x80\x02})" + b"2\x86" * 50_000 + b"Ns."),
        as_zip(tmp_path / "deep.ckpt", b"\x80\x02" + b"(" * 50_000 + b"t" * 50_000 + b"."),
        as_zip(tmp_path / "lists.ckpt", b"\x80\x02]" + b"]2a" * 50_000 + b"."),
        as_zip(tmp_path / "itself.ckpt", BOMBS["a dict of two of a dict of two"]),
        as_zip(tmp_path / "huge_key.ckpt", one_key_for_dicts(40_000)),
        as_zip(tmp_path / "same_key.ckpt", one_key_again(200_000)),
        as_zip(tmp_path / "own.ckpt", b"\x80\x02}q\0X\1\0\0\0ah\0s."),
    ]
    run = limited(tmp_path / "cache", *paths)
    assert run.returncode == 0 and len(run.stdout.splitlines()) == len(paths), run.stderr[-2000:]


def limited(cache: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LIMITED.format(most=MOST_BYTES), str(cache), *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_too_many_instructions_are_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.checkpoint.pickles.machine.machine.MOST_INSTRUCTIONS", 100)
    assert "more than" in refusal(as_zip(tmp_path / "x.ckpt", b"\x80\x02" + b"N" * 101 + b"."), tmp_path / "cache")


def test_nothing_that_the_file_names_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from triptych.checkpoint.pickles import as_safetensors\n"
        f"as_safetensors(Path({str(tmp_path / 'x.ckpt')!r}), Path({str(tmp_path)!r}))\n"
        "assert 'pickle' not in sys.argv and not {'antigravity', 'wsgiref', 'pytorch_lightning'} & {*sys.modules}\n"
    )
    junk = call(named("pytorch_lightning.callbacks", "ModelCheckpoint")) + b"}b"
    as_zip(tmp_path / "x.ckpt", program(**SOUND, junk=junk, more=named("wsgiref_", "x")), {"0": NUMBERS})
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_machine_knows_every_instruction_there_is() -> None:
    from triptych.checkpoint.pickles.machine.arguments import PUSHED
    from triptych.checkpoint.pickles.machine.machine import _OPERATIONS, _REFUSED, _STOP

    known: set[Any] = {*PUSHED, *_OPERATIONS, *_REFUSED, _STOP}
    assert known == {ord(opcode.code) for opcode in pickletools.opcodes}
