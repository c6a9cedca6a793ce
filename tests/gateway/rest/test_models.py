from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from safetensors.torch import save

from tests import upscalers
from tests.checkpoint.sources.controls.test_file import made, written
from tests.checkpoint.sources.test_vae_alone import save_original
from tests.conftest import Served
from tests.e2e.ip_adapters.making import save_ip_adapter
from tests.gateway.rest.asking import SMALL
from tests.loras import save_lora
from tests.single_files import save_pair
from tests.tiny import save_vae


def uploaded(http: httpx.Client, file: bytes, kind: str, name: str = "../a.safetensors") -> str:
    body = {"kind": kind, "name": name, "size": len(file), "sha256": hashlib.sha256(file).hexdigest()}
    upload = http.post("/api/v1/uploads", json=body).json()
    middle = len(file) // 2
    for offset, piece in ((0, file[:middle]), (middle, file[middle:])):
        path = f"/api/v1/uploads/{upload['id']}"
        told = http.patch(path, content=piece, headers={"Upload-Offset": str(offset)}).json()
    assert told["is_complete"], told
    return str(upload["id"])


def picture(http: httpx.Client, **request: Any) -> bytes:
    answer = http.post("/api/v1/generate", json={**SMALL, **request}, headers={"Accept": "image/*"})
    assert answer.status_code == 200, answer.text
    return answer.content


