"""Image to image as A1111's API has it, beside the same of `Generate`."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw

from tests.conftest import Served
from tests.gateway.a1111.conftest import SD1, SMALL, Call, files, info, picture, png, text

IMAGE = Image.radial_gradient("L").resize((96, 64)).convert("RGB")
MASK = Image.new("L", (96, 64))
ImageDraw.Draw(MASK).rectangle((30, 20, 55, 45), fill=255)
OWN = {"checkpoint": "sd1", "guidance_scale": 7.0, "num_inference_steps": 2, "seed": 5, "scheduler": "euler"}


def pixels(files: list[bytes]) -> list[bytes]:
    """Files tell the digests of what they were made from, whose bytes may differ."""
    return [picture(file).tobytes() for file in files]


def generated(served: Served, **parameters: Any) -> list[bytes]:
    return served.client.generate("a red circle", **{"width": 64, "height": 64, **OWN, **parameters}).files  # type: ignore[arg-type]


def test_an_image_is_stretched_unless_told(img2img: Call, served: Served) -> None:
    answer = img2img(init_images=[f"data:image/png;base64,{text(IMAGE)}"], denoising_strength=0.6)
    assert files(answer) == generated(served, image=png(IMAGE), strength=0.6)
    assert (answer["parameters"]["init_images"], answer["parameters"]["mask"]) == (None, None)
    assert info(answer)["denoising_strength"] == 0.6
    back = img2img(init_images=[text(IMAGE)], include_init_images=True, send_images=False)
    assert back["parameters"]["init_images"] == [text(IMAGE)]


def test_resize_mode_1_takes_the_middle(img2img: Call, served: Served) -> None:
    answer = img2img(init_images=[text(IMAGE)], resize_mode=1)
    assert pixels(files(answer)) == pixels(generated(served, image=png(IMAGE.crop((16, 0, 80, 64))), strength=0.75))


def test_resize_mode_2_goes_on_beyond_the_edges(img2img: Call, served: Served) -> None:
    inner, whole = IMAGE.resize((64, 43), Image.Resampling.LANCZOS), Image.new("RGB", (64, 64))
    whole.paste(inner.crop((0, 0, 64, 1)).resize((64, 10)), (0, 0))
    whole.paste(inner, (0, 10))
    whole.paste(inner.crop((0, 42, 64, 43)).resize((64, 11)), (0, 53))
    answer = img2img(init_images=[text(IMAGE)], resize_mode=2)
    assert pixels(files(answer)) == pixels(generated(served, image=png(whole), strength=0.75))


def test_a_mask_in_the_whole_image(img2img: Call, served: Served) -> None:
    answer = img2img(init_images=[text(IMAGE)], mask=text(MASK), inpaint_full_res=False, inpainting_fill=2)
    same = {"mask_image": png(MASK), "mask_blur": 4, "masked_content": "latent_noise", "strength": 0.75}
    assert files(answer) == generated(served, image=png(IMAGE), **same)


def test_the_masked_part_by_itself(img2img: Call, served: Served) -> None:
    answer = img2img(
        init_images=[text(IMAGE)], mask=text(MASK), resize_mode=1, inpaint_full_res_padding=8, mask_blur=2,
        inpainting_mask_invert=0,
    )  # fmt: skip
    same = {"mask_image": png(MASK), "mask_blur": 2, "masked_content": "fill", "padding_mask_crop": 8, "strength": 0.75}
    assert files(answer) == generated(served, image=png(IMAGE), **same)
    assert picture(files(answer)[0]).size == IMAGE.size
    assert info(answer)["extra_generation_params"]["Inpaint area"] == "Only masked"


def test_a_mask_may_be_drawn_in_its_transparency(img2img: Call) -> None:
    drawn = Image.merge("RGBA", [Image.new("L", MASK.size)] * 3 + [MASK])
    same = {"init_images": [text(IMAGE)], "inpaint_full_res": False, "inpainting_mask_invert": 1}
    first, second = (img2img(mask=text(mask), **same) for mask in (drawn, MASK))
    assert pixels(files(first)) == pixels(files(second))


def test_several_images_are_a_batch(img2img: Call) -> None:
    answer = img2img(init_images=[text(IMAGE), text(MASK)], batch_size=2)
    assert info(answer)["all_seeds"] == [5, 6]
    assert files(answer)[1] == files(img2img(init_images=[text(MASK)], seed=6))[0]


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"init_images": None}, 404, "init_images"),
        ({"init_images": []}, 404, "init_images"),
        ({"init_images": ["not base64!"]}, 400, "init_images[0]"),
        ({"init_images": ["AAAA"]}, 400, "init_images"),
        ({"init_images": ["AAAA"], "resize_mode": 1}, 400, "init_images[0]"),
        ({"init_images": ["http://127.0.0.1/x.png"]}, 400, "init_images[0]"),
        ({"init_images": [text(IMAGE)] * 2}, 400, "init_images"),
        ({"mask": "AAAA"}, 400, "mask"),
        ({"mask": text(Image.new("L", (8, 8)))}, 400, "mask"),
        ({"mask": text(MASK), "mask_blur_x": 1}, 400, "mask_blur_x"),
        ({"resize_mode": 3}, 400, "resize_mode"),
        ({"resize_mode": 1, "height": 0}, 400, "height"),
        ({"resize_mode": 2, "width": 10**9}, 400, "width"),
        ({"denoising_strength": 0}, 400, "denoising_strength"),
        ({"initial_noise_multiplier": 1.1}, 400, "initial_noise_multiplier"),
        ({"mask": text(MASK), "inpaint_full_res_padding": -1}, 400, "inpaint_full_res_padding"),
    ],
)
def test_what_is_wrong_is_the_callers_and_named(
    fields: dict[str, object], status: int, field: str, http: httpx.Client
) -> None:
    answer = http.post("/sdapi/v1/img2img", json={**SMALL, **SD1, "init_images": [text(IMAGE)], **fields})
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"].startswith(field)
