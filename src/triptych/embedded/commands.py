"""The command lines of a stack's servers, and the specification of each of its processes."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from triptych.contract.state import keeps_checkpoints
from triptych.demo import checkpoint_path, controlnet_paths
from triptych.embedded.callers import Callers, make_callers
from triptych.embedded.config import StackConfig
from triptych.embedded.ports import LOOPBACK, free_ports, join, reachable
from triptych.embedded.processes.probe import (
    GATEWAY_LISTENS,
    GATEWAY_LISTENS_BY_TLS,
    ORCHESTRATOR_HEALTHY,
    TRITON_READY,
)
from triptych.embedded.processes.process import ProcessSpec
from triptych.embedded.processes.triton import Triton, as_triton, find_triton
from triptych.embedded.replica import Replica

ORCHESTRATOR_END_S = 3.5  # it ends by itself within 3 s of its drain, whatever hangs
GATEWAY_END_S = 3.0


@dataclass(frozen=True)
class Plan:
    """The processes of one stack: the orchestrator starts when the stages are ready."""

    stages: list[ProcessSpec]
    orchestrator: ProcessSpec
    gateway: ProcessSpec | None
    elsewhere: dict[str, Replica]  # those that somebody else runs, by name


class Commands:
    """What is run; a test overrides a method to run something else."""

    def __init__(self) -> None:
        self._triton: Triton | None = None

    def prepare(self, folder: Path) -> None:
        """Makes the files that the stages' servers need."""
        self._triton = find_triton()
        self._triton.prepare(folder)

    def stage(
        self, folder: Path, grpc_port: int, metrics_port: int, shm_prefix: str
    ) -> tuple[tuple[str, ...], Mapping[str, str]]:
        """Command and environment of one stage's server; the orchestrator tells it what to load."""
        triton = self._triton or find_triton()
        command = triton.command(folder, grpc_port, metrics_port, shm_prefix)
        return command, triton.environment(folder)

    def orchestrator(self) -> tuple[str, ...]:
        """The orchestrator, without its arguments."""
        return (sys.executable, "-m", "triptych_orchestrator")

    def gateway(self) -> tuple[str, ...]:
        """The gateway, likewise."""
        return (sys.executable, "-m", "triptych_gateway")


def make_plan(config: StackConfig, commands: Commands, run_dir: Path, temporary: Path) -> Plan:
    """Chooses ports and writes down every process; nothing starts yet. Their temporary files go to `temporary`."""
    replicas = _named(config.stage_replicas())
    ours = {name: replica for name, replica in replicas.items() if not replica.address}
    chosen = config.metrics_ports()
    # One more than stages: where the orchestrator speaks TLS, what runs here reaches it in plain text there.
    inside, *ports = free_ports(LOOPBACK, 1 + len(ours), {config.port, config.gateway_port or 0, *chosen})
    taken = {config.port, config.gateway_port or 0, inside, *ports}
    metrics_ports = chosen or free_ports(LOOPBACK, 2 + len(ours), taken)
    places = zip(ours.items(), ports, metrics_ports[1 : 1 + len(ours)], strict=True)
    stages = {
        name: _stage_spec(config, commands, run_dir, temporary, replica, name, port, metrics_port)
        for (name, replica), port, metrics_port in places
    }
    addresses = [(f"--{replica.stage}", replica.address or stages[name].address) for name, replica in replicas.items()]
    metrics = join(LOOPBACK, metrics_ports[0])
    # Free on the wildcard address is free on loopback too.
    port = config.port or free_ports(config.host, 1, {*taken, *metrics_ports})[0]
    callers = make_callers(config, run_dir)
    has_tls = config.tls_files() is not None
    inside_address = join(LOOPBACK, inside) if has_tls else join(reachable(config.host), port)
    env = {**os.environ, "TRIPTYCH_STAGE": "orchestrator", "TRIPTYCH_CACHE_DIR": str(config.cache_path)}
    env["PYTHONUTF8"] = "1"  # paths come in messages, and whatever the locale they name the same files
    orchestrator = ProcessSpec(
        name="orchestrator",
        command=(
            *commands.orchestrator(),
            *("--listen", join(config.host, port), "--metrics", metrics),
            *(("--listen-inside", inside_address) if has_tls else ()),
            *callers.options,
            *callers.orchestrator_options,
            *("--drain-timeout", f"{config.drain_timeout_s:g}"),
            *("--load-timeout", f"{config.load_limit_s:g}"),
            *(part for address in addresses for part in address),
            *("--state-dir", str(run_dir / "state"), "--engine", config.engine),
            *_served(config, run_dir / "state"),
            *(part for name, variant in config.variants.items() for part in ("--variant", f"{name}={variant}")),
            *(part for name, path in config.encoder_paths().items() for part in ("--image-encoder", f"{name}={path}")),
            *("--lora-dir", str(config.lora_folder(run_dir))),
            *(part for name, path in config.lora_paths().items() for part in ("--lora", f"{name}={path}")),
            *(part for name, value in config.limits.items() for part in ("--limit", f"{name}={value}")),
            *("--safety-checker", config.safety_checker),
            *(("--watermark", config.watermark) if config.watermark else ()),
        ),
        env=env,
        log_path=run_dir / "orchestrator.log",
        address=join(reachable(config.host), port),
        metrics_address=metrics,
        probe_address=inside_address,
        ready_method=ORCHESTRATOR_HEALTHY,
        stop_grace_s=config.drain_timeout_s + ORCHESTRATOR_END_S,
        temporary_dir=temporary / "orchestrator",
        stop_order=1,
    )
    gateway = None
    if config.gateway_port is not None:
        gateway_port = config.gateway_port or free_ports(config.host, 1, {port, *taken, *metrics_ports})[0]
        ports_of_it = (gateway_port, metrics_ports[-1])
        gateway = _gateway_spec(config, commands, run_dir, temporary, callers, inside_address, ports_of_it)
    elsewhere = {name: replica for name, replica in replicas.items() if replica.address}
    return Plan([*stages.values()], orchestrator, gateway, elsewhere)


