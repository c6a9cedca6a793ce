"""People, put together of limbs that share a joint."""

from __future__ import annotations

from dataclasses import dataclass, field

from triptych_orchestrator.pixels.preprocessors.pose.body import DRAWN, FIELDS, JOINTS, LIMBS, Limb
from triptych_orchestrator.pixels.preprocessors.pose.joints import Peaks, peaks
from triptych_orchestrator.pixels.preprocessors.pose.limbs import Pair, pairs
from triptych_orchestrator.pixels.preprocessors.pose.plane import Maps

_LEAST_JOINTS = 4
_LEAST_SCORE = 0.4  # for each joint
# Pixels across and down of each joint that was found.
Skeleton = dict[int, tuple[int, int]]


@dataclass
class _Person:
    """`joints` are numbers of peaks; `count` is of joints, as often as one was given."""

    joints: dict[int, int] = field(default_factory=dict)
    score: float = 0.0
    count: int = 0

    @property
    def counts(self) -> bool:
        return self.count >= _LEAST_JOINTS and self.score / self.count >= _LEAST_SCORE

    def has(self, limb: Limb, pair: Pair) -> bool:
        return self.joints.get(limb.start) == pair.start or self.joints.get(limb.end) == pair.end

    def give(self, joint: int, number: int, score: float) -> None:
        self.joints[joint] = number
        self.score += score
        self.count += 1

    def take(self, other: _Person, score: float) -> None:
        self.joints |= other.joints
        self.score += other.score + score
        self.count += other.count


def skeletons(maps: Maps) -> list[Skeleton]:
    """Of everybody of whom enough is seen."""
    joints = [peaks(maps.whole(FIELDS + joint)) for joint in range(JOINTS)]
    people: list[_Person] = []
    for limb in LIMBS:
        for pair in pairs(limb, joints[limb.start], joints[limb.end], maps):
            _put(people, limb, pair, joints)
    return [_skeleton(person, joints) for person in people if person.counts]


def _put(people: list[_Person], limb: Limb, pair: Pair, joints: list[Peaks]) -> None:
    """To whom it belongs; who has its end alone is left as he is, as the original has it."""
    end_score = float(joints[limb.end].scores[pair.end])
    owners = [person for person in people if person.has(limb, pair)][:2]
    if len(owners) == 2 and owners[0].joints.keys().isdisjoint(owners[1].joints):
        owners[0].take(owners[1], pair.score)
        people[:] = [person for person in people if person is not owners[1]]
    elif owners:
        if len(owners) == 2 or owners[0].joints.get(limb.end) != pair.end:
            owners[0].give(limb.end, pair.end, end_score + pair.score)
    elif limb in DRAWN:
        person = _Person()
        person.give(limb.start, pair.start, float(joints[limb.start].scores[pair.start]))
        person.give(limb.end, pair.end, end_score + pair.score)
        people.append(person)


def _skeleton(person: _Person, joints: list[Peaks]) -> Skeleton:
    return {
        joint: (int(joints[joint].across[number]), int(joints[joint].down[number]))
        for joint, number in person.joints.items()
    }
