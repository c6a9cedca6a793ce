"""The exporter builds a graph without the memory that its weights would take."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from triptych.checkpoint import Architecture
from triptych.engine.exporter import export_graph

# Few layers to trace, and kernels of more than a gigabyte.
WIDE = Architecture.of(
    "unet",
    "UNet2DConditionModel",
    {
        "block_out_channels": [32, 2048],
        "layers_per_block": 1,
        "down_block_types": ["DownBlock2D", "DownBlock2D"],
        "mid_block_type": "UNetMidBlock2D",
        "up_block_types": ["UpBlock2D", "UpBlock2D"],
    },
)


def status_bytes(field: str) -> int:
    match = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) * 1024


@pytest.mark.slow
def test_weights_are_nowhere_in_memory() -> None:
    Path("/proc/self/clear_refs").write_text("5")  # sets the greatest size seen back to the present one
    before = status_bytes("VmRSS")
    graph = export_graph(WIDE)
    weights_bytes = 4 * sum(math.prod(tensor.dims) for tensor in graph.graph.initializer)
    assert weights_bytes > 1e9
    assert status_bytes("VmHWM") - before < weights_bytes / 2
