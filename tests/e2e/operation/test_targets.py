"""Stages and orchestrator under every form of address, where a proxy in the environment would lead elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

import triptych
from tests.conftest import Served
from tests.e2e.serving import SIZE, orchestrator
from tests.sdk.conftest import dead_proxy, nowhere
from triptych.cli.main import main

__all__ = ["dead_proxy", "nowhere"]


@pytest.mark.usefixtures("dead_proxy")
def test_an_orchestrator_finds_its_stages_and_is_found(
    served: Served, tmp_path: Path, checkpoints: dict[str, Path]
) -> None:
    addresses = {replica.stage: replica.address for replica in served.client.server_info().replicas}
    targets = {
        "encoder": f"dns:///{addresses['encoder']}",
        "unet": f"ipv4:{addresses['unet']}",
        "vae": addresses["vae"].replace("127.0.0.1", "dns:localhost"),
    }
    with orchestrator(served, tmp_path, "--checkpoint", f"named={checkpoints['sd1']}", **targets) as one:
        with triptych.Client(f"ipv4:{one.address}") as client:
            info = client.wait_ready(60)
            assert {replica.stage: replica.address for replica in info.replicas} == targets
            assert client.generate("a star", seed=1, num_inference_steps=1, **SIZE).images[0].size == (64, 64)
        assert main(["health", "--address", f"dns:///{one.address}"]) == 0
        assert main(["health", "--stage", "--address", targets["unet"]]) == 0
