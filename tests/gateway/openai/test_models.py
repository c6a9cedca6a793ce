"""Names that stand for more than a checkpoint, and addresses, on gateways of the test's own."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import openai
import pytest

from tests.conftest import Served
from tests.gateway.door.serving import listening
from tests.loras import save_lora
from triptych.errors import InvalidArgumentError
from triptych_gateway.app import ANSWER, create_app
from triptych_gateway.openai import addresses
from triptych_gateway.openai.presets import read_presets
from triptych_gateway.settings import Settings

SMALL = {"width": 64, "height": 64, "seed": 3, "num_inference_steps": 2}
PRESETS = """
default_checkpoint = "sd1"

[presets.poster]
checkpoint = "sd1"
loras = [["poster ink", 0.5]]
defaults = { num_inference_steps = 2, negative_prompt = "a line", width = 64, height = 64 }
"""


@asynccontextmanager
async def gateway(served: Served, state: Path, presets: Path | None = None) -> AsyncGenerator[openai.AsyncOpenAI, None]:
    app = create_app(replace(Settings(served.stack.address, state), presets=presets))
    async with (
        listening(app.state.door.before(app, ANSWER)) as port,
        openai.AsyncOpenAI(
            base_url=f"http://127.0.0.1:{port}/v1", api_key="any", http_client=httpx.AsyncClient(trust_env=False)
        ) as client,
    ):
        yield client


async def test_a_model_is_a_checkpoint_a_lora_or_a_preset(
    served: Served, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    served.client.add_lora("poster ink", save_lora(tmp_path / "ink.safetensors", checkpoints["sd1"]), replace=True)
    (tmp_path / "presets.toml").write_text(PRESETS)
    async with gateway(served, tmp_path / "state", tmp_path / "presets.toml") as client:
        kinds = {each.id: each.owned_by async for each in client.models.list()}
        assert kinds["poster"] == "preset" and kinds["poster ink"] == "lora" and kinds["sd1"] == "checkpoint"
        assert (await client.models.retrieve("poster ink")).owned_by == "lora"
        drawn = await client.images.generate(model="poster", prompt="a dot", extra_body={"seed": 3})
        expected = served.client.generate(
            "a dot", checkpoint="sd1", negative_prompt="a line", loras=[("poster ink", 0.5)], **SMALL
        )
        assert base64.b64decode((drawn.data or [])[0].b64_json or "") == expected.files[0]
        ours = {"seed": 3, "steps": 2}
        drawn = await client.images.generate(model="poster ink", prompt="a dot", size="64x64", extra_body=ours)
        expected = served.client.generate("a dot", checkpoint="sd1", loras=["poster ink"], **SMALL)
        assert base64.b64decode((drawn.data or [])[0].b64_json or "") == expected.files[0]
        drawn = await client.images.generate(prompt="a dot", size="64x64", extra_body=ours)
        assert base64.b64decode((drawn.data or [])[0].b64_json or "") == served.client.generate(
            "a dot", checkpoint="sd1", **SMALL
        ).files[0]  # fmt: skip
    served.client.remove_lora("poster ink")


async def test_an_address_is_good_for_a_while_on_every_gateway(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = {"seed": 3, "steps": 1}
    async with gateway(served, tmp_path) as first, gateway(served, tmp_path) as second, httpx.AsyncClient() as web:
        drawn = await first.images.generate(
            model="sd1", prompt="a dot", size="64x64", response_format="url", extra_body=ours
        )
        url = (drawn.data or [])[0].url or ""
        elsewhere = url.replace(str(first.base_url).removesuffix("/"), str(second.base_url).removesuffix("/"))
        assert elsewhere != url
        file = (await web.get(elsewhere)).content
        assert file == served.client.generate("a dot", checkpoint="sd1", **SMALL | {"num_inference_steps": 1}).files[0]
        for forged in (f"{url[:-1]}{'A' if url[-1] != 'A' else 'B'}A", url.replace("files/", "files/A"), f"{url}.a"):
            assert (await web.get(forged)).status_code == 404
        monkeypatch.setattr(addresses.time, "time", lambda: 1e12)
        assert "is over" in (await web.get(url)).json()["error"]["message"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[presets.a]\ncheckpont = 'x'", r"presets\.a\.checkpont"),
        ("[presets.a.defaults]\nsteps = 3", r"presets\.a\.defaults\.steps"),
        ("[", "is no TOML"),
    ],
)
def test_a_presets_file_that_is_wrong_is_told(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "presets.toml").write_text(text)
    with pytest.raises(InvalidArgumentError, match=problem):
        read_presets(tmp_path / "presets.toml")


def test_a_presets_file_may_be_json(tmp_path: Path) -> None:
    (tmp_path / "presets.json").write_text('{"presets": {"a": {"loras": ["ink", ["wash", 0.5]]}}}')
    assert read_presets(tmp_path / "presets.json").presets["a"].loras == ["ink", ("wash", 0.5)]
    with pytest.raises(InvalidArgumentError, match="cannot be read"):
        read_presets(tmp_path / "none.json")
