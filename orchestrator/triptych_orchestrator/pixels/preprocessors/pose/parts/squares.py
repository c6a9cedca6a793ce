"""The squares of a picture in which a body's hands and face are, as OpenPose and A1111's extension have them."""

from __future__ import annotations

import math
from typing import NamedTuple

from triptych_orchestrator.pixels.preprocessors.networks import Pixels, Size
from triptych_orchestrator.pixels.preprocessors.pose.person import Place, Places

# Shoulder, elbow and wrist: the left arm, the right one.
_ARMS = (5, 6, 7), (2, 3, 4)
# Of a forearm, how far beyond the wrist a hand's middle is; of a forearm and an upper arm, how large a hand is.
_BEYOND, _OF_FOREARM, _OF_UPPER_ARM = 0.33, 1.5, 0.9 * 1.5
_NOSE = 0
# Eyes and ears, and of how far they are from the nose how far a face reaches.
_REACHES = {14: 3.0, 15: 3.0, 16: 1.5, 17: 1.5}
# Pixels; in less nothing is seen.
_LEAST = 20


class Square(NamedTuple):
    """Pixels; the picture may end in it."""

    left: int
    top: int
    side: int

    def of(self, pixels: Pixels) -> Pixels:
        """That part of the picture."""
        return pixels[self.top : self.top + self.side, self.left : self.left + self.side]

    def outside(self, place: Place) -> Place:
        """Where in the picture something of that part is."""
        return self.left + place[0], self.top + place[1]


def hand_squares(body: Places, size: Size) -> list[Square]:
    """Of whichever arms are seen whole, the left one's first."""
    found = [_hand(body, arm, size) for arm in _ARMS if all(joint in body for joint in arm)]
    return [square for square in found if square]


def face_square(body: Places, size: Size) -> Square | None:
    """Around the nose, where an eye or an ear is seen too."""
    if _NOSE not in body:
        return None
    (x, y), seen = body[_NOSE], {joint: body[joint] for joint in _REACHES if joint in body}
    reach = max(
        (_REACHES[joint] * max(abs(x - across), abs(y - down)) for joint, (across, down) in seen.items()), default=0.0
    )
    left, top = max(x - reach, 0), max(y - reach, 0)
    # A face that ends near the picture's border is let reach beyond it, as the original has it.
    ends = [extent - at if at + reach > extent else 2 * reach for at, extent in zip((left, top), size, strict=True)]
    return _square(left, top, min(ends))


def _hand(body: Places, arm: tuple[int, int, int], size: Size) -> Square | None:
    shoulder, elbow, wrist = (body[joint] for joint in arm)
    side = max(_OF_FOREARM * math.dist(elbow, wrist), _OF_UPPER_ARM * math.dist(shoulder, elbow))
    left, top = (max(end + _BEYOND * (end - before) - side / 2, 0) for before, end in zip(elbow, wrist, strict=True))
    return _square(left, top, min(side, size[0] - left, size[1] - top))


def _square(left: float, top: float, side: float) -> Square | None:
    return Square(int(left), int(top), int(side)) if side >= _LEAST else None
