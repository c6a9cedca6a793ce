"""One supervised child process, in a session of its own, stopped together with all its descendants.

process = Process(ProcessSpec("unet-0", ("tritonserver", ...), env, log_path, address))
process.start(); process.exited(); process.stop()
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from triptych.embedded.folders.temporary import make_private

SHIM = Path(__file__).parent / "shim.py"
TICK_S = 0.05
GROUP_KILL_BOUND_S = 5.0
ENDED = "ZX"  # the kernel's letters for a process that has ended and is not reaped


@dataclass(frozen=True)
class ProcessSpec:
    """What to run, and all that the supervisor must know about it."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    log_path: Path | None  # None: it writes where this process does
    address: str
    metrics_address: str = ""
    probe_address: str = ""  # where readiness is asked for; empty: at `address`
    ready_method: str = ""  # the gRPC method of its readiness probe, or "GET /path" over HTTP
    stop_grace_s: float = 15.0  # from SIGTERM to SIGKILL
    death_signal: int = signal.SIGKILL  # sent by the kernel when the supervisor dies
    stop_order: int = 0  # those of a higher one are stopped, and have ended, before those of a lower one are
    loses_children: bool = False  # it may wait for one that ended long ago, and would not stop within its grace
    temporary_dir: Path | None = None  # its own TMPDIR, empty at every start
    shm_prefix: str = ""  # of the /dev/shm regions that it owns
    cores: tuple[int, ...] = ()  # it is pinned to these; empty: to none
    place: tuple[str, str, str] = ("cpu", "all", "-")  # for people to read: device, cores, engine


class Process:
    """A child that leads its own process group; the thread that starts it must outlive it (see shim.py)."""

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self.started_at_s = 0.0
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None unless it was started and not yet finished."""
        return self._popen.pid if self._popen else None

    def start(self) -> None:
        """Runs the command; its stdout and stderr are appended to the log file."""
        env = {**self.spec.env, "PYTHONUNBUFFERED": "1"}
        if self.spec.temporary_dir:
            make_private(self.spec.temporary_dir)
            env["TMPDIR"] = str(self.spec.temporary_dir)
        cores = ",".join(map(str, self.spec.cores))
        tie = (sys.executable, "-I", "-S", str(SHIM), str(os.getpid()), str(int(self.spec.death_signal)), cores)
        with _log(self.spec.log_path) as log:
            self._popen = subprocess.Popen(
                (*tie, *self.spec.command),
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log and subprocess.STDOUT,
                start_new_session=True,
            )
        self.started_at_s = time.monotonic()

    def exited(self) -> bool:
        """Whether the leader has ended; it stays a zombie, so that its pid still names this group alone."""
        if self._popen is None:
            return True
        try:
            flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self._popen.pid, flags) is not None
        except ChildProcessError:  # the host program reaps all children, or ignores SIGCHLD
            return True

    def terminate(self) -> None:
        """Asks the leader to stop; its descendants are its own to stop, until `finish`."""
        if self._popen and not self.exited():
            os.kill(self._popen.pid, signal.SIGTERM)

    def waits_in_vain(self) -> bool:
        """Whether all that is left of its descendants, who do its work, are some that ended and that it lost."""
        if self._popen is None or not self.spec.loses_children:
            return False
        others = [state for pid, state in group_states(self._popen.pid).items() if pid != self._popen.pid]
        return bool(others) and set(others) <= set(ENDED)

    def finish(self) -> int:
        """Kills what is left of the group, reaps the leader, and gives its exit code (-N for signal N)."""
        if self._popen is None:
            return 0
        kill_group(self._popen.pid)
        code = self._popen.wait()
        self._popen = None
        return code

    def stop(self) -> bool:
        """SIGTERM, the grace period, SIGKILL to the group; returns when nothing of it is left, see `stop_all`."""
        return stop_all([self])


def stop_all(
    processes: Sequence[Process], hurry: Callable[[], bool] = lambda: False, within_s: float = math.inf
) -> bool:
    """Stops several processes at once; `hurry` turning true, or `within_s` passing, ends the grace period.

    Returns whether the end was orderly: each exited with 0 in time, or waited in vain and had nothing left to do.
    """
    for process in processes:
        process.terminate()
    started_s, orderly = time.monotonic(), True
    for process in processes:
        deadline_s = started_s + min(process.spec.stop_grace_s, within_s)
        in_vain = False
        while not process.exited() and not in_vain and time.monotonic() < deadline_s and not hurry():
            time.sleep(TICK_S)
            in_vain = process.waits_in_vain()
        orderly = (process.finish() == 0 or in_vain) and orderly
    return orderly


def group_members(group: int) -> list[int]:
    """The pids of a process group that still run (zombies do not)."""
    return [pid for pid, state in group_states(group).items() if state not in ENDED]


def group_states(group: int) -> dict[int, str]:
    """The pids of a process group, each with the letter of its state."""
    states = {}
    # No glob, which looks at each file once more, and fails where its process has ended just then.
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            state, _, member_of = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[:3]
        except (OSError, ValueError):  # it ended while we looked
            continue
        if member_of == str(group):
            states[int(process.name)] = state
    return states


def kill_group(group: int) -> None:
    """SIGKILL until no member runs; bounded, for one in uninterruptible sleep cannot be killed."""
    deadline_s = time.monotonic() + GROUP_KILL_BOUND_S
    while group_members(group) and time.monotonic() < deadline_s:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.01)


def _log(path: Path | None) -> AbstractContextManager[BinaryIO | None]:
    """The file to append to, for this user alone: prompts' ids and paths are in it."""
    if path is None:
        return nullcontext()
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))


def log_tail(path: Path, lines: int = 20, tail_bytes: int = 16_384) -> str:
    """The last lines of a log file."""
    with path.open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - tail_bytes))
        text = log.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])
