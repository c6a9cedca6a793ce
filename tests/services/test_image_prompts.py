"""What a UNet's process does before it first looks at a picture: once, beside the engine, and said meanwhile."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest

from tests.e2e.serving import wait_for
from triptych.contract.carried import ImagePromptPreparingError, carried, carry
from triptych.engine.port import Engine
from triptych.errors import FailedPreconditionError, InvalidArgumentError
from triptych_unet.image_prompts import ImagePrompts


class Slow(Engine):
    """Ready when told so."""

    load = infer = refit = None  # type: ignore[assignment]

    def __init__(self) -> None:
        self.may, self.asked = threading.Event(), list[int]()

    def prepare_image_prompt(self, count: int = 1, axes: str = "") -> None:
        self.asked.append(count)
        self.may.wait(60)


class Plain(Engine):
    """One that cannot."""

    load = infer = refit = None  # type: ignore[assignment]


@pytest.fixture
def slow() -> Iterator[Slow]:
    engine = Slow()
    yield engine
    engine.may.set()


def is_ready(prompts: ImagePrompts, count: int) -> bool:
    with suppress(ImagePromptPreparingError):
        prompts.require(count)
        return True
    return False


def test_it_is_told_until_all_is_ready_and_done_once(slow: Slow) -> None:
    prompts = ImagePrompts(slow, 8)
    for _ in range(2):
        with pytest.raises(ImagePromptPreparingError) as caught:
            prompts.require(1)
    assert isinstance(carried(carry(caught.value)), ImagePromptPreparingError)
    slow.may.set()
    wait_for(lambda: is_ready(prompts, 1), 60, "the engine")
    wait_for(lambda: is_ready(prompts, 2), 60, "the engine")
    prompts.require(1)
    assert slow.asked == [1, 2]
    prompts.close()


def test_what_keeps_the_engine_from_it_is_told_each_time() -> None:
    prompts = ImagePrompts(Plain(), 8)  # type: ignore[abstract]
    for _ in range(2):
        with pytest.raises(FailedPreconditionError, match="takes no IP-Adapter"):
            wait_for(lambda: is_ready(prompts, 1), 60, "an error")


def test_what_failed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = ImagePrompts(Plain(), 8)  # type: ignore[abstract]
    with pytest.raises(FailedPreconditionError):
        wait_for(lambda: is_ready(prompts, 1), 60, "an error")
    monkeypatch.setattr(Plain, "prepare_image_prompt", lambda _self, _count: None)
    wait_for(lambda: is_ready(prompts, 1), 60, "the engine")


def test_an_error_holds_nothing_of_the_requests_that_it_was_told_to() -> None:
    prompts, held = ImagePrompts(Plain(), 8), list[weakref.ref[object]]()  # type: ignore[abstract]

    def request() -> bool:
        tensor = np.zeros(1)
        held.append(weakref.ref(tensor))
        try:
            return is_ready(prompts, int(tensor[0]) + 1)
        except FailedPreconditionError:
            return True

    gc.disable()
    try:
        for _ in range(3):
            wait_for(request, 60, "an error")
        assert not any(each() is not None for each in held)
    finally:
        gc.enable()


@pytest.mark.parametrize("shape", [(1, 2, 4, 7), (1, 3, 4, 8), (1, 0, 4, 8), (1, 2, 0, 8)])
def test_what_is_no_prompt_of_this_unet_is_refused(slow: Slow, shape: tuple[int, ...]) -> None:
    prompts = ImagePrompts(slow, 8)
    with pytest.raises(InvalidArgumentError, match=r"^image_prompt: is .*must be keys and values, 8 wide"):
        prompts.check(np.zeros(shape, np.float32))
    prompts.check(np.zeros((1, 4, 4, 8), np.float32))
