"""Keeps a set of processes running: waits until they are ready, and starts again what dies."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from triptych.embedded.folders.shm import remove_regions
from triptych.embedded.ports import obstacle
from triptych.embedded.processes.backoff import Backoff
from triptych.embedded.processes.log_files import why_it_ended
from triptych.embedded.processes.probe import is_ready
from triptych.embedded.processes.process import TICK_S, Process, ProcessSpec, stop_all
from triptych.embedded.processes.progress_lines import ProgressLines
from triptych.errors import CancelledError, DeadlineExceededError, UnavailableError

logger = logging.getLogger(__name__)


class StartError(UnavailableError):
    """A process of the stack ended while it started; the message says why, or holds the end of its log."""


class PortTakenError(StartError):
    """It ended because another process has its port."""


@dataclass(frozen=True)
class ProcessStatus:
    """One row of what runs where."""

    name: str
    pid: int | None  # None while it waits for its restart, and where it is not ours
    address: str
    metrics_address: str
    log_path: str
    restarts: int
    place: tuple[str, str, str]  # device, cores, engine


@dataclass
class _Supervised:
    process: Process
    backoff: Backoff = field(default_factory=Backoff)
    restarts: int = 0
    restart_at_s: float | None = None

    def status(self) -> ProcessStatus:
        spec = self.process.spec
        log_path = str(spec.log_path)
        return ProcessStatus(
            spec.name, self.process.pid, spec.address, spec.metrics_address, log_path, self.restarts, spec.place
        )


class Supervisor:
    """Used, but for `statuses`, by one thread, which must outlive the processes (see shim.py)."""

    def __init__(self, stopping: Callable[[], bool], hurry: Callable[[], bool]) -> None:
        self._stopping = stopping
        self._hurry = hurry
        self._supervised: list[_Supervised] = []

    def statuses(self) -> list[ProcessStatus]:
        """A snapshot, in the order of starting."""
        return [one.status() for one in list(self._supervised)]

    def start(self, specs: Sequence[ProcessSpec], deadline_s: float) -> None:
        """Starts processes and returns when all are ready; a StartError when one dies instead."""
        started = [_Supervised(Process(spec)) for spec in specs]
        self._supervised += started
        known = [one.process.spec for one in self._supervised]
        progress = ProgressLines({spec.name: spec.log_path for spec in known if spec.log_path})
        for one in started:
            one.process.start()
        waiting = started
        while waiting:
            for name, message in progress.new():
                logger.info("%s: %s", name, message)
            # Those that are ready are watched too: one may die while another still loads.
            for one in self._supervised:
                if one.process.exited():
                    raise _start_error(one.process)
            self._check_waiting([one.process.spec for one in waiting], deadline_s)
            waiting = [one for one in waiting if not _ready(one.process)]
            time.sleep(TICK_S)

    def _check_waiting(self, specs: list[ProcessSpec], deadline_s: float) -> None:
        if self._stopping():
            raise CancelledError("the stack was stopped while it started")
        if time.monotonic() > deadline_s:
            names = ", ".join(f"{spec.name} (its log is {spec.log_path})" for spec in specs)
            raise DeadlineExceededError(f"not ready in time: {names}; --startup-timeout gives more")

    def tick(self) -> None:
        """Looks after every process once."""
        now_s = time.monotonic()
        for one in self._supervised:
            if one.restart_at_s is None and one.process.exited():
                self._bury(one, now_s)
            elif one.restart_at_s is not None and now_s >= one.restart_at_s:
                self._restart(one, now_s)

    def _bury(self, one: _Supervised, now_s: float) -> None:
        spec = one.process.spec
        code = one.process.finish()
        remove_regions(spec.shm_prefix)
        delay_s = one.backoff.delay_s(now_s - one.process.started_at_s)
        one.restart_at_s = now_s + delay_s
        logger.warning("%s ended (exit code %d); restart in %.1f s; log: %s", spec.name, code, delay_s, spec.log_path)

    def _restart(self, one: _Supervised, now_s: float) -> None:
        one.restarts += 1
        try:
            one.process.start()
            one.restart_at_s = None
            logger.info("%s runs again", one.process.spec.name)
        except OSError as error:  # out of memory, processes or disk, say: later it may work
            one.restart_at_s = now_s + one.backoff.delay_s(0)
            logger.warning("%s cannot be restarted now: %s", one.process.spec.name, error)

    def stop(self, within_s: float = math.inf) -> None:
        """Stops in the order that they ask for: whoever drains does so while those that it calls still serve."""
        processes = [one.process for one in self._supervised]
        deadline_s = time.monotonic() + within_s
        for order in sorted({process.spec.stop_order for process in processes}, reverse=True):
            members = [process for process in processes if process.spec.stop_order == order]
            stop_all(members, self._hurry, deadline_s - time.monotonic())
        for process in processes:
            remove_regions(process.spec.shm_prefix)
        self._supervised = []


def _ready(process: Process) -> bool:
    return is_ready(process.spec.probe_address or process.spec.address, process.spec.ready_method)


def _start_error(process: Process) -> StartError:
    spec = process.spec
    code = process.finish()
    for address in (spec.address, spec.metrics_address):
        host, _, port = address.rpartition(":")
        if port and (reason := obstacle(host.strip("[]"), int(port))):
            return PortTakenError(f"{spec.name} {reason}", process=spec.name)
    message = f"{spec.name} ended while it started (exit code {code}): {why_it_ended(spec.log_path)}"
    return StartError(message, process=spec.name)
