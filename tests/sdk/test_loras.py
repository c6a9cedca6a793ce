from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.sdk.fake_server import FakeServer
from triptych import errors
from triptych.sdk import AsyncClient, Client, Lora

CONTENT = bytes(range(256)) * 4096 + b"the rest"  # 1 MiB and 8 bytes


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ink.safetensors"
    path.write_bytes(CONTENT)
    return path


def expected() -> Lora:
    return Lora("ink", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "kohya", 192, 16, algorithms=["LoRA"])


def test_a_lora_comes_and_goes(client: Client, server: FakeServer, file: Path) -> None:
    assert client.loras() == []
    assert client.add_lora("ink", file) == expected()
    assert server.chunk_sizes == [1 << 20, 8]
    assert client.loras() == [expected()]
    client.remove_lora("ink")
    assert client.loras() == []
    with pytest.raises(errors.NotFoundError, match="ink"):
        client.remove_lora("ink")


async def test_a_lora_comes_and_goes_async(async_client: AsyncClient, server: FakeServer, file: Path) -> None:
    assert await async_client.add_lora("ink", str(file)) == expected()
    assert server.chunk_sizes == [1 << 20, 8]
    assert await async_client.loras() == [expected()]
    await async_client.remove_lora("ink")
    assert await async_client.loras() == []


async def test_a_file_that_cannot_be_read_is_said_before_any_call(
    client: Client, async_client: AsyncClient, server: FakeServer, tmp_path: Path
) -> None:
    with pytest.raises(errors.InvalidArgumentError, match=r"^path: .*nothing.* cannot be read") as caught:
        client.add_lora("ink", tmp_path / "nothing")
    assert caught.value.metadata["field"] == "path"
    with pytest.raises(errors.InvalidArgumentError, match="directory"):
        await async_client.add_lora("ink", tmp_path)


async def test_a_peft_folder_brings_its_configuration(
    client: Client, async_client: AsyncClient, server: FakeServer, tmp_path: Path
) -> None:
    header = json.dumps({"to_q.lora_A.weight": {}}).encode()
    (tmp_path / "adapter_model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"tensors")
    (tmp_path / "adapter_config.json").write_text('{"lora_alpha": 7}')
    client.add_lora("ink", tmp_path)
    assert b'lora_alpha\\": 7' in server.content and server.content.endswith(b"tensors")
    server.content = b""
    await async_client.add_lora("ink", tmp_path)
    assert b'lora_alpha\\": 7' in server.content
    (tmp_path / "adapter_config.json").write_text("[]")
    with pytest.raises(errors.InvalidArgumentError, match=r"adapter_config\.json is no JSON object"):
        await async_client.add_lora("ink", tmp_path)


async def test_a_refusal_amid_the_upload_is_the_servers(
    client: Client, async_client: AsyncClient, tmp_path: Path
) -> None:
    large = tmp_path / "large"
    with large.open("wb") as stream:
        stream.truncate(32 << 20)
    with pytest.raises(errors.ResourceExhaustedError, match="too large"):
        client.add_lora("full", large)
    with pytest.raises(errors.ResourceExhaustedError, match="too large"):
        await async_client.add_lora("full", large)


def test_limits_and_timings_tell_of_loras(client: Client) -> None:
    limits = client.server_info().limits
    assert (limits.max_loras, limits.max_lora_bytes) == (32, 2**31)
    assert client.generate("x").timings.unet.refit_seconds == 0.5
