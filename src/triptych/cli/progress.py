"""The progress bar of one request, on stderr: steps, and the time of each.

with Progress("a red circle") as progress:
    for event in client.stream("a red circle"): progress.show(event)
"""

from __future__ import annotations

import sys
from dataclasses import replace
from types import TracebackType
from typing import Self

from tqdm import tqdm

from triptych.sdk import Event, Queued, Result, Step
from triptych.sdk.events import require_result

_FORMAT = "{desc} {percentage:3.0f}%|{bar:30}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
_TITLE_LENGTH = 28


class Progress:
    """Shows the events of one request as they come and keeps what is reported at its end.

    Draws nothing when `hidden`, or where stderr is no terminal.

    Args:
        title: what is being made.
        slot: which line, counted from 0, where several bars run at a time.
        hidden: draw nothing.
    """

    def __init__(self, title: str, *, slot: int = 0, hidden: bool = False) -> None:
        self._bar = tqdm(
            desc=shortened(title),
            total=0,
            position=slot,
            leave=slot == 0,
            disable=True if hidden else None,
            file=sys.stderr,
            bar_format=_FORMAT,
            dynamic_ncols=True,
        )

        self._step_seconds: list[float] = []
        self._last: Event | None = None
        self.queued: Queued | None = None

    def show(self, event: Event) -> None:
        """Draws what the event changes, and keeps it."""
        self._last = event
        match event:
            case Queued():
                self.queued = event
                self._bar.total = event.num_inference_steps
                self._bar.set_postfix_str("waiting")
            case Step():
                self._step_seconds.append(event.step_seconds)
                self._bar.total = event.total
                self._bar.n = event.step
                decoding = ", decoding" if event.step == event.total else ""
                self._bar.set_postfix_str(f"{event.step_seconds:.3g} s/step{decoding}")
            case Result():
                self._bar.set_postfix_str(f"{self.seconds_per_step:.3g} s/step")

    def keep(self, index: int) -> None:
        """Of the pictures of the result that one alone."""
        result = self.result
        names = ("images", "pngs", "seeds", "files", "watermarked")
        lists = {name: getattr(result, name)[index : index + 1] for name in names}
        if (found := result.nsfw_content_detected) is not None:
            lists["nsfw_content_detected"] = found[index : index + 1]
        self._last = replace(result, **lists)

    @property
    def result(self) -> Result:
        """The result; TriptychError if the stream had none."""
        return require_result(self._last)

    @property
    def seconds_per_step(self) -> float:
        """The mean over the steps so far; 0 before the first."""
        return sum(self._step_seconds) / max(len(self._step_seconds), 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()


def shortened(prompt: str) -> str:
    """The beginning of a prompt, in the place of the whole."""
    return prompt if len(prompt) <= _TITLE_LENGTH else prompt[: _TITLE_LENGTH - 1] + "…"


def say(text: str) -> None:
    """A line on stderr, above any bars."""
    tqdm.write(text, file=sys.stderr)
