from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.embedded.conftest import is_private, runs, wait_for
from triptych.embedded.processes.process import Process, ProcessSpec, group_members, group_states, log_tail, stop_all

MakeSpec = Callable[..., ProcessSpec]

STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    print("grandchild", os.getpid(), flush=True)
else:
    print("child", os.getpid(), flush=True)
time.sleep(600)
"""
# It loses a child that ends, and so never ends itself: as Triton does whose model's process died during a call.
LOSING = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os._exit(0)
time.sleep(600)
"""
WRITING = """
import os, tempfile, time
os.open("%s", os.O_CREAT | os.O_WRONLY, 0o666)
os.fchmod(os.open("%s", os.O_CREAT | os.O_WRONLY, 0o666), 0o666)
tempfile.mkstemp()
print("written", flush=True)
time.sleep(600)
"""
CRASHING = "import os, time\nif os.fork() == 0: time.sleep(600)\nos.abort()"
POLITE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("up", flush=True)
time.sleep(600)
"""
# A supervisor that starts one child on a thread that stays, and says the child's pid.
SUPERVISOR = """
import sys, threading, time
from pathlib import Path
from triptych.embedded.processes.process import Process, ProcessSpec
process = Process(ProcessSpec("c", (sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"), {},
                              Path(sys.argv[1]), ""))
threading.Thread(target=lambda: (process.start(), print(process.pid, flush=True), time.sleep(600))).start()
"""


def text(spec: ProcessSpec) -> str:
    return spec.log_path.read_text() if spec.log_path and spec.log_path.exists() else ""


def test_a_polite_child_ends_within_its_grace(spec: MakeSpec) -> None:
    process = Process(spec(POLITE))
    process.start()
    wait_for(lambda: "up" in text(process.spec))
    assert not process.exited()
    process.terminate()
    wait_for(process.exited)
    assert process.finish() == 7
    assert process.pid is None


def test_stop_kills_a_child_that_ignores_sigterm_and_its_child(spec: MakeSpec) -> None:
    process = Process(spec(STUBBORN, stop_grace_s=0.3))
    process.start()
    wait_for(lambda: "grandchild" in text(process.spec) and "child" in text(process.spec))
    pids = [int(line.split()[1]) for line in text(process.spec).splitlines()]
    process.stop()
    assert not any(runs(pid) for pid in pids)


def test_all_have_ended_when_their_time_is_over(spec: MakeSpec) -> None:
    """However long the grace of each."""
    process = Process(spec(STUBBORN, stop_grace_s=3600.0))
    process.start()
    wait_for(lambda: "grandchild" in text(process.spec) and "child" in text(process.spec))
    pids = [int(line.split()[1]) for line in text(process.spec).splitlines()]
    stop_all([process], within_s=0.3)
    assert not any(runs(pid) for pid in pids)


def test_one_that_waits_for_a_lost_child_is_ended_at_once_and_that_is_orderly(spec: MakeSpec) -> None:
    process = Process(spec(LOSING, stop_grace_s=600.0, loses_children=True))
    process.start()
    wait_for(lambda: sorted(group_states(process.pid or 0).values()) == ["S", "Z"])
    assert process.stop()


def test_one_that_has_to_be_killed_is_not_orderly(spec: MakeSpec) -> None:
    process = Process(spec(LOSING, stop_grace_s=0.0))
    process.start()
    wait_for(lambda: sorted(group_states(process.pid or 0).values()) == ["S", "Z"])
    assert not process.stop()


def test_what_a_child_writes_is_private(spec: MakeSpec, tmp_path: Path) -> None:
    """Though it asks for more by `open` and by `fchmod`, as Triton does for its shared memory."""
    files = (tmp_path / "opened", tmp_path / "changed")
    process = Process(spec(WRITING % files, stop_grace_s=0.0, temporary_dir=tmp_path / "tmp"))
    process.start()
    wait_for(lambda: "written" in text(process.spec))
    process.stop()
    log = process.spec.log_path
    assert log and all(map(is_private, (*files, log, tmp_path / "tmp", *(tmp_path / "tmp").iterdir())))


def test_temporary_files_are_its_own_and_gone_at_the_next_start(spec: MakeSpec, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    process = Process(spec(WRITING % (os.devnull, os.devnull), stop_grace_s=0.0, temporary_dir=temporary))
    found = []
    for starts in (1, 2):
        process.start()
        wait_for(lambda starts=starts: text(process.spec).count("written") == starts)
        found.append([path.name for path in temporary.iterdir()])
        process.stop()
    assert [len(names) for names in found] == [1, 1] and found[0] != found[1]


def test_stop_twice_and_before_start_does_nothing(spec: MakeSpec) -> None:
    process = Process(spec(POLITE, stop_grace_s=0.0))
    process.stop()
    process.start()
    process.stop()
    process.stop()


def test_finish_kills_what_a_crashed_leader_left(spec: MakeSpec) -> None:
    process = Process(spec(CRASHING))
    process.start()
    group = process.pid or 0
    wait_for(process.exited)
    wait_for(lambda: len(group_members(group)) == 1)
    assert process.finish() == -signal.SIGABRT
    assert group_members(group) == []


def test_the_child_is_outside_the_terminals_group(spec: MakeSpec) -> None:
    process = Process(spec(POLITE, stop_grace_s=0.0))
    process.start()
    try:
        assert os.getpgid(process.pid or 0) == process.pid != os.getpgid(0)
    finally:
        process.stop()


def test_a_command_that_cannot_run_says_so_in_the_log(spec: MakeSpec) -> None:
    process = Process(replace(spec(""), command=("/no/such/binary",)))
    process.start()
    wait_for(process.exited)
    assert process.finish() == 127
    assert "cannot run /no/such/binary: No such file or directory" in text(process.spec)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_child_outlives_a_killed_supervisor(how: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline())
        time.sleep(0.2)
        assert runs(child)
        supervisor.send_signal(how)
    wait_for(lambda: not runs(child))


def test_log_tail_is_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {n}\n" for n in range(10_000)))
    assert log_tail(log, 2) == "line 9998\nline 9999"


def test_processes_that_end_while_all_are_looked_at_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """To ask of a file in /proc can fail with ESRCH too, which pathlib takes for no answer."""
    ours, read = os.getpgid(0), Path.read_text

    def vanished(path: Path, *arguments: object, **more: object) -> object:
        raise ProcessLookupError(errno.ESRCH, "No such process", str(path))

    def read_text(path: Path, *arguments: object, **more: object) -> object:
        return read(path, *arguments, **more) if path.parent.name == str(os.getpid()) else vanished(path)

    monkeypatch.setattr(Path, "stat", vanished)
    monkeypatch.setattr(Path, "read_text", read_text)
    assert group_members(ours) == [os.getpid()]
