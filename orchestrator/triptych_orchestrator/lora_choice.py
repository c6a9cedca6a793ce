"""From the names that a request asks for to the files and weights that its stages get."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from triptych.contract import ENCODER, UNET, LoraWeight
from triptych.errors import LoraInvalidError, invalid
from triptych.lora import Match, match_lora
from triptych.v1 import generation_pb2 as pb
from triptych_orchestrator.catalog import Entry
from triptych_orchestrator.lora_tags import AskedLora, check_weight, has_tags, take_tags
from triptych_orchestrator.loras import Lora, LoraRegistry
from triptych_orchestrator.settings import Limits

_REMEMBERED_MATCHES = 256
_SHOWN_KEYS = 3
_LONGEST_KEY = 120


@dataclass(frozen=True)
class LoraChoice:
    """What a request asks for, and once it is looked up what each stage's model gets, both in the request's order."""

    names: tuple[AskedLora, ...] = ()
    unet: tuple[LoraWeight, ...] = ()
    encoder: tuple[LoraWeight, ...] = ()
    warnings: tuple[str, ...] = ()


def asked_loras(request: pb.GenerateRequest, limits: Limits) -> tuple[str, LoraChoice]:
    """The prompt without its tags, and what field and tags ask for, checked but not looked up."""
    prompt, tagged = take_tags(request.prompt)
    for field, count in (("loras", len(request.loras)), ("prompt", len(request.loras) + len(tagged))):
        if count > limits.max_loras:
            raise invalid(field, f"{count} LoRAs are more than the {limits.max_loras} that this server allows")
    warnings = ["LoRA tags are read in the prompt only, not in the negative prompt"]
    return prompt, LoraChoice(
        names=(*map(_asked, request.loras), *tagged),
        warnings=tuple(warnings if has_tags(request.negative_prompt) else ()),
    )


class LoraChooser:
    """Looks up names, and how their files fit a checkpoint; remembers the latter."""

    def __init__(self, registry: LoraRegistry) -> None:
        self._registry = registry
        self._matches: OrderedDict[tuple[str, Entry, int], Match] = OrderedDict()

    @asynccontextmanager
    async def choose(self, asked: LoraChoice, entry: Entry) -> AsyncIterator[LoraChoice]:
        """The choice made; its files stay where they are until the end of the context.

        Raises:
            NotFoundError: a name is not known.
            LoraInvalidError: a file fits nothing in the checkpoint.
        """
        with ExitStack() as held:
            loras = [self._registry.get(each.name) for each in asked.names]
            for lora in loras:
                held.enter_context(self._registry.hold(lora))
            choice = asked
            for each, lora in zip(asked.names, loras, strict=True):
                choice = _with(choice, each, lora, await self._match(lora, entry))
            yield choice

    async def _match(self, lora: Lora, entry: Entry) -> Match:
        if entry.checkpoint is None:
            raise RuntimeError(f"checkpoint {entry.name} is in use but not open")
        key = (lora.digest, entry, entry.loads)
        if key not in self._matches:
            try:
                match = await asyncio.to_thread(match_lora, lora.file, entry.checkpoint.components)
            except LoraInvalidError as error:
                raise _unfit(error, lora, entry) from error
            self._matches[key] = match
        self._matches.move_to_end(key)
        while len(self._matches) > _REMEMBERED_MATCHES:
            self._matches.popitem(last=False)
        return self._matches[key]


def _asked(use: pb.LoraUse) -> AskedLora:
    weight = use.weight if use.HasField("weight") else 1.0
    text_encoder_weight = use.text_encoder_weight if use.HasField("text_encoder_weight") else weight
    weights = (check_weight("loras", use.name, each) for each in (weight, text_encoder_weight))
    return AskedLora(use.name, *weights)


def _unfit(error: LoraInvalidError, lora: Lora, entry: Entry) -> LoraInvalidError:
    """The error in names that the caller knows."""
    problem = error.message.removeprefix(f"{lora.path}: ")
    message = f"loras: {lora.name!r} does not fit the checkpoint {entry.name!r}: {problem}"
    return LoraInvalidError(message, field="loras", file=lora.name)


def _with(choice: LoraChoice, asked: AskedLora, lora: Lora, match: Match) -> LoraChoice:
    """The choice and one LoRA more, for those models that it changes."""

    def weights(model: str, weight: float) -> tuple[LoraWeight, ...]:
        used = weight != 0 and match.targets.get(model)
        return (LoraWeight(lora.digest, str(lora.path), weight),) if used else ()

    unet, encoder = weights(UNET.name, asked.unet_weight), weights(ENCODER.name, asked.text_encoder_weight)
    warnings = [*_left_over(lora, match), *_without_alpha(lora)]
    if not (unet or encoder) and any(asked[1:]):
        warnings.append(f"lora {asked.name!r} changes nothing: what it would change has the weight 0")
    return replace(
        choice,
        unet=choice.unet + unet,
        encoder=choice.encoder + encoder,
        # The same name may come twice.
        warnings=tuple(dict.fromkeys([*choice.warnings, *warnings])),
    )


def _left_over(lora: Lora, match: Match) -> Iterator[str]:
    if keys := match.left_over:
        shown = ", ".join(key[:_LONGEST_KEY] for key in keys[:_SHOWN_KEYS])
        more = ", ..." if len(keys) > _SHOWN_KEYS else ""
        total = len(lora.file.modules) + len(lora.file.unknown)
        yield f"lora {lora.name!r}: {len(keys)} of its {total} keys fit nothing here: {shown}{more}"


def _without_alpha(lora: Lora) -> Iterator[str]:
    """PEFT keeps alpha in a second file, which may have been left behind."""
    if lora.file.format == "peft" and all(module.alpha is None for module in lora.file.modules):
        yield f"lora {lora.name!r} says nothing of its alpha; alpha = rank was taken"
