"""Where one replica of a stage runs: cores, device, engine and precision, or the address of one that runs elsewhere.

Replica("unet", cores=(0, 1)).environment()   # what its Triton server finds in its environment
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from triptych.contract import STAGES
from triptych.contract.engines import check_runtime
from triptych.embedded.cores import format_cores
from triptych.errors import invalid
from triptych.wire.target import endpoints

MOST_THREADS = 4_096
_HOST_AND_PORT = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")


@dataclass(frozen=True)
class Replica:
    """One server of a stage; what is empty is left to the environment and then to the engine."""

    stage: str
    cores: tuple[int, ...] = ()  # it is pinned to these; empty: to none
    threads: int = 0  # 0: one for each core it may use
    device: str = ""  # "cpu" or "cuda:<index>", numbered as nvidia-smi does unless CUDA_VISIBLE_DEVICES is set
    engine: str = ""
    precision: str = ""
    address: str = ""  # of a Triton server that somebody else runs: host:port, or another gRPC target

    def check(self) -> None:
        """InvalidArgumentError about what is wrong or does not go together."""
        if self.stage not in STAGES:
            raise invalid("stage", f"{self.stage!r} is not one of {', '.join(STAGES)}")
        if self.address:
            self._check_address()
        if not 0 <= self.threads <= MOST_THREADS:
            raise invalid("threads", f"{self.threads} is not within 1..{MOST_THREADS}")
        check_runtime(self.engine, self.device, self.precision)
        self.environment()

    def _check_address(self) -> None:
        if not all(map(_is_host_and_port, endpoints(self.address))):
            raise invalid("address", f"{self.address!r} is not HOST:PORT, nor a gRPC target such as dns:///HOST:PORT")
        given = [name for name in ("cores", "threads", "device", "engine", "precision") if getattr(self, name)]
        if given:
            problem = f"cannot be said of a server with an address: whoever runs {self.address} decides that"
            raise invalid(given[0], problem)

    def environment(self, base: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The variables that its server gets beside those of `base`; of the GPUs it sees its own alone."""
        device, visible = self.device, {}
        if device.startswith("cuda:"):
            visible = _only(int(device.removeprefix("cuda:")), base)
            device = "cuda:0"
        elif device == "cpu":
            # Triton would hold some hundred megabytes on every GPU that it sees.
            visible = {"CUDA_VISIBLE_DEVICES": ""}
        said = {
            "TRIPTYCH_THREADS": str(self.threads or len(self.cores) or ""),
            "TRIPTYCH_DEVICE": device,
            "TRIPTYCH_ENGINE": self.engine,
            "TRIPTYCH_PRECISION": self.precision,
        }
        return {name: value for name, value in said.items() if value} | visible

    def engine_name(self, default: str, base: Mapping[str, str] = os.environ) -> str:
        """The engine of checkpoints that name none; "" where somebody else decides."""
        return "" if self.address else self.engine or base.get("TRIPTYCH_ENGINE") or default

    def place(self, default_engine: str, base: Mapping[str, str] = os.environ) -> tuple[str, str, str]:
        """Device, cores and engine as `triptych up` shows them."""
        if self.address:
            return "elsewhere", "-", "-"
        engine = self.engine_name(default_engine, base)
        precision = self.precision or base.get("TRIPTYCH_PRECISION") or ""
        device = self.device or base.get("TRIPTYCH_DEVICE") or "cpu"
        return device, format_cores(self.cores) or "all", f"{engine} {precision}".rstrip()


def _is_host_and_port(text: str) -> bool:
    match = _HOST_AND_PORT.fullmatch(text)
    return match is not None and 1 <= int(match[1]) <= 65_535


def _only(index: int, base: Mapping[str, str]) -> dict[str, str]:
    """Lets a process see one GPU, as its number 0; `index` counts those that this process may see."""
    visible = base.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return {"CUDA_VISIBLE_DEVICES": str(index), "CUDA_DEVICE_ORDER": base.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID")}
    names = [name.strip() for name in visible.split(",") if name.strip()]
    if index >= len(names):
        raise invalid("device", f"there is no cuda:{index}: CUDA_VISIBLE_DEVICES is {visible!r}")
    return {"CUDA_VISIBLE_DEVICES": names[index]}
