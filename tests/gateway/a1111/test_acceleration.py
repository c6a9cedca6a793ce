"""Acceleration off: a caller's requests on the torch engine, which no other caller sees."""

from __future__ import annotations

import httpx

from tests.conftest import Served
from tests.gateway.a1111.conftest import Call, files, picture


def test_it_is_a_callers_own(txt2img: Call, http: httpx.Client, served: Served) -> None:
    quick = files(txt2img())[0]
    before = served.client.checkpoints()
    models = http.get("/sdapi/v1/sd-models").json()
    http.post("/sdapi/v1/options", json={"acceleration": False})
    slow = files(txt2img())[0]
    http.post("/sdapi/v1/options", json={"acceleration": True})
    assert files(txt2img()) == [quick]
    near = zip(picture(slow).tobytes(), picture(quick).tobytes(), strict=True)
    assert max(abs(one - other) for one, other in near) <= 2
    request = served.client.request_from(slow)
    assert request.parameters["engine"] == "torch" and request.parameters["checkpoint"] == "sd1"
    assert {model["engine"] for model in request.made_of["models"]["sd1.unet"]} == {"torch"}
    assert files(txt2img(override_settings={"sd_model_checkpoint": "sd1", "acceleration": False})) == [slow]
    assert http.get("/sdapi/v1/sd-models").json() == models
    assert {each.name for each in served.client.checkpoints()} == {each.name for each in before}
    served.client.unload_checkpoint("sd1")
    assert not [name for replica in served.client.server_info().replicas for name in replica.models if "sd1~" in name]
    served.client.load_checkpoint("sd1")
