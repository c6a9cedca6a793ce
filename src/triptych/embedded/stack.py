"""The embedded stack: three Triton servers and the orchestrator, started, watched and stopped together.

with Stack(StackConfig({"tiny": "path/to/diffusers/dir"})) as stack:
    print(stack.address, stack.processes())
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from pathlib import Path
from types import TracebackType

from triptych.embedded.chosen_ports import refused_port
from triptych.embedded.commands import Commands, make_plan
from triptych.embedded.config import StackConfig
from triptych.embedded.folders.run_dir import RunDir
from triptych.embedded.folders.temporary import TemporaryFolder
from triptych.embedded.processes.log_files import set_aside
from triptych.embedded.processes.process import TICK_S
from triptych.embedded.processes.supervisor import PortTakenError, ProcessStatus, Supervisor
from triptych.errors import CancelledError, FailedPreconditionError

logger = logging.getLogger(__name__)

PORT_ATTEMPTS = 3
# Of a stack that was killed, the servers end by themselves, but not at once.
AFTER_KILL_S = 15.0
END_S = 5.0  # of what follows the drain: the orchestrator's end, then the stages'


class Stack:
    """Owns every process that it starts, through one thread; starts once."""

    def __init__(self, config: StackConfig, commands: Commands | None = None) -> None:
        config = config.located()
        config.validate()
        self.config = config
        self.address = ""  # of the orchestrator, once started
        self.gateway_url = ""  # "http://host:port", once started, where there is one
        self.failure: BaseException | None = None  # why it stopped, if nobody asked it to
        self.run_dir: Path | None = None  # of logs and state, once started
        self._commands = commands or Commands()
        self._elsewhere: list[ProcessStatus] = []
        # Plain attributes: `request_stop` may run in a signal handler, where taking a lock can deadlock.
        self._stop_requests = 0
        self._ready = threading.Event()
        self._finished = threading.Event()
        self._thread: threading.Thread | None = None
        self._owner_pid = os.getpid()
        self._supervisor = Supervisor(lambda: self._stop_requests > 0, lambda: self._stop_requests > 1)

    def start(self) -> None:
        """Returns when everything is ready; on a failure, everything is stopped before this raises."""
        if self._thread is not None:
            raise FailedPreconditionError("this stack was started before; make a new one")
        # A daemon, for a program that forgets `stop` must still end; atexit then runs it.
        self._thread = threading.Thread(target=self._run, name="triptych-stack", daemon=True)
        atexit.register(self.stop)
        self._thread.start()
        try:
            while not self._ready.wait(TICK_S) and not self._finished.is_set():
                pass
        except BaseException:  # Ctrl-C: nothing may stay behind
            self.stop()
            raise
        if self.failure is not None:
            atexit.unregister(self.stop)
            raise self.failure

    def request_stop(self) -> None:
        """Begins to stop and returns at once; asked again, grace periods end. Safe in a signal handler."""
        self._stop_requests += 1

    def stop(self) -> None:
        """Stops everything, and returns when nothing is left; does nothing when nothing runs."""
        # A forked child inherits this object and its atexit entry, but not the thread.
        if self._thread is None or os.getpid() != self._owner_pid:
            return
        if not self._finished.is_set():
            self._stop_requests = max(self._stop_requests, 1)
            try:
                self._thread.join()
            except BaseException:  # Ctrl-C while it stops: no more grace
                self._stop_requests = 2
                self._thread.join()
                raise
        atexit.unregister(self.stop)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits until the stack has stopped; False when it still runs after the timeout."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        # Short waits let a signal handler run between them, and are no burden.
        while not self._finished.wait(0.2):
            if deadline_s is not None and time.monotonic() >= deadline_s:
                return False
        return True

    def processes(self) -> list[ProcessStatus]:
        """What runs where: stages, the orchestrator, then those that somebody else runs; empty once stopped."""
        ours = self._supervisor.statuses()
        return [*ours, *self._elsewhere] if ours else []

    def __enter__(self) -> Stack:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        folder: RunDir | None = None
        temporary: TemporaryFolder | None = None
        try:
            folder = RunDir(self.config.run_dir)
            self.run_dir = folder.path
            temporary = TemporaryFolder(folder.path)
            self._bring_up(folder, temporary.path)
            self._ready.set()
            while not self._stop_requests:
                self._supervisor.tick()
                time.sleep(TICK_S)
            logger.info("stopping")
        except BaseException as error:  # carried to the thread that waits in `start`
            self.failure = error
            if self._ready.is_set():
                logger.exception("the supervisor failed; the stack stops")
        finally:
            self._tear_down(folder, temporary)

    def _tear_down(self, folder: RunDir | None, temporary: TemporaryFolder | None) -> None:
        try:
            self._supervisor.stop(self.config.drain_timeout_s + END_S)
        finally:
            if temporary is not None:
                temporary.close()
            if folder is not None:  # after a failure the logs stay: the error names them
                folder.close(keep=self.failure is not None and not isinstance(self.failure, CancelledError))
            self._finished.set()

    def _bring_up(self, folder: RunDir, temporary: Path) -> None:
        folder.hold_loras(self.config.lora_folder(folder.path))
        self._require_ports(AFTER_KILL_S if folder.was_abandoned else 0.0)
        self._commands.prepare(temporary / "triton")
        deadline_s = time.monotonic() + self.config.startup_limit_s
        for attempt in range(1, PORT_ATTEMPTS + 1):
            plan = make_plan(self.config, self._commands, folder.path, temporary)
            doors = [plan.orchestrator, *([plan.gateway] if plan.gateway else [])]
            if attempt == 1:
                for spec in (*plan.stages, *doors):
                    if spec.log_path:
                        set_aside(spec.log_path)
            self._elsewhere = [
                ProcessStatus(name, None, replica.address, "", "", 0, replica.place(self.config.engine))
                for name, replica in plan.elsewhere.items()
            ]
            try:
                self._supervisor.start(plan.stages, deadline_s)
                self._supervisor.start(doors, deadline_s)
            except PortTakenError as error:
                if attempt == PORT_ATTEMPTS:
                    raise
                logger.warning("%s; trying other ports", error)
                self._supervisor.stop()
                self._require_ports(0.0)
            else:
                self.address = plan.orchestrator.address
                scheme = "https" if self.config.tls_files() else "http"
                self.gateway_url = f"{scheme}://{plan.gateway.address}" if plan.gateway else ""
                return

    def _require_ports(self, patience_s: float) -> None:
        """FailedPreconditionError about the option whose port cannot be had, if not now, then after a while."""
        deadline_s = time.monotonic() + patience_s
        while refusal := refused_port(self.config):
            if self._stop_requests:
                raise CancelledError("the stack was stopped while it started")
            if time.monotonic() >= deadline_s:
                raise refusal
            time.sleep(TICK_S)
