"""Credentials and TLS through a whole stack: orchestrator and gateway of its own, before the session's stages."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest

import triptych
from tests.conftest import CACHE, Served
from triptych.cli.main import main
from triptych.contract import STAGES
from triptych.embedded import Stack, StackConfig
from triptych.errors import UnauthenticatedError, UnavailableError
from triptych.keys import KeyFile
from triptych.keys.entry import Entry

SMALL = {"width": 64, "height": 64, "num_inference_steps": 1, "seed": 3}
KEY = "ann.correct horse"

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate, and is not here")


@dataclass(frozen=True)
class Secured:
    stack: Stack
    certificate: Path

    def client(self, api_key: str) -> triptych.Client:
        tls = grpc.ssl_channel_credentials(self.certificate.read_bytes())
        return triptych.Client(self.stack.address, credentials=tls, api_key=api_key)

    def http(self) -> httpx.Client:
        trusted = ssl.create_default_context(cafile=str(self.certificate))
        return httpx.Client(base_url=self.stack.gateway_url, verify=trusted, trust_env=False, timeout=60)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=triptych", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run([*command, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return certificate, key


@pytest.fixture(scope="module")
def secured(
    served: Served, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    certificate, key = make_certificate(folder)
    KeyFile(folder / "credentials").put(Entry.with_password("ann", "correct horse"))
    replicas = {row.name.partition("-")[0]: row.address for row in served.stack.processes()}
    lines = [f'[[replica]]\nstage = "{stage}"\naddress = "{replicas[stage]}"' for stage in STAGES]
    (folder / "placement.toml").write_text("\n".join(lines))
    config = StackConfig(
        {"secured": checkpoints["sd1"]},
        host="0.0.0.0",
        gateway_port=0,
        credentials=[folder / "credentials"],
        tls_cert=certificate,
        tls_key=key,
        placement=folder / "placement.toml",
        cache_dir=CACHE,
        run_dir=folder / "run",
    )
    with Stack(config) as stack:
        yield Secured(stack, certificate)


def test_who_has_a_key_draws_over_grpc_and_over_http(secured: Secured) -> None:
    with secured.client(KEY) as client, secured.http() as http:
        assert client.generate("a dot", **SMALL).images  # type: ignore[arg-type]
        body = {"prompt": "a dot", "width": 64, "height": 64, "steps": 1, "seed": 3}
        answer = http.post("/sdapi/v1/txt2img", json=body, auth=("ann", "correct horse"))
        assert answer.status_code == 200 and answer.json()["images"]


def test_who_has_none_is_refused_by_both(secured: Secured) -> None:
    with secured.client("ann.wrong") as client, pytest.raises(UnauthenticatedError):
        client.generate("a dot")
    with secured.http() as http:
        assert http.post("/sdapi/v1/txt2img", json={"prompt": "a dot"}).status_code == 401


def test_the_session_cookie_goes_over_tls_alone(secured: Secured) -> None:
    with secured.http() as http:
        answer = http.post("/login", json={"name": "ann", "password": "correct horse"})
        assert answer.status_code == 204 and "secure" in answer.headers["set-cookie"].lower()


def test_plain_text_is_not_spoken(secured: Secured) -> None:
    with triptych.Client(secured.stack.address, api_key=KEY, timeout_s=5) as client, pytest.raises(UnavailableError):
        client.server_info()
    with pytest.raises(httpx.HTTPError):
        httpx.get(secured.stack.gateway_url.replace("https", "http"), trust_env=False)


def test_the_command_line_sends_a_key(secured: Secured, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--address", secured.stack.address, "--tls-ca", str(secured.certificate)]
    assert main(["checkpoints", *where, "--api-key", KEY]) == 0
    assert "secured" in capsys.readouterr().out
    assert main(["checkpoints", *where]) == 11
    assert "credentials" in capsys.readouterr().err


def test_health_is_asked_over_tls_and_wants_no_key(secured: Secured) -> None:
    trusted = ["--tls-ca", str(secured.certificate)]
    for where in (["--address", secured.stack.address], ["--gateway", "--address", secured.stack.gateway_url[8:]]):
        assert main(["health", *where, *trusted]) == 0
        assert main(["health", *where]) == 4


def test_no_secret_is_seen_in_what_runs_or_is_kept(secured: Secured) -> None:
    for row in secured.stack.processes():
        if row.pid:
            assert b"correct horse" not in Path(f"/proc/{row.pid}/cmdline").read_bytes()
            assert b"TRIPTYCH_API_KEY" not in Path(f"/proc/{row.pid}/cmdline").read_bytes()
    assert secured.stack.run_dir
    kept = [path for path in secured.stack.run_dir.rglob("*") if path.is_file()]
    assert kept and not any(b"correct horse" in path.read_bytes() for path in kept)


def test_the_gateways_metrics_are_counted(secured: Secured) -> None:
    with secured.http() as http:
        http.get("/sdapi/v1/nothing")
    (gateway,) = [row for row in secured.stack.processes() if row.name == "gateway"]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{gateway.metrics_address}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert 'triptych_gateway_requests_total{method="GET",route="none",status="401"}' in text
    assert "triptych_gateway_tasks_running 0.0" in text
