"""OpenPose: the bodies of the people in a picture, and of each what a further network sees of hands and face."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from triptych_orchestrator.pixels.preprocessors.networks import Answer, Ask, Looking, Network, Pixels
from triptych_orchestrator.pixels.preprocessors.pose.drawing import drawn
from triptych_orchestrator.pixels.preprocessors.pose.network import PoseNetwork
from triptych_orchestrator.pixels.preprocessors.pose.parts import (
    PartNetwork,
    face_of,
    face_square,
    hand_of,
    hand_squares,
)
from triptych_orchestrator.pixels.preprocessors.pose.person import Person, Place, Places

_BODY = PoseNetwork("openpose")
HAND = PartNetwork("openpose_hand", side=736, count=22)
FACE = PartNetwork("openpose_face", side=384, count=71)
Parts = Generator[Ask, Answer, Person]


@dataclass(frozen=True)
class OpenPose:
    """Without a `hand` network no hands are looked for, and likewise faces."""

    hand: PartNetwork | None = None
    face: PartNetwork | None = None
    shows_body: bool = True

    @property
    def networks(self) -> tuple[Network, ...]:
        """In the order in which they look."""
        return tuple(each for each in (_BODY, self.hand, self.face) if each)

    def look(self, pixels: Pixels, _: float, __: float) -> Looking:
        """At the whole, and then at each person."""
        answer = yield Ask(_BODY, pixels)
        people: list[Person] = []
        for body in _BODY.bodies(answer.maps, pixels):
            people.append((yield from self._person(pixels, body)))
        return drawn(people, (pixels.shape[1], pixels.shape[0]))

    def _person(self, pixels: Pixels, body: Places) -> Parts:
        size = pixels.shape[1], pixels.shape[0]
        hands: list[Places] = []
        if self.hand:
            for square in hand_squares(body, size):
                hand = yield from hand_of(self.hand, square.of(pixels))
                hands.append({joint: square.outside(place) for joint, place in hand.items()})
        face: list[Place] = []
        if self.face and (around := face_square(body, size)):
            places = yield from face_of(self.face, around.of(pixels))
            face = [around.outside(place) for place in places]
        return Person(body if self.shows_body else {}, hands, face)
