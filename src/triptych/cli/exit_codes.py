"""What the command's exit code says about a failure; `triptych --help` prints this table."""

from __future__ import annotations

from triptych.errors import TriptychError

OK = 0
FAILED = 1
NO_GPU = 10
NOT_LET_IN = 11
INTERRUPTED = 130

BY_GRPC_STATUS = {
    "INVALID_ARGUMENT": 2,
    "NOT_FOUND": 3,
    "UNAVAILABLE": 4,
    "CANCELLED": 5,
    "DEADLINE_EXCEEDED": 6,
    "RESOURCE_EXHAUSTED": 7,
    "FAILED_PRECONDITION": 8,
    "ALREADY_EXISTS": 9,
    "UNAUTHENTICATED": NOT_LET_IN,
}

TABLE = """\
exit codes:
  0  done                       5  cancelled
  1  failed                     6  deadline passed
  2  invalid argument, usage    7  a limit of the server is reached
  3  not found                  8  not possible in the present state
  4  server unavailable         9  already exists
 10  no GPU to check           11  credentials missing or wrong
                              130  interrupted (Ctrl-C)
"""


def exit_code(error: TriptychError) -> int:
    """The exit code for `error`; 1 where the table has none."""
    return BY_GRPC_STATUS.get(error.grpc_status, FAILED)
