"""What lies in a cache: graphs, engines, timing caches, converted weights; how large, when last used, in what state.

Only what Triptych itself puts there is an entry, and links are not followed: everything else in the folder is somebody
else's, neither listed nor touched. The cache's own folder may be a link.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from triptych.cache_folders import MANIFEST_FILE, is_locked, read_manifest
from triptych.checkpoint.pickles import converting
from triptych.checkpoint.pickles.converting import CONVERTED, WEIGHTS, WEIGHTS_FILE
from triptych.engine.cache import artifacts
from triptych.engine.cache.artifacts import EXPORT_REVISIONS, GRAPH_FILE, GRAPHS, REQUEST_FILE
from triptych.engine.tensorrt.build import cache as tensorrt_cache
from triptych.engine.tensorrt.build.cache import ENGINES, PLAN_FILE

_MODELS = "|".join(map(re.escape, (*EXPORT_REVISIONS, WEIGHTS)))
_FOLDER = re.compile(rf"(?P<key>(?P<model>{_MODELS})-[0-9a-f]{{24}})(?P<unfinished>\.building-\w+)?", re.ASCII)
_TIMINGS = re.compile(r"(?P<key>timing-[0-9a-f]{24})\.(?:cache|(?P<unfinished>partial))", re.ASCII)
# Of a manifest, what says which machines can use an engine and how it was built, or what weights were converted.
BUILT_FOR = ("gpu", "compute_capability", "tensorrt", "precision", "plan", "variant", "source")
_LONGEST_VALUE = 64
# A day before the last one, for time zones.
_YEAR_9999_S = 253_402_214_400.0


class Kind(StrEnum):
    """What an entry is."""

    GRAPH = "graph"
    ENGINE = "tensorrt engine"
    TIMINGS = "timing cache"
    WEIGHTS = "converted weights"


class State(StrEnum):
    """Whether an entry can be used; damaged and unfinished ones are built again by whoever needs them."""

    SOUND = "sound"
    DAMAGED = "damaged"
    UNFINISHED = "unfinished"
    """What a builder that was killed left behind."""
    BEING_BUILT = "being built"
    """Unfinished or damaged, and somebody holds its lock."""


@dataclass(frozen=True)
class Entry:
    """One folder or file of a cache; `last_used_s` is in seconds since 1970, within the years that there are.

    `model` is empty for timing caches and weights, `built_for` holds those of BUILT_FOR that the manifest names, and
    `foreign` the names inside the folder that Triptych does not put there.
    """

    kind: Kind
    model: str
    key: str
    path: Path
    size_bytes: int
    last_used_s: float
    state: State
    built_for: Mapping[str, str] = field(default_factory=dict)
    foreign: tuple[str, ...] = ()

    @property
    def lock(self) -> Path:
        """The file whose lock whoever builds or removes the entry holds."""
        return self.path.parent / f"{self.key}.lock"


def inventory(cache_dir: Path) -> list[Entry]:
    """Every entry, by kind, model and key; reads all graphs, but of engines only the manifests."""
    found = []
    for root in (cache_dir / name for name in _ROOTS):
        if root.is_symlink() or not root.is_dir():
            continue
        found += [entry for path in sorted(root.iterdir()) if (entry := read_entry(path))]
    order = list(Kind)
    return sorted(found, key=lambda entry: (order.index(entry.kind), entry.model, entry.path.name))


def read_entry(path: Path, *, lock_held: bool = False) -> Entry | None:
    """What lies at the path inside a cache; None if it is gone, a link, or nothing of Triptych's.

    Whoever holds the entry's lock says so: else it would be taken for one that is being built.
    """
    try:
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode) and (match := _FOLDER.fullmatch(path.name)):
            return _read_folder(path, match, lock_held)
        if stat.S_ISREG(mode) and path.parent.name == ENGINES and (match := _TIMINGS.fullmatch(path.name)):
            return _read_timings(path, match, lock_held)
    except FileNotFoundError:  # somebody removed it meanwhile
        pass
    return None


def _read_folder(path: Path, match: re.Match[str], lock_held: bool) -> Entry:
    kind = _ROOTS.get(path.parent.name, Kind.GRAPH)
    known, is_sound = _FOLDERS[kind]
    manifest = path / MANIFEST_FILE
    sound = not match["unfinished"] and all(_is_file(path / name) for name in known) and is_sound(path)
    return Entry(
        kind,
        match["model"] if match["model"] in EXPORT_REVISIONS else "",
        match["key"],
        path,
        _size_bytes(path),
        _time_s(manifest if _is_file(manifest) else path),
        _state(path, match, sound, lock_held),
        _built_for(path) if kind is not Kind.GRAPH and _is_file(manifest) else {},
        () if match["unfinished"] else _foreign(path, known),
    )


def _read_timings(path: Path, match: re.Match[str], lock_held: bool) -> Entry:
    """TensorRT alone can tell whether timings are sound, and takes what is not for an empty cache."""
    size_bytes = path.lstat().st_size
    state = _state(path, match, not match["unfinished"] and size_bytes > 0, lock_held)
    return Entry(Kind.TIMINGS, "", match["key"], path, size_bytes, _time_s(path), state)


def _state(path: Path, match: re.Match[str], sound: bool, lock_held: bool) -> State:
    if sound:
        return State.SOUND
    if not lock_held and is_locked(path.parent / f"{match['key']}.lock"):
        return State.BEING_BUILT
    return State.UNFINISHED if match["unfinished"] else State.DAMAGED


def _foreign(folder: Path, known: frozenset[str]) -> tuple[str, ...]:
    try:
        return tuple(sorted(path.name for path in folder.iterdir() if path.name not in known or not _is_file(path)))
    except PermissionError:  # whatever it holds
        return ("?",)


def _built_for(folder: Path) -> dict[str, str]:
    """Made fit for a terminal: a manifest may come from anybody's machine."""
    manifest = read_manifest(folder)
    texts = {name: value for name in BUILT_FOR if isinstance(value := manifest.get(name), str)}
    return {name: "".join(filter(str.isprintable, text[:_LONGEST_VALUE])) for name, text in texts.items()}


def _size_bytes(folder: Path) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # its builder works on
                total += (Path(where) / name).lstat().st_size
    return total


def _time_s(path: Path) -> float:
    return min(max(path.lstat().st_mtime, 0.0), _YEAR_9999_S)


def _is_file(path: Path) -> bool:
    """Whether it is a file itself, no link to one; no where nobody lets us look."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


_ROOTS = {GRAPHS: Kind.GRAPH, ENGINES: Kind.ENGINE, CONVERTED: Kind.WEIGHTS}
# By kind of folder: the files it consists of, and what says whether they are sound.
_FOLDERS: Mapping[Kind, tuple[frozenset[str], Callable[[Path], bool]]] = {
    Kind.GRAPH: (frozenset({GRAPH_FILE, REQUEST_FILE, MANIFEST_FILE}), artifacts.is_sound),
    Kind.ENGINE: (frozenset({PLAN_FILE, MANIFEST_FILE}), tensorrt_cache.is_sound),
    Kind.WEIGHTS: (frozenset({WEIGHTS_FILE, MANIFEST_FILE}), converting.is_sound),
}
