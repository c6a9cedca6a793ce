"""What a ControlNet looks at: detected by itself, or for the units of a call, whose maps stand behind its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from triptych import AsyncClient
from triptych_gateway.a1111.controlnet.preprocessors import NONE

Size = tuple[int, int]
# Of a control what says how its picture is prepared.
_HOW = ("processor_res", "threshold_a", "threshold_b", "mask_image", "resize_mode")


async def detected_maps(
    client: AsyncClient, controls: Sequence[Mapping[str, Any]], sizes: Sequence[Size]
) -> list[bytes]:
    """PNGs: of each control one for each size that was drawn, the largest first, as the extension has them."""
    largest_first = sorted({*sizes}, reverse=True)
    return [await _map(client, control, size) for control in controls for size in largest_first]


async def _map(client: AsyncClient, control: Mapping[str, Any], size: Size) -> bytes:
    how = {name: control[name] for name in _HOW if name in control}
    name = control.get("preprocessor", NONE)
    made = await client.preprocess(name, control["image"], width=size[0], height=size[1], **how)
    return made.png
