"""All that a picture's pixels depend on besides the request: weights, LoRAs, graphs, engines, versions, processors."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import numpy as np
import PIL

from triptych._version import __version__
from triptych.checkpoint.identity.digests import Digests
from triptych.contract.processor import processor_kind
from triptych.errors import TriptychError
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.library.loras.choice import LoraContent

logger = logging.getLogger("triptych.painter")

# Their computation began when the checkpoint was loaded, and is next once somebody waits.
_HASH_WAIT_S = 600


@dataclass(frozen=True)
class MadeOf:
    """`digests` by checkpoints' names; `models` are what each model said of itself, by their names.

    Several where replicas that are unlike have shared the work. `missing` names what has no digest; `vae_tile_size` is
    in pixels, 0 where the VAE worked at once; `watermark` is the text that the server marks pictures with, if any.
    """

    digests: Mapping[str, Digests] = field(default_factory=dict)
    models: Mapping[str, Sequence[str]] = field(default_factory=dict)
    missing: Sequence[str] = ()
    vae_tile_size: int = 0
    watermark: str = ""

    def model_digest(self, job: Job) -> str:
        """Of the checkpoint's weights."""
        return self.digests[job.checkpoint].weights if job.checkpoint in self.digests else ""

    def vae_digest(self, job: Job) -> str:
        """Of a VAE that is not the checkpoint's own."""
        if job.vae:
            return self.digests[job.vae].weights if job.vae in self.digests else ""
        return self.digests[job.checkpoint].vae if job.checkpoint in self.digests else ""

    @property
    def warnings(self) -> list[str]:
        """For the result."""
        return [f"the picture does not name the hash of {name!r}, which could not be had" for name in self.missing]

    def told(self, loras: Mapping[str, LoraContent]) -> dict[str, Any]:
        """As plain values, with those of LoRAs by their names."""
        found = {name: asdict(digests) for name, digests in self.digests.items()}
        return {
            "checkpoints": {name: {what: hex_ for what, hex_ in all_.items() if hex_} for name, all_ in found.items()},
            "loras": {name: content.digest for name, content in loras.items()},
            "models": {name: [json.loads(about or "{}") for about in abouts] for name, abouts in self.models.items()},
            "orchestrator": _orchestrator()
            | ({"vae_tile_size": str(self.vae_tile_size)} if self.vae_tile_size else {})
            | ({"watermark": self.watermark} if self.watermark else {}),
        }


async def made_of(entries: Mapping[str, Entry], models: Mapping[str, set[str]]) -> MadeOf:
    """Waits for digests that are still being computed; a picture is not lost where one cannot be had."""
    digests, missing = {}, []
    for name, entry in sorted(entries.items()):
        found = await _digests(entry)
        if found is None:
            missing.append(name)
        else:
            digests[name] = found
    return MadeOf(digests, {name: sorted(abouts) for name, abouts in sorted(models.items())}, missing)


async def _digests(entry: Entry) -> Digests | None:
    try:
        return await asyncio.wait_for(entry.digests(), _HASH_WAIT_S)
    except TriptychError:  # the log has it
        return None
    except TimeoutError:
        logger.warning("picture without its model's hash", extra={"checkpoint": entry.name, "seconds": _HASH_WAIT_S})
        return None


@cache
def _orchestrator() -> dict[str, str]:
    """What does the arithmetic of the steps here, and writes the files."""
    versions = {"triptych": __version__, "numpy": np.__version__, "pillow": PIL.__version__}
    return versions | {"processor": processor_kind()}
