"""What img2img asks of checkpoints that edit pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import Served
from tests.gateway.a1111.conftest import picture, text
from triptych_gateway.a1111.drawing.from_images import images_of
from triptych_gateway.a1111.drawing.requests import Img2Img
from triptych_gateway.settings import Settings

IMAGE = text(Image.new("RGB", (16, 16), "red"))


async def asked(served: Served, purpose: str, **fields: Any) -> dict[str, Any]:
    server = served.client.server_info()
    checkpoint = replace(next(each for each in server.checkpoints if each.name == "sd1"), purpose=purpose)
    request = Img2Img(init_images=[IMAGE], width=64, height=64, **fields)
    return await images_of(request, checkpoint, server.limits, Settings("", Path()))


async def test_one_for_inpainting_is_told_that_all_is_to_be_drawn(served: Served) -> None:
    whole = picture((await asked(served, "inpainting"))["mask_image"])
    assert whole.getextrema() == (255, 255)
    own = await asked(served, "inpainting", mask=IMAGE, inpaint_full_res=False)
    assert picture(own["mask_image"]).size == (16, 16)


@pytest.mark.parametrize("mask", [None, ""])
async def test_one_that_is_instructed_has_a_scale_and_no_strength(served: Served, mask: str | None) -> None:
    own = await asked(served, "instructed", image_cfg_scale=1.8, mask=mask)
    assert (own["image_guidance_scale"], own["strength"]) == (1.8, None)
    assert "mask_image" not in own
    assert "image_guidance_scale" not in await asked(served, "drawing", image_cfg_scale=1.8)
