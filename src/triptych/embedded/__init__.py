"""The embedded stack from Python: servers that live as long as a `with` block.

import triptych
with triptych.local(checkpoints={"tiny": "path/to/diffusers/dir"}) as client:
    client.generate("a red circle")
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from triptych.embedded.config import StackConfig
from triptych.embedded.stack import Stack

if TYPE_CHECKING:
    from triptych.sdk import Client

__all__ = ["LocalStack", "Stack", "StackConfig", "local"]


class LocalStack:
    """A stack and a client of it; `stack` says what runs where."""

    def __init__(self, config: StackConfig) -> None:
        self.stack = Stack(config)
        self._client: Client | None = None

    def __enter__(self) -> Client:
        from triptych.sdk import Client

        self.stack.start()
        try:
            self._client = Client(self.stack.address)
            self._client.gateway_url = self.stack.gateway_url
        except BaseException:
            self.stack.stop()
            raise
        return self._client

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._client is not None:
                self._client.close()
        finally:
            self.stack.stop()


def local(
    checkpoints: Mapping[str, str | Path] | None = None,
    *,
    variants: Mapping[str, str] | None = None,
    engine: str = "onnxruntime",
    host: str = "127.0.0.1",
    port: int = 0,
    metrics_port: int = 0,
    gateway: bool = False,
    gateway_port: int = 0,
    run_dir: str | Path | None = None,
    cache_dir: str | Path | None = None,
    replicas: Mapping[str, int] | None = None,
    threads: Mapping[str, int] | None = None,
    placement: str | Path | None = None,
    limits: Mapping[str, int | float | str] | None = None,
    loras: Mapping[str, str | Path] | None = None,
    controlnets: Mapping[str, str | Path] | None = None,
    preprocessors: Mapping[str, str | Path] | None = None,
    ip_adapters: Mapping[str, str | Path] | None = None,
    image_encoders: Mapping[str, str | Path] | None = None,
    lora_dir: str | Path | None = None,
    startup_timeout_s: float | None = None,
    drain_timeout_s: float = 20.0,
    safety_checker: str = "off",
    watermark: str = "",
) -> LocalStack:
    """A context manager: starts Triton and the orchestrator, gives a Client, stops everything it started.

    `checkpoints` maps names to single files, diffusers-format directories or a hub's OWNER/NAME; without it, those are
    served that `run_dir` keeps or, where it keeps none, the demo as "demo". Without `run_dir` nothing is kept. `loras`,
    `controlnets` and `ip_adapters` map names to files and directories, `preprocessors` their names to ONNX files, and
    `image_encoders` the names of IP-Adapters to what does not lie beside them; `placement` is a file (see
    triptych.embedded.placement). With `gateway` there is HTTP too, at the client's `gateway_url`. StackConfig says what
    the rest means.
    """
    return LocalStack(
        StackConfig(
            checkpoints or None,
            others={**(controlnets or {}), **(preprocessors or {}), **(ip_adapters or {})},
            image_encoders=image_encoders or {},
            variants=variants or {},
            engine=engine,
            host=host,
            port=port,
            metrics_port=metrics_port,
            gateway_port=gateway_port if gateway else None,
            run_dir=run_dir,
            cache_dir=cache_dir,
            replicas=replicas or {},
            threads=threads or {},
            placement=placement,
            limits=limits or {},
            loras=loras or {},
            lora_dir=lora_dir,
            startup_timeout_s=startup_timeout_s,
            drain_timeout_s=drain_timeout_s,
            safety_checker=safety_checker,
            watermark=watermark,
        )
    )
