"""From the names that a request asks for to the files and weights that its stages get."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from triptych.checkpoint import Component
from triptych.checkpoint.identity.digests import tensors_digest
from triptych.checkpoint.reading import Readers
from triptych.contract import LORA_MODELS, UNET, LoraWeight
from triptych.errors import CheckpointInvalidError, LoraBrokenError, LoraInvalidError, TriptychError, invalid
from triptych.lora import LoraFile, match_lora
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.library.loras.registry import Lora, LoraRegistry, broken
from triptych_orchestrator.settings import Limits
from triptych_orchestrator.text.lora_tags import AskedLora, check_weight, has_tags, other_tags, take_tags

logger = logging.getLogger("triptych.loras")

_REMEMBERED_FITS = 256
# Of files that are read and matched at a time: hundreds of layers by many names, which is work.
_MOST_READERS = 2
_SHOWN_KEYS = 3
_LONGEST_KEY = 120


class LoraContent(NamedTuple):
    """The SHA-256 of a file, and of its tensors alone, by which A1111 knows it."""

    digest: str
    tensors_digest: str


@dataclass(frozen=True)
class LoraChoice:
    """What a request asks for, and once it is looked up what each model gets, both in the request's order.

    `sets` are by the contract's model names; a model that no LoRA changes has none. `refiner_sets` are those of
    a second checkpoint. `content` is what each name stands for.
    """

    names: tuple[AskedLora, ...] = ()
    sets: Mapping[str, tuple[LoraWeight, ...]] = field(default_factory=dict)
    refiner_sets: Mapping[str, tuple[LoraWeight, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    content: Mapping[str, LoraContent] = field(default_factory=dict)

    def of(self, model: str) -> tuple[LoraWeight, ...]:
        """The set of one model."""
        return self.sets.get(model, ())


@dataclass(frozen=True)
class LoraUse:
    """One LoRA of a request's field; the text encoder's weight is the UNet's where it is not said."""

    name: str
    weight: float = 1.0
    text_encoder_weight: float | None = None


def asked_loras(
    prompt: str, others: Mapping[str, str], uses: Sequence[LoraUse], limits: Limits
) -> tuple[str, LoraChoice]:
    """The prompt without its tags, and what field and tags ask for, checked but not looked up.

    `others` are the request's other prompts by their fields, in which tags mean nothing.
    """
    prompt, tagged = take_tags(prompt)
    for where, count in (("loras", len(uses)), ("prompt", len(uses) + len(tagged))):
        if count > limits.max_loras:
            raise invalid(where, f"{count} LoRAs are more than the {limits.max_loras} that this server allows")
    warnings = [
        f"LoRA tags are read in the prompt only, not in {name}" for name, text in others.items() if has_tags(text)
    ]
    warnings += [f"{tag} is no tag that is known; it is read as text" for tag in other_tags(prompt)[:_SHOWN_KEYS]]
    return prompt, LoraChoice(names=(*map(_asked, uses), *tagged), warnings=tuple(warnings))


@dataclass(frozen=True)
class _Fit:
    """What a request needs to know of how a file fits a checkpoint."""

    models: frozenset[str]
    left_over: str
    says_alpha: bool


class LoraChooser:
    """Looks up names, and how their files fit a checkpoint; remembers the latter."""

    def __init__(self, registry: LoraRegistry) -> None:
        self._registry = registry
        self._tensors: dict[str, str] = {}
        self._fits: OrderedDict[tuple[str, int, int], _Fit] = OrderedDict()
        self._readers = Readers(_MOST_READERS)

    @asynccontextmanager
    async def choose(self, asked: LoraChoice, entry: Entry, refiner: Entry | None = None) -> AsyncIterator[LoraChoice]:
        """The choice made; its files stay where they are until the end of the context.

        Of a checkpoint and its refiner each takes what fits it. What a stage says of a file in the context is said
        again in the names that the caller knows.

        Raises:
            NotFoundError: a name is not known.
            LoraBrokenError: a file is gone or was changed.
            LoraInvalidError: a file fits nothing in any checkpoint, or its numbers are absurd.
        """
        with ExitStack() as held:
            loras = [self._registry.get(each.name) for each in asked.names]
            for lora in loras:
                held.enter_context(self._registry.hold(lora))
            content = {each.name: await self._content(lora) for each, lora in zip(asked.names, loras, strict=True)}
            choice = replace(asked, content=content)
            for each, lora in zip(asked.names, loras, strict=True):
                fits = await self._fits_of(lora, [entry, *([refiner] if refiner else [])])
                choice = _with(choice, each, lora, fits, refiner.name if refiner else "")
            try:
                yield choice
            except (LoraBrokenError, LoraInvalidError) as error:
                for lora in loras:  # whose tensors may have been hashed when they were others'
                    self._tensors.pop(lora.digest, None)
                if (told := await self._told(error, loras)) is None:
                    raise
                raise told from error

    async def _content(self, lora: Lora) -> LoraContent:
        if lora.digest not in self._tensors:
            await asyncio.to_thread(self._registry.check, lora)
            try:
                self._tensors[lora.digest] = await asyncio.to_thread(tensors_digest, lora.path)
            except (OSError, CheckpointInvalidError) as error:
                raise broken(lora, f"its file cannot be read: {error}") from error
        return LoraContent(lora.digest, self._tensors[lora.digest])

    async def _fits_of(self, lora: Lora, entries: Sequence[Entry]) -> dict[str, _Fit | None]:
        """By the names of the checkpoints, None where it does not fit; LoraInvalidError where it fits none."""
        fits: dict[str, _Fit | None] = {}
        unfit: list[LoraInvalidError] = []
        for entry in entries:
            try:
                fits[entry.name] = await self._fit(lora, entry)
            except LoraInvalidError as error:
                fits[entry.name] = None
                unfit.append(error)
        if not any(fits.values()):
            raise unfit[0]
        return fits

    async def _fit(self, lora: Lora, entry: Entry) -> _Fit:
        await asyncio.to_thread(self._registry.check, lora)
        key = (lora.digest, entry.number, entry.loads)
        if key not in self._fits:
            components = entry.opened.components
            reading = self._readers.submit(lambda: self._fits.get(key) or self._read_fit(lora, components))
            try:
                self._fits[key] = await asyncio.wrap_future(reading)
            except LoraInvalidError as error:
                raise _unfit(error, lora, entry) from error
        self._fits.move_to_end(key)
        fit = self._fits[key]
        while len(self._fits) > _REMEMBERED_FITS:
            self._fits.popitem(last=False)
        return fit

    def _read_fit(self, lora: Lora, components: Mapping[str, Component]) -> _Fit:
        """In a reader's thread; another request's may have read it meanwhile."""
        return _fit_of(self._registry.open(lora), components)

    async def _told(self, error: LoraBrokenError | LoraInvalidError, loras: Sequence[Lora]) -> TriptychError | None:
        """A stage's error about one of the files, without the path that only the server knows; None if about none."""
        lora = next((lora for lora in loras if str(lora.path) in error.message), None)
        if lora is None:
            return None
        if isinstance(error, LoraInvalidError):
            return LoraInvalidError(f"loras: {_without_path(error, lora)}", field="loras", file=lora.name)
        try:
            await self._registry.verify(lora)
        except LoraBrokenError as found:
            return found
        logger.error("a stage lacks a lora that is here", extra={"lora": lora.name, "error": error.message})
        return broken(lora, "a stage does not see its file, which must lie under the same path everywhere")


