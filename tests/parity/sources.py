"""What each case is drawn from: the session's directories, or what is made and served when first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import triptych
from tests import tiny
from tests.conftest import CACHE
from tests.e2e.ip_adapters.making import save_ip_adapter
from tests.parity.controls import adapters, controlnets, union
from tests.parity.matrix import CONTROLLED, EDITING, ONLY, Case
from tests.parity.prompts import ip_adapters
from tests.session.graphs import fill_cache
from tests.single_files import Pair, save_pair

# What draws nothing by itself, so that many checkpoints have it in turn.
BESIDE = ("controlling", "prompting")


class Sources:
    """`checkpoints` are served by their names; single files, and those that edit pictures, are made in `root`."""

    def __init__(
        self,
        client: triptych.Client,
        checkpoints: Mapping[str, Path],
        root: Path,
        engine_of: Callable[[Case], str] = lambda case: case.engine,
    ) -> None:
        self._client, self._checkpoints, self._root, self._engine_of = client, checkpoints, root, engine_of
        self._pairs: dict[tuple[str, str], Pair] = {}
        self._served: set[str] = set()
        self._current = ""

    def let_go_of_others(self, case: Case) -> None:
        """What cases before were drawn with is unloaded, for there are many, and each of torch's processes is large."""
        if case.checkpoint == self._current:
            return
        self._current = case.checkpoint
        for one in self._client.checkpoints():
            passing = one.name in self._served or one.name.endswith("-torch")
            if passing and one.state == "loaded" and one.purpose not in BESIDE and one.name != case.checkpoint:
                self._client.unload_checkpoint(one.name)

    def folder(self, case: Case) -> Path:
        """The case's checkpoint as diffusers reads it; ours is served from then on, by `case.checkpoint`."""
        if case.format == "directory" and case.source in self._checkpoints:
            return self._checkpoints[case.source]
        made = case.source, case.format
        if made not in self._pairs:
            self._pairs[made] = self._make(case)
        pair = self._pairs[made]
        if case.checkpoint not in self._served:
            self._client.register_checkpoint(case.checkpoint, pair.file, engine=self._engine_of(case), load=True)
            self._served.add(case.checkpoint)
        return pair.folder

    def others(self, case: Case) -> Mapping[str, Path]:
        """What it names besides its checkpoint; its ControlNets and IP-Adapters are served from then on."""
        if case.task in CONTROLLED:
            beside = self._controlnets[case.family]
        elif case.task == "prompted":
            beside = self._ip_adapters[case.family]
        else:
            return self._checkpoints
        for name in beside.keys() - self._served:
            self._client.register_checkpoint(name, beside[name])
            self._served.add(name)
        return {**self._checkpoints, **beside}

    def close(self) -> None:
        """Serves them no more."""
        for name in self._served:
            self._client.unregister_checkpoint(name)

    def _make(self, case: Case) -> Pair:
        if case.format == "single file":
            pair = save_pair(self._root, case.source)
            fill_cache(CACHE, [pair.folder])
            return pair
        return Pair(self._editing[case.source], self._editing[case.source])

    @cached_property
    def _controlnets(self) -> dict[str, dict[str, Path]]:
        """Two for each family that has any, and two T2I-Adapters."""
        root, made = self._root / "controlnets", dict[str, dict[str, Path]]()
        for family in ONLY["control"]:
            names = {name: number for number, name in enumerate(controlnets(family))}
            made[family] = {
                name: tiny.save_controlnet(root / name, self._checkpoints[family], seed=number)
                for name, number in names.items()
            }
            full = {"adapter_type": "full_adapter", "channels": [16, 32], "downscale_factor": 8}
            for number, name in enumerate(adapters(family)):
                config = {} if family == "sdxl" else full
                made[family][name] = tiny.save_t2i_adapter(
                    root / name, seed=number, num_res_blocks=number + 1, **config
                )
        made["sdxl"][union("sdxl")] = tiny.save_union_controlnet(root / "union", self._checkpoints["sdxl"])
        fill_cache(CACHE, [path for nets in made.values() for path in nets.values()])
        return made

    @cached_property
    def _ip_adapters(self) -> dict[str, dict[str, Path]]:
        """One of each kind for each family."""
        made = {
            family: {
                name: save_ip_adapter(self._root / f"{family}-ip-adapters", self._checkpoints[family], kind)
                for name, kind in ip_adapters(family).items()
            }
            for family in ONLY["prompted"]
        }
        fill_cache(CACHE, [path for adapters in made.values() for path in adapters.values()])
        return made

    @cached_property
    def _editing(self) -> dict[str, Path]:
        """All that edit pictures, by their names, so that one process exports their graphs."""
        folders = {}
        for task, (name, pipeline, channels) in EDITING.items():
            for family in ONLY[task]:
                kin = "StableDiffusionXL" if family == "sdxl" else "StableDiffusion"
                folder, whole = self._root / "editing" / f"{family}-{name}", self._checkpoints[family]
                folders[folder.name] = tiny.save_editing_checkpoint(folder, whole, kin + pipeline, channels)
        fill_cache(CACHE, folders.values())
        return folders
