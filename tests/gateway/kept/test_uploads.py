from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from triptych.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError, ResourceExhaustedError
from triptych_gateway.caller import Caller
from triptych_gateway.kept.uploads import Upload, Uploads

ANN, BOB = Caller("ann"), Caller("bob")
FILE = bytes(range(256)) * 10
DIGEST = hashlib.sha256(FILE).hexdigest()


def uploads_in(folder: Path, max_bytes: int = 10_000, max_count: int = 3, idle_s: float = 60) -> Uploads:
    return Uploads(folder, max_bytes, max_count, idle_s)


async def begun(uploads: Uploads, sha256: str | None = DIGEST, name: str = "a.safetensors") -> Upload:
    return await uploads.begin(ANN, kind="lora", name=name, size=len(FILE), sha256=sha256)


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


async def broken(piece: bytes) -> AsyncIterator[bytes]:
    yield piece
    raise ConnectionError


async def test_a_file_comes_in_pieces_through_any_gateway(tmp_path: Path) -> None:
    first, second = uploads_in(tmp_path), uploads_in(tmp_path)
    upload = await begun(first)
    upload = await first.append(ANN, upload.id, 0, pieces(FILE[:10], FILE[10:100]))
    assert (upload.offset, upload.is_complete) == (100, False)
    with pytest.raises(ConnectionError):
        await second.append(ANN, upload.id, 100, broken(FILE[100:200]))
    assert (await first.find(ANN, upload.id)).offset == 200
    upload = await second.append(ANN, upload.id, 200, pieces(FILE[200:]))
    assert upload.is_complete
    path = await first.path(ANN, upload.id, "lora")
    assert path.suffix == ".safetensors"
    assert path.read_bytes() == FILE


async def test_its_digest_is_told_where_the_caller_does_not_know_it(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path)
    upload = await begun(uploads, sha256=None)
    assert (await uploads.append(ANN, upload.id, 0, pieces(FILE))).sha256 == DIGEST


async def test_another_digest_ends_it(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path)
    upload = await begun(uploads)
    with pytest.raises(InvalidArgumentError, match=r"^sha256: what came has .* begin again"):
        await uploads.append(ANN, upload.id, 0, pieces(FILE[::-1]))
    with pytest.raises(NotFoundError):
        await uploads.find(ANN, upload.id)


async def test_another_offset_is_told_the_right_one(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path)
    upload = await begun(uploads)
    with pytest.raises(FailedPreconditionError, match="go on at 0") as raised:
        await uploads.append(ANN, upload.id, 7, pieces(FILE))
    assert raised.value.metadata["offset"] == "0"


async def test_one_writer_at_a_time(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path)
    upload = await begun(uploads)

    async def meanwhile() -> AsyncIterator[bytes]:
        with pytest.raises(FailedPreconditionError, match="another request"):
            await uploads.append(ANN, upload.id, 0, pieces(FILE))
        yield FILE

    assert (await uploads.append(ANN, upload.id, 0, meanwhile())).is_complete


async def test_no_more_is_kept_than_was_told(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path)
    upload = await begun(uploads)
    with pytest.raises(InvalidArgumentError, match=r"^size: more came"):
        await uploads.append(ANN, upload.id, 0, pieces(FILE, b"more"))
    assert (await uploads.append(ANN, upload.id, len(FILE), pieces())).is_complete


async def test_limits(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^size: "):
        await begun(uploads_in(tmp_path, max_bytes=len(FILE) - 1))
    await begun(uploads_in(tmp_path, max_count=1))
    with pytest.raises(ResourceExhaustedError, match="1 uploads"):
        await begun(uploads_in(tmp_path, max_count=1))


async def test_names_are_shown_and_never_paths(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path / "in")
    await begun(uploads, name="../../../evil.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]  # noqa: ASYNC240
    with pytest.raises(InvalidArgumentError, match=r"^name: must end with"):
        await begun(uploads, name="a.exe")


async def test_callers_uploads_are_their_own(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path)
    upload = await begun(uploads)
    with pytest.raises(NotFoundError):
        await uploads.find(BOB, upload.id)


async def test_what_lies_still_is_given_up(tmp_path: Path) -> None:
    upload = await begun(uploads_in(tmp_path))
    await uploads_in(tmp_path).sweep()
    assert await uploads_in(tmp_path).find(ANN, upload.id) == upload
    await uploads_in(tmp_path, idle_s=-1).sweep()
    with pytest.raises(NotFoundError):
        await uploads_in(tmp_path).find(ANN, upload.id)


async def test_what_is_not_complete_or_of_another_kind_is_not_used(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path)
    upload = await begun(uploads)
    with pytest.raises(FailedPreconditionError, match="0 of 2560 bytes"):
        await uploads.path(ANN, upload.id, "lora")
    with pytest.raises(InvalidArgumentError, match="kind lora; here it must be checkpoint"):
        await uploads.path(ANN, upload.id, "checkpoint")
