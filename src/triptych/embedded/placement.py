"""The placement file: which replicas of which stage run on which cores, CUDA device or host.

    [[replica]]
    stage = "unet"
    cores = "0-3,8"           # pinned to these; one thread for each unless `threads` says otherwise

    [[replica]]
    stage = "unet"
    device = "cuda:1"         # the one GPU that this server sees
    engine = "tensorrt"       # unless a checkpoint was registered with an engine of its own
    precision = "fp16"

    [[replica]]
    stage = "vae"
    address = "10.0.0.7:8001" # a Triton server that somebody else runs; checkpoints lie at the same paths there. Also
                              # any other gRPC target: "dns:///vae.example:8001", "ipv6:[fd00::7]:8001"

A stage that the file does not name gets one replica on all cores.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from triptych.contract import STAGES
from triptych.embedded.cores import parse_cores
from triptych.embedded.replica import Replica
from triptych.errors import InvalidArgumentError, invalid

MOST_REPLICAS = 64
_TEXTS = ("stage", "cores", "device", "engine", "precision", "address")
_NUMBERS = ("threads",)


def read_placement(path: Path) -> tuple[Replica, ...]:
    """Every replica, stage by stage; InvalidArgumentError names the file, the entry, the key and what it may be."""
    replicas: list[Replica] = []
    for number, entry in enumerate(_entries(path), 1):
        try:
            replicas.append(_replica(entry))
        except InvalidArgumentError as error:
            raise invalid("placement", f"{path}: [[replica]] number {number}: {error.message}") from error
    for stage in STAGES:
        _check_stage(path, stage, [replica for replica in replicas if replica.stage == stage])
    missing = [Replica(stage) for stage in STAGES if stage not in {replica.stage for replica in replicas}]
    return tuple(sorted(replicas + missing, key=lambda replica: STAGES.index(replica.stage)))


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise invalid("placement", f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise invalid("placement", f"{path} is no TOML: {error}") from error
    entries = content.pop("replica", [])
    if content:
        raise invalid("placement", f"{path}: {next(iter(content))!r} is unknown; there are only [[replica]] entries")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise invalid("placement", f"{path}: replica must be written as [[replica]], once for each")
    if not entries:
        raise invalid("placement", f"{path}: there is no [[replica]] in it")
    return entries


def _replica(entry: dict[str, Any]) -> Replica:
    known = _TEXTS + _NUMBERS
    for key, value in entry.items():
        if key not in known:
            raise invalid(key, f"is unknown; there are {', '.join(known)}")
        if key in _TEXTS and not (isinstance(value, str) and value):
            raise invalid(key, f"must be a text in quotes that is not empty, not {value!r}")
        if key in _NUMBERS and not (type(value) is int and value > 0):
            raise invalid(key, f"must be a whole number of at least 1, not {value!r}")
    if "stage" not in entry:
        raise invalid("stage", f"is missing; it is one of {', '.join(STAGES)}")
    fields = entry | ({"cores": parse_cores(entry["cores"])} if "cores" in entry else {})
    replica = Replica(**fields)
    replica.check()
    return replica


def _check_stage(path: Path, stage: str, replicas: list[Replica]) -> None:
    if len(replicas) > MOST_REPLICAS:
        raise invalid("placement", f"{path}: {len(replicas)} replicas of {stage} are more than {MOST_REPLICAS}")
    addresses = [replica.address for replica in replicas if replica.address]
    if twice := [address for address in addresses if addresses.count(address) > 1]:
        raise invalid("placement", f"{path}: two replicas of {stage} have the address {twice[0]}")
