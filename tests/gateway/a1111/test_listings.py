"""What there is."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests import tiny
from tests.conftest import Served
from tests.gateway.a1111.conftest import SD1, SMALL, files
from tests.loras import save_lora

SETTINGS = SD1["override_settings"]


def test_models_with_titles_that_name_them(http: httpx.Client, served: Served) -> None:
    models = {each["model_name"]: each for each in http.get("/sdapi/v1/sd-models").json()}
    known = {each.name: each for each in served.client.checkpoints() if each.purpose == "drawing"}
    assert models.keys() == known.keys()
    for name, model in models.items():
        assert model["filename"] == known[name].path
        if model["sha256"]:
            assert (model["title"], model["hash"]) == (f"{name} [{model['hash']}]", model["sha256"][:10])


@pytest.mark.parametrize(
    "path",
    ["hypernetworks", "face-restorers", "realesrgan-models", "prompt-styles", "script-info", "extensions"],
)
def test_what_there_is_none_of_is_an_empty_list(path: str, http: httpx.Client) -> None:
    assert http.get(f"/sdapi/v1/{path}").json() == []


def test_vaes_and_loras(http: httpx.Client, served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    served.client.register_checkpoint("lent", tiny.save_vae(tmp_path / "vae"))
    served.client.add_lora("a1111s", save_lora(tmp_path / "lora.safetensors", checkpoints["sd1"]))
    try:
        assert {"model_name": "lent", "filename": str(tmp_path / "vae")} in http.get("/sdapi/v1/sd-vae").json()
        assert "lent" not in {each["model_name"] for each in http.get("/sdapi/v1/sd-models").json()}
        (lora,) = (each for each in http.get("/sdapi/v1/loras").json() if each["name"] == "a1111s")
        assert lora["alias"] == "a1111s" and lora["path"].endswith(".safetensors")
        fields = {"prompt": "a dot <lora:a1111s:0.5>", "override_settings": {**SETTINGS, "sd_vae": "lent"}}
        answer = http.post("/sdapi/v1/txt2img", json={**SMALL, **fields}).json()
        result = served.client.generate(
            "a dot <lora:a1111s:0.5>", checkpoint="sd1", vae="lent", guidance_scale=7.0, width=64, height=64,
            num_inference_steps=2, seed=5, scheduler="euler",
        )  # fmt: skip
        assert files(answer) == result.files
    finally:
        served.client.remove_lora("a1111s")
        served.client.unregister_checkpoint("lent")


def test_upscalers_by_their_labels(http: httpx.Client) -> None:
    names = [each["name"] for each in http.get("/sdapi/v1/upscalers").json()]
    assert names[:5] == ["None", "Lanczos", "Nearest", "Bicubic", "Bilinear"]
    latent = [each["name"] for each in http.get("/sdapi/v1/latent-upscale-modes").json()]
    assert sorted(latent) == [
        "Latent", "Latent (antialiased)", "Latent (bicubic antialiased)", "Latent (bicubic)", "Latent (nearest)",
        "Latent (nearest-exact)",
    ]  # fmt: skip


def test_scripts_memory_and_flags(http: httpx.Client) -> None:
    scripts = http.get("/sdapi/v1/scripts").json()
    assert "controlnet m2m" in scripts["txt2img"] and "controlnet" in scripts["img2img"]
    ram = http.get("/sdapi/v1/memory").json()["ram"]
    assert 0 < ram["used"] < ram["total"] == ram["free"] + ram["used"]
    assert http.get("/sdapi/v1/cmd-flags").json()["api"] is True
    assert http.get("/sdapi/v1/embeddings").json() == {"loaded": {}, "skipped": {}}
    for path in ("checkpoints", "vae", "loras"):
        assert http.post(f"/sdapi/v1/refresh-{path}").json() is None


@pytest.mark.parametrize("path", ["interrogate", "create/embedding", "train/hypernetwork"])
def test_what_is_not_covered_says_so(path: str, http: httpx.Client) -> None:
    answer = http.post(f"/sdapi/v1/{path}", json={})
    assert answer.status_code == 501
    assert answer.json()["detail"].startswith(f"/sdapi/v1/{path} is not covered")
