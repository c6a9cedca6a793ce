"""Units with IP-Adapters through the real servers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.conftest import Served
from tests.gateway.a1111.conftest import SD1, SMALL, Call, files, png, text
from tests.gateway.a1111.controlnet.test_drawing import GRPC, PHOTO, pixels, units
from triptych import Control, IpAdapter

pytestmark = pytest.mark.usefixtures("likeness")

UNIT: dict[str, Any] = {"module": "ip-adapter-auto", "model": "likeness", "image": text(PHOTO)}


def test_a_unit_is_an_ip_adapter_beside_controls_and_has_no_map(served: Served, txt2img: Call, outlines: str) -> None:
    adapter = IpAdapter("likeness", png(PHOTO), 0.7)
    (alone,) = files(txt2img(**units({**UNIT, "module": "IP-Adapter_clip_sd15", "weight": 0.7})))
    expected = served.client.generate(**GRPC, ip_adapters=[adapter]).images[0].tobytes()
    assert pixels(alone) == expected != served.client.generate(**GRPC).images[0].tobytes()
    both = txt2img(**units({**UNIT, "weight": 0.7}, {"model": outlines, "image": text(PHOTO)}))
    made, _ = files(both)
    control = Control(outlines, png(PHOTO), resize_mode="crop_and_resize")
    together = served.client.generate(**GRPC, ip_adapters=[adapter], controls=[control])
    assert pixels(made) == together.images[0].tobytes()


def test_img2img_lends_its_image(img2img: Call) -> None:
    fields = {"init_images": [text(PHOTO)], "denoising_strength": 0.6}
    unit = {name: UNIT[name] for name in ("module", "model")}
    assert (
        files(img2img(**fields, **units(unit))) == files(img2img(**fields, **units(UNIT))) != files(img2img(**fields))
    )


@pytest.mark.parametrize(
    ("changed", "status", "told"),
    [
        ({"module": "canny"}, 400, "args[0].module: 'canny' does not go with an IP-Adapter; send ip-adapter-auto"),
        ({"model": "None"}, 400, "args[0].model: is missing; there are likeness"),
        ({"model": "sd1"}, 404, "args[0].model"),
        ({"guidance_start": 0.2}, 400, "args[0].guidance_start: must be 0.0"),
        ({"guidance_end": 0.9}, 400, "args[0].guidance_end: must be 1.0"),
        ({"image": None}, 400, "args[0].image: is missing"),
        ({"image": "QUFB"}, 400, "args[0].image"),
        ({"weight": 20}, 400, "args[0].weight"),
    ],
)
def test_what_is_wrong_is_told_by_the_units_field(
    changed: dict[str, Any], status: int, told: str, http: httpx.Client
) -> None:
    answer = http.post("/sdapi/v1/txt2img", json={**SMALL, **SD1, **units(UNIT | changed)})
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"].startswith(f"alwayson_scripts.ControlNet.{told}"), answer.text


def test_units_that_are_too_many_and_passes_apart_are_refused(http: httpx.Client) -> None:
    answer = http.post("/sdapi/v1/txt2img", json={**SMALL, **SD1, **units(*[UNIT] * 5)})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("alwayson_scripts.ControlNet.args: must be at most 4")
    hires = {"enable_hr": True, "hr_scale": 1.5, **units({**UNIT, "hr_option": "Low res only"})}
    answer = http.post("/sdapi/v1/txt2img", json={**SMALL, **SD1, **hires})
    assert answer.json()["detail"].startswith("alwayson_scripts.ControlNet.args[0].hr_option: must be Both")


def test_it_lists_them(http: httpx.Client) -> None:
    assert any(title.startswith("likeness") for title in http.get("/controlnet/model_list").json()["model_list"])
    modules = http.get("/controlnet/module_list").json()
    assert "ip-adapter-auto" in modules["module_list"]
    assert modules["module_detail"].keys() == set(modules["module_list"])
    (none, only) = http.get("/controlnet/control_types").json()["control_types"]["IP-Adapter"]["model_list"]
    assert none == "None" and only.startswith("likeness")
    asked = {"controlnet_module": "ip-adapter-auto", "controlnet_input_images": [text(PHOTO)]}
    refused = http.post("/controlnet/detect", json=asked)
    assert refused.status_code == 422 and "makes no picture" in refused.json()["detail"]
