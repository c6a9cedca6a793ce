"""Pictures in the operator's folder."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from tests.conftest import Served
from tests.gateway.a1111.conftest import Call, files, gateway_folder, info, picture
from triptych.errors import FailedPreconditionError
from triptych_gateway.a1111.saving import Folder, named


def test_numbers_go_on_and_nothing_is_written_over(tmp_path: Path) -> None:
    folders = [Folder(tmp_path, "txt2img-images") for _ in range(2)]
    saved = [folder.save(b"x", "png", name) for folder in folders for name in ("5", "6")]
    day = tmp_path / "txt2img-images" / time.strftime("%Y-%m-%d")
    assert saved == [day / name for name in ("00001-5.png", "00002-6.png", "00003-5.png", "00004-6.png")]
    assert folders[0].save(b"x", "png", head="grid-", digits=4).name == "grid-0005.png"


def test_a_name_is_no_path() -> None:
    told = {"seed": 5, "prompt": "../../etc/passwd, \\ a\nred circle" + "x" * 200}
    name = named("[seed]-[prompt][nothing]", told)
    assert name.startswith("5-etc-passwd-a-red-circlexxx") and len(name) < 70


def test_a_folder_that_cannot_be_made_is_told_of_before_anything_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FailedPreconditionError, match=r"^save_images: this server cannot save to"):
        Folder(tmp_path / "file", "txt2img-images")


def test_a_call_is_saved_with_its_grid(txt2img: Call, served: Served) -> None:
    root = gateway_folder(served) / "outputs"
    before = set(root.glob("*/*/*"))
    answer = txt2img(batch_size=3, save_images=True)
    together, *alone = files(answer)
    assert info(answer)["index_of_first_image"] == 1
    assert len(info(answer)["infotexts"]) == 4 and info(answer)["all_seeds"] == [5, 6, 7]
    assert picture(together).size == (128, 128)
    assert picture(together).info["parameters"] == info(answer)["infotexts"][0]
    *saved, one = sorted(set(root.glob("*/*/*")) - before, key=lambda path: (path.name.startswith("grid"), path.name))
    assert [file.name[5:] for file in saved] == ["-5.png", "-6.png", "-7.png"]
    assert {file.parent.parent.name for file in saved} == {"txt2img-images"}
    assert [file.read_bytes() for file in saved] == alone
    assert one.parent.parent.name == "txt2img-grids" and one.read_bytes() == together


def test_one_picture_has_no_grid(txt2img: Call, http: httpx.Client) -> None:
    assert len(txt2img(save_images=True)["images"]) == 1
