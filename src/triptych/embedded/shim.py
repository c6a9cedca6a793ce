"""Becomes the command it is given, its life tied to its parent's: `shim.py PARENT_PID SIGNAL CORES COMMAND...`.

The kernel sends SIGNAL when the THREAD that forked this process ends (PR_SET_PDEATHSIG). A script does this
rather than `preexec_fn`, which runs Python between fork and exec and can deadlock beside gRPC's threads.
CORES, "0,1" say, are those that the command and all it starts are pinned to; "" pins to none.
Runs under `python -I -S`: it may import the standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
EXIT_CANNOT_RUN = 127


def main(parent_pid: int, death_signal: int, cores: str, command: list[str]) -> int:
    """Never returns when the command can be run."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        sys.stderr.write(f"cannot set the parent death signal: {os.strerror(ctypes.get_errno())}\n")
        return EXIT_CANNOT_RUN
    # The parent may have died before prctl; then no signal will ever come.
    if os.getppid() != parent_pid:
        return 128 + signal.SIGKILL
    if cores:
        try:
            os.sched_setaffinity(0, map(int, cores.split(",")))
        except OSError as error:
            sys.stderr.write(f"cannot be pinned to the cores {cores}: {error.strerror}\n")
            return EXIT_CANNOT_RUN
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")
    return EXIT_CANNOT_RUN


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]))
