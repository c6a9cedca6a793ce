"""What the orchestrator and the gateway of a stack are told of callers: credentials, TLS, and a key between the two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from triptych.embedded.config import StackConfig
from triptych.keys import KeyFile
from triptych.keys.entry import Entry

# In its own file: this run's gateway alone knows the secret.
_GATEWAY = "triptych-gateway"
_FILE = "gateway.credentials"


@dataclass(frozen=True)
class Callers:
    """Of one run."""

    options: tuple[str, ...]  # of both
    orchestrator_options: tuple[str, ...]
    gateway_key: str  # "" where nobody is asked


def make_callers(config: StackConfig, run_dir: Path) -> Callers:
    """Writes the gateway's own credentials down, where some are wanted."""
    options = [part for path in config.credential_files() for part in ("--credentials", str(path))]
    if config.open_to_anyone:
        options.append("--open-to-anyone")
    if files := config.tls_files():
        options += ["--tls-cert", str(files[0]), "--tls-key", str(files[1])]
    if not config.credentials or config.gateway_port is None:
        return Callers(tuple(options), (), "")
    entry, key = Entry.new(_GATEWAY)
    path = run_dir / "state" / _FILE
    KeyFile(path).put(entry)
    return Callers(tuple(options), ("--credentials", str(path)), key)
