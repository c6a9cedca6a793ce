"""A hub's names, its cache on this machine, and which of a repository's files are needed."""

from __future__ import annotations

import json
import shlex
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

import huggingface_hub.constants
import pytest

from triptych.checkpoint.families import FAMILIES
from triptych.contract import hub
from triptych.contract.hub import HubId, download_command, downloaded, hub_cache, needed_files, snapshot
from triptych.errors import NotDownloadedError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TINY = HubId("me/tiny")
VARIABLES = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME")

# As stabilityai/stable-diffusion-2-1-base has them, and more.
NAMES = [
    *(".gitattributes", "README.md", "model_index.json", "v2-1.ckpt", "v2-1.safetensors"),
    *("feature_extractor/preprocessor_config.json", "scheduler/scheduler_config.json"),
    *(f"text_encoder/{name}" for name in ("config.json", "model.safetensors", "model.fp16.safetensors")),
    *("text_encoder/pytorch_model.bin", "safety_checker/config.json", "safety_checker/model.safetensors"),
    *(f"tokenizer/{name}" for name in ("merges.txt", "vocab.json", "special_tokens_map.json", "tokenizer_config.json")),
    *(f"unet/diffusion_pytorch_model{name}" for name in (".bin", ".fp16.safetensors", ".safetensors")),
    *("unet/config.json", "vae/config.json", "vae/diffusion_pytorch_model.bin", "vae/diffusion_flax_model.msgpack"),
]
SMALL = {
    *("model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json", "unet/config.json"),
    *("vae/config.json", "tokenizer/merges.txt", "tokenizer/vocab.json", "tokenizer/special_tokens_map.json"),
    "tokenizer/tokenizer_config.json",
}


@pytest.mark.parametrize(
    ("text", "repo", "revision"),
    [
        ("stabilityai/stable-diffusion-2-1-base", "stabilityai/stable-diffusion-2-1-base", "main"),
        ("me/tiny@fp16", "me/tiny", "fp16"),
        (f"me/tiny.v1@{COMMIT}", "me/tiny.v1", COMMIT),
        ("me/tiny@refs/pr/3", "me/tiny", "refs/pr/3"),
    ],
)
def test_names(text: str, repo: str, revision: str) -> None:
    assert HubId.parse(text) == HubId(repo, revision)
    assert str(HubId(repo, revision)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tiny",
        "/me/tiny",
        "./tiny",
        "../tiny",
        "me/../x",
        "me/tiny@../../x",
        "a/b/c",
        "me/tiny@",
        "ü/x",
        "me/x.safetensors",
    ],
)
def test_paths_are_no_names(text: str) -> None:
    assert HubId.parse(text) is None


def cached(cache: Path, revision: str = "main", commit: str = COMMIT) -> Path:
    folder = cache / "models--me--tiny" / "snapshots" / commit
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    ref = cache / "models--me--tiny" / "refs" / revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(commit)
    return folder


def test_a_revision_is_a_branch_a_tag_or_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert snapshot(TINY) is None
    with pytest.raises(NotDownloadedError, match=f"me/tiny is not in the hub's cache here, {tmp_path}; .* hf download"):
        downloaded(TINY)
    folder = cached(tmp_path)
    other = cached(tmp_path, "refs/pr/3", "f" * 40)
    assert downloaded(TINY) == snapshot(HubId("me/tiny", COMMIT)) == folder
    assert snapshot(HubId("me/tiny", "refs/pr/3")) == other
    assert snapshot(HubId("me/tiny", "0" * 40)) is None
    (tmp_path / "models--me--tiny" / "refs" / "main").write_text("../../../x")
    assert snapshot(TINY) is None


def test_a_revision_without_its_index_was_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    (cached(tmp_path) / "model_index.json").unlink()
    assert snapshot(TINY) is None


def whole(folder: Path) -> None:
    """As a download for the variant fp16 leaves it; the VAE has none of that, and the second encoder is none."""
    index = {part: ["diffusers", "X"] for part in ("scheduler", "text_encoder", "tokenizer", "unet", "vae")}
    (folder / "model_index.json").write_text(json.dumps({**index, "text_encoder_2": [None, None], "_class_name": "X"}))
    for name in needed_files(NAMES, "fp16"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("missing", "part"),
    [
        ("scheduler/scheduler_config.json", "scheduler"),
        ("tokenizer/merges.txt", "tokenizer"),
        ("unet/config.json", "unet"),
        ("unet/diffusion_pytorch_model.fp16.safetensors", "unet"),
        ("vae/diffusion_pytorch_model.bin", "vae"),
    ],
)
def test_a_download_that_was_cut_off_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, part: str
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    whole(folder := cached(tmp_path))
    assert downloaded(TINY, "fp16") == downloaded(TINY) == folder
    (folder / missing).unlink()
    with pytest.raises(NotDownloadedError, match=f"me/tiny lacks {part} in the hub's cache") as caught:
        downloaded(TINY, "fp16")
    words = shlex.split(caught.value.message.partition("there: ")[2])
    fetched = [word for flag, word in pairwise(words) if flag == "--include"]
    assert any(fnmatch(missing, pattern) for pattern in fetched)
    assert ("vae/*.bin" in fetched) == (part == "vae") and "text_encoder/*.bin" not in fetched


