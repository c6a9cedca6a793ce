"""What a local stack is to be: checkpoints, addresses, folders and sizes, checked before anything starts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from triptych.cache_folders import cache_folder
from triptych.contract import STAGES
from triptych.contract.checkpoints import not_a_path
from triptych.contract.engines import BUILDING_S, ENGINES
from triptych.contract.hub import HubId
from triptych.contract.names import check_checkpoint_name, check_lora_name
from triptych.contract.pictures.hooks import check_hooks
from triptych.embedded.folders.places import absolute
from triptych.embedded.hub_files import located
from triptych.embedded.placement import MOST_REPLICAS, read_placement
from triptych.embedded.replica import MOST_THREADS, Replica
from triptych.errors import InvalidArgumentError, invalid
from triptych.keys import KeyFile
from triptych.keys.exposure import check_exposure
from triptych.keys.options import check_tls
from triptych.sdk.catalog import Limits
from triptych.wire.lora_files import lora_file

# As the server tells them of itself.
LIMIT_NAMES = tuple(limit.name for limit in fields(Limits))

STARTUP_S, BUILDING_STARTUP_S = 300.0, BUILDING_S


@dataclass(frozen=True)
class StackConfig:
    """The settings of one stack; `validate` is called by whoever starts it."""

    # Name -> directory, single file or hub's id. None: what run_dir keeps or, where it keeps nothing, the demo.
    checkpoints: Mapping[str, str | Path] | None
    variants: Mapping[str, str] = field(default_factory=dict)  # name -> diffusers' variant of its weights
    engine: str = "onnxruntime"
    host: str = "127.0.0.1"  # of the orchestrator's API; stages and metrics stay on loopback
    port: int = 0  # 0: a free one
    metrics_port: int = 0  # the orchestrator's; each stage server here, and the gateway, has one after it. 0: free ones
    gateway_port: int | None = None  # of the HTTP gateway, on `host` too; 0: a free one; None: there is none
    gateway_options: Sequence[str] = ()  # more of `triptych-gateway --help`, for it
    credentials: Sequence[str | Path] = ()  # files of those who may call, both of them; empty: whoever reaches `host`
    open_to_anyone: bool = False  # though `host` is no loopback address, and there are no such files
    tls_cert: str | Path | None = None  # PEM; with it and its key the API and the gateway speak TLS
    tls_key: str | Path | None = None
    run_dir: str | Path | None = None  # logs and state; None: a fresh one, removed after a clean stop
    cache_dir: str | Path | None = None  # engine artifacts; None: TRIPTYCH_CACHE_DIR or ~/.cache/triptych
    replicas: Mapping[str, int] = field(default_factory=dict)  # stage -> how many servers, default 1
    threads: Mapping[str, int] = field(default_factory=dict)  # stage -> cores, default: the engine's choice
    placement: str | Path | None = None  # a file that says it replica by replica, in place of the two before
    limits: Mapping[str, int | float | str] = field(default_factory=dict)  # the orchestrator's
    loras: Mapping[str, str | Path] = field(default_factory=dict)  # name -> safetensors file
    lora_dir: str | Path | None = None  # where LoRAs are kept; None: in run_dir
    startup_timeout_s: float | None = None  # None: 300, or an hour where engines may have to be built
    drain_timeout_s: float = 20.0  # how long running requests may go on once it is to stop
    safety_checker: str = "off"  # "checkpoint": each one's own looks at every picture that it draws
    watermark: str = ""  # a text of at most 16 bytes, with which all pictures that are drawn are marked invisibly
    # Likewise ControlNets, IP-Adapters and upscalers, which draw nothing: the demo may be there beside them.
    others: Mapping[str, str | Path] = field(default_factory=dict)
    # Name of an IP-Adapter among them -> its image encoder, a file or directory, where that does not lie beside it.
    image_encoders: Mapping[str, str | Path] = field(default_factory=dict)

    @property
    def cache_path(self) -> Path:
        """The folder of engine artifacts, shared by all stacks of this user."""
        return absolute("cache_dir", self.cache_dir or cache_folder())

    @property
    def startup_limit_s(self) -> float:
        """How long everything may take to be ready; TensorRT builds what it does not find in the cache."""
        if self.startup_timeout_s is not None:
            return self.startup_timeout_s
        engines = [replica.engine_name(self.engine) for replica in self.stage_replicas()]
        return BUILDING_STARTUP_S if "tensorrt" in engines else STARTUP_S

    @property
    def load_limit_s(self) -> float:
        """How long one load may take: at least as long as the start, which it may be all of."""
        return max(self.startup_limit_s, BUILDING_S)

    def located(self) -> StackConfig:
        """With the folders of what has a hub's id, downloaded where they are not here yet."""
        checkpoints = None if self.checkpoints is None else self._located(self.checkpoints)
        return replace(self, checkpoints=checkpoints, others=self._located(self.others))

    def _located(self, paths: Mapping[str, str | Path]) -> dict[str, str | Path]:
        return {
            name: located("checkpoints", path, self.variants.get(name, "")) if HubId.parse(str(path)) else path
            for name, path in paths.items()
        }

    @property
    def named(self) -> dict[str, str | Path]:
        """All that is to be served under a name."""
        return {**(self.checkpoints or {}), **self.others}

    def checkpoint_paths(self) -> dict[str, Path]:
        """Absolute paths, for the servers need not share this process's directory."""
        return _absolute("checkpoints", self.named)

    def encoder_paths(self) -> dict[str, Path]:
        """Absolute paths, likewise."""
        return _absolute("image_encoders", self.image_encoders)

    def lora_paths(self) -> dict[str, Path]:
        """Absolute paths, likewise."""
        return _absolute("loras", self.loras)

    def lora_folder(self, run_dir: Path) -> Path:
        """Where the orchestrator keeps LoRA files, and the stages read them."""
        return absolute("lora_dir", self.lora_dir) if self.lora_dir else run_dir / "state" / "loras"

    def credential_files(self) -> tuple[Path, ...]:
        """Absolute paths, likewise."""
        return tuple(absolute("credentials", path) for path in self.credentials)

    def tls_files(self) -> tuple[Path, Path] | None:
        """Certificate and key, likewise; None for plain text."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        return absolute("tls_cert", self.tls_cert), absolute("tls_key", self.tls_key)

    def stage_replicas(self) -> tuple[Replica, ...]:
        """Every server of the stages, stage by stage; InvalidArgumentError about the placement file."""
        if self.placement is not None:
            return read_placement(absolute("placement", self.placement))
        threads = {stage: self.threads.get(stage, 0) for stage in STAGES}
        return tuple(
            Replica(stage, threads=threads[stage]) for stage in STAGES for _ in range(self.replicas.get(stage, 1))
        )

    def metrics_ports(self) -> range:
        """The orchestrator's, those of the stage servers that run here, the gateway's; empty: free ones."""
        ours = sum(not replica.address for replica in self.stage_replicas()) + (self.gateway_port is not None)
        return range(self.metrics_port, self.metrics_port + 1 + ours) if self.metrics_port else range(0)

    def validate(self) -> None:
        """InvalidArgumentError about the first field that is wrong."""
        drawing = {"demo"} if self.checkpoints is None else self.checkpoints.keys()
        if taken := next((name for name in self.others if name in drawing), ""):
            raise invalid("controlnets", f"{taken!r} is what a checkpoint is called; choose another name")
        for name, path in self.checkpoint_paths().items():
            check_checkpoint_name("checkpoints", name)
            if not path.exists():
                problem = f"{name}: {path} is no file or directory"
                hint = not_a_path(str(self.named[name]))
                raise invalid("checkpoints", f"{problem}: {hint}" if hint else problem)
        for name in self.variants:
            if name not in self.named:
                raise invalid("variants", f"{name!r} is none of the checkpoints {', '.join(self.named)}")
        for name, path in self.encoder_paths().items():
            if name not in self.others:
                raise invalid("image_encoders", f"{name!r} is none of the IP-Adapters {', '.join(self.others)}")
            if not path.exists():
                raise invalid("image_encoders", f"{name}: {path} is no file or directory")
        for name, path in self.lora_paths().items():
            check_lora_name("loras", name)
            _check_lora(name, path)
        if self.engine not in ENGINES:
            raise invalid("engine", f"{self.engine!r} is none of {', '.join(ENGINES)}")
        if not self.host:
            raise invalid("host", "is empty; 0.0.0.0 is every interface, 127.0.0.1 this machine only")
        self._check_callers()
        if not 0 <= self.port <= 65_535:
            raise invalid("port", f"{self.port} is not within 0..65535")
        if self.gateway_port is not None and not 0 <= self.gateway_port <= 65_535:
            raise invalid("gateway_port", f"{self.gateway_port} is not within 0..65535")
        if self.startup_timeout_s is not None and not self.startup_timeout_s > 0:
            raise invalid("startup_timeout_s", f"{self.startup_timeout_s} is not above 0")
        if not 0 < self.drain_timeout_s < math.inf:
            raise invalid("drain_timeout_s", f"{self.drain_timeout_s} is not a number of seconds above 0")
        _check_stages("replicas", self.replicas, MOST_REPLICAS)
        _check_stages("threads", self.threads, MOST_THREADS)
        for other in ("replicas", "threads"):
            if self.placement is not None and getattr(self, other):
                raise invalid(other, f"cannot be given together with placement: say it in {self.placement}")
        check_hooks(self.safety_checker, self.watermark)
        self.stage_replicas()
        self._check_metrics_port()
        self._check_folders()
        for name in self.limits:
            if name not in LIMIT_NAMES:
                raise invalid("limits", f"{name!r} is none of {', '.join(LIMIT_NAMES)}")

    def _check_callers(self) -> None:
        known = bool(self.credentials)
        check_exposure("host", self.host, has_credentials=known, open_to_anyone=self.open_to_anyone)
        for path in self.credential_files():
            KeyFile(path).entries()
        check_tls(*(None if path is None else Path(path) for path in (self.tls_cert, self.tls_key)))

    def _check_folders(self) -> None:
        if self.run_dir is not None and not str(self.run_dir):
            raise invalid("run_dir", "is empty")
        for name in ("run_dir", "cache_dir", "lora_dir"):
            absolute(name, getattr(self, name) or "/")

    def _check_metrics_port(self) -> None:
        if self.metrics_port < 0:
            raise invalid("metrics_port", f"{self.metrics_port} is not within 0..65535")
        ports = self.metrics_ports()
        if ports and ports[-1] > 65_535:
            problem = f"with one for each stage server, the ports from {self.metrics_port} on end beyond 65535"
            raise invalid("metrics_port", problem)
        for name, port in (("the API's", self.port), ("the gateway's", self.gateway_port)):
            if port and port in ports:
                raise invalid("metrics_port", f"{ports[0]} to {ports[-1]} include {name} port {port}")
        if self.port and self.port == self.gateway_port:
            raise invalid("gateway_port", f"{self.port} is the API's port")


def _absolute(field_name: str, paths: Mapping[str, str | Path]) -> dict[str, Path]:
    return {name: absolute(field_name, path) for name, path in paths.items()}


def _check_lora(name: str, path: Path) -> None:
    try:
        file = lora_file(path)
    except InvalidArgumentError as error:
        raise invalid("loras", f"{name}: {error.message}") from error
    if not file.is_file():
        raise invalid("loras", f"{name}: {path} does not exist")


def _check_stages(field_name: str, values: Mapping[str, int], most: int) -> None:
    for stage, value in values.items():
        if stage not in STAGES:
            raise invalid(field_name, f"{stage!r} is none of the stages {', '.join(STAGES)}")
        if not 1 <= value <= most:
            raise invalid(field_name, f"{stage}: {value} is not within 1..{most}")
