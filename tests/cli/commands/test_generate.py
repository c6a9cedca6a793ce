from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Triptych
from tests.sdk.fake_server import FakeServer, png
from triptych.cli import exit_codes
from triptych.cli.failures import Failures
from triptych.errors import NotFoundError, TriptychError


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def files() -> list[str]:
    return sorted(str(path) for path in Path().rglob("*.png"))


def test_every_parameter_reaches_the_server(triptych: Triptych, server: FakeServer) -> None:
    options = (
        "--checkpoint big --negative-prompt blurry --num-inference-steps 4 --guidance-scale 1.5 --width 32 "
        "--height 40 --num-images-per-prompt 2 --seed 0,5 --scheduler pndm --eta 0.5 -o out-{index}.png "
        "--lora ink --lora wash:0.5 --lora wash:-0.25:0 --prompt-2 star --negative-prompt-2 blue --clip-skip 1 "
        "--guidance-rescale 0.5 --original-size 300,200 --negative-crops-coords-top-left 3,5"
    )
    assert triptych("generate", "a red circle", *options.split()) == 0
    request = server.requests[0]
    assert (request.prompt, request.checkpoint, request.negative_prompt) == ("a red circle", "big", "blurry")
    assert (request.num_inference_steps, request.guidance_scale, request.eta) == (4, 1.5, 0.5)
    assert (request.width, request.height, request.num_images_per_prompt) == (32, 40, 2)
    assert (list(request.seeds), request.scheduler) == ([0, 5], "pndm")
    assert (request.prompt_2, request.negative_prompt_2, request.clip_skip) == ("star", "blue", 1)
    assert (request.original_size.height, request.original_size.width, request.guidance_rescale) == (300, 200, 0.5)
    corner = request.negative_crops_coords_top_left
    assert (corner.top, corner.left, request.HasField("target_size")) == (3, 5, False)
    assert [(one.name, one.weight, one.text_encoder_weight) for one in request.loras] == [
        ("ink", 0, 0), ("wash", 0.5, 0), ("wash", -0.25, 0)
    ]  # fmt: skip
    assert [one.HasField("weight") for one in request.loras] == [False, True, True]
    assert [one.HasField("text_encoder_weight") for one in request.loras] == [False, False, True]
    assert files() == ["out-0.png", "out-1.png"]
    with Image.open("out-1.png") as image:
        assert image.size == (32, 40)
        assert image.info["parameters"] == "Seed: 5"


def test_images_are_sent_as_they_are(triptych: Triptych, server: FakeServer) -> None:
    for name in ("a.png", "b.jpg"):
        Path(name).write_bytes(name.encode())
    options = "--image a.png --image b.jpg --strength 0.4 --num-images-per-prompt 2 -o out-{index}.png"
    assert triptych("generate", "a red circle", *options.split()) == 0
    assert (list(server.requests[0].images), server.requests[0].strength) == ([b"a.png", b"b.jpg"], 0.4)
    assert triptych("generate", "a red circle", "--image", "nowhere.png") == 2
    assert len(server.requests) == 1


def test_masks_are_sent_with_what_is_said_of_them(triptych: Triptych, server: FakeServer) -> None:
    for name in ("a.png", "mask.png"):
        Path(name).write_bytes(name.encode())
    options = "--image a.png --mask mask.png --padding-mask-crop 32 --mask-blur 4 --masked-content fill -o out.png"
    assert triptych("generate", "a red circle", *options.split()) == 0
    assert (
        triptych("generate", "x", "--image", "a.png", "--mask", "mask.png", "--invert-mask", "--no-paste-original") == 0
    )
    first, second = server.requests
    assert list(first.mask_images) == [b"mask.png"] and not (first.invert_mask or first.HasField("paste_original"))
    assert (first.padding_mask_crop, first.mask_blur, first.masked_content) == (32, 4, "fill")
    assert second.invert_mask and second.HasField("paste_original") and not second.paste_original
    assert triptych("generate", "x", "--image", "a.png", "--mask", "nowhere.png") == 2