def _gateway_spec(
    config: StackConfig,
    commands: Commands,
    run_dir: Path,
    temporary: Path,
    callers: Callers,
    orchestrator: str,
    ports: tuple[int, int],
) -> ProcessSpec:
    port, metrics = ports[0], join(LOOPBACK, ports[1])
    key = {"TRIPTYCH_API_KEY": callers.gateway_key} if callers.gateway_key else {}
    return ProcessSpec(
        name="gateway",
        command=(
            *commands.gateway(),
            *("--orchestrator", orchestrator, "--host", config.host, "--port", str(port)),
            *("--state-dir", str(run_dir / "gateway"), "--drain-timeout", f"{config.drain_timeout_s:g}"),
            *("--metrics", metrics),
            *callers.options,
            *config.gateway_options,
        ),
        env={**os.environ, "PYTHONUTF8": "1", **key},
        log_path=run_dir / "gateway.log",
        address=join(reachable(config.host), port),
        metrics_address=metrics,
        ready_method=GATEWAY_LISTENS_BY_TLS if config.tls_files() else GATEWAY_LISTENS,
        stop_grace_s=config.drain_timeout_s + GATEWAY_END_S,
        temporary_dir=temporary / "gateway",
        stop_order=2,
    )


def _served(config: StackConfig, state: Path) -> tuple[str, ...]:
    """What is named, and where nothing draws the demo and its ControlNets, which a named one of that name replaces.

    The demo is not kept, lest it stand beside what is added later; nor what was named beside it, or there would be
    something at the next start and no demo.
    """
    has_demo = config.checkpoints is None and not keeps_checkpoints(state)
    demo = {"demo": checkpoint_path(), **controlnet_paths()} if has_demo else {}
    option = "--transient-checkpoint" if has_demo else "--checkpoint"
    return tuple(
        part for name, path in {**demo, **config.checkpoint_paths()}.items() for part in (option, f"{name}={path}")
    )


def _named(replicas: Sequence[Replica]) -> dict[str, Replica]:
    """By the names that the orchestrator gives them too: those of a stage are counted from 0."""
    count: Counter[str] = Counter()
    named: dict[str, Replica] = {}
    for replica in replicas:
        named[f"{replica.stage}-{count[replica.stage]}"] = replica
        count[replica.stage] += 1
    return named


def _stage_spec(
    config: StackConfig,
    commands: Commands,
    run_dir: Path,
    temporary: Path,
    replica: Replica,
    name: str,
    port: int,
    metrics_port: int,
) -> ProcessSpec:
    shm_prefix = f"{temporary.name}-{name}-"
    command, env = commands.stage(temporary / "triton", port, metrics_port, shm_prefix)
    ours = {"TRIPTYCH_STAGE": replica.stage, "TRIPTYCH_CACHE_DIR": str(config.cache_path), **replica.environment()}
    spec = ProcessSpec(
        name=name,
        command=command,
        env={**env, **ours},
        log_path=run_dir / f"{name}.log",
        address=join(LOOPBACK, port),
        metrics_address=join(LOOPBACK, metrics_port),
        ready_method=TRITON_READY,
        temporary_dir=temporary / name,
        shm_prefix=shm_prefix,
        cores=replica.cores,
        place=replica.place(config.engine),
    )
    return as_triton(spec)
