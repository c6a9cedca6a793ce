"""The web UI's options, each caller's own: what they say is for that caller's calls alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from triptych.errors import InvalidArgumentError, invalid
from triptych_gateway.caller import Caller

# Callers whose options are remembered; who has not been heard of the longest is forgotten first.
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
    """What each caller has chosen."""

    def __init__(self) -> None:
        self._chosen: OrderedDict[Caller, Options] = OrderedDict()

    def of(self, caller: Caller) -> Options:
        """The caller's, or the defaults."""
        return self._chosen.get(caller, Options())

    def choose(self, caller: Caller, options: Options) -> None:
        """From now on."""
        self._chosen[caller] = options
        self._chosen.move_to_end(caller)
        while len(self._chosen) > _MOST_CALLERS:
            self._chosen.popitem(last=False)
