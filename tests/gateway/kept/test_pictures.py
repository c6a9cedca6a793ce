from __future__ import annotations

from pathlib import Path

import pytest

from triptych.errors import FailedPreconditionError, NotFoundError
from triptych_gateway.caller import Caller
from triptych_gateway.kept.pictures import Drawn, Pictures

ANN, BOB = Caller("ann"), Caller("bob")
DAY_S = 86400.0


def drawn(*files: bytes) -> list[Drawn]:
    return [Drawn(file, "a dot", "tiny", seed, (64, 64), "png") for seed, file in enumerate(files)]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_callers_pictures_are_their_own(tmp_path: Path) -> None:
    pictures = Pictures(tmp_path, DAY_S, 1000)
    (kept,) = await pictures.keep(ANN, drawn(b"a file"))
    assert await pictures.newest(ANN) == [kept]
    assert await pictures.newest(BOB) == []
    with pytest.raises(NotFoundError):
        await pictures.find(BOB, kept.id)


async def test_another_gateway_with_the_folder_has_them_too(tmp_path: Path) -> None:
    first, second = (Pictures(tmp_path, DAY_S, 1000) for _ in range(2))
    (kept,) = await first.keep(ANN, drawn(b"a file"))
    assert await second.file(ANN, kept.id) == b"a file"
    await second.remove(ANN, kept.id)
    assert await first.newest(ANN) == []


async def test_the_oldest_go_where_there_are_too_many_bytes(tmp_path: Path) -> None:
    pictures = Pictures(tmp_path, DAY_S, 25)
    kept = [(await pictures.keep(caller, drawn(b"0123456789")))[0] for caller in (ANN, BOB, ANN)]
    await pictures.sweep()
    assert await pictures.newest(ANN) == [kept[2]]
    assert await pictures.newest(BOB) == [kept[1]]


async def test_the_old_go(tmp_path: Path) -> None:
    await Pictures(tmp_path, DAY_S, 1000).keep(ANN, drawn(b"a file", b"another"))
    pictures = Pictures(tmp_path, 0, 1000)
    await pictures.sweep()
    assert await pictures.newest(ANN) == []
    assert files(tmp_path) == []


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FailedPreconditionError, match=f"cannot write to {tmp_path / 'file'}"):
        await Pictures(tmp_path / "file", DAY_S, 1000).keep(ANN, drawn(b"a file"))


async def test_a_damaged_record_is_no_picture(tmp_path: Path) -> None:
    pictures = Pictures(tmp_path, DAY_S, 1000)
    (kept,) = await pictures.keep(ANN, drawn(b"a file"))
    (record,) = (path for path in files(tmp_path) if path.suffix == ".json")
    record.write_text('{"id": 3}')
    assert await Pictures(tmp_path, DAY_S, 1000).newest(ANN) == []
    assert kept.seed == 0
