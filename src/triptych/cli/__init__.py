"""The `triptych` command: `main.py` dispatches, each other command module has `add_parser` and `run`."""

import os

# Before anything imports grpc, whose core writes its own news, such as a server's goodbye, to our stderr.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
