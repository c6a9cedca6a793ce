"""The kind of processor that a machine has: equal programs compute equal bits on machines of one kind."""

from __future__ import annotations

import platform
import re
from pathlib import Path

_FILE = Path("/proc/cpuinfo")
# A model's numbers, on x86 and on ARM.
_NUMBERS = ("cpu family", "model", "CPU implementer", "CPU part")
# By which libraries of arithmetic choose among their kernels.
_INSTRUCTIONS = (
    "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile",
    "asimd", "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip


def processor_kind(text: str | None = None) -> str:
    """Name, numbers and instruction sets, from what Linux tells in /proc/cpuinfo; no count and no speed."""
    if text is None:
        text = _FILE.read_text()
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
    flags = set(told.get("flags", told.get("Features", "")).split())
    name = re.sub(r" @ .*", "", told.get("model name", ""))
    numbers = "/".join(told[each] for each in _NUMBERS if each in told)
    parts = (platform.machine(), name, numbers, *(each for each in _INSTRUCTIONS if each in flags))
    return " ".join(filter(None, parts))
