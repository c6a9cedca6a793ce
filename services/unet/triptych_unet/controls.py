"""The ControlNets that stand beside a UNet in its process: loaded when a request brings one, shared by all that do.

T2I-Adapters are among them. What one makes of a picture, its hint or its features, is computed once and kept under a
key. Both are done by a thread beside the running engine; requests for it are answered UNAVAILABLE at once meanwhile, so
that others' steps go on.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

import numpy as np

from triptych.checkpoint import Component
from triptych.checkpoint.families.controlnet_union import union_types
from triptych.checkpoint.families.controls import control_misfit, controls
from triptych.checkpoint.identity.fingerprint import Fingerprint
from triptych.checkpoint.reading import open_in_time
from triptych.contract import CONTROLNET, CONTROLNET_HINT, T2I_ADAPTER
from triptych.contract.carried import ControlLostError, ControlPreparingError
from triptych.contract.controls import ControlContent, ControlNet, control_key
from triptych.contract.paths import path_from_text
from triptych.engine import Engine, EngineSettings, load_engine
from triptych.engine.kept import Kept
from triptych.engine.port import Array
from triptych.engine.weights import map_files
from triptych.errors import invalid
from triptych.stage.control_loras import merged

# Longer than a small picture's hint takes, and short beside a step: saves a second call.
_PATIENCE_S = 0.005
# What was used that lately stays, whatever the limit: a request may need several at once.
_IN_USE_S = 30.0
_MOST_HINT_BYTES = 256 * 1024 * 1024
# What red, green and blue weigh of 2^16, as ITU-R 601-2 has it.
_GREY = np.array([19595, 38470, 7471])
# Failed ones have no bytes, and are as many as somebody asks for.
_MOST_HINTS = 500


def controlnet_cache_bytes() -> int:
    """From TRIPTYCH_CONTROLNET_CACHE_BYTES: weights of ControlNets that one model may hold, in the files' types."""
    return int(os.environ.get("TRIPTYCH_CONTROLNET_CACHE_BYTES") or 4 * 1024**3)


@dataclass(eq=False)
class LoadedNet:
    """`residuals` and `hint` are its two engines; `used_s` is by the monotonic clock, `number` this one's alone.

    A T2I-Adapter has no `residuals`: the features that its `hint` makes are all that it gives. `types` are how many a
    union knows, 0 of any other. `is_grey`: it looks at pictures without colours.
    """

    residuals: Engine | None
    hint: Engine
    size_bytes: int
    types: int = 0
    is_grey: bool = False
    used_s: float = field(default_factory=time.monotonic)
    number: int = field(default_factory=itertools.count().__next__)


@dataclass(frozen=True, eq=False)
class Control:
    """A ControlNet and what it is given in a step: the hint, [hidden, h, w], and of a union control_types [types].

    A T2I-Adapter is given nothing: these are its features, [C, h, w]. What an engine made stays where it has it.
    """

    net: ControlNet
    loaded: LoadedNet
    inputs: Mapping[str, Kept]

    @property
    def size_bytes(self) -> int:
        """Of the inputs."""
        return sum(array.nbytes for array in self.inputs.values())


