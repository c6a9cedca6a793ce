"""What a gateway is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from triptych_gateway.a1111.settings import A1111Settings
from triptych_gateway.door.settings import DoorSettings
from triptych_gateway.kept.settings import KeptSettings


@dataclass(frozen=True)
class Settings:
    """One gateway's; any number of them may stand before one orchestrator, with one state folder or several."""

    orchestrator: str  # "host:port", or any gRPC target
    state_dir: Path  # pictures, uploads, and what is to outlive a restart
    host: str = "127.0.0.1"
    port: int = 7860
    drain_timeout_s: float = 20.0  # how long running requests may go on once it is to stop
    api_key: str = ""  # the gateway's own, for an orchestrator that wants one
    orchestrator_ca: Path | None = None  # PEM: TLS to the orchestrator, trusting this authority
    door: DoorSettings = field(default_factory=DoorSettings)
    kept: KeptSettings = field(default_factory=KeptSettings)
    presets: Path | None = None  # the operator's, for OpenAI's API; see openai/presets.py
    a1111: A1111Settings = field(default_factory=A1111Settings)
