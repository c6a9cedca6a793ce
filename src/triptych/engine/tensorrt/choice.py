"""Has a plain engine made beside a refittable one, measures both once on a machine, and keeps what is worth it.

choice = PlainChoice(making, making.plan)
plain = choice.session(refittable)      # None where there is to be none; the log says why
"""

from __future__ import annotations

import logging

import torch

from triptych.contract import UNET
from triptych.engine.tensorrt.build.cache import drop_engine
from triptych.engine.tensorrt.build.making import Making
from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.engine.tensorrt.plain import (
    OVERRIDE,
    Comparison,
    Setting,
    compare,
    note_comparison,
    read_comparison,
    warm_up,
)
from triptych.engine.tensorrt.run.session import Session

PLAIN = RefitPlan.PLAIN
# Of the engine that runs: the new one and its activations, and once more its weights while it is built.
_ROOM, _ROOM_TO_BUILD = 2, 3

logger = logging.getLogger("triptych.engine")


class PlainChoice:
    """For a component whose refittable engine has that plan."""

    def __init__(self, making: Making, plan: RefitPlan) -> None:
        self._making, self._plan = making, plan
        self._forced = making.plain_setting is Setting.ALWAYS
        self._known = read_comparison(making.root, making.subject, plan)
        self._key = making.build(PLAIN).key()

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be built or measured."""
        return bool(self._against()) or (self._is_decided and self._making.is_built(PLAIN))

    def session(self, refittable: Session) -> Session | None:
        """The plain engine, warm, if it is to be used: built, compared with the reference and measured if need be."""
        making = self._making
        if against := self._against() or lack_of_room(making, PLAIN, making.size_bytes(self._plan)):
            logger.info("no plain engine: %s", against)
            return None
        plain, sample = making.session(PLAIN), making.graph.best_sample()
        if self._is_decided:
            warm_up(plain, sample, making.quiet)
        else:
            self._known = compare(plain, refittable, sample, making.quiet)
            note_comparison(making.root, making.subject, self._plan, self._known)
        if against := self._against():
            logger.info("no plain engine: %s", against)
            drop_engine(making.root, making.build(PLAIN))
            return None
        self._tell(plain, refittable)
        return plain

    @property
    def _is_decided(self) -> bool:
        return self._forced or self._known is not None

    def _against(self) -> str:
        """Why there is to be none; empty where there may be one."""
        setting, model = self._making.plain_setting, self._making.graph.component.architecture.model
        if model != UNET.name:
            return f"the {model} is no UNet, which LoRAs come to and go from between two steps"
        if self._plan is PLAIN:
            return "the engine that runs has no weight open"
        if self._forced:
            return ""
        if setting is Setting.NEVER:
            return f"{OVERRIDE} is {setting}"
        if self._plan is RefitPlan.PER_ARCHITECTURE:
            return "one engine takes all checkpoints of this architecture, and a plain one is a single checkpoint's"
        if self._known and not self._known.plain_is_quicker:
            return self._steps(self._known)
        return ""

    def _tell(self, plain: Session, refittable: Session) -> None:
        sizes = {
            f"{plan.value}_bytes": self._making.size_bytes(plan) + session.activation_bytes
            for plan, session in ((PLAIN, plain), (self._plan, refittable))
        }
        held = " and ".join(f"{size / 1e9:.2f} GB" for size in sizes.values())
        why = self._steps(self._known) if self._known else f"{OVERRIDE} is {Setting.ALWAYS}"
        text = "the plain engine %s runs what needs no LoRA: %s; the two hold %s of the GPU's memory"
        logger.info(text, self._key, why, held, extra=sizes)

    def _steps(self, known: Comparison) -> str:
        plain_ms, refittable_ms = 1000 * known.plain_s, 1000 * known.refittable_s
        other = self._making.build(self._plan).key()
        return f"a step was measured at {plain_ms:.2f} ms with {self._key} and {refittable_ms:.2f} ms with {other}"


def lack_of_room(making: Making, wanted: RefitPlan, running_bytes: int) -> str:
    """What the GPU lacks for one more engine, from the size of the one that runs; empty where there is room."""
    free_bytes, _ = torch.cuda.mem_get_info(making.device)
    needed_bytes = running_bytes * (_ROOM if making.is_built(wanted) else _ROOM_TO_BUILD)
    if free_bytes >= needed_bytes:
        return ""
    key = making.build(wanted).key()
    return f"{key} takes {needed_bytes / 1e9:.1f} GB of the GPU's memory, of which {free_bytes / 1e9:.1f} GB are free"
