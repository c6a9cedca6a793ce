"""Upscalers by name: Pillow's filters, what is added to them, and sizes that come out exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.errors import InvalidArgumentError
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.library.upscalers import Pixels, Size, Upscaler, Upscalers, enlarged

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)


async def fourfold(pixels: Pixels, size: Size, request_id: str) -> Pixels:
    return pixels.repeat(4, axis=0).repeat(4, axis=1)


@pytest.mark.parametrize("name", ["lanczos", "bicubic", "bilinear", "nearest"])
async def test_filters_are_pillows(name: str) -> None:
    expected = Image.fromarray(PIXELS).resize((30, 19), Image.Resampling[name.upper()])
    ours = await enlarged(PIXELS, Upscalers().get("upscaler", name), (30, 19))
    assert np.array_equal(ours, np.asarray(expected))


async def test_what_makes_another_size_is_brought_to_the_one_that_is_wanted() -> None:
    upscalers = Upscalers(lambda: [Upscaler("fourfold", fourfold, takes_turn=True)])
    added = upscalers.get("upscaler", "fourfold")
    assert added.takes_turn and np.array_equal(
        await enlarged(PIXELS, added, (48, 36)), await fourfold(PIXELS, (48, 36), "")
    )
    expected = Image.fromarray(PIXELS.repeat(4, 0).repeat(4, 1)).resize((24, 18), Image.Resampling.LANCZOS)
    assert np.array_equal(await enlarged(PIXELS, added, (24, 18)), np.asarray(expected))


def test_networks_are_told_from_filters() -> None:
    entry = Entry("fourfold", Path("/x"), "")
    upscalers = Upscalers(lambda: [Upscaler("fourfold", fourfold, entry=entry)])
    assert upscalers.networks(["lanczos", "latent", "fourfold"]) == {"fourfold": entry}


def test_names_are_those_that_there_are_just_now() -> None:
    added: list[Upscaler] = []
    upscalers = Upscalers(lambda: added)
    assert upscalers.names() == ["lanczos", "bicubic", "bilinear", "nearest"]
    added += [Upscaler("fourfold", fourfold), Upscaler("lanczos", fourfold)]
    assert upscalers.names() == ["lanczos", "bicubic", "bilinear", "nearest", "fourfold"]
    assert upscalers.get("upscaler", "lanczos").enlarge is not fourfold
    with pytest.raises(InvalidArgumentError, match=r"hires: 'x' is no upscaler .* lanczos, .*, fourfold") as caught:
        upscalers.get("hires", "x")
    assert caught.value.metadata["field"] == "hires"
