"""`triptych checkpoints`: lists, adds, loads, unloads and removes what a server can serve."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from triptych.cli.actions import add_action, columns, run_action
from triptych.cli.connection import add_connection_options
from triptych.contract.names import checkpoint_name
from triptych.embedded.hub_files import download_for
from triptych.errors import NotDownloadedError
from triptych.sdk import Checkpoint, Client


def add_parser(subparsers: Any) -> None:
    """Registers the command and its actions."""
    parser = subparsers.add_parser(
        "checkpoints",
        help="list, add, load, unload and remove checkpoints",
        description="The checkpoints of a running server. Without an action: list.",
    )
    add_connection_options(parser)
    parser.set_defaults(run=run_action, action=_list, json=False)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    listing = add_action(actions, "list", _list, "show all of them")
    listing.add_argument("--json", action="store_true", help="a JSON array instead of a table")
    adding = add_action(actions, "add", _add, "have the server check a checkpoint and take it under a name")
    adding.add_argument("name", metavar="NAME", nargs="?", help="default: as the file or directory is called")
    adding.add_argument(
        "path",
        metavar="PATH",
        help="a single file or diffusers-format directory the server can read, or a hub's OWNER/NAME[@REVISION]",
    )
    adding.add_argument(
        "--engine",
        metavar="NAME",
        help="for all stages, or unet=torch,vae=...; another than before switches it; '' for the replicas' own "
        "(default: as registered)",
    )
    adding.add_argument(
        "--variant", metavar="NAME", help="of the weights, as diffusers calls it: fp16, say (default: as registered)"
    )
    adding.add_argument(
        "--prediction-type",
        choices=("epsilon", "v_prediction", ""),
        metavar="{epsilon,v_prediction}",
        help="what its UNet's output is taken for; '' for what the checkpoint tells (default: as registered)",
    )
    adding.add_argument(
        "--vae",
        metavar="PATH",
        help="another VAE for it, a file or directory; '' for its own (default: as registered)",
    )
    adding.add_argument(
        "--image-encoder",
        metavar="PATH",
        help="of an IP-Adapter, its image encoder, a file or directory; '' for that beside it (default: as registered)",
    )
    adding.add_argument(
        "--load", action="store_true", help="load it at once; a new one that cannot be loaded is not added"
    )
    for name, action, what in (
        ("load", _load, "load one into every stage; returns when it can serve"),
        ("unload", _unload, "free the memory of one in every stage, after its running requests"),
        ("remove", _remove, "unload one and forget it; its files stay"),
    ):
        add_action(actions, name, action, what).add_argument("name", metavar="NAME")


def table(checkpoints: list[Checkpoint]) -> str:
    """The checkpoints as columns, a failed one's reason and any warnings below its row."""
    head = ("NAME", "STATE", "ENGINE", "FAMILY", "FORMAT", "ARCHITECTURE", "SCHEDULER", "SIZE", "WEIGHTS", "ON", "PATH")
    first, *rest = columns([head, *map(_row, checkpoints)])
    lines = [first]
    for line, checkpoint in zip(rest, checkpoints, strict=True):
        lines.append(line)
        lines += [f"  {text}" for text in (checkpoint.error, *checkpoint.warnings) if text]
    return "\n".join(lines)


def _row(checkpoint: Checkpoint) -> tuple[str, ...]:
    return (
        checkpoint.name,
        checkpoint.state,
        checkpoint.engine,
        checkpoint.family,
        checkpoint.format,
        checkpoint.architecture,
        checkpoint.scheduler,
        f"{checkpoint.default_width}x{checkpoint.default_height}" if checkpoint.default_width else "-",
        _weights(checkpoint),
        ",".join(checkpoint.replicas) or "-",
        checkpoint.path,
    )


def _list(client: Client, arguments: argparse.Namespace) -> None:
    checkpoints = client.checkpoints()
    if arguments.json:
        print(json.dumps([asdict(checkpoint) for checkpoint in checkpoints], indent=2))
    elif checkpoints:
        print(table(checkpoints))
    else:
        print("no checkpoints; add one: triptych checkpoints add PATH")


def _add(client: Client, arguments: argparse.Namespace) -> None:
    checkpoint = _register(client, arguments)
    _report(checkpoint)
    for line in _found(checkpoint):
        print(f"  {line}", flush=True)
    hashed = checkpoint if checkpoint.sha256 else _register(client, arguments, with_hash=True)
    if hashed.sha256:
        print(f"  sha256 {hashed.sha256}, short {hashed.short_hash}")


def _register(client: Client, arguments: argparse.Namespace, *, with_hash: bool = False) -> Checkpoint:
    """Downloads what has a hub's name first, where the server looked for it in vain and is on this machine."""

    def register() -> Checkpoint:
        return client.register_checkpoint(
            arguments.name or checkpoint_name(Path(arguments.path)),
            arguments.path,
            arguments.engine,
            arguments.load,
            prediction_type=arguments.prediction_type,
            variant=arguments.variant,
            vae=arguments.vae,
            image_encoder=arguments.image_encoder,
            with_hash=with_hash,
        )

    try:
        return register()
    except NotDownloadedError:
        if not download_for(arguments.address, arguments.path, arguments.variant or ""):
            raise
        return register()


def _found(checkpoint: Checkpoint) -> list[str]:
    """What it turned out to be, in lines."""
    size = f"{checkpoint.default_width}x{checkpoint.default_height}" if checkpoint.default_width else ""
    told = f" ({checkpoint.prediction_told_by})" if checkpoint.prediction_told_by else ""
    prediction = f"prediction type {checkpoint.prediction_type}{told}" if checkpoint.prediction_type else ""
    weights = f"{_weights(checkpoint)} of {checkpoint.precision}" if checkpoint.precision else _weights(checkpoint)
    lines = [(checkpoint.family, checkpoint.format, size, weights, prediction), (checkpoint.architecture,)]
    lines += [(f"VAE {checkpoint.vae}",)] if checkpoint.vae else []
    lines += [(f"image encoder {checkpoint.image_encoder}",)] if checkpoint.image_encoder else []
    lines += [(f"types {', '.join(checkpoint.union_types)}",)] if checkpoint.union_types else []
    lines += [(f"title {checkpoint.title}",)] if checkpoint.title else []
    lines += [(f"trigger words {', '.join(checkpoint.trigger_words)}",)] if checkpoint.trigger_words else []
    return [", ".join(filter(None, line)) for line in lines if any(line)]


def _weights(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.weights_bytes / 1e6:,.0f} MB"


def _load(client: Client, arguments: argparse.Namespace) -> None:
    _report(client.load_checkpoint(arguments.name))


def _unload(client: Client, arguments: argparse.Namespace) -> None:
    _report(client.unload_checkpoint(arguments.name))


def _remove(client: Client, arguments: argparse.Namespace) -> None:
    client.unregister_checkpoint(arguments.name)
    print(f"{arguments.name}: removed")


def _report(checkpoint: Checkpoint) -> None:
    print(f"{checkpoint.name}: {checkpoint.state}")
    for warning in checkpoint.warnings:
        print(f"triptych: warning: {warning}", file=sys.stderr)
