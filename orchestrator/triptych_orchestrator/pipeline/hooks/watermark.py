"""The invisible watermark, in the format of `contract/pictures/watermark.py`: few pixels change, and those in colour.

A block says its bit by its largest number, so that number is moved to the nearest middle of the wanted half at which it
stays the largest. Of a pixel red, green and blue are moved together then where one of them would leave its range: the
colour, which is what is read, stays as it is meant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from triptych.contract.pictures.watermark import BLOCK, LEAST_PIXELS, LUMA, SCALE, U_FACTOR, message_of
from triptych_orchestrator.pipeline.hooks.base import Drawn, Finished, Hook, Pixels

Numbers = npt.NDArray[np.float64]

# Pixels each way that a block stands for.
_SIDE = 2 * BLOCK
# By how much the number that is read is to exceed all others of its block at least.
_AHEAD = 1.0
# What makes blue and green of a change of U, with Y and V as they are: the inverse of its definition.
_BLUE = 1 / U_FACTOR
_GREEN = -LUMA[2] / LUMA[1] / U_FACTOR


class Watermark(Hook):
    """Marks each picture with a text; what is black already says nothing."""

    name = "watermark"

    def __init__(self, text: str) -> None:
        self._bits = np.unpackbits(np.frombuffer(message_of(text), np.uint8))

    async def finish(self, pictures: Sequence[Finished], drawn: Drawn) -> tuple[list[Finished], list[str]]:
        """All that can be marked, and were not flagged."""
        finished = [await asyncio.to_thread(self._finished, picture) for picture in pictures]
        without = sum(not (picture.watermarked or picture.nsfw_content_detected) for picture in finished)
        why = f"fewer than {LEAST_PIXELS} pixels, or colours that leave no room"
        return finished, [f"{without} of {len(finished)} pictures hold no watermark: {why}"] if without else []

    def preview(self, pixels: Pixels) -> Pixels:
        """Marked likewise."""
        return marked(pixels, self._bits) if _is_large(pixels) else pixels

    def _finished(self, picture: Finished) -> Finished:
        if picture.nsfw_content_detected or not _is_large(picture.pixels):
            return picture
        pixels = marked(picture.pixels, self._bits)
        return replace(picture, pixels=pixels, watermarked=True) if says(pixels, self._bits) else picture


def _is_large(pixels: Pixels) -> bool:
    return pixels.shape[0] * pixels.shape[1] >= LEAST_PIXELS


def says(pixels: Pixels, bits: npt.NDArray[np.uint8]) -> bool:
    """Whether most blocks of each bit say it: of pure blue, say, no bit can be told by more blue."""
    blocks = _blocks(_low_frequencies(_whole(pixels)))
    read = blocks[:, 1:].max(axis=1) % SCALE > SCALE / 2
    place = np.arange(len(blocks)) % len(bits)
    shares = np.bincount(place, read, len(bits)) / np.bincount(place, minlength=len(bits))
    return bool(((shares > 0.5) == bits).all())


def marked(pixels: Pixels, bits: npt.NDArray[np.uint8]) -> Pixels:
    """Pixels [H, W, 3] that say the bits again and again; what is no whole block at the right and below stays."""
    colours = _whole(pixels)
    changes = _changes(_low_frequencies(colours), bits)
    # Each of two by two pixels has half of what their sum's half is changed by.
    u = (changes / 2).repeat(2, axis=0).repeat(2, axis=1)
    colours[..., 1] += _GREEN * u
    colours[..., 2] += _BLUE * u
    colours -= np.maximum(colours.max(axis=-1, keepdims=True) - 255, 0)
    colours += np.maximum(-colours.min(axis=-1, keepdims=True), 0)
    result = pixels.copy()
    result[: len(colours), : len(colours[0])] = np.clip(np.round(colours), 0, 255)
    return result


def _whole(pixels: Pixels) -> Numbers:
    """What blocks cover."""
    height, width = (extent // _SIDE * _SIDE for extent in pixels.shape[:2])
    return pixels[:height, :width].astype(np.float64)


def _low_frequencies(colours: Numbers) -> Numbers:
    """Of U, [H / 2, W / 2]."""
    red, green, blue = (colours[..., colour] for colour in range(3))
    u = U_FACTOR * (blue - (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)) + 128
    low: Numbers = (u[::2, ::2] + u[::2, 1::2] + u[1::2, ::2] + u[1::2, 1::2]) / 2
    return low


def _changes(low: Numbers, bits: npt.NDArray[np.uint8]) -> Numbers:
    """What to add to each low frequency: 0 to all but one of a block."""
    blocks = _blocks(low)
    every, largest = np.arange(len(blocks)), blocks[:, 1:].argmax(axis=1) + 1
    others = blocks.copy()
    others[:, 0] = others[every, largest] = -np.inf
    now, middle = blocks[every, largest], SCALE * (0.25 + 0.5 * np.resize(bits, len(blocks)))
    wanted = np.round((now - middle) / SCALE) * SCALE + middle
    wanted += SCALE * (wanted < others.max(axis=1) + _AHEAD)
    changes = np.zeros_like(blocks)
    changes[every, largest] = wanted - now
    rows, columns = (extent // BLOCK for extent in low.shape)
    return changes.reshape(rows, columns, BLOCK, BLOCK).swapaxes(1, 2).reshape(low.shape)


def _blocks(low: Numbers) -> Numbers:
    """[blocks, 16], row by row."""
    rows, columns = (extent // BLOCK for extent in low.shape)
    return low.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2).reshape(rows * columns, BLOCK**2)