def test_a_download_of_another_variant_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    whole(cached(tmp_path))
    with pytest.raises(NotDownloadedError, match=r"lacks weights of the variant 'bf16' .*model\*\.bf16"):
        downloaded(TINY, "bf16")


def test_shards_are_whole_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    whole(folder := cached(tmp_path))
    weights = folder / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    shards = [weights.with_name(f"diffusion_pytorch_model-0000{number}-of-00002.safetensors") for number in (1, 2)]
    index = {"weight_map": {path.name: path.name for path in shards}}
    weights.rename(shards[0])
    weights.with_name("diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(NotDownloadedError, match="lacks unet"):
        downloaded(TINY)
    shards[1].touch()
    assert downloaded(TINY) == folder


def test_the_cache_is_where_the_hubs_tools_keep_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hub_cache() == tmp_path / ".cache" / "huggingface" / "hub"
    for name, value, expected in (
        ("XDG_CACHE_HOME", "xdg", "xdg/huggingface/hub"),
        ("HF_HOME", "home", "home/hub"),
        ("HUGGINGFACE_HUB_CACHE", "old", "old"),
        ("HF_HUB_CACHE", "new", "new"),
    ):
        monkeypatch.setenv(name, str(tmp_path / value))
        assert hub_cache() == tmp_path / expected


def test_the_library_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub_cache() == Path(huggingface_hub.constants.HF_HUB_CACHE)


def test_only_what_is_needed() -> None:
    def weights(variant: str) -> set[str]:
        needed = needed_files(NAMES, variant)
        assert needed[0] == "model_index.json" and len(needed) == len(set(needed))
        return set(needed) - SMALL

    unet, text, vae = "unet/diffusion_pytorch_model", "text_encoder/model", "vae/diffusion_pytorch_model.bin"
    assert weights("") == {f"{unet}.safetensors", f"{text}.safetensors", vae}
    assert weights("fp16") == {f"{unet}.fp16.safetensors", f"{text}.fp16.safetensors", vae}
    assert set(needed_files(NAMES)) >= SMALL
    assert needed_files(["v2-1.ckpt", "README.md"]) == []


@pytest.mark.parametrize("variant", ["", ".fp16"])
def test_shards_come_with_their_index_and_no_others_with_them(variant: str) -> None:
    shards = [f"unet/model{variant}-0000{number}-of-00002.safetensors" for number in (1, 2)]
    others = ["unet/model.bf16-00001-of-00002.safetensors", "unet/pytorch_model-00001-of-00001.bin"]
    index = f"unet/model.safetensors.index{variant}.json"
    assert needed_files([*shards, index, *others], variant.removeprefix(".")) == sorted([*shards, index])


def test_the_command_fetches_what_is_needed_whatever_the_names_are() -> None:
    for variant in ("", "fp16"):
        words = shlex.split(download_command(HubId("me/tiny", "v1"), variant))
        assert words[:5] == ["hf", "download", "me/tiny", "--revision", "v1"]
        patterns = [word for flag, word in pairwise(words) if flag == "--include"]
        fetched = {name for name in NAMES if any(fnmatch(name, pattern) for pattern in patterns)}
        wanted = {name for name in needed_files(NAMES, variant) if not name.endswith(".bin")}
        assert wanted <= fetched and not any(name.endswith((".bin", ".ckpt", ".msgpack")) for name in fetched)


def test_every_familys_folders_are_known() -> None:
    # Upscalers, preprocessors and IP-Adapters are files; a ControlNet or a T2I-Adapter is a folder without any in it.
    alone = ("upscaler", "preprocessor", "image_encoder", "controlnet", "t2i_adapter")
    in_folders = [family for family in FAMILIES.values() if not any(model in family.parts for model in alone)]
    parts = {part.folder for family in in_folders for part in family.parts.values() if not part.optional}
    tokenizers = {text.tokenizer for family in FAMILIES.values() for text in family.texts}
    assert {"scheduler", *parts, *tokenizers} == set(hub.FOLDERS)
