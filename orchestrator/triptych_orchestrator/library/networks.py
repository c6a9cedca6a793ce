"""The networks that prepare pictures, as far as they are registered: asked by name for what they make of one.

networks = StageNetworks(pool, catalog, timeout_s)
maps = await networks.maps("depth_midas", image, has_classes=False, is_exact=False, request_id="r")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.checkpoint.onnx_files import ToldNormalization, told_normalization
from triptych.contract import PREPROCESSOR
from triptych_orchestrator.library.catalog import Catalog
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.stages.pool import ReplicaPool

# [channels, height, width].
Floats = npt.NDArray[np.float32]


class Networks:
    """Where none are registered."""

    def entries(self) -> Mapping[str, Entry]:
        """Those that can be asked, by name."""
        return {}

    async def maps(self, entry: Entry, image: Floats, *, has_classes: bool, is_exact: bool, request_id: str) -> Floats:
        """What one makes of an image in a size that it takes.

        `has_classes`: each pixel's class alone; `is_exact`: as it is, in the upper left of as large as the largest is.
        """
        raise RuntimeError(f"{entry.name} is not there")


class StageNetworks(Networks):
    """What the catalog has of them at the moment, on the VAE stage."""

    def __init__(self, pool: ReplicaPool, catalog: Catalog, timeout_s: float) -> None:
        self._pool, self._catalog, self._timeout_s = pool, catalog, timeout_s

    def entries(self) -> Mapping[str, Entry]:
        """Those that are sound."""
        known = self._catalog.entries()
        return {entry.name: entry for entry in known if entry.checkpoint and entry.checkpoint.family.prepares}

    async def maps(self, entry: Entry, image: Floats, *, has_classes: bool, is_exact: bool, request_id: str) -> Floats:
        """Loads it where it is not; another replica does it where one fails."""
        asked = {"classes": has_classes, "exact": is_exact}
        flags = {name: np.ones((1, 1), np.uint8) for name, is_asked in asked.items() if is_asked}
        tensors: dict[str, npt.NDArray[Any]] = {"image": image[None], **flags}
        async with self._catalog.use(entry) as used:
            model = used.models()[PREPROCESSOR.name]
            outputs, _ = await self._pool.run(model, lambda at: at.infer(model, tensors, request_id, self._timeout_s))
        maps: Floats = outputs["maps"][0]
        return maps


def normalization(entry: Entry) -> ToldNormalization:
    """What its file says of the colours that it wants."""
    return told_normalization(entry.path, entry.opened.source.metadata())


def own_size(entry: Entry) -> tuple[int, int]:
    """Width and height that its file wants, 0 for one that is open."""
    config = entry.opened.components[PREPROCESSOR.name].architecture.config
    return config["width"], config["height"]
