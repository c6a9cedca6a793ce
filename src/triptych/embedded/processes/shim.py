"""Becomes the command it is given, its life tied to its parent's: `shim.py PARENT_PID SIGNAL CORES COMMAND...`.

The kernel sends SIGNAL when the THREAD that forked this process ends (PR_SET_PDEATHSIG). A script does this
rather than `preexec_fn`, which runs Python between fork and exec and can deadlock beside gRPC's threads.
CORES, "0,1" say, are those that the command and all it starts are pinned to; "" pins to none.
What they write is for this user alone, shared memory too: Triton's regions hold what people ask for. The umask does
that, and since Boost, which Triton makes its regions with, opens them to all by `fchmod`, that call does nothing.
Runs under `python -I -S`: it may import the standard library only.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import sys

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
# Without the flag older kernels slow down all that the filtered process computes.
SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW = 1, 4
EXIT_CANNOT_RUN = 127
# The kernel's numbers of the architecture and of its calls fchmod and seccomp.
CALLS = {"x86_64": (0xC000003E, 91, 317), "aarch64": (0xC00000B7, 52, 277)}


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
    keep_private()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")
    return EXIT_CANNOT_RUN


def keep_private() -> None:
    """For this process and all that it starts."""
    os.umask(0o077)
    libc = ctypes.CDLL(None, use_errno=True)
    architecture, fchmod, seccomp = CALLS.get(platform.machine(), (0, 0, -1))
    code = (
        (0x20, 0, 0, 4),  # load the architecture
        (0x15, 0, 3, architecture),  # another: allow
        (0x20, 0, 0, 0),  # load the call's number
        (0x15, 0, 1, fchmod),  # another: allow
        (0x06, 0, 0, 0x0005_0000),  # return 0 without a call
        (0x06, 0, 0, 0x7FFF_0000),  # allow
    )
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in code))
    program = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(instructions))
    asked = SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, program
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(seccomp, *asked):
        reason = f"no seccomp on {platform.machine()}: {os.strerror(ctypes.get_errno())}"
        sys.stderr.write(f"other users of this machine can read Triton's shared memory: {reason}\n")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]))
