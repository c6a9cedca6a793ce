"""The OpenAPI page: complete for the APIs that are ours to describe, its examples being requests that work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from safetensors.torch import save

from tests import upscalers
from tests.conftest import Served
from tests.gateway.rest.asking import SMALL, started
from tests.gateway.rest.test_models import uploaded
from tests.loras import save_lora
from triptych_gateway.app import create_app
from triptych_gateway.rest.documents import EXAMPLE_ID
from triptych_gateway.settings import Settings

# A1111's names are its own, and what they mean is told by its documents.
OURS = ("/api/v1", "/v1")


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    told: dict[str, Any] = create_app(Settings("", tmp_path_factory.mktemp("state"))).openapi()
    return told


def operations(description: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in description["paths"].items():
        if path.startswith(OURS):
            for method, told in methods.items():
                yield method.upper(), path, told


def undescribed(schema: dict[str, Any], where: str) -> Iterator[str]:
    for name, each in schema.get("properties", {}).items():
        if "description" not in each and "$ref" not in each:
            yield f"{where}.{name}"
        yield from undescribed(each, f"{where}.{name}")


def test_everything_is_described(description: dict[str, Any]) -> None:
    missing = []
    for method, path, told in operations(description):
        missing += [f"{method} {path}"] * ("description" not in told)
        missing += [f"{path} {each['name']}" for each in told.get("parameters", []) if "description" not in each]
        for kind, content in told.get("requestBody", {}).get("content", {}).items():
            missing += undescribed(content.get("schema", {}), f"{method} {path}")
            missing += [f"{path}: an example"] * (kind == "application/json" and "example" not in content)
        for status, answer in told["responses"].items():
            missing += [f"{path} {status}"] * ("description" not in answer)
        assert {"4XX", "5XX"} <= told["responses"].keys(), path
    ours = [name for name in description["components"]["schemas"] if f'schemas/{name}"' in json.dumps(
        [told for _, _, told in operations(description)]
    )]  # fmt: skip
    for name in ours:
        missing += undescribed(description["components"]["schemas"][name], name)
    assert not missing
    assert len(ours) > 15


def example(told: dict[str, Any]) -> Any:
    return told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")


def test_the_examples_work(
    description: dict[str, Any], served: Served, http: httpx.Client, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    picture = http.post("/api/v1/generate", json=SMALL).json()["pictures"][0]["id"]
    lora = save_lora(tmp_path / "ink.safetensors", checkpoints["sd1"]).read_bytes()
    address = http.post(
        "/v1/images/generations", json={"prompt": "a dot", "size": "64x64", "steps": 1, "response_format": "url"}
    ).json()["data"][0]["url"]  # fmt: skip
    ids = {
        "/api/v1/checkpoints": lambda: uploaded(http, save(upscalers.compact()), "upscaler"),
        "/api/v1/loras": lambda: uploaded(http, lora, "lora"),
    }
    size = {"size": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}
    begun = http.post("/api/v1/uploads", json={"kind": "image", "name": "a", **size}).json()["id"]
    values = {
        "picture_id": lambda: picture,
        "task_id": lambda: started(http, **SMALL),
        "upload_id": lambda: begun,
        "token": lambda: address.rpartition("/")[2],
        "model": lambda: "sd1",
    }
    # What an earlier route has made, the later ones of the same path are about; what deletes comes last.
    order = sorted(operations(description), key=lambda each: (each[0] == "DELETE", each[0] == "PATCH", each[1]))
    for method, path, told in order:
        if path == "/api/v1/tasks/events":  # has no end
            continue
        value = {name: make() for name, make in values.items() if f"{{{name}}}" in path}
        value["name"] = "ink" if "loras" in path else "mine"
        body = example(told)
        if body is not None:
            made = ids.get(path, lambda: picture)()
            body = json.loads(json.dumps(body).replace(EXAMPLE_ID, made))
            if "prompt" in body and path.startswith("/api"):
                body |= {"checkpoint": "sd1"}
        sent: dict[str, Any] = {"json": body} if body is not None else {}
        if path == "/api/v1/uploads/{upload_id}" and method == "PATCH":
            sent = {"content": b"abc", "headers": {"Upload-Offset": "0"}}
        answer = http.request(method, path.format(**value), **sent)
        assert str(answer.status_code) in told["responses"], f"{method} {path}: {answer.text[:300]}"
        assert answer.status_code < 300, f"{method} {path}: {answer.text[:300]}"


def test_it_is_a_page_without_scripts(served: Served, http: httpx.Client) -> None:
    answer = http.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "<script" not in answer.text
    assert "POST /api/v1/generate" in answer.text and "num_inference_steps" in answer.text
    assert http.get("/openapi.json").json()["paths"].keys() >= {"/api/v1/generate", "/v1/images/generations"}
