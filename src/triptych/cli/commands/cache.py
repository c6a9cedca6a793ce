"""`triptych cache`: lists and prunes what is kept on this machine; works on the folder, needs no server."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from triptych.cli import exit_codes
from triptych.cli.actions import add_action, columns
from triptych.cli.cache_folder import add_cache_option, cache_folder
from triptych.cli.units import parse_duration, parse_size, readable_age, readable_size
from triptych.contract.installation import server_packages
from triptych.errors import invalid

if TYPE_CHECKING:  # imported where they are used: a client without engines has no numpy
    from triptych.engine.cache.inventory import Entry
    from triptych.engine.cache.pruning import Criteria, Outcome

HEAD = ("KIND", "MODEL", "KEY", "SIZE", "LAST USED", "STATE", "BUILT FOR")


def add_parser(subparsers: Any) -> None:
    """Registers the command and its actions."""
    parser = subparsers.add_parser(
        "cache",
        help="list and prune cached engine artifacts and converted weights",
        description="The exported graphs, built engines and converted weights on this machine. Without an action: "
        "list. Graphs that come with the package are not in the cache.",
    )
    add_cache_option(parser)
    parser.set_defaults(run=run, action=_list, json=False)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    listing = add_action(
        actions, "list", _list, "show all of them, their sizes and when they were last used", add_cache_option
    )
    listing.add_argument("--json", action="store_true", help="a JSON array instead of a table")
    pruning = add_action(actions, "prune", _prune, "remove some: damaged and unfinished ones always", add_cache_option)
    add = pruning.add_argument
    add("--unused-for", metavar="DURATION", help="those that no engine has taken for longer: 30d, 12h, 2w")
    add("--max-size", metavar="SIZE", help="then the least recently used ones, until no more is left: 20GB, 512MiB")
    add("--damaged", action="store_true", help="nothing but damaged and unfinished ones")
    add("--all", action="store_true", help="every one but those that are being built")
    add("--dry-run", action="store_true", help="say what would go, remove nothing")


def run(arguments: argparse.Namespace) -> int:
    """Runs the chosen action."""
    action: Callable[[argparse.Namespace], int] = arguments.action
    with server_packages("the cache"):
        return action(arguments)


def table(entries: list[Entry]) -> str:
    """The entries as columns, and their total."""
    total = f"total: {_count(len(entries))}, {readable_size(sum(entry.size_bytes for entry in entries))}"
    return "\n".join([*columns([HEAD, *map(_row, entries)]), total])


def _list(arguments: argparse.Namespace) -> int:
    from triptych.engine.cache.inventory import inventory

    folder = cache_folder(arguments)
    entries = inventory(folder)
    if arguments.json:
        print(json.dumps([_as_json(entry) for entry in entries], indent=2))
    elif entries:
        print(table(entries))
    else:
        print(f"nothing is in {folder}; fill it: triptych build PATH")
    return exit_codes.OK


def _prune(arguments: argparse.Namespace) -> int:
    from triptych.engine.cache.pruning import prune

    criteria = _criteria(arguments)
    outcomes = []
    for outcome in prune(cache_folder(arguments), criteria, dry_run=arguments.dry_run):
        outcomes.append(outcome)
        _report(outcome, arguments.dry_run)
    gone = [outcome.entry for outcome in outcomes if not outcome.obstacle]
    freed = readable_size(sum(entry.size_bytes for entry in gone))
    print(f"{_removed(arguments.dry_run)} {_count(len(gone))}, {freed}{'' if arguments.dry_run else ' freed'}")
    return exit_codes.FAILED if any(outcome.failed for outcome in outcomes) else exit_codes.OK


def _criteria(arguments: argparse.Namespace) -> Criteria:
    from triptych.engine.cache.pruning import Criteria

    duration, size = arguments.unused_for, arguments.max_size
    if duration is None and size is None and not arguments.damaged and not arguments.all:
        raise invalid("prune", "say what is to go: --unused-for, --max-size, --damaged or --all")
    criteria = Criteria(
        None if duration is None else parse_duration("--unused-for", duration),
        None if size is None else parse_size("--max-size", size),
        arguments.all,
    )
    if arguments.damaged and criteria != Criteria():
        raise invalid("--damaged", "removes nothing else, so it stands alone")
    return criteria


def _report(outcome: Outcome, dry_run: bool) -> None:
    entry = outcome.entry
    what = f"{entry.path.name} ({entry.kind}, {readable_size(entry.size_bytes)})"
    if outcome.obstacle:
        print(f"kept {what}: {outcome.obstacle}", file=sys.stderr)
        return
    age = f" for {readable_age(time.time() - entry.last_used_s)}" if outcome.reason == "unused" else ""
    print(f"{_removed(dry_run)} {what}: {outcome.reason}{age}")


def _removed(dry_run: bool) -> str:
    return "would remove" if dry_run else "removed"


def _row(entry: Entry) -> tuple[str, ...]:
    return (
        entry.kind,
        entry.model or "-",
        entry.key,
        readable_size(entry.size_bytes),
        datetime.fromtimestamp(entry.last_used_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M"),
        entry.state,
        _built_for(entry),
    )


def _built_for(entry: Entry) -> str:
    told = entry.built_for
    words = {
        "gpu": told.get("gpu", ""),
        "compute_capability": f"sm {told.get('compute_capability', '')}",
        "tensorrt": f"TensorRT {told.get('tensorrt', '')}",
        "precision": told.get("precision", ""),
        "plan": f"one {told.get('plan', '')}",
        "variant": f"for {told.get('variant', '')}",
        "source": told.get("source", ""),
    }
    return ", ".join(text for name, text in words.items() if told.get(name))


def _as_json(entry: Entry) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "model": entry.model,
        "key": entry.key,
        "path": str(entry.path),
        "bytes": entry.size_bytes,
        "last_used": datetime.fromtimestamp(entry.last_used_s, UTC).isoformat(timespec="seconds"),
        "state": entry.state,
        **entry.built_for,
    }


def _count(number: int) -> str:
    return f"{number} {'entry' if number == 1 else 'entries'}"
