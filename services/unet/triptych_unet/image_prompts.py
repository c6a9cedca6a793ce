"""What a UNet's process does before it first looks at a picture beside the text: once, beside the running engine."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait

from triptych.contract import IMAGE_PROMPT
from triptych.contract.carried import ImagePromptPreparingError
from triptych.engine import Engine
from triptych.engine.port import Array
from triptych.errors import invalid

# As for ControlNets: longer than it takes where there is nothing to do.
_PATIENCE_S = 0.005


class ImagePrompts:
    """For one thread's use; `width` is of all that a prompt is for, side by side."""

    def __init__(self, engine: Engine, width: int) -> None:
        self._engine, self._width = engine, width
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="image-prompts")
        self._begun: dict[int, Future[None]] = {}

    def check(self, prompt: Array) -> None:
        """InvalidArgumentError where image_prompt [B, sides, tokens, widths] is none that this UNet looks at."""
        _, sides, tokens, width = prompt.shape
        if not sides or sides % 2 or not tokens or width != self._width:
            problem = f"is {sides} x {tokens} x {width}, must be keys and values, {self._width} wide"
            raise invalid(IMAGE_PROMPT.name, problem)

    def require(self, count: int) -> None:
        """ImagePromptPreparingError until all is ready for so many; what keeps the engine from it, if anything.

        That is tried again when it is asked for again.
        """
        if count not in self._begun:
            self._begun[count] = self._worker.submit(self._engine.prepare_image_prompt, count)
        wait([self._begun[count]], _PATIENCE_S)
        if not self._begun[count].done():
            raise ImagePromptPreparingError("the UNet is being made ready to look at pictures")
        if self._begun[count].exception():
            # Kept here, or by a name, its traceback would hold the tensors of each request that it was raised for.
            self._begun.pop(count).result()

    def close(self) -> None:
        """Prepares nothing any more."""
        self._worker.shutdown(wait=False, cancel_futures=True)
