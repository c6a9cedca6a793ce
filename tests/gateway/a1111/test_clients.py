"""Other people's clients of this API, as they are."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from PIL import Image
from sd_backend_client import A1111Webservice, connect_to_backend
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
    assert not webui.has_controlnet


def test_sd_backend_client_takes_it_for_a_web_ui(served: Served) -> None:
    assert isinstance(connect_to_backend(served.stack.gateway_url), A1111Webservice)
