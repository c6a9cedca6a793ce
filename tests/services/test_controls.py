"""The ControlNets of a UNet's process: the thread beside it may bring one at any moment."""

from __future__ import annotations

from typing import Any

import pytest

from triptych_unet.controls import Controls, LoadedNet

NOTHING: Any = None


@pytest.fixture
def controls() -> Controls:
    """Two, and another comes whenever one of these is looked at."""
    one = Controls(NOTHING, NOTHING, "onnxruntime", NOTHING, 1 << 30)
    nets: dict[Any, LoadedNet] = one._nets

    class Looked(LoadedNet):
        def __getattribute__(self, name: str) -> Any:
            if name in ("number", "size_bytes") and self in nets.values():
                nets[len(nets)] = LoadedNet(None, NOTHING, 1)
            return super().__getattribute__(name)

    nets |= {0: Looked(None, NOTHING, 1), 1: Looked(None, NOTHING, 1)}
    return one


def test_one_that_comes_disturbs_nobody_who_looks_for_another(controls: Controls) -> None:
    last = LoadedNet(None, NOTHING, 1)
    controls._nets[last] = last  # type: ignore[index]
    assert controls.engine(last.number) is None and len(controls._nets) == 5


def test_one_that_comes_is_no_error_where_others_are_forgotten(controls: Controls) -> None:
    controls.forget()
    assert len(controls._nets) == 4
    controls._capacity_bytes = 0
    for loaded in controls._nets.values():
        loaded.used_s -= 3600
    controls.forget()
    assert not controls._nets.keys() & {0, 1, 2, 3}
