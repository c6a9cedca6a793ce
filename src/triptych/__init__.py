"""Triptych: Stable Diffusion inference split by model stage.

client = triptych.Client("127.0.0.1:50051")
client.generate("a red circle", seed=7).images[0].save("out.png")

The names below are imported on first use, so that `import triptych` costs milliseconds and no server package.
"""

from __future__ import annotations

from importlib import import_module

from triptych import errors
from triptych._version import __version__
from triptych.errors import TriptychError

TYPE_CHECKING = False  # as type checkers know it; importing it would take longer than all else here
if TYPE_CHECKING:
    from typing import Any

    from triptych.embedded import local
    from triptych.sdk.aio import AsyncClient
    from triptych.sdk.client import Client
    from triptych.sdk.controls import Control
    from triptych.sdk.parts.enlarging import Hires, Upscale
    from triptych.sdk.parts.ip_adapters import IpAdapter
    from triptych.sdk.reading.watermark import read_watermark

__all__ = [
    "AsyncClient",
    "Client",
    "Control",
    "Hires",
    "IpAdapter",
    "TriptychError",
    "Upscale",
    "__version__",
    "errors",
    "local",
    "read_watermark",
]

# No subpackage may bear one of these names: importing it would bind the module over the exported name.
_HOMES = {
    "AsyncClient": "triptych.sdk.aio",
    "Client": "triptych.sdk.client",
    "Control": "triptych.sdk.controls",
    "Hires": "triptych.sdk.parts.enlarging",
    "IpAdapter": "triptych.sdk.parts.ip_adapters",
    "Upscale": "triptych.sdk.parts.enlarging",
    "local": "triptych.embedded",
    "read_watermark": "triptych.sdk.reading.watermark",
}


def __getattr__(name: str) -> Any:
    """Imports an exported name from its home and keeps it (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'triptych' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Module names and the exported ones, imported yet or not."""
    return sorted({*globals(), *__all__})
