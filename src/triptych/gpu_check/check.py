"""The check itself: finds what is there, runs the tests, visits one side after the other, and writes as it goes.

A row that fails is told and the next one is tried; what there is no time for is told too, with what it would take.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from triptych.checkpoint import Checkpoint
from triptych.contract import UNET
from triptych.errors import DeadlineExceededError, FailedPreconditionError, InvalidArgumentError, TriptychError
from triptych.gpu_check.budget import Budget, Estimates, NoTimeError
from triptych.gpu_check.clone import find_clone, run_marked
from triptych.gpu_check.machine import Machine, find_machine
from triptych.gpu_check.measures import CONTROL, LORAS, MEASURES, Measuring, estimate_s
from triptych.gpu_check.memory import Used, used_by_descendants
from triptych.gpu_check.nvml import Driver
from triptych.gpu_check.plan import Row, Visit, first_visits, further_visits
from triptych.gpu_check.record import ABSENT, FAILED, SKIPPED, Record
from triptych.gpu_check.running import Files, started
from triptych.gpu_check.settings import Settings
from triptych.gpu_check.sides import SIDES_BY_NAME, Side
from triptych.gpu_check.wheels import install, missing_extras
from triptych.measuring.loras import ensure_lora

# Kept back for stopping what runs: Triton is given 15 s.
_STOPPING_S = 20.0
_MAKING_S = 60.0
# Of the whole time, for the tests of one mark: the table is to be begun.
_TESTS_SHARE = 1 / 3
_GPU_EVERY_S, _CPU_EVERY_S = 0.02, 0.2

Say = Callable[[str], None]


class NoGpuError(FailedPreconditionError):
    """There is nothing to check, and nobody asked for a check on the CPU."""


def check(settings: Settings, say: Say) -> int:
    """How many rows and tests went wrong; NoGpuError where there is no GPU and `devices` names none."""
    settings.validate()
    budget = Budget(settings.minutes * 60 - _STOPPING_S)
    # As the driver counts them; CUDA would put the fastest first.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    driver = Driver.find()
    machine = find_machine(settings.devices, driver)
    notes = []
    if settings.wheels is not None:
        notes = [install(extra, settings.wheels, budget.left_s()) for extra in missing_extras(machine)]
        machine = find_machine(settings.devices, driver)
    if not machine.devices:
        raise NoGpuError(
            f"there is no GPU to check: {machine.torch_problem or 'the NVIDIA driver tells of none'}; "
            "--device cpu goes through the same on the CPU"
        )
    setting = {"steps": settings.steps, "rounds": settings.rounds}
    record = Record.open(settings.page, machine.described(), setting)
    for note in filter(None, notes):
        record.note(note)
    _Check(settings, budget, machine, driver, record, say).run()
    return record.failures


class _Check:
    """One run."""

    def __init__(
        self, settings: Settings, budget: Budget, machine: Machine, driver: Driver | None, record: Record, say: Say
    ) -> None:
        self._settings, self._budget, self._machine = settings, budget, machine
        self._record, self._say = record, say
        on_gpu = driver is not None and machine.devices[0] != "cpu"
        self._used: Used = driver.used_bytes if driver is not None and on_gpu else used_by_descendants
        self._used_every_s = _GPU_EVERY_S if on_gpu else _CPU_EVERY_S
        self._estimates = Estimates()
        self._files: dict[str, Files] = {}
        self._broken: dict[tuple[str, str], str] = {}

    def run(self) -> None:
        """Tests that take seconds first, those that build engines once the first of the table is there."""
        self._test("cuda")
        for visit in first_visits(self._settings):
            self._visit(visit)
        self._test("tensorrt")
        for visit in further_visits(self._settings):
            self._visit(visit)

    def _test(self, mark: str) -> None:
        if not self._settings.tests:
            return
        clone = find_clone()
        if clone is None:
            self._record.note(f"tests marked {mark}: not run, for this is no clone and a wheel has none")
            return
        limit_s = min(self._budget.left_s(), self._settings.minutes * 60 * _TESTS_SHARE)
        if limit_s <= 0:
            self._record.note(f"tests marked {mark}: no time was left")
            return
        self._say(f"tests marked {mark}")
        if problem := run_marked(clone, mark, limit_s, self._record.test):
            self._record.note(f"tests marked {mark}: {problem}")

    def _visit(self, visit: Visit) -> None:
        """Starts the side, if there is a row left to measure, and measures its rows."""
        if not visit.side.is_meant_for(self._machine):
            return
        rows = [row for row in visit.rows if not (self._settings.resume and self._record.is_known(row.id))]
        if not rows:
            return
        side, key = visit.side, (visit.model, visit.side.name)
        if why := side.why_absent(self._machine):
            self._missing(rows, ABSENT, why)
            return
        if problem := self._broken.get(key):
            self._missing(rows, FAILED, problem)
            return
        left = list(rows)
        try:
            self._budget.require(self._start_s(visit.model, side) + self._estimate_s(rows[0]))
            files = self._prepared(visit.model, is_controlled=any(row.kind == CONTROL for row in rows))
            idle_bytes = self._used()
            self._say(f"{visit.model}: {side.title}")
            with ExitStack() as stack:
                began = time.monotonic()
                running = stack.enter_context(started(side, files, self._machine.devices, self._budget.left_s()))
                self._started(visit, time.monotonic() - began)
                while left:
                    measuring = Measuring(
                        left[0], running, self._budget, self._settings.steps, self._settings.rounds, self._used,
                        self._used_every_s, idle_bytes,
                    )  # fmt: skip
                    self._measure(measuring)
                    left.pop(0)
        except NoTimeError as error:
            self._missing(left, SKIPPED, str(error))
        except (DeadlineExceededError, subprocess.TimeoutExpired) as error:
            self._missing(left, SKIPPED, f"time was up: {error}")
        except (TriptychError, OSError, subprocess.SubprocessError) as error:
            self._broken[key] = str(error)
            self._missing(left, FAILED, f"{side.title} could not be started, or ended: {error}")

    def _measure(self, measuring: Measuring) -> None:
        """One row; what the side refuses or cannot do is its own fate alone."""
        row = measuring.row
        try:
            self._budget.require(self._estimate_s(row))
            self._say(f"  {row.id}")
            figures = MEASURES[row.kind](measuring)
        except NoTimeError as error:
            self._missing([row], SKIPPED, str(error))
        except DeadlineExceededError:
            raise
        except InvalidArgumentError as error:
            self._missing([row], ABSENT, error.message)
        except TriptychError as error:
            self._missing([row], FAILED, error.message)
        else:
            self._record.measured(row.id, figures)
            if row.kind == "picture":
                self._estimates.learn_picture(row.model, row.side.name, row.edge, figures["seconds"])

    def _started(self, visit: Visit, seconds: float) -> None:
        """The first start of a side holds its builds, and is the one that is told."""
        self._estimates.learn_start(visit.model, visit.side.name, seconds)
        row = f"{visit.model}/{visit.side.name}/start/0"
        if not self._record.is_known(row):
            self._record.measured(row, {"seconds": seconds})

    def _start_s(self, model: str, side: Side) -> float:
        """What has the engines of another side is slow where that one was not started."""
        builder = SIDES_BY_NAME.get(side.engines_of, side)
        if self._estimates.has_started(model, builder.name):
            builder = side
        return self._estimates.start_s(model, builder.name, builder.start_s)

    def _estimate_s(self, row: Row) -> float:
        return estimate_s(row, self._estimates, self._settings.steps, self._settings.rounds)

    def _missing(self, rows: list[Row], status: str, why: str) -> None:
        for row in rows:
            self._record.missing(row.id, status, why)
            self._say(f"  {row.id}: {status}: {why}")

    def _prepared(self, model: str, *, is_controlled: bool) -> Files:
        """A checkpoint of random weights, two LoRAs and a ControlNet for it, made where they are not there yet."""
        folder: Path = self._settings.folder
        checkpoint, controlnet = folder / model, folder / f"{model}-controlnet"
        if model not in self._files:
            folder.mkdir(parents=True, exist_ok=True)
            self._make("checkpoint", checkpoint, model)
            unet = Checkpoint.open(checkpoint).components[UNET.name]
            loras = {
                name: ensure_lora(folder / f"{model}-{name}.safetensors", unet, seed)
                for seed, name in enumerate(LORAS, 1)
            }
            self._files[model] = Files(checkpoint, loras, controlnet, folder, max(self._settings.edges))
        if is_controlled:
            self._make("controlnet", controlnet, model)
        return self._files[model]

    def _make(self, what: str, folder: Path, model: str) -> None:
        """In a process of its own, whose memory goes with it."""
        if not folder.is_dir():
            self._budget.require(_MAKING_S)
            self._say(f"{model}: making a {what} of random weights")
            command = [sys.executable, "-m", f"triptych.measuring.{what}s", str(folder), model]
            subprocess.run(command, check=True, timeout=max(self._budget.left_s(), 1.0))
