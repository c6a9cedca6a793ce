"""The process's end."""

from __future__ import annotations

import subprocess
import sys

HANGING = """
import asyncio, time
from triptych_orchestrator.api.server import _end_within

async def main():
    _end_within(0.2)
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)

asyncio.run(main())
"""


def test_a_thread_that_hangs_keeps_nothing_up() -> None:
    """Leaving the loop waits for its threads, and one that reads from a disk that is gone never ends."""
    run = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1 and "not ended in time" in run.stderr
