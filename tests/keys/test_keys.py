from __future__ import annotations

import asyncio
import base64
import stat
import time
from pathlib import Path

import pytest

from triptych.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError, UnauthenticatedError
from triptych.keys import KeyFile, Keys, checking
from triptych.keys.entry import Entry
from triptych.keys.headers import bearer, name_and_secret


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "state" / "credentials")


def added(file: KeyFile, name: str) -> str:
    entry, key = Entry.new(name)
    file.put(entry)
    return key


def test_no_secret_lies_in_the_file_which_is_its_owners_alone(file: KeyFile) -> None:
    key = added(file, "ann")
    file.put(Entry.with_password("bob", "correct horse"))
    text = file.path.read_text()
    assert key.partition(".")[2] not in text and "horse" not in text
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert sorted(KeyFile(file.path).entries()) == ["ann", "bob"]


async def test_a_key_and_a_password_by_bearer_and_basic(file: KeyFile) -> None:
    key = added(file, "ann")
    file.put(Entry.with_password("bob", "correct horse"))
    keys = Keys([file.path])
    for sent in (bearer(key), basic("ann", key), basic("ann", key.partition(".")[2]), f"bearer  {key} "):
        assert await keys.name_of(sent) == "ann"
    assert await keys.name_of(basic("bob", "correct horse")) == "bob"


@pytest.mark.parametrize(
    "sent",
    ["", "Bearer", "Bearer ann", "Bearer ann.", "Bearer .x", "Digest x", "Basic ann:x", "Basic /w==",
     "Bearer ann.wrong", "Bearer eve.wrong", basic("ann", "wrong"), basic("", "wrong"), "Bearer ann." + "x" * 2000],
)  # fmt: skip
async def test_what_is_not_let_in(file: KeyFile, sent: str) -> None:
    added(file, "ann")
    for _ in range(2):
        with pytest.raises(UnauthenticatedError):
            await Keys([file.path]).name_of(sent)


async def test_one_hash_a_secret_and_none_for_those_that_are_known(
    file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = added(file, "ann")
    keys, hashed = Keys([file.path]), 0
    matches = Entry.matches

    def counted(entry: Entry, secret: str) -> bool:
        nonlocal hashed
        hashed += 1
        return matches(entry, secret)

    monkeypatch.setattr(Entry, "matches", counted)
    assert set(await asyncio.gather(*(keys.name_of(bearer(key)) for _ in range(20)))) == {"ann"}
    for wrong in ("Bearer ann.wrong", "Bearer eve.wrong") * 2:
        with pytest.raises(UnauthenticatedError):
            await keys.name_of(wrong)
    assert hashed == 3
    began_s = time.perf_counter()
    for _ in range(1000):
        await keys.name_of(bearer(key))
    assert (time.perf_counter() - began_s) / 1000 < 0.001  # some 10 microseconds on an idle machine


async def test_a_change_of_the_file_counts_at_once(file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "LOOK_AGAIN_S", 0.0)
    ann, keys = added(file, "ann"), Keys([file.path])
    assert await keys.name_of(bearer(ann)) == "ann"
    bob = added(file, "bob")
    assert await keys.name_of(bearer(bob)) == "bob"
    again = added(file, "ann")
    assert await keys.name_of(bearer(again)) == "ann"
    file.remove("bob")
    for gone in (ann, bob):
        with pytest.raises(UnauthenticatedError):
            await keys.name_of(bearer(gone))


@pytest.mark.parametrize("damage", [b"ann scrypt$1", b"\xff\xfe", b"ann scrypt$60$8$1$AAAA$AAAA\n"])
async def test_a_damaged_file_lets_nobody_in(file: KeyFile, damage: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "LOOK_AGAIN_S", 0.0)
    key, keys = added(file, "ann"), Keys([file.path])
    assert await keys.name_of(bearer(key)) == "ann"
    file.path.write_bytes(damage)
    with pytest.raises(UnauthenticatedError):
        await keys.name_of(bearer(key))
    with pytest.raises(FailedPreconditionError, match="line 1"):
        Keys([file.path])


def test_what_a_file_says_to_whoever_changes_it(file: KeyFile) -> None:
    with pytest.raises(FailedPreconditionError, match="triptych keys add"):
        file.entries()
    added(file, "ann")
    with pytest.raises(NotFoundError, match="which has ann"):
        file.remove("bob")
    with pytest.raises(InvalidArgumentError, match="name"):
        Entry.new("a.b")
    for password in ("short", "ann.password", "x" * 2000):
        with pytest.raises(InvalidArgumentError, match="password"):
            Entry.with_password("ann", password)


def test_a_later_file_wins(tmp_path: Path) -> None:
    first, second = KeyFile(tmp_path / "1"), KeyFile(tmp_path / "2")
    added(first, "ann")
    key = added(second, "ann")
    name, secret = name_and_secret(bearer(key))
    entry = Keys([first.path, second.path]).entry(name)
    assert entry is not None and entry.matches(secret)
