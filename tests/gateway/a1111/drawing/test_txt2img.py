"""Text to image as A1111's API has it, beside the same of `Generate`."""

from __future__ import annotations

import httpx
import pytest

from tests.conftest import Served
from tests.gateway.a1111.conftest import SD1, SMALL, Call, files, info, picture


def test_the_picture_is_generates_own(txt2img: Call, served: Served) -> None:
    answer = txt2img(negative_prompt="a square", cfg_scale=4.5)
    result = served.client.generate(
        "a red circle", checkpoint="sd1", negative_prompt="a square", guidance_scale=4.5, width=64, height=64,
        num_inference_steps=2, seed=5, scheduler="euler",
    )  # fmt: skip
    assert files(answer) == result.files
    assert answer["parameters"]["cfg_scale"] == 4.5
    told = info(answer)
    assert told["infotexts"] == [picture(result.files[0]).info["parameters"]]
    assert (told["seed"], told["all_seeds"], told["sampler_name"], told["sd_model_name"]) == (5, [5], "Euler", "sd1")


def test_batches_count_their_seeds_on(txt2img: Call, served: Served) -> None:
    answer = txt2img(batch_size=2, n_iter=2, subseed=3)
    told = info(answer)
    assert (told["all_seeds"], told["all_subseeds"]) == ([5, 6, 7, 8], [3, 4, 5, 6])
    assert [picture(file).info["parameters"] for file in files(answer)] == told["infotexts"]
    assert files(answer)[3] == files(txt2img(seed=8))[0]


def test_with_a_subseed_the_seed_stays(txt2img: Call) -> None:
    answer = txt2img(batch_size=2, subseed=3, subseed_strength=0.5)
    told = info(answer)
    assert (told["all_seeds"], told["all_subseeds"], told["subseed_strength"]) == ([5, 5], [3, 4], 0.5)
    first, second = files(answer)
    assert first != second
    assert second == files(txt2img(subseed=4, subseed_strength=0.5))[0]


def test_random_seeds_are_told(txt2img: Call) -> None:
    seed = info(txt2img(seed=-1))["seed"]
    assert 0 <= seed < 1 << 32


def test_sizes_are_cut_to_what_is_drawn(txt2img: Call) -> None:
    assert picture(files(txt2img(width=79, height=67))[0]).size == (72, 64)


def test_an_override_is_for_one_call_alone(txt2img: Call, http: httpx.Client) -> None:
    before = http.get("/sdapi/v1/options").json()
    settings = {**SD1["override_settings"], "samples_format": "webp", "CLIP_stop_at_last_layers": 2}
    answer = txt2img(override_settings=settings)
    assert picture(files(answer)[0]).format == "WEBP"
    assert "Clip skip: 2" in info(answer)["infotexts"][0]
    assert http.get("/sdapi/v1/options").json() == before
    txt2img(
        override_settings={**SD1["override_settings"], "jpeg_quality": 70}, override_settings_restore_afterwards=False
    )
    assert http.get("/sdapi/v1/options").json()["jpeg_quality"] == 70
    http.post("/sdapi/v1/options", json=before)


def test_hires_fix(txt2img: Call, served: Served) -> None:
    answer = txt2img(enable_hr=True, hr_scale=1.5, hr_upscaler="Latent (bicubic)", denoising_strength=0.6)
    hires = {"scale": 1.5, "upscaler": "latent_bicubic", "strength": 0.6}
    result = served.client.generate(
        "a red circle", checkpoint="sd1", guidance_scale=7.0, width=64, height=64, num_inference_steps=2, seed=5,
        scheduler="euler", negative_prompt=None, hires=hires,
    )  # fmt: skip
    assert files(answer) == result.files
    assert info(answer)["extra_generation_params"]["Hires upscale"] == "1.5"


def test_a_refiner_finishes(txt2img: Call, served: Served) -> None:
    settings = {"sd_model_checkpoint": "sdxl"}
    answer = txt2img(override_settings=settings, refiner_checkpoint="refiner", refiner_switch_at=0.5, steps=4)
    result = served.client.generate(
        "a red circle", checkpoint="sdxl", refiner="refiner", refiner_start=0.5, guidance_scale=7.0, width=64,
        height=64, num_inference_steps=4, seed=5, scheduler="euler",
    )  # fmt: skip
    assert files(answer) == result.files
    assert info(answer)["extra_generation_params"]["Refiner"] == "refiner"


def test_images_may_be_left_out(txt2img: Call) -> None:
    answer = txt2img(send_images=False)
    assert answer["images"] == []
    assert len(info(answer)["infotexts"]) == 1


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"steps": 0}, 400, "steps"),
        ({"steps": "many"}, 400, "steps"),
        ({"steps": 10**30}, 400, "steps"),
        ({"width": 100_000}, 400, "width"),
        ({"cfg_scale": -1}, 400, "cfg_scale"),
        ({"batch_size": 1000}, 400, "batch_size"),
        ({"batch_size": 10**30}, 400, "batch_size"),
        ({"seed": 1 << 64}, 400, "seed"),
        ({"sampler_name": "Restart"}, 404, "sampler_name"),
        ({"scheduler": "Turbo"}, 400, "scheduler"),
        ({"override_settings": {"sd_model_checkpoint": "nothing"}}, 404, "sd_model_checkpoint"),
        ({"override_settings": {"nothing": 1}}, 400, "nothing"),
        ({"override_settings": {**SD1["override_settings"], "sd_vae": "nothing"}}, 404, "sd_vae"),
        ({"override_settings": {"sd_model_checkpoint": "sd1", "CLIP_stop_at_last_layers": 12}}, 400, "CLIP_stop"),
        ({"refiner_checkpoint": "nothing"}, 404, "refiner_checkpoint"),
        ({"script_name": "x/y/z plot"}, 422, "script_name"),
        ({"alwayson_scripts": {"ADetailer": {"args": [True]}}}, 422, "alwayson_scripts"),
        ({"restore_faces": True}, 400, "restore_faces"),
        ({"styles": ["photo"]}, 400, "styles"),
        ({"s_churn": 4}, 400, "s_churn"),
        ({"sampler_name": "Euler a", "eta": 0.5}, 400, "eta"),
        ({"enable_hr": True, "hr_prompt": "another"}, 400, "hr_prompt"),
        ({"enable_hr": True, "hr_upscaler": "nothing"}, 400, "hr_upscaler"),
        ({"prompt": "<lora:nothing:1>"}, 404, "lora"),
        ({"subseed_strength": 2}, 400, "subseed_strength"),
        ({"n_iter": 0}, 400, "n_iter"),
    ],
)
def test_what_is_wrong_is_the_callers_and_named(
    fields: dict[str, object], status: int, field: str, http: httpx.Client
) -> None:
    answer = http.post("/sdapi/v1/txt2img", json={**SMALL, **SD1, **fields})
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert told.keys() == {"error", "detail", "body", "errors"}
    assert told["detail"].startswith(field)


def test_nulls_and_strangers_are_passed_over(txt2img: Call) -> None:
    assert files(txt2img(steps=2, subseed=None, infotext=None, firstpass_image=None, nobody=1)) == files(txt2img())


def test_loras_of_the_prompt_can_be_left_out(txt2img: Call) -> None:
    tagged = txt2img(prompt="a red circle <lora:nothing:1>", disable_extra_networks=True)
    assert files(tagged) == files(txt2img())
