"""Other people's clients of this API, as they are."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from PIL import Image
from sd_backend_client import (
    A1111Webservice,
    ControlNetUnit,
    DiffusionParams,
    PreprocessorParams,
    connect_to_backend,
)
from webuiapi import ControlNetUnit as WebUIUnit
from webuiapi import HiResUpscaler, WebUIApi

from tests.conftest import Served


@pytest.fixture
def webui(served: Served) -> WebUIApi:
    url = urlsplit(served.stack.gateway_url)
    return WebUIApi(host=url.hostname, port=url.port, sampler="Euler a", steps=2)


def test_webuiapi_draws(webui: WebUIApi) -> None:
    (title,) = (each["title"] for each in webui.get_sd_models() if each["model_name"] == "sd1")
    webui.util_set_model(title)
    assert webui.util_get_current_model() == title
    result = webui.txt2img(prompt="a red circle", seed=5, width=64, height=64, batch_size=2)
    assert [image.size for image in result.images] == [(64, 64)] * 2
    assert result.info["all_seeds"] == [5, 6]
    assert result.image.info["parameters"] == result.info["infotexts"][0]
    larger = webui.txt2img(
        prompt="a red circle", width=64, height=64, enable_hr=True, hr_upscaler=HiResUpscaler.LatentBicubic
    )
    assert larger.image.size == (128, 128)
    webui.util_wait_for_ready()
    assert webui.interrupt() == {} and webui.skip() == {}


def test_webuiapi_draws_from_images(webui: WebUIApi) -> None:
    model = {"override_settings": {"sd_model_checkpoint": "sd1"}}
    image = Image.radial_gradient("L").resize((96, 64)).convert("RGB")
    mask = Image.new("L", image.size)
    mask.paste(255, (30, 20, 55, 45))
    result = webui.img2img([image], prompt="a red circle", width=64, height=64, **model)
    assert result.image.size == (64, 64) and result.parameters["init_images"] is None
    result = webui.img2img([image], mask_image=mask, inpainting_fill=1, width=64, height=64, **model)
    assert result.image.size == image.size
    assert result.image.getpixel((0, 0)) == image.getpixel((0, 0))


def test_webuiapi_lists(webui: WebUIApi) -> None:
    assert "Euler a" in webui.util_get_sampler_names()
    assert "karras" in webui.util_get_scheduler_names()
    options = webui.get_options()
    assert webui.set_options(options) is None
    for told in (
        webui.get_cmd_flags(), webui.get_progress(), webui.get_upscalers(), webui.get_latent_upscale_modes(),
        webui.get_sd_models(), webui.get_scripts(), webui.get_memory(), webui.get_embeddings(),
    ):  # fmt: skip
        assert told
    for told in (
        webui.get_loras(), webui.get_sd_vae(), webui.get_hypernetworks(), webui.get_face_restorers(),
        webui.get_realesrgan_models(), webui.get_prompt_styles(),
    ):  # fmt: skip
        assert isinstance(told, list)
    assert webui.refresh_checkpoints() is None
    assert webui.has_controlnet


def test_webuiapi_enlarges_and_reads(webui: WebUIApi) -> None:
    image = Image.radial_gradient("L").resize((48, 32)).convert("RGB")
    assert webui.extra_single_image(image, upscaler_1="Lanczos").image.size == (96, 64)
    made = webui.extra_batch_images([image, image], upscaler_1="Nearest", upscaling_resize=1.5)
    assert [each.size for each in made.images] == [(72, 48)] * 2
    assert webui.png_info(image).info == ""


def test_webuiapi_draws_under_controlnets(webui: WebUIApi, outlines: str) -> None:
    assert webui.controlnet_version() >= 2
    (title,) = (each for each in webui.controlnet_model_list() if each.startswith(outlines))
    assert "canny" in webui.controlnet_module_list()
    image = Image.radial_gradient("L").resize((96, 64)).convert("RGB")
    edges = webui.controlnet_detect([image], module="canny")
    assert edges.info == "Success" and edges.image.size[0] > edges.image.size[1]
    asked = {"seed": 5, "width": 64, "height": 64, "override_settings": {"sd_model_checkpoint": "sd1"}}
    plain = webui.txt2img(prompt="a red circle", **asked).image
    unit = WebUIUnit(image=image, module="canny", model=title, weight=0.9, guidance_end=0.9)
    made = webui.txt2img(prompt="a red circle", controlnet_units=[unit], **asked)
    assert [each.size for each in made.images] == [(64, 64)] * 2  # the picture, and what the ControlNet looked at
    assert made.image.tobytes() != plain.tobytes()
    other = WebUIUnit(model=title, control_mode=2, hr_option="Both", pixel_perfect=True)
    made = webui.img2img([image], prompt="a red circle", controlnet_units=[unit, other], **asked)
    assert len(made.images) == 3 and made.info["all_seeds"] == [5]


def test_sd_backend_client_takes_it_for_a_web_ui(served: Served) -> None:
    client = connect_to_backend(served.stack.gateway_url)
    assert isinstance(client, A1111Webservice)
    abilities = client.get_capabilities()
    assert abilities.scheduler and abilities.controlnet and not abilities.soft_inpainting
    assert "sd1" in {each.name for each in client.list_checkpoints()}
    assert {"euler_ancestral", "dpmpp_2m", "ddim"} <= {each.name for each in client.list_samplers()}
    assert {"normal", "karras"} <= {each.name for each in client.list_schedulers()}
    assert "Lanczos" in {each.name for each in client.list_upscalers()}
    assert {each.name for each in client.list_loras()} == {each.name for each in served.client.loras()}
    assert client.list_hypernetworks() == []
    assert isinstance(client.list_vaes(), list)


def test_sd_backend_client_draws(served: Served) -> None:
    client = connect_to_backend(served.stack.gateway_url)
    image, mask = Image.radial_gradient("L").resize((64, 64)).convert("RGB"), Image.new("L", (64, 64))
    mask.paste(255, (20, 20, 40, 40))
    asked = DiffusionParams(sd_model_name="sd1", prompt="a red circle", seed=5, width=64, height=64, steps=2)
    drawn = client.submit_txt2img(asked).wait(60)
    assert (drawn.seeds, drawn.images[0].size) == ([5], (64, 64))
    asked = asked.model_copy(update={"init_images": [image], "batch_size": 2})
    assert client.submit_img2img(asked).wait(60).seeds == [5, 6]
    asked = asked.model_copy(update={"mask": mask, "inpaint_full_res": True, "batch_size": 1})
    assert client.submit_inpaint(asked).wait(60).images[0].getpixel((0, 0)) == image.convert("RGBA").getpixel((0, 0))
    assert client.submit_upscale(image, 128, 96).wait(60).images[0].size == (128, 96)
    client.set_config({"samples_format": "png"})


def test_sd_backend_client_draws_under_controlnets(served: Served, outlines: str) -> None:
    client = connect_to_backend(served.stack.gateway_url)
    (model,) = (each for each in client.list_controlnet_models() if each.full_model_name.startswith(outlines))
    canny = next(each for each in client.get_controlnet_preprocessors() if each.name == "canny")
    assert "Canny" in client.get_controlnet_type_categories()
    image = Image.radial_gradient("L").resize((64, 64)).convert("RGB")
    assert client.submit_preprocessor_preview(image, canny).wait(60).images[0].size == (512, 512)
    unit = ControlNetUnit(preprocessor=PreprocessorParams(typedef=canny), model=model, image=image)
    asked = DiffusionParams(sd_model_name="sd1", prompt="a red circle", seed=5, width=64, height=64, steps=2)
    plain = client.submit_txt2img(asked).wait(60).images
    guided = client.submit_txt2img(asked.model_copy(update={"controlnet_units": [unit]})).wait(60).images
    assert guided[0].tobytes() != plain[0].tobytes()