class Controls:
    """Those of a UNet, by the keys of `contract.controls`. For one thread's use.

    The least recently used ControlNets are forgotten beyond `capacity_bytes`, see `forget`.
    """

    def __init__(
        self,
        unet: Engine,
        component: Component,
        engine: str,
        settings: EngineSettings,
        capacity_bytes: int,
        files: Fingerprint | None = None,
    ) -> None:
        """`component` is the UNet's, and `files` what it was opened from."""
        self._unet, self._component, self._files = unet, component, files
        self._engine, self._settings = engine, settings
        self._capacity_bytes = capacity_bytes
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="controlnet")
        self._nets: dict[ControlNet, LoadedNet] = {}
        self._held: OrderedDict[bytes, Future[Control]] = OrderedDict()

    def require(self, keys: Sequence[bytes], contents: Sequence[bytes], images: Sequence[bytes]) -> list[Control]:
        """One for each key; `contents` and `images` say of a key what it is, or are empty.

        ControlLostError if one is not held and nothing says what it is; ControlPreparingError while one is being
        prepared, the others meanwhile too; what is wrong with a ControlNet as it is loaded.
        """
        begun = [self._begin(*each) for each in zip(keys, contents, images, strict=True) if each[0] not in self._held]
        wait(begun, _PATIENCE_S)
        held = [self._held[key] for key in keys]
        for key, future in zip(keys, held, strict=True):
            self._held.move_to_end(key)
            if future.done() and (error := future.exception()):
                del self._held[key]
                raise error
        controls = [future.result() for future in held if future.done()]
        for control in controls:
            control.loaded.used_s = time.monotonic()
        if len(controls) < len(held):
            raise ControlPreparingError("a ControlNet is being prepared")
        return controls

    def _begin(self, key: bytes, content: bytes, image: bytes) -> Future[Control]:
        if not content:
            raise ControlLostError(f"control {key.hex()} is not held here; send its ControlNet and its picture again")
        if control_key(content, image) != key:
            raise invalid("control_keys", "is not the key of what came with it")
        try:
            told = ControlContent.decoded(content)
        except ValueError as error:
            raise invalid("controlnets", str(error)) from error
        pictures, channels = max(1, len(told.looks)), 4 if told.has_mask else 3
        if pictures * told.width * told.height * channels != len(image):
            problem = f"has {len(image)} bytes, must be {pictures} x {told.width} x {told.height} x {channels}"
            raise invalid("control_images", problem)
        self._held[key] = self._worker.submit(self._prepare, told, image)
        return self._held[key]

    def engine(self, number: int) -> Engine | None:
        """What computes the residuals of a loaded one; None of a T2I-Adapter."""
        nets = list(self._nets.values())  # at once, for the worker may bring another
        return next(loaded.residuals for loaded in nets if loaded.number == number)

    def forget(self) -> None:
        """Drops what is beyond the limits, the least recently used first; between two batches."""
        now = time.monotonic()
        nets = sorted(self._nets.items(), key=lambda item: item[1].used_s)
        excess = sum(loaded.size_bytes for _, loaded in nets) - self._capacity_bytes
        for net, loaded in nets:
            if excess <= 0 or now - loaded.used_s < _IN_USE_S:
                break
            del self._nets[net]
            excess -= loaded.size_bytes
        size = sum(control.size_bytes for control in map(_made, self._held.values()) if control)
        for key in [key for key, future in self._held.items() if future.done()]:
            control = _made(self._held[key])
            is_gone = control is not None and self._nets.get(control.net) is not control.loaded
            if is_gone or size > _MOST_HINT_BYTES or len(self._held) > _MOST_HINTS:
                del self._held[key]
                size -= control.size_bytes if control else 0

    def close(self) -> None:
        """Prepares nothing any more."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _prepare(self, told: ControlContent, image: bytes) -> Control:
        self._unet.prepare_residuals(told.tiling)  # first, for an engine may say that it cannot
        loaded = self._nets.get(told.net) or self._load(told.net)
        looks, types = _looks(told, loaded.types)
        inputs = {"image": pixels_of(told, image, is_grey=loaded.is_grey), **looks}
        outputs = loaded.hint.infer_kept(inputs, told.tiling)
        loaded.used_s = time.monotonic()
        return Control(told.net, loaded, {**{name: array.sum(axis=0) for name, array in outputs.items()}, **types})

    def _load(self, net: ControlNet) -> LoadedNet:
        checkpoint = open_in_time(path_from_text(net.path), net.variant)
        fingerprint = Fingerprint.from_text(net.fingerprint) if net.fingerprint else None
        if fingerprint:
            fingerprint.check(checkpoint.source.states)
        parts = checkpoint.components
        if not controls(parts):
            raise invalid("controlnets", f"{net.path} is {checkpoint.family.title}, and no ControlNet")
        if problem := control_misfit(parts, self._component.architecture):
            raise invalid("controlnets", f"{net.path} {problem}")
        own = self._component.latent_size  # an engine may be built for sizes, and those are the UNet's
        parts = {name: replace(part, latent_size=own) for name, part in parts.items()}
        load = self._load_adapter if T2I_ADAPTER in parts else self._load_net
        loaded = load(parts, checkpoint.weights_bytes)
        if fingerprint:
            fingerprint.check()
        self._nets[net] = loaded
        return loaded

    def _load_adapter(self, parts: Mapping[str, Component], weights_bytes: int) -> LoadedNet:
        adapter = parts[T2I_ADAPTER]
        is_grey = adapter.architecture.config["in_channels"] == 1
        return LoadedNet(None, load_engine(self._engine, adapter, self._settings), weights_bytes, is_grey=is_grey)

    def _load_net(self, parts: Mapping[str, Component], weights_bytes: int) -> LoadedNet:
        residuals, size_bytes = self._load_residuals(parts[CONTROLNET])
        hint = load_engine(self._engine, parts[CONTROLNET_HINT], self._settings)
        types = len(union_types(parts[CONTROLNET].architecture))
        return LoadedNet(residuals, hint, weights_bytes + size_bytes, types)

    def _load_residuals(self, component: Component) -> tuple[Engine, int]:
        """Its engine, and the bytes of what was made for it: a control-LoRA's weights are sums with the UNet's own."""
        if not component.factors:
            return load_engine(self._engine, component, self._settings), 0
        component = component.over(self._component)
        maps = map_files(component)
        if self._files:
            self._files.check()
        engine, arrays = load_engine(self._engine, component, self._settings), merged(component, maps)
        engine.refit(arrays)
        return engine, sum(array.nbytes for array in arrays.values())


def pixels_of(told: ControlContent, image: bytes, *, is_grey: bool = False) -> Array:
    """As diffusers' pipelines give it to a ControlNet: from 8 bits to [0, 1]. Grey is that of Pillow's "L".

    What is hidden is -1, as ControlNets for inpainting were taught it.
    """
    pixels = np.frombuffer(image, np.uint8).reshape(-1, told.height, told.width, 4 if told.has_mask else 3)
    colours: Array = pixels[..., :3]
    if is_grey:
        colours = ((colours @ _GREY + 0x8000) >> 16)[..., None]
    values = np.ascontiguousarray(colours.transpose(0, 3, 1, 2)).astype(np.float32) / np.float32(255)
    return np.where(pixels[:, None, ..., 3] > 0, np.float32(-1), values) if told.has_mask else values


def _looks(told: ControlContent, count: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """What a union that knows so many types is told with its pictures, and in every step; nothing of any other."""
    numbers = [look.control_type for look in told.looks]
    if bool(numbers) != bool(count) or not all(0 <= number < count for number in numbers):
        raise invalid("controlnets", f"{told.net.path} knows {count} types, and is to look at {numbers}")
    if not count:
        return {}, {}
    types = np.zeros(count, np.float32)
    types[numbers] = 1
    shares = np.array([look.share for look in told.looks], np.float32)
    return {"control_type": np.array(numbers, np.int64), "share": shares}, {"control_types": types}


def _made(future: Future[Control]) -> Control | None:
    is_made = future.done() and not future.cancelled() and future.exception() is None
    return future.result() if is_made else None
