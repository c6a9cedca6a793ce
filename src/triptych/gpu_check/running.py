"""A side while it runs: Triptych's servers, or a process of another side's, asked for one picture at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import triptych
from triptych.contract import STAGES
from triptych.contract.engines import default_precision
from triptych.errors import TriptychError
from triptych.gpu_check.sides import Side
from triptych.measuring.controlnets import edges
from triptych.measuring.diffusers_worker import diffusers_worker
from triptych.measuring.machine import cores
from triptych.measuring.worker import Worker
from triptych.sdk import Client, Control, Result, Step
from triptych.sdk.events import require_result

CHECKPOINT = "bench"
_CONTROLNET = "bench-net"
_DRAIN_S = 1.0


@dataclass(frozen=True)
class Picture:
    """What one is to be; a prompt is new each time, for Triptych remembers what it has encoded."""

    prompt: str
    edge: int
    steps: int
    checkpoint: str = CHECKPOINT
    loras: Sequence[tuple[str, float]] = ()
    is_controlled: bool = False  # by a ControlNet, which is brought there when the first such picture comes


@dataclass(frozen=True)
class Made:
    """`step_samples` are, step by step, how many samples shared the UNet's batch."""

    engine_step_seconds: float = 0.0
    refit_seconds: float = 0.0
    step_samples: Sequence[int] = ()


class Running(Protocol):
    """One side, ready."""

    def make(self, picture: Picture, timeout_s: float) -> Made:
        """Returns when the picture is there; TriptychError if it cannot be made."""


@dataclass(frozen=True)
class Files:
    """What a side is started with; `loras` by name, and the ControlNet where it is there."""

    checkpoint: Path
    loras: Mapping[str, Path]
    controlnet: Path
    folder: Path  # of graphs, engines and logs
    largest_edge: int


@dataclass(frozen=True)
class Served:
    """Triptych's servers."""

    client: Client
    checkpoint: Path

    def make(self, picture: Picture, timeout_s: float) -> Made:
        """One request; what it warns of, numbers that are not finite say, is a failure here."""
        samples: list[int] = []
        last = None
        for last in self.client.stream(
            picture.prompt,
            timeout_s=timeout_s,
            checkpoint=picture.checkpoint,
            num_inference_steps=picture.steps,
            width=picture.edge,
            height=picture.edge,
            seed=7,
            loras=list(picture.loras),
            controls=[Control(_CONTROLNET, edges(picture.edge))] if picture.is_controlled else [],
        ):
            if isinstance(last, Step):
                samples.append(last.batch_size)
        return _made(require_result(last), samples)


@dataclass(frozen=True)
class Alone:
    """A worker's process."""

    worker: Worker

    def make(self, picture: Picture, timeout_s: float) -> Made:
        """One request."""
        parameters = {"num_inference_steps": picture.steps, "width": picture.edge, "height": picture.edge, "seed": 7}
        more = {"controlled": True} if picture.is_controlled else {}
        self.worker.ask({"prompt": picture.prompt, **parameters, **more}, timeout_s)
        return Made()


@contextmanager
def started(side: Side, files: Files, devices: Sequence[str], timeout_s: float) -> Iterator[Running]:
    """The side, ready, with half precision on a GPU; everything of it has ended afterwards."""
    if side.engine and side.servers:
        with _servers(side, files, devices, timeout_s) as client:
            yield Served(client, files.checkpoint)
        return
    with _worker(side, files, devices[0]) as worker:
        worker.wait_ready(timeout_s)
        yield Alone(worker)


def placement(side: Side, devices: Sequence[str]) -> str:
    """The placement file: all stages on the first GPU, further replicas of the UNet each on one of its own."""
    places = [(stage, devices[0]) for stage in STAGES] + [
        ("unet", device) for device in devices[1 : side.unet_replicas]
    ]
    entry = '[[replica]]\nstage = "{}"\ndevice = "{}"\nengine = "{}"\nprecision = "{}"\n'
    return "\n".join(entry.format(stage, at, side.engine, default_precision(at)) for stage, at in places)


@contextmanager
def _servers(side: Side, files: Files, devices: Sequence[str], timeout_s: float) -> Iterator[Client]:
    file = files.folder / f"placement-{side.name}.toml"
    file.write_text(placement(side, devices))
    local = triptych.local(
        {CHECKPOINT: files.checkpoint},
        cache_dir=files.folder / "cache",
        placement=file,
        loras=files.loras,
        controlnets={_CONTROLNET: files.controlnet} if files.controlnet.is_dir() else {},
        limits={"max_pixels": files.largest_edge**2},
        startup_timeout_s=max(timeout_s, 1.0),
        drain_timeout_s=_DRAIN_S,
    )
    with _environment(dict(side.environment)), local as client:
        yield client


def _worker(side: Side, files: Files, device: str) -> Worker:
    log = files.folder / f"{side.name}.log"
    precision = default_precision(device)
    if side.engine:
        from triptych.measuring.engines_worker import engines_worker

        cache = files.folder / "cache"
        return engines_worker(
            files.checkpoint, side.engine, device=device, precision=precision, cache_dir=cache, log=log
        )
    return diffusers_worker(
        files.checkpoint, threads=cores(), device=device, precision=precision, compiled=side.compiled,
        controlnet=files.controlnet if files.controlnet.is_dir() and not side.compiled else None, log=log,
    )  # fmt: skip


def _made(result: Result, samples: list[int]) -> Made:
    if unsound := [warning for warning in result.warnings if "NaN" in warning or "infinite" in warning]:
        raise TriptychError(unsound[0])
    stages = (result.timings.encoder, result.timings.unet)
    steps = max(len(samples), 1)
    return Made(result.timings.unet.engine_seconds / steps, sum(stage.refit_seconds for stage in stages), samples)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Servers inherit it, and so do those that are restarted."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
