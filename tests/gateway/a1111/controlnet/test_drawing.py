"""ControlNet units of the A1111 API through the real servers, and what the extension serves beside."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.conftest import Served
from tests.gateway.a1111.conftest import SD1, SMALL, Call, files, info, picture, png, text
from tests.parity.oracle import drawn
from triptych import Control

PHOTO = drawn((96, 64), 0)
GRPC: dict[str, Any] = {
    "prompt": "a red circle", "checkpoint": "sd1", "num_inference_steps": 2, "seed": 5, "width": 64, "height": 64,
    "scheduler": "euler", "guidance_scale": 7.0,
}  # fmt: skip


def units(*given: dict[str, Any], name: str = "ControlNet") -> dict[str, Any]:
    return {"alwayson_scripts": {name: {"args": list(given)}}}


def expected(served: Served, **fields: Any) -> bytes:
    """Pixels: the files say how much of the request was left open."""
    control = Control("outlines", png(PHOTO), **{"resize_mode": "crop_and_resize", **fields})
    return served.client.generate(**GRPC, controls=[control]).images[0].tobytes()


def pixels(file: bytes) -> bytes:
    return picture(file).convert("RGB").tobytes()


def test_a_unit_is_a_control_and_its_map_stands_behind_the_picture(
    served: Served, txt2img: Call, outlines: str
) -> None:
    unit = {"model": outlines, "input_image": text(PHOTO), "weight": 0.7, "guidance": 0.9, "module": "Canny"}
    made, seen = files(txt2img(**units(unit, name="controlnet")))
    prepared = {"preprocessor": "canny", "conditioning_scale": 0.7, "guidance_end": 0.9}
    assert pixels(made) == expected(served, **prepared) != expected(served)
    told = served.client.preprocess("canny", png(PHOTO), width=64, height=64, resize_mode="crop_and_resize")
    assert seen == told.png


def test_maps_can_be_left_out(txt2img: Call, outlines: str) -> None:
    unit = {"model": outlines, "image": text(PHOTO)}
    with_map = txt2img(**units(unit))
    without = txt2img(**units({**unit, "save_detected_map": False}))
    (made,) = files(without)
    assert files(with_map)[0] == made and len(files(with_map)) == 2
    assert len(info(with_map)["infotexts"]) == 1
    options = {"override_settings": {**SD1["override_settings"], "control_net_no_detectmap": True}}
    assert files(txt2img(**units(unit), **options)) == [made]
    assert files(txt2img(**units(unit), send_images=False)) == []


def test_no_units_and_units_that_are_off_change_nothing(txt2img: Call) -> None:
    plain = files(txt2img())
    assert files(txt2img(**units())) == files(txt2img(**units({"enabled": False, "model": "x"}))) == plain


def test_modes_and_numbers_count(served: Served, txt2img: Call, outlines: str) -> None:
    unit = {
        "model": outlines, "image": text(PHOTO), "module": "canny", "threshold_a": 50, "threshold_b": 9000,
        "processor_res": 128, "control_mode": "My prompt is more important", "resize_mode": 2,
    }  # fmt: skip
    fields = {"preprocessor": "canny", "threshold_a": 50, "processor_res": 128, "control_mode": "prompt"}
    assert pixels(files(txt2img(**units(unit)))[0]) == expected(served, **fields, resize_mode="resize_and_fill")
    pixel_perfect = expected(served, preprocessor="canny", processor_res=0)
    unit = {"model": outlines, "image": text(PHOTO), "module": "canny", "pixel_perfect": True}
    assert pixels(files(txt2img(**units(unit)))[0]) == pixel_perfect


def test_a_mask_hides_what_is_drawn(served: Served, http: httpx.Client, txt2img: Call, outlines: str) -> None:
    mask = PHOTO.convert("L").point(lambda grey: 255 if grey > 127 else 0)
    unit = {"model": outlines, "image": [text(PHOTO), text(mask)], "module": "inpaint_global_harmonious"}
    made, seen = files(txt2img(**units(unit)))
    assert pixels(made) == expected(served, preprocessor="inpaint", mask_image=png(mask)) != expected(served)
    sized = {"width": 64, "height": 64, "resize_mode": "crop_and_resize"}
    assert seen == served.client.preprocess("inpaint", png(PHOTO), mask_image=png(mask), **sized).png
    asked = {"controlnet_module": "inpaint", "controlnet_input_images": [text(PHOTO)]}
    assert "requires a mask each" in http.post("/controlnet/detect", json=asked).text
    (detected,) = files(http.post("/controlnet/detect", json={**asked, "controlnet_masks": [text(mask)]}).json())
    assert picture(detected).convert("RGBA").getextrema()[3] == (0, 255)


def test_hires_fix_shows_a_map_for_each_pass(txt2img: Call, outlines: str) -> None:
    unit = {"model": outlines, "image": text(PHOTO), "hr_option": "Low res only"}
    answer = txt2img(**units(unit), enable_hr=True, hr_scale=1.5, denoising_strength=0.6)
    assert [picture(file).size for file in files(answer)] == [(96, 96), (96, 96), (64, 64)]


def test_img2img_lends_its_image(served: Served, img2img: Call, outlines: str) -> None:
    answer = img2img(init_images=[text(PHOTO)], denoising_strength=0.6, resize_mode=1, **units({"model": outlines}))
    made, seen = files(answer)
    told = served.client.preprocess("none", png(PHOTO), width=64, height=64, resize_mode="crop_and_resize")
    assert seen == told.png
    other = img2img(
        init_images=[text(PHOTO)], denoising_strength=0.6, resize_mode=1,
        **units({"model": outlines, "image": text(PHOTO)}),
    )  # fmt: skip
    assert files(other)[0] == made


@pytest.mark.parametrize(
    ("unit", "status", "field"),
    [
        ({}, 400, "args[0].model: is missing"),
        ({"model": "nothing"}, 404, "args[0].model: 'nothing' is not a model here; there are"),
        ({"model": "sd1"}, 404, "args[0].model"),
        ({"model": "outlines"}, 400, "args[0].image: is missing"),
        ({"model": "outlines", "image": "?"}, 400, "args[0].image"),
        ({"model": "outlines", "image": "QUFB"}, 400, "args[0].image"),
        ({"model": "outlines", "image": text(PHOTO), "module": "magic"}, 404, "args[0].module"),
        (
            {"model": "outlines", "image": text(PHOTO), "weight": 20},
            400,
            "args[0].weight: must be a number from 0",
        ),
        ({"model": "outlines", "image": text(PHOTO), "weight": "x"}, 400, "args[0].weight"),
        ({"model": "outlines", "image": text(PHOTO), "guidance_start": 1}, 400, "args[0].guidance_start"),
        ({"model": "outlines", "image": text(PHOTO), "advanced_weighting": [1]}, 400, "args[0].advanced_weighting"),
        ({"model": "outlines", "image": text(PHOTO), "union_control_type": "Depth"}, 400, "args[0].union_control_type"),
    ],
)
def test_what_is_wrong_is_told_by_the_units_field(
    unit: dict[str, Any], status: int, field: str, http: httpx.Client, outlines: str
) -> None:
    answer = http.post("/sdapi/v1/txt2img", json={**SMALL, **SD1, **units(unit)})
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"].startswith(f"alwayson_scripts.ControlNet.{field}"), answer.text


@pytest.mark.parametrize("args", [{"args": "canny"}, {"args": [False]}, {"args": [{"model": "outlines"}] * 2000}, 7])
def test_what_are_no_units_is_refused(args: Any, http: httpx.Client, outlines: str) -> None:
    answer = http.post("/sdapi/v1/txt2img", json={**SMALL, **SD1, "alwayson_scripts": {"ControlNet": args}})
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"].startswith("alwayson_scripts.ControlNet.args")


def test_it_lists_what_there_is(served: Served, http: httpx.Client, outlines: str) -> None:
    assert http.get("/controlnet/version").json() == {"version": 2}
    titles = http.get("/controlnet/model_list?update=true").json()["model_list"]
    assert any(title.startswith(outlines) for title in titles)
    assert http.get("/controlnet/settings").json() == {"control_net_unit_count": 8}
    modules = http.get("/controlnet/module_list?alias_names=true").json()
    assert modules["module_list"][0] == "none" and "canny" in modules["module_list"]
    assert modules["module_detail"].keys() == set(modules["module_list"])
    types = http.get("/controlnet/control_types").json()["control_types"]
    assert "canny" in types["Canny"]["module_list"] and types["All"]["model_list"] == ["None", *titles]


def test_it_detects(served: Served, http: httpx.Client) -> None:
    asked = {"controlnet_module": "canny", "controlnet_input_images": [text(PHOTO)], "controlnet_threshold_a": 50}
    told = http.post("/controlnet/detect", json=asked).json()
    (made,) = files(told)
    assert told["info"] == "Success"
    assert made == served.client.preprocess("canny", png(PHOTO), threshold_a=50).png
    (same,) = files(http.post("/controlnet/detect", json={"controlnet_images": [text(PHOTO)]}).json())
    assert pixels(same) == PHOTO.tobytes()


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        ({"controlnet_module": "magic"}, 422, "controlnet_module"),
        ({"controlnet_module": "canny"}, 422, "controlnet_input_images"),
        ({"controlnet_module": "canny", "controlnet_input_images": ["QUFB"]}, 400, "controlnet_input_images[0]"),
    ],
)
def test_what_cannot_be_detected_is_told(asked: dict[str, Any], status: int, told: str, http: httpx.Client) -> None:
    answer = http.post("/controlnet/detect", json=asked)
    assert answer.status_code == status
    assert answer.json().keys() == {"error", "detail", "body", "errors"}
    assert answer.json()["detail"].startswith(told), answer.text