def test_sides_are_sent(triptych: Triptych, server: FakeServer) -> None:
    Path("a.png").write_bytes(b"a.png")
    assert triptych("generate", "x", "--image", "a.png", "--expand", "8,0,16,1", "--expand-fill", "noise") == 0
    (request,) = server.requests
    sides = request.expand
    assert (sides.left, sides.top, sides.right, sides.bottom, request.expand_fill) == (8, 0, 16, 1, "noise")
    assert triptych("generate", "x", "--image", "a.png", "--expand", "8,0,16") == 2


def test_paths_on_stdout_the_rest_on_stderr(triptych: Triptych, capsys: pytest.CaptureFixture[str]) -> None:
    assert triptych("generate", "long", "--seed", "7") == 0
    out, err = capsys.readouterr()
    assert out == "long-7.png\n"
    assert err == "triptych: warning: prompt cut\nseed 7: 2.5 s, 0.25 s/step\n"


def test_an_existing_file_is_not_overwritten(triptych: Triptych, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out.png").write_text("precious")
    assert triptych("generate", "x", "-o", "out.png", "--num-images-per-prompt", "2", "--quiet") == 0
    assert capsys.readouterr() == ("out-1.png\nout-2.png\n", "")
    assert Path("out.png").read_text() == "precious"
    assert triptych("generate", "x", "-o", "out.png", "--num-images-per-prompt", "2", "--force") == 0
    assert files() == ["out-1.png", "out-2.png", "out.png"]
    assert Path("out.png").read_bytes().startswith(b"\x89PNG")


def test_many_prompts_from_a_file(triptych: Triptych, server: FakeServer) -> None:
    Path("prompts.txt").write_text("\ufeffa red circle\n\n# not this\n  grün: ein/Kreis! \n", encoding="utf-8")
    arguments = ["--prompts-file", "prompts.txt", "-o", "new/{index:02d}-{prompt}.png", "--concurrency", "2"]
    assert triptych("generate", *arguments) == 0
    assert files() == ["new/00-a-red-circle.png", "new/01-grün-ein-kreis.png"]
    assert {request.prompt for request in server.requests} == {"a red circle", "grün: ein/Kreis!"}


def test_prompts_from_stdin_into_a_directory(triptych: Triptych, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pictures").mkdir()
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo\n"))
    assert triptych("generate", "--prompts-file", "-", "-o", "pictures", "--seed", "3") == 0
    assert files() == ["pictures/one-3.png", "pictures/two-3.png"]


@pytest.mark.parametrize("concurrency", ["1", "3"])
def test_a_prompt_that_fails_is_reported_and_the_others_are_made(
    triptych: Triptych, concurrency: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("prompts.txt").write_text("fine\nfail NOT_FOUND\nsilent\nfine too\n")
    assert triptych("generate", "--prompts-file", "prompts.txt", "--quiet", "--concurrency", concurrency) == 3
    assert files() == ["fine-11.png", "fine-too-11.png"]
    *failures, total = capsys.readouterr().err.splitlines()
    assert sorted(failures) == [
        "triptych: prompt 2 (fail NOT_FOUND): no luck: NOT_FOUND",
        "triptych: prompt 3 (silent): the server ended the stream without a result",
    ]
    assert total == "triptych: 2 of 4 prompts failed"


def test_the_exit_code_is_that_of_the_first_prompt_that_failed() -> None:
    failures = Failures(Namespace(json=False, prompts_file="-"), 3)
    failures.add(2, "late", TriptychError("it failed at once"))
    failures.add(1, "early", NotFoundError("it took a while"))
    assert failures.finish() == exit_codes.exit_code(NotFoundError(""))


def test_a_failure_as_json(triptych: Triptych, capsys: pytest.CaptureFixture[str]) -> None:
    Path("prompts.txt").write_text("fail NOT_FOUND\nfine\n")
    assert triptych("generate", "--prompts-file", "prompts.txt", "--json") == 3
    failed, made = map(json.loads, capsys.readouterr().out.splitlines())
    told = {"reason": "NOT_FOUND", "message": "no luck: NOT_FOUND", "metadata": {"field": "prompt"}}
    assert failed == {"prompt": "fail NOT_FOUND", "error": told}
    assert made["prompt"] == "fine" and made["images"]


def test_without_a_server_no_further_prompt_is_tried(
    triptych: Triptych, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("prompts.txt").write_text("fine\nfail STAGE_UNAVAILABLE\nfine\nfine\n")
    assert triptych("generate", "--prompts-file", "prompts.txt", "--quiet") == 4
    assert len(server.requests) == 2
    assert capsys.readouterr().err.splitlines() == [
        "triptych: prompt 2 (fail STAGE_UNAVAILABLE): no luck: STAGE_UNAVAILABLE",
        "triptych: 1 of 4 prompts failed",
    ]


def test_json(triptych: Triptych, capsys: pytest.CaptureFixture[str]) -> None:
    Path("prompts.txt").write_text("one\ntwo\n")
    assert triptych("generate", "--prompts-file", "prompts.txt", "--json", "--seed", "7", "--width", "24") == 0
    out, err = capsys.readouterr()
    first, second = map(json.loads, out.splitlines())
    assert err == ""
    assert first["images"] == [{"path": "one-7.png", "seed": 7, "width": 24, "height": 8}]
    assert first["timings"]["unet"]["wall_seconds"] == 2.0
    assert {key: second[key] for key in ("prompt", "checkpoint", "scheduler", "num_inference_steps", "warnings")} == {
        "prompt": "two",
        "checkpoint": "tiny",
        "scheduler": "ddim",
        "num_inference_steps": 3,
        "warnings": [],
    }
    assert files() == ["one-7.png", "two-7.png"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_bar_with_time_per_step(triptych: Triptych, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    assert triptych("generate", "a red circle") == 0
    shown = terminal.getvalue()
    assert "a red circle" in shown
    assert "3/3" in shown and "0.25 s/step" in shown


@pytest.mark.parametrize(
    "argv",
    [
        ["x", "-o", "{colour}.png"],
        ["x", "-o", "{.png"],
        ["x", "-o", "{}.png"],
        ["x", "-o", "out.tiff"],
        ["x", "-o", "{index}.gif"],
        ["x", "-o", "-", "--json"],
        ["x", "-o", "-", "--num-images-per-prompt", "2"],
        ["--prompts-file", "two.txt", "-o", "-"],
        ["x", "--seed", "seven"],
        ["x", "--width", "-8"],
        ["x", "--lora", "ink:much"],
        ["x", "--lora", "ink:1:2:3"],
        ["--prompts-file", "missing.txt"],
        ["--prompts-file", "empty.txt"],
        ["x", "--prompts-file", "empty.txt"],
    ],
)
def test_invalid_arguments_are_2_and_send_nothing(triptych: Triptych, server: FakeServer, argv: list[str]) -> None:
    Path("empty.txt").write_text("\n# nothing\n")
    Path("two.txt").write_text("one\ntwo\n")
    assert triptych("generate", *argv) == 2
    assert server.requests == []


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("in-the-way/out.png", "Not a directory"),
        ("in-the-way/deep/{prompt}.png", "Not a directory"),
        ("/proc/out.png", "No such file or directory"),  # of a folder in which nobody can make a file
        (f"{'x' * 300}.png", "File name too long"),
        ("{prompt}.png --force", "Is a directory"),
    ],
)
def test_what_cannot_be_written_is_noticed_before_anything_is_sent(
    triptych: Triptych, server: FakeServer, pattern: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in-the-way").write_text("")
    Path("taken.png").mkdir()
    assert triptych("generate", "taken", "--quiet", "-o", *pattern.split()) == 1
    assert server.requests == []
    err = capsys.readouterr().err
    assert err.startswith("triptych: output: ") and err.endswith(f" cannot be written: {problem}\n")


def test_looking_ahead_leaves_nothing_and_changes_nothing(triptych: Triptych) -> None:
    Path("there.png").write_text("precious")
    before = Path("there.png").stat()
    assert triptych("generate", "fail NOT_FOUND", "-o", "new/deep/out.png") == 3
    assert triptych("generate", "fail NOT_FOUND", "-o", "there.png", "--force") == 3
    assert list(Path().iterdir()) == [Path("there.png")]
    assert Path("there.png").stat().st_mtime_ns == before.st_mtime_ns
    assert Path("there.png").read_text() == "precious"


def test_a_device_takes_every_picture(triptych: Triptych, capsys: pytest.CaptureFixture[str]) -> None:
    Path("null.png").symlink_to("/dev/null")
    assert triptych("generate", "x", "-o", "null.png", "--num-images-per-prompt", "2", "--quiet") == 0
    assert capsys.readouterr().out == "null.png\nnull.png\n"
    assert files() == ["null.png"] and Path("null.png").is_char_device()


def test_the_ending_chooses_the_format(
    triptych: Triptych, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, kind in (("out.jpg", "JPEG"), ("out.WebP", "WEBP"), ("out", "PNG")):
        assert triptych("generate", "x", "-o", name, "--quiet") == 0
        assert capsys.readouterr().out == f"{name}\n"
        with Image.open(name) as image:
            assert image.format == kind
    assert [request.image_format for request in server.requests] == ["jpeg", "webp", ""]


def test_a_format_and_a_quality_are_asked_for(triptych: Triptych, server: FakeServer) -> None:
    assert triptych("generate", "a red circle", "--seed", "7", "--image-format", "jpeg", "--quality", "80") == 0
    assert [path.name for path in Path().iterdir()] == ["a-red-circle-7.jpg"]
    Path("folder").mkdir()
    assert triptych("generate", "a fox", "--seed", "7", "--image-format", "webp", "-o", "folder") == 0
    assert [path.name for path in Path("folder").iterdir()] == ["a-fox-7.webp"]
    assert [(request.image_format, request.quality) for request in server.requests] == [("jpeg", 80), ("webp", 0)]
    assert triptych("generate", "x", "--image-format", "webp", "-o", "out.png") == 2
    assert len(server.requests) == 2


def test_standard_output_takes_the_picture_itself(
    triptych: Triptych, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert triptych("generate", "x", "-o", "-", "--seed", "7") == 0
    out, err = capsysbinary.readouterr()
    with Image.open(io.BytesIO(out)) as image:
        assert (image.format, image.info["parameters"]) == ("PNG", "Seed: 7")
    assert out == png(7, 16, 8)
    assert err == b"seed 7: 2.5 s, 0.25 s/step\n"
    assert list(Path().iterdir()) == []


def test_a_terminal_is_not_sent_a_picture(
    triptych: Triptych, server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    assert triptych("generate", "x", "-o", "-") == 2
    assert "standard output is a terminal" in capsys.readouterr().err
    assert server.requests == []


# The thread takes what the main thread does not: a signal that does not wake whatever that one waits for. The same
# happens, rarely, when a signal comes just before it begins to wait.
TAKEN_BY_ANOTHER_THREAD = """
import signal, sys, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
from triptych.cli.main import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    "program", [["-m", "triptych"], ["-c", TAKEN_BY_ANOTHER_THREAD]], ids=["plain", "taken by another thread"]
)
def test_ctrl_c_cancels_on_the_server(server: FakeServer, program: list[str]) -> None:
    command = [sys.executable, *program, "generate", "mute", "--address", server.address]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not server.started.wait(0.1):
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (130, "triptych: interrupted\n")
    assert server.ended.wait(60)