def test_a_lora_is_uploaded_used_and_removed(
    served: Served, http: httpx.Client, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    file = save_lora(tmp_path / "ink.safetensors", checkpoints["sd1"]).read_bytes()
    upload = uploaded(http, file, "lora")
    added = http.post("/api/v1/loras", json={"name": "rest ink", "upload": upload})
    assert added.status_code == 201, added.text
    assert added.json()["digest"] == hashlib.sha256(file).hexdigest()
    assert http.get(f"/api/v1/uploads/{upload}").status_code == 404
    expected = served.client.generate(**SMALL, loras=[("rest ink", 0.5)]).files[0]
    assert picture(http, loras=[["rest ink", 0.5]]) == expected != picture(http)
    assert http.delete("/api/v1/loras/rest ink").status_code == 204
    assert "rest ink" not in {lora.name for lora in served.client.loras()}


def test_a_controlnet_is_uploaded_and_removed(served: Served, http: httpx.Client, tmp_path: Path) -> None:
    file = written(tmp_path / "net.safetensors", made("sd1")).read_bytes()
    upload = uploaded(http, file, "controlnet")
    registered = http.post("/api/v1/checkpoints", json={"name": "rest-net", "upload": upload})
    assert registered.status_code == 201, registered.text
    assert registered.json()["purpose"] == "controlling"
    path = Path(registered.json()["path"])
    assert path.read_bytes() == file
    assert http.delete("/api/v1/checkpoints/rest-net").status_code == 204
    assert not path.exists()


def test_of_an_ip_adapter_that_is_refused_and_its_image_encoder_nothing_stays(
    served: Served, http: httpx.Client, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    other = uploaded(http, save(upscalers.compact()), "upscaler")
    folder = Path(http.post("/api/v1/checkpoints", json={"name": "rest-other", "upload": other}).json()["path"]).parent
    before = {*folder.iterdir()}
    adapter = uploaded(http, save_ip_adapter(tmp_path, checkpoints["sd1"]).read_bytes(), "ip_adapter")
    encoder = uploaded(http, (tmp_path / "image_encoder" / "model.safetensors").read_bytes(), "image_encoder")
    body = {"name": "rest-like", "upload": adapter, "image_encoder": f"upload:{encoder}"}
    refused = http.post("/api/v1/checkpoints", json=body)
    assert refused.status_code == 400 and "a vision model 32 wide" in refused.json()["error"]["message"], refused.text
    assert {*folder.iterdir()} == before
    taken = http.post("/api/v1/checkpoints", json={**body, "image_encoder": f"upload:{adapter}"})
    assert taken.status_code == 400 and "image_encoder" in taken.json()["error"]["message"], taken.text
    assert http.delete("/api/v1/checkpoints/rest-other").status_code == 204


def test_a_model_is_uploaded_switched_and_removed(served: Served, http: httpx.Client) -> None:
    upload = uploaded(http, save(upscalers.compact()), "upscaler")
    registered = http.post("/api/v1/checkpoints", json={"name": "rest-upscaler", "upload": upload})
    assert registered.status_code == 201, registered.text
    path = Path(registered.json()["path"])
    assert path.exists() and path.suffix == ".safetensors"
    assert http.post("/api/v1/checkpoints/rest-upscaler/load").json()["state"] == "loaded"
    request = {"prompt": "", "image": "", "upscale": {"upscaler": "rest-upscaler", "scale": 4}}
    small = http.post("/api/v1/generate", json=SMALL).json()["pictures"][0]
    large = http.post(
        "/api/v1/generate", json=request | {"image": f"picture:{small['id']}"}, headers={"Accept": "image/*"}
    )
    assert Image.open(io.BytesIO(large.content)).size == (256, 256)
    assert http.post("/api/v1/checkpoints/rest-upscaler/unload").json()["state"] == "registered"
    switched = http.patch("/api/v1/checkpoints/rest-upscaler", json={"engine": "torch"}).json()
    assert switched["engine"] == "torch" and switched["path"] == str(path)
    assert http.delete("/api/v1/checkpoints/rest-upscaler").status_code == 204
    assert not path.exists()


def test_what_is_no_model_is_refused_and_stays_an_upload(served: Served, http: httpx.Client) -> None:
    for kind, route in (("checkpoint", "checkpoints"), ("lora", "loras")):
        upload = uploaded(http, b"no model", kind)
        answer = http.post(f"/api/v1/{route}", json={"name": "nothing", "upload": upload})
        assert answer.status_code == 400, answer.text
        assert http.get(f"/api/v1/uploads/{upload}").status_code == 200
        assert http.delete(f"/api/v1/uploads/{upload}").status_code == 204


def test_files_of_what_is_refused_or_replaced_go(served: Served, http: httpx.Client, tmp_path: Path) -> None:
    drawing = save_pair(tmp_path, "sd1")
    vae = save_original(tmp_path / "vae.safetensors", save_vae(tmp_path / "vae"))
    path = "/api/v1/checkpoints"
    body = {"name": "rest-file", "upload": uploaded(http, drawing.file.read_bytes(), "checkpoint")}
    file = Path(http.post(path, json=body).json()["path"])
    before = {*file.parent.iterdir()}
    kinds = {"vae": "checkpoint", "image_encoder": "image_encoder"}
    nothing = {field: f"upload:{uploaded(http, kind.encode(), kind)}" for field, kind in kinds.items()}
    for field, upload in nothing.items():
        answer = http.patch(f"{path}/rest-file", json={field: upload})
        assert answer.status_code == 400 and "models/" in answer.text, answer.text
    other = {"name": "rest-other", "upload": uploaded(http, vae.read_bytes(), "vae")}
    for more in (nothing, nothing | {"image_encoder": "/etc/passwd"}):
        assert http.post(path, json=other | more).status_code == 400
    assert {*file.parent.iterdir()} == before
    answer = http.patch(f"{path}/rest-file", json={"vae": f"upload:{other['upload']}"})
    assert answer.status_code == 200, answer.text
    assert {*file.parent.iterdir()} == {*before, Path(answer.json()["vae"])}
    assert http.patch(f"{path}/rest-file", json={"vae": ""}).json()["vae"] == ""
    assert {*file.parent.iterdir()} == before
    assert http.delete(f"{path}/rest-file").status_code == 204
    assert {*file.parent.iterdir()} == before - {file}


def test_paths_of_the_server_are_refused(served: Served, http: httpx.Client) -> None:
    answer = http.post("/api/v1/checkpoints", json={"name": "passwords", "path": "/etc/passwd"})
    assert answer.status_code == 400 and "switched off" in answer.json()["error"]["message"]
    for field in ("vae", "image_encoder"):
        answer = http.patch("/api/v1/checkpoints/sd1", json={field: "/etc/passwd"})
        assert answer.status_code == 400 and answer.json()["error"]["field"] == field


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/load"), ("POST", "/unload"), ("PATCH", ""), ("DELETE", "")],
)
def test_there_is_no_other_checkpoint(method: str, path: str, served: Served, http: httpx.Client) -> None:
    answer = http.request(method, f"/api/v1/checkpoints/none{path}", json={} if method == "PATCH" else None)
    assert answer.status_code == 404, answer.text


def test_an_image_may_be_uploaded(served: Served, http: httpx.Client) -> None:
    file = picture(http)
    upload = uploaded(http, file, "image", "photo")
    request = {"strength": 0.5, "num_inference_steps": 4}
    expected = served.client.generate(**{**SMALL, **request}, image=file).files[0]
    assert picture(http, **request, image=f"upload:{upload}") == expected


def test_a_picture_says_how_it_was_made_and_is_made_again(served: Served, http: httpx.Client) -> None:
    made = http.post("/api/v1/generate", json=SMALL).json()["pictures"][0]
    by_id = http.post("/api/v1/request-from", json={"picture": made["id"]}).json()
    file = http.get(made["url"]).content
    by_file = http.post("/api/v1/request-from", files={"picture": ("a.png", file)}).json()
    assert by_id == by_file
    assert (by_id["request"]["prompt"], by_id["origin"], by_id["left_out"]) == ("a dot", "triptych", [])
    assert picture(http, **by_id["request"]) == file
    told = http.post("/api/v1/verify", json={"picture": made["id"]}).json()
    assert told == {"same": True, "same_file": True, "pixels": 0, "farthest": 0, "differences": []}


def test_a_picture_of_a_picture_needs_that_one(served: Served, http: httpx.Client) -> None:
    first = http.post("/api/v1/generate", json=SMALL).json()["pictures"][0]
    request = {**SMALL, "image": f"picture:{first['id']}", "num_inference_steps": 4}
    second = http.post("/api/v1/generate", json=request).json()["pictures"][0]
    answer = http.post("/api/v1/verify", json={"picture": second["id"]})
    assert answer.status_code == 400 and answer.json()["error"]["field"] == "image"
    body = {"picture": second["id"], "files": [first["id"]]}
    assert http.post("/api/v1/verify", json=body).json()["same_file"]
    parts = [("picture", http.get(second["url"]).content), ("files", http.get(first["url"]).content)]
    files = [(name, ("a.png", file)) for name, file in parts]
    assert http.post("/api/v1/verify", files=files).json()["same_file"], json.dumps(body)


def test_what_says_nothing_is_told(served: Served, http: httpx.Client) -> None:
    for route in ("request-from", "verify"):
        for given in ("Z2FyYmFnZQ==", "none", ""):
            answer = http.post(f"/api/v1/{route}", json={"picture": given})
            assert answer.status_code == 400 and answer.json()["error"]["field"] == "picture"