def _fit_of(file: LoraFile, components: Mapping[str, Component]) -> _Fit:
    match = match_lora(file, components)
    left_over = ""
    if keys := match.left_over:
        shown = ", ".join(key[:_LONGEST_KEY] for key in keys[:_SHOWN_KEYS])
        more = ", ..." if len(keys) > _SHOWN_KEYS else ""
        left_over = f"{len(keys)} of its {len(file.modules) + len(file.unknown)} keys fit nothing here: {shown}{more}"
    # PEFT keeps alpha in a second file, which may have been left behind.
    says_alpha = file.format != "peft" or any(module.alpha is not None for module in file.modules)
    return _Fit(frozenset(model for model, targets in match.targets.items() if targets), left_over, says_alpha)


def _asked(use: LoraUse) -> AskedLora:
    text_encoder_weight = use.weight if use.text_encoder_weight is None else use.text_encoder_weight
    weights = (check_weight("loras", use.name, each) for each in (use.weight, text_encoder_weight))
    return AskedLora(use.name, *weights)


def _without_path(error: LoraInvalidError, lora: Lora) -> str:
    return error.message.replace(str(lora.path), repr(lora.name))


def _unfit(error: LoraInvalidError, lora: Lora, entry: Entry) -> LoraInvalidError:
    """The error in names that the caller knows."""
    problem = _without_path(error, lora).removeprefix(f"{lora.name!r}: ")
    message = f"loras: {lora.name!r} does not fit the checkpoint {entry.name!r}: {problem}"
    return LoraInvalidError(message, field="loras", file=lora.name)


def _with(
    choice: LoraChoice, asked: AskedLora, lora: Lora, fits: Mapping[str, _Fit | None], refiner: str
) -> LoraChoice:
    """The choice and one LoRA more, for those models that it changes of the checkpoint and of its refiner.

    `fits` are by name, the checkpoint's first; it may be its own refiner.
    """
    first, *_ = added = [_weights(asked, lora, fit) for fit in fits.values()]
    refining = _weights(asked, lora, fits[refiner]) if refiner else {}
    warnings = [warning for name, fit in fits.items() for warning in _warnings(lora, fit, name)]
    if not any(added) and any(asked[1:]):
        warnings.append(f"lora {asked.name!r} changes nothing: what it would change has the weight 0")
    return replace(
        choice,
        sets=_joined(choice.sets, first),
        refiner_sets=_joined(choice.refiner_sets, refining),
        # The same name may come twice.
        warnings=tuple(dict.fromkeys([*choice.warnings, *warnings])),
    )


def _weights(asked: AskedLora, lora: Lora, fit: _Fit | None) -> dict[str, tuple[LoraWeight, ...]]:
    weights = {
        model: asked.unet_weight if model == UNET.name else asked.text_encoder_weight
        for model in LORA_MODELS
        if fit and model in fit.models
    }
    return {model: (LoraWeight(lora.digest, str(lora.path), each),) for model, each in weights.items() if each}


def _joined(
    sets: Mapping[str, tuple[LoraWeight, ...]], added: Mapping[str, tuple[LoraWeight, ...]]
) -> dict[str, tuple[LoraWeight, ...]]:
    return {**sets, **{model: sets.get(model, ()) + more for model, more in added.items()}}


def _warnings(lora: Lora, fit: _Fit | None, checkpoint: str) -> Iterator[str]:
    if fit is None:
        yield f"lora {lora.name!r} does not fit the checkpoint {checkpoint!r} and changes nothing there"
        return
    if fit.left_over:
        yield f"lora {lora.name!r}: {fit.left_over}"
    if not fit.says_alpha:
        yield f"lora {lora.name!r} says nothing of its alpha; alpha = rank was taken"
