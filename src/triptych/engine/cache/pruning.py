"""Removes from a cache what is damaged, unfinished, long unused or too much; never what somebody is building.

for outcome in prune(cache_dir, Criteria(unused_for_s=30 * 86_400)):
    print(outcome.entry.key, outcome.reason, outcome.obstacle)
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from triptych.cache_folders import discard, is_locked, lock_if_free
from triptych.engine.cache.inventory import Entry, Kind, State, inventory, read_entry
from triptych.engine.tensorrt.build.cache import forget_checks


@dataclass(frozen=True)
class Criteria:
    """What goes beside damaged and unfinished entries, which always do; None of all this: only they."""

    unused_for_s: float | None = None
    """Sound entries that nobody has taken for longer."""
    most_bytes: int | None = None
    """Of the rest the least recently used ones, until no more than this is left."""
    everything: bool = False


@dataclass(frozen=True)
class Outcome:
    """An entry that met a criterion; `obstacle` says why it is still there, `failed` that this was an error."""

    entry: Entry
    reason: str
    obstacle: str = ""
    failed: bool = False


def prune(cache_dir: Path, criteria: Criteria, *, dry_run: bool = False) -> Iterator[Outcome]:
    """Removes entry by entry, the least recently used first; a dry run removes none and says what would go."""
    now_s = time.time()
    entries = sorted(inventory(cache_dir), key=lambda entry: (entry.state is State.SOUND, entry.last_used_s))
    total_bytes = sum(entry.size_bytes for entry in entries)
    for entry in entries:
        reason = _reason(entry, criteria, now_s, total_bytes)
        if not reason:
            continue
        outcome = _try(entry, reason, dry_run)
        if outcome is None or not outcome.obstacle:
            total_bytes -= entry.size_bytes
        if outcome is not None:
            yield outcome


def _reason(entry: Entry, criteria: Criteria, now_s: float, total_bytes: int) -> str:
    """Why the entry is to go; empty if it may stay."""
    if entry.state is not State.SOUND:
        return entry.state.value
    if criteria.everything:
        return "all"
    if criteria.unused_for_s is not None and now_s - entry.last_used_s > criteria.unused_for_s:
        return "unused"
    if criteria.most_bytes is not None and total_bytes > criteria.most_bytes:
        return "least recently used"
    return ""


def _try(entry: Entry, reason: str, dry_run: bool) -> Outcome | None:
    """None if another has removed it already."""
    if entry.foreign:
        return Outcome(entry, reason, "it holds files that are not Triptych's, or that cannot be read")
    if dry_run:
        return Outcome(entry, reason, "another process holds its lock" if is_locked(entry.lock) else "")
    try:
        with lock_if_free(entry.lock) as held:
            if not held:
                return Outcome(entry, reason, "another process holds its lock")
            present = read_entry(entry.path, lock_held=True)
            if present is None:
                return None
            if present != entry:
                return Outcome(entry, reason, "it has changed meanwhile")
            _remove(entry)
    except OSError as error:
        return Outcome(entry, reason, str(error), failed=True)
    return Outcome(entry, reason)


def _remove(entry: Entry) -> None:
    """Hold its lock."""
    if entry.kind is Kind.TIMINGS:
        entry.path.unlink()
    elif entry.state is State.UNFINISHED:
        shutil.rmtree(entry.path)
    else:
        forget_checks(entry.path.parent, entry.key)
        discard(entry.path.parent, entry.key)
