"""A hub's names for checkpoints, and the cache in which the hub's own tools keep what was downloaded; asks no network.

found = snapshot(HubId.parse("stabilityai/stable-diffusion-2-1-base@main"))   # its folder, or None
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.contract.weight_files import PICKLED, SAFETENSORS, choose_weights, find_weights, same_shards
from triptych.errors import NotDownloadedError

_ID = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>[\w.-]+(?:/[\w.-]+)*))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAIN = "main"
# What a family may have, each in the folder of that name; a test holds it against the families.
FOLDERS = ("scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet", "vae")
_INDEX = "model_index.json"
_CONFIG = {"scheduler": "scheduler_config.json"}
_FILES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf")
_CONFIGURATIONS = (".json", ".txt")


@dataclass(frozen=True)
class HubId:
    """`owner/name`, or `owner/name@revision`: a branch, a tag or a commit."""

    repo: str
    revision: str = _MAIN

    @classmethod
    def parse(cls, text: str) -> HubId | None:
        """None where the text can be none, but a path."""
        match = _ID.fullmatch(text)
        revision = (match["revision"] if match else None) or _MAIN
        if match is None or ".." in text or text.lower().endswith(_FILES):
            return None
        return cls(match["repo"], revision)

    def __str__(self) -> str:
        return self.repo if self.revision == _MAIN else f"{self.repo}@{self.revision}"


def hub_cache() -> Path:
    """Where `huggingface_hub` keeps what it downloads."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if folder := os.environ.get(name):
            return Path(folder).expanduser().absolute()
    base = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(base).expanduser().absolute() / "hub"


def snapshot(hub_id: HubId) -> Path | None:
    """The folder of the revision as it was last downloaded; None if it was not."""
    model = hub_cache() / f"models--{hub_id.repo.replace('/', '--')}"
    commit = hub_id.revision
    with suppress(OSError, UnicodeDecodeError):  # a commit has no such file
        commit = (model / "refs" / commit).read_text("ascii").strip()
    folder = model / "snapshots" / commit
    return folder if _COMMIT.fullmatch(commit) and (folder / _INDEX).exists() else None


def downloaded(hub_id: HubId, variant: str = "") -> Path:
    """`snapshot` where all is there that a checkpoint needs, or a NotDownloadedError that says what to run."""
    folder = snapshot(hub_id)
    lacking = _lacking(folder, variant) if folder else []
    if folder and variant and not _has_variant(folder, variant):
        lacking.append(f"weights of the variant {variant!r}")
    if folder and not lacking:
        return folder
    where = f"in the hub's cache here, {hub_cache()}"
    problem = f"{hub_id} lacks {', '.join(lacking)} {where}" if lacking else f"{hub_id} is not {where}"
    raise NotDownloadedError(f"{problem}; download it there: {download_command(hub_id, variant)}", field="path")


def download_command(hub_id: HubId, variant: str = "") -> str:
    """What fetches the files that are needed, and no more than their names can tell beforehand.

    Parts that a download has left without weights, for they have none of these names, come with all that they have.
    """
    folder = snapshot(hub_id)
    lacking = _lacking(folder, variant) if folder else []
    rest = [f"{part}/*{suffix}" for part in lacking for suffix in (SAFETENSORS, PICKLED)]
    weights = [f"*/*model*.{variant}*"] if variant else ["*/*model.safetensors", "*/*-of-*.safetensors"]
    patterns = [_INDEX, "*/*.json", "*/*.txt", *weights, *rest]
    words = ["hf", "download", hub_id.repo]
    if hub_id.revision != _MAIN:
        words += ["--revision", hub_id.revision]
    words += [word for pattern in patterns for word in ("--include", pattern)]
    return shlex.join([*words, "--exclude", "safety_checker/*"])


def _lacking(folder: Path, variant: str) -> list[str]:
    """The parts that the index names and that are not there, or not whole, as after a download that was cut off."""
    index = _json(folder / _INDEX)
    named = (part for part in FOLDERS if isinstance(index.get(part), list) and any(index[part]))
    return [part for part in named if not _is_whole(folder / part, part, variant)]


def _is_whole(folder: Path, part: str, variant: str) -> bool:
    names = _names(folder)
    if part.startswith("tokenizer"):
        return "tokenizer.json" in names or {"vocab.json", "merges.txt"} <= names
    if _CONFIG.get(part, "config.json") not in names:
        return False
    if part in _CONFIG:
        return True
    chosen = choose_weights(names, variant)
    if chosen is None:  # of names that are not known, or several, whoever opens the checkpoint says more
        return any(name.endswith((SAFETENSORS, PICKLED)) for name in names)
    return not chosen.index or _shards(folder / chosen.index) <= names


def _has_variant(folder: Path, variant: str) -> bool:
    return any(variant in each for part in FOLDERS for each in find_weights(_names(folder / part)).values())


def _shards(index: Path) -> set[str]:
    shards = _json(index).get("weight_map")
    return set(map(str, shards.values())) if isinstance(shards, dict) else set()


def _names(folder: Path) -> set[str]:
    """Of the files in it; a link to what has not arrived is none."""
    try:
        return {path.name for path in folder.iterdir() if path.exists()}
    except OSError:
        return set()


def _json(file: Path) -> dict[str, Any]:
    """What the file says, nothing where it cannot be read: whoever opens the checkpoint says why."""
    with suppress(OSError, ValueError, RecursionError):
        if isinstance(value := json.loads(file.read_bytes()), dict):
            return value
    return {}


def needed_files(names: Iterable[str], variant: str = "") -> list[str]:
    """Of a repository's files those that a checkpoint is served from: configurations, tokenizers, one set of weights.

    Where its weights are of several variants and none is asked for or plain, those of all: what is said of them then
    is better said of what is there.
    """
    folders: dict[str, list[str]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        folders.setdefault(folder, []).append(file)
    needed = [_INDEX] if _INDEX in folders.get("", ()) else []
    for folder in FOLDERS:
        files = folders.get(folder, [])
        chosen = choose_weights(files, variant)
        kept = {file for file in files if file.endswith(_CONFIGURATIONS) and ".index." not in file}
        if chosen:
            kept |= {*chosen.files, *same_shards(files, chosen), *filter(None, [chosen.index])}
        needed += [f"{folder}/{file}" for file in sorted(kept)]
    return needed
