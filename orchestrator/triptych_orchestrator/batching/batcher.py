"""Merges the steps of concurrent requests into one call of a UNet replica.

batcher = StepBatcher(call, BatchProfile(max_samples=16))
batcher.join(signature); outputs = await batcher.run(signature, tensors, Ticket("request-7")); batcher.leave(signature)

Loops that run side by side drift apart: while one's step runs, the other's waits, and they alternate for ever. So a
wave starts when every member's step is there, or when `linger_s` have passed since the last of them came and since the
group's last wave ended, whose members are on their way back; a request alone never waits. The next group's wave is
sent while one runs, so that the engine does not wait for the network.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from triptych.contract import Report
from triptych.errors import UnavailableError
from triptych_orchestrator.batching.profile import BatchProfile
from triptych_orchestrator.batching.signature import Signature
from triptych_orchestrator.stages.lora_sets import LORA_CONTENT
from triptych_orchestrator.stages.triton import Tensors

# Sends one batch; the second argument names the requests in it, for the stage's log.
Call = Callable[[Tensors, str], Awaitable[Tensors]]

_LINGER_S = 0.005
_WAVES_AT_ONCE = 2
# Exchanging weights may cost this share of an engine's time, and a set that waits for its turn waits no longer.
_REFIT_SHARE = 0.05
_LONGEST_TURN_S = 2.0


@dataclass(frozen=True)
class Ticket:
    """Whose step it is; among waves that could go, the highest priority does, then the earliest deadline."""

    request_id: str
    priority: int = 0
    deadline_s: float = math.inf


@dataclass(eq=False)
class _Step:
    tensors: Tensors
    ticket: Ticket
    arrived_s: float
    answer: asyncio.Future[Tensors]

    @property
    def samples(self) -> int:
        return len(self.tensors["latents"])


@dataclass(eq=False)
class _Members:
    """A group is all that has one signature: its loops, the steps that wait, batches of a wave under way, and when the
    last wave ended.
    """

    count: int = 0
    waiting: list[_Step] = field(default_factory=list)
    batches: int = 0
    ended_s: float = 0.0

    @property
    def complete(self) -> bool:
        return len(self.waiting) >= self.count

    def urgency(self) -> tuple[float, float, float]:
        """Smaller goes first."""
        tickets = [step.ticket for step in self.waiting]
        return -max(t.priority for t in tickets), min(t.deadline_s for t in tickets), self.waiting[0].arrived_s


class StepBatcher:
    """All steps of one model on one replica."""

    def __init__(self, call: Call, profile: BatchProfile, linger_s: float = _LINGER_S) -> None:
        self._call = call
        self._linger_s = linger_s
        self._groups: dict[Signature, _Members] = {}
        self._running = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = _Turn()
        self.profile = profile

    @property
    def idle(self) -> bool:
        """Whether nobody is in a loop here."""
        return not any(members.count for members in self._groups.values())

    def join(self, group: Signature) -> None:
        """A request's loop is about to send steps."""
        self._groups.setdefault(group, _Members()).count += 1

    def leave(self, group: Signature) -> None:
        """That loop is over, or sends its steps elsewhere from now on."""
        self._groups[group].count -= 1
        self._tidy(group)
        self._consider()

    async def run(self, group: Signature, tensors: Tensors, ticket: Ticket) -> Tensors:
        """One step's share of a batch's outputs; what the call raises, every step of the batch raises."""
        members = self._groups[group]
        loop = asyncio.get_running_loop()
        step = _Step(tensors, ticket, loop.time(), loop.create_future())
        members.waiting.append(step)
        self._consider()
        try:
            return await step.answer
        finally:
            if step in members.waiting:  # cancelled before its wave
                members.waiting.remove(step)
                self._consider()

    def _consider(self) -> None:
        """Starts what can start, and wakes again when the next could."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._running < _WAVES_AT_ONCE and (group := self._next(now)) is not None:
            self._start(group, now)
        due_s = min((self._due_s(group) for group in self._candidates()), default=math.inf)
        if self._running < _WAVES_AT_ONCE and due_s < math.inf:
            self._timer = loop.call_at(max(due_s, now), self._consider)

    def _next(self, now: float) -> Signature | None:
        ready = [group for group in self._candidates() if self._due_s(group) <= now]
        return min(ready, key=lambda group: self._groups[group].urgency(), default=None)

    def _candidates(self) -> list[Signature]:
        return [group for group, members in self._groups.items() if members.waiting and not members.batches]

    def _due_s(self, group: Signature) -> float:
        """When the group's wave may start at the latest: when it is complete and its LoRA set's turn has come."""
        members = self._groups[group]
        due_s = 0.0 if members.complete else max(members.waiting[-1].arrived_s, members.ended_s) + self._linger_s
        others = any(m.count and g.lora_key == self._turn.lora_key for g, m in self._groups.items())
        return max(due_s, self._turn.ends_s) if others and group.lora_key != self._turn.lora_key else due_s

    def _start(self, group: Signature, now: float) -> None:
        members = self._groups[group]
        wave, members.waiting = members.waiting, []
        self._running += 1
        self._turn.take(group.lora_key, now)
        batches = _batches(wave, self.profile.cap(group.kind))
        members.batches = len(batches)
        for batch in batches:
            task = asyncio.create_task(self._send(group, batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send(self, group: Signature, batch: Sequence[_Step]) -> None:
        members = self._groups[group]
        try:
            await self._answer(group, batch)
        except asyncio.CancelledError:
            _fail(batch, UnavailableError("the server is stopping"))
            raise
        except Exception as error:  # every step's own: its request decides what to do about it
            _fail(batch, error)
        finally:
            members.batches -= 1
            if not members.batches:
                members.ended_s = asyncio.get_running_loop().time()
                self._running -= 1
                self._tidy(group)
                self._consider()

    async def _answer(self, group: Signature, batch: Sequence[_Step]) -> None:
        ids = ",".join(dict.fromkeys(step.ticket.request_id for step in batch))
        outputs = await self._call(_merged(batch), ids)
        report = Report.of(outputs)
        self.profile.observe(group.kind, int(report.batch_samples), report.engine_seconds)
        self._turn.observe(report.refit_seconds)
        starts = itertools.accumulate((step.samples for step in batch), initial=0)
        for step, start in zip(batch, starts, strict=False):
            if not step.answer.done():
                rows = slice(start, start + step.samples)
                step.answer.set_result({name: array[rows] for name, array in outputs.items()})

    def _tidy(self, group: Signature) -> None:
        members = self._groups[group]
        if not (members.count or members.waiting or members.batches):
            del self._groups[group]


class _Turn:
    """Which LoRA set has the engine, and until when other sets wait, as long as it still has loops.

    The turn is as long as makes an exchange worth its cost; where that is next to nothing, sets alternate freely.
    """

    def __init__(self) -> None:
        self.lora_key = b""
        self.ends_s = 0.0
        self._refit_s = 0.0

    def take(self, lora_key: bytes, now: float) -> None:
        """A wave with this set starts."""
        if lora_key != self.lora_key:
            self.lora_key = lora_key
            self.ends_s = now + min(_LONGEST_TURN_S, self._refit_s / _REFIT_SHARE)

    def observe(self, refit_seconds: float) -> None:
        """An exchange took so long; 0 means that there was none."""
        if refit_seconds:
            self._refit_s = refit_seconds


def _fail(batch: Sequence[_Step], error: Exception) -> None:
    for step in batch:
        if not step.answer.done():
            step.answer.set_exception(error)


def _batches(wave: Sequence[_Step], cap: int) -> list[list[_Step]]:
    """Steps that bring the same inputs, together up to `cap` samples; a larger step goes alone."""
    kinds: dict[Hashable, list[list[_Step]]] = {}
    for step in wave:
        batches = kinds.setdefault(frozenset(step.tensors.keys() - {LORA_CONTENT}), [])
        if not batches or sum(other.samples for other in batches[-1]) + step.samples > cap:
            batches.append([])
        batches[-1].append(step)
    return [batch for batches in kinds.values() for batch in batches]


def _merged(batch: Sequence[_Step]) -> Tensors:
    """All steps' tensors one after the other; a LoRA set that one of them brings along serves them all."""
    if len(batch) == 1:
        return batch[0].tensors
    names = [name for name in batch[0].tensors if name != LORA_CONTENT]
    merged = {name: np.concatenate([step.tensors[name] for step in batch]) for name in names}
    contents = [step.tensors[LORA_CONTENT].flat[0] for step in batch if LORA_CONTENT in step.tensors]
    if contents:
        merged[LORA_CONTENT] = np.full((len(merged["latents"]), 1), b"", np.object_)
        merged[LORA_CONTENT][0, 0] = contents[0]
    return merged
