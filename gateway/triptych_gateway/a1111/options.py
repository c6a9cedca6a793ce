"""The web UI's options, each caller's own: what they say is for that caller's calls alone."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from triptych.errors import FailedPreconditionError, InvalidArgumentError, invalid
from triptych_gateway.caller import Caller

logger = logging.getLogger("triptych.gateway")

# Whose options are kept; who has changed none for the longest is forgotten first.
_MOST_CALLERS = 10_000


class Options(BaseModel):
    """Those that count here. One that has a single value is there because clients send it."""

    model_config = ConfigDict(frozen=True)

    sd_model_checkpoint: Annotated[str, Field(max_length=1000)] = ""
    sd_checkpoint_hash: Annotated[str, Field(max_length=100)] = ""  # told, never asked for
    sd_vae: Annotated[str, Field(max_length=1000)] = "Automatic"
    CLIP_stop_at_last_layers: Annotated[int, Field(ge=1, le=12)] = 1
    acceleration: bool = True
    samples_format: Literal["png", "jpg", "jpeg", "webp"] = "png"
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = 80
    webp_lossless: bool = False
    tiling: bool = False
    live_previews_enable: bool = False
    show_progress_every_n_steps: Annotated[int, Field(ge=-1, le=10_000)] = 10
    return_grid: bool = True
    grid_save: bool = True
    grid_only_if_multiple: bool = True
    samples_save: bool = True
    control_net_no_detectmap: bool = False
    enable_pnginfo: Literal[True] = True
    randn_source: Literal["CPU"] = "CPU"
    eta_noise_seed_delta: Literal[0] = 0
    initial_noise_multiplier: Literal[1] = 1
    face_restoration: Literal[False] = False
    img2img_fix_steps: Literal[False] = False
    img2img_color_correction: Literal[False] = False
    filter_nsfw: Literal[False] = False

    def changed(self, given: Mapping[str, Any]) -> Options:
        """With these; InvalidArgumentError about the first that is none, or does not fit. None changes nothing."""
        wanted = {name: value for name, value in given.items() if value is not None}
        for name in wanted.keys() - Options.model_fields.keys():
            raise invalid(str(name), "is no option here; GET /sdapi/v1/options has those that are")
        try:
            return Options.model_validate({**self.model_dump(), **wanted})
        except ValidationError as error:
            raise _told(error) from error

    @property
    def preview_every_steps(self) -> int:
        """0: never."""
        return max(0, self.show_progress_every_n_steps) if self.live_previews_enable else 0


def _told(error: ValidationError) -> InvalidArgumentError:
    first = error.errors()[0]
    return invalid(".".join(map(str, first["loc"])), str(first["msg"]))


class CallersOptions:
    """What each caller has chosen, in a file each, which every gateway with this state folder reads anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def of(self, caller: Caller) -> Options:
        """The caller's, or the defaults."""
        return await asyncio.to_thread(self._read, self._path(caller))

    async def choose(self, caller: Caller, options: Options) -> None:
        """From now on; FailedPreconditionError where it cannot be written down."""
        try:
            await asyncio.to_thread(self._write, self._path(caller), options)
        except OSError as error:
            problem = f"this server cannot write options to {self._folder}: {error.strerror}"
            raise FailedPreconditionError(problem) from error

    def _path(self, caller: Caller) -> Path:
        return self._folder / f"{sha256(caller.scope.encode()).hexdigest()}.json"

    def _read(self, path: Path) -> Options:
        try:
            return Options.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return Options()
        except (OSError, ValidationError) as error:  # an older version's, say
            logger.warning(
                "options are not readable; the defaults count", extra={"file": str(path), "error": str(error)}
            )
            return Options()

    def _write(self, path: Path, options: Options) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        beside.write_text(options.model_dump_json())
        beside.replace(path)
        kept = sorted(self._folder.iterdir(), key=_changed_s)
        for forgotten in kept[: max(0, len(kept) - _MOST_CALLERS)]:
            forgotten.unlink(missing_ok=True)


def _changed_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another's, which is in its place by now
        return math.inf
