"""Hooks on finished pictures: an ordered list that the operator chose, each given what the one before it has left."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.stages.use import StageUse

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Finished:
    """A picture [H, W, 3] as it is to be written, and what was done to it; see `jobs.events.Picture`."""

    pixels: Pixels
    nsfw_content_detected: bool | None = None
    watermarked: bool = False


@dataclass(frozen=True)
class Drawn:
    """What a hook may need besides pictures: the checkpoint that drew them, and what the request has of a stage."""

    request_id: str
    entry: Entry
    use: StageUse


class Hook(ABC):
    """`name` is what GetServerInfo tells; `models` are the contract's that it needs of every checkpoint that draws."""

    name: ClassVar[str]
    models: ClassVar[tuple[str, ...]] = ()
    shows_previews: ClassVar[bool] = True

    @abstractmethod
    async def finish(self, pictures: Sequence[Finished], drawn: Drawn) -> tuple[list[Finished], list[str]]:
        """The pictures of one request as they go on, and warnings for its result."""

    def preview(self, pixels: Pixels) -> Pixels:
        """An estimate on the way, as it goes out; not asked where previews are not shown."""
        return pixels


class Hooks:
    """All of an operator's, in order; `watermark` is the text that pictures tell of, "" for none."""

    def __init__(self, hooks: Sequence[Hook] = (), watermark: str = "") -> None:
        self._hooks = hooks
        self.watermark = watermark

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [hook.name for hook in self._hooks]

    @property
    def models(self) -> set[str]:
        """Models that a checkpoint needs for them."""
        return {model for hook in self._hooks for model in hook.models}

    @property
    def without_previews(self) -> str:
        """Why estimates are not shown; "" where they are."""
        hiding = [hook.name for hook in self._hooks if not hook.shows_previews]
        return f"no previews: this server shows no picture before its {hiding[0]} has seen it whole" if hiding else ""

    async def finish(self, pixels: Sequence[Pixels], drawn: Drawn) -> tuple[list[Finished], list[str]]:
        """Pictures as they go out, and warnings."""
        pictures, warnings = [Finished(each) for each in pixels], list[str]()
        for hook in self._hooks:
            pictures, told = await hook.finish(pictures, drawn)
            warnings += told
        return pictures, warnings

    def preview(self, pixels: Pixels) -> Pixels:
        """An estimate as it goes out."""
        for hook in self._hooks:
            pixels = hook.preview(pixels)
        return pixels
