"""The gateway's own machine and command line, as the API tells of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter

from triptych_gateway.gateway import GatewayOf

router = APIRouter()


@router.get("/memory")
async def memory() -> dict[str, Any]:
    """Bytes of this machine's memory; of a GPU nothing is known here, for the stages have it."""
    try:
        total, used = _kibibytes("/proc/meminfo", "MemTotal") * 1024, _kibibytes("/proc/self/status", "VmRSS") * 1024
    except OSError as error:
        return {"ram": {"error": str(error)}, "cuda": {"error": "unavailable"}}
    return {"ram": {"free": total - used, "used": used, "total": total}, "cuda": {"error": "unavailable"}}


def _kibibytes(file: str, name: str) -> int:
    lines = Path(file).read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


@router.get("/cmd-flags")
async def cmd_flags(gateway: GatewayOf) -> dict[str, Any]:
    """What of the web UI's command line has a meaning here."""
    settings = gateway.settings
    is_listening = settings.host not in ("127.0.0.1", "localhost", "::1")
    return {"api": True, "nowebui": False, "listen": is_listening, "port": settings.port, "api_server_stop": False}
