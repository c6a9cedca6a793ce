"""Hands and faces of drawn maps: found where a body has them, seen by a network, and drawn where they are."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from tests.orchestrator.pixels import poses
from tests.orchestrator.pixels.looking import looked
from tests.orchestrator.pixels.test_preprocessors import drawn
from triptych.errors import FailedPreconditionError
from triptych_orchestrator.pixels.preprocessors.pose import FACE, HAND, OpenPose
from triptych_orchestrator.pixels.preprocessors.pose.drawing import drawn as people_drawn
from triptych_orchestrator.pixels.preprocessors.pose.parts import (
    Square,
    face_of,
    face_square,
    hand_of,
    hand_squares,
)
from triptych_orchestrator.pixels.preprocessors.pose.person import Person

SIZE = (512, 512)
# Across and down in a hand's own box of 1 x 1.
WRIST, THUMB = (0.5, 0.9), (0.2, 0.5)
BLUE, WHITE = (0, 0, 255), (255, 255, 255)


def spots(places: Sequence[tuple[float, float]], count: int, side: int, wide: float = 0.03) -> np.ndarray:
    """[count, side, side], of which the first maps have a spot each."""
    down, across = (np.mgrid[:side, :side] + 0.5) / side
    maps = np.zeros((count, side, side), np.float32)
    for plane, (x, y) in zip(maps, places, strict=False):
        plane[:] = np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * wide**2))
    return maps


def hand(image: np.ndarray) -> np.ndarray:
    return spots([WRIST, THUMB], 22, image.shape[1] // 8)


def test_hands_are_beyond_the_wrists() -> None:
    """OpenPose's own: 0.33 of a forearm beyond, 1.5 forearms large, or 1.35 upper arms."""
    arm = {5: (100.0, 100.0), 6: (100.0, 150.0), 7: (100.0, 250.0)}
    assert hand_squares(arm, SIZE) == [Square(25, 208, 150)]
    longer = arm | {6: (100.0, 230.0)}
    assert hand_squares(longer, SIZE) == [Square(12, 168, 175)]
    both = arm | {2: (300.0, 100.0), 3: (300.0, 150.0), 4: (300.0, 250.0)}
    assert hand_squares(both, SIZE) == [Square(25, 208, 150), Square(225, 208, 150)]


def test_hands_at_the_border_are_cut_and_small_ones_left_out() -> None:
    arm = {2: (480.0, 300.0), 3: (480.0, 350.0), 4: (480.0, 450.0)}
    assert hand_squares(arm, SIZE) == [Square(405, 408, 104)]
    assert hand_squares({2: (5.0, 5.0), 3: (5.0, 10.0), 4: (5.0, 18.0)}, SIZE) == []
    assert hand_squares({3: (480.0, 350.0), 4: (480.0, 450.0)}, SIZE) == []


def test_a_face_is_around_the_nose() -> None:
    assert face_square({0: (100.0, 100.0), 14: (90.0, 92.0)}, SIZE) == Square(70, 70, 60)
    assert face_square({0: (100.0, 100.0), 14: (90.0, 92.0), 17: (130.0, 100.0)}, SIZE) == Square(55, 55, 90)
    assert face_square({0: (500.0, 100.0), 14: (490.0, 92.0)}, SIZE) == Square(470, 70, 60)  # beyond the border
    assert face_square({0: (100.0, 300.0), 17: (0.0, 300.0)}, (110, 512)) == Square(0, 150, 110)
    assert face_square({0: (100.0, 100.0)}, SIZE) is None and face_square({14: (90.0, 92.0)}, SIZE) is None
    assert face_square({0: (100.0, 100.0), 14: (98.0, 98.0)}, SIZE) is None


@pytest.mark.parametrize("own", [(0, 0), (368, 368)])
def test_a_hands_joints_are_where_its_maps_are_highest(own: tuple[int, int]) -> None:
    """Of four sizes, or of the one that a file takes; the picture is smoothed, and stretched to a square."""
    pixels, given = drawn(120, 90), []

    def network(image: np.ndarray) -> np.ndarray:
        given.append(image)
        return hand(image)

    places = looked(hand_of(HAND, pixels), {"openpose_hand": network}, own)
    assert [image.shape[1] for image in given] == ([184, 368, 552, 736] if own == (0, 0) else [368] * 4)
    smooth = cv2.GaussianBlur(pixels, (0, 0), 0.8)
    kind = cv2.INTER_LANCZOS4
    wanted = cv2.resize(smooth, given[0].shape[1:], interpolation=kind)[..., ::-1].transpose(2, 0, 1) / 256 - 0.5
    np.testing.assert_allclose(given[0], wanted, atol=1e-6)
    assert places.keys() == {0, 1}
    for joint, (x, y) in enumerate((WRIST, THUMB)):
        assert np.abs(np.subtract(places[joint], (x * 120, y * 90))).max() < 2


def test_of_two_spots_the_larger_counts() -> None:
    """Though the smaller is higher."""

    def network(image: np.ndarray) -> np.ndarray:
        side = image.shape[1] // 8
        return 0.5 * spots([WRIST], 22, side, 0.1) + spots([(0.1, 0.1)], 22, side, 0.03)

    places = looked(hand_of(HAND, drawn(128, 128)), {"openpose_hand": network})
    assert np.abs(np.subtract(places[0], (64, 115))).max() < 2


def test_a_faces_landmarks_are_the_peaks_of_its_maps() -> None:
    """Whose corners' middles are the picture's; of several stages the last counts, and of it each map."""
    pixels = drawn(189, 142)  # 4 pixels across and 3 down from cell to cell
    cells = [(12.5 / 48, 20.5 / 48)] * 70 + [(40.5 / 48, 8.5 / 48)]
    maps = np.concatenate([spots([(0.9, 0.9)] * 71, 71, 48), spots(cells, 71, 48)])
    given = []

    def network(image: np.ndarray) -> np.ndarray:
        given.append(image)
        return maps

    places = looked(face_of(FACE, pixels), {"openpose_face": network})
    assert given[0].shape == (3, 384, 384)
    assert places == [(48, 60)] * 70 + [(160, 24)]


@pytest.mark.parametrize(("part", "network", "count"), [(hand_of, HAND, 22), (face_of, FACE, 71)])
def test_other_maps_are_refused(part: object, network: object, count: int) -> None:
    few = {network.name: lambda _: np.zeros((count - 1, 8, 8), np.float32)}  # type: ignore[attr-defined]
    with pytest.raises(FailedPreconditionError, match=f"_(hand|face)'s file gives {count - 1} maps, not {count}$"):
        looked(part(network, drawn(64, 64)), few)  # type: ignore[operator]


def test_whole_people_are_drawn() -> None:
    """Of each the body, both hands and the face, as far as there are networks; or the face without the body."""
    size = (256, 256)
    person = poses.standing(60, 20, 130, 220)
    networks = {
        "openpose": lambda _: poses.maps([person], (23, 23), 8 * 256 / 184),
        "openpose_hand": hand,
        "openpose_face": lambda _: spots([(0.5, 0.75)], 71, 48),
    }
    pixels = drawn(*size)
    of = {
        name: looked(look.look(pixels, 0, 0), networks)
        for name, look in {
            "body": OpenPose(),
            "face": OpenPose(face=FACE),
            "faceonly": OpenPose(face=FACE, shows_body=False),
            "full": OpenPose(hand=HAND, face=FACE),
        }.items()
    }
    near = [square.of(of["body"]) for square in hand_squares(person, size)]
    assert len(near) == 2 and not any(_has(part, BLUE) for part in near)
    assert {name: _has(ours, WHITE) for name, ours in of.items()} == {
        "body": False, "face": True, "faceonly": True, "full": True,
    }  # fmt: skip
    for name, ours in of.items():
        for square in hand_squares(person, size):
            across, down = (round(at + side * square.side) for at, side in zip(square[:2], WRIST, strict=True))
            assert _has(ours[down - 6 : down + 7, across - 6 : across + 7], BLUE) == (name == "full")
    around = face_square(person, size)
    assert around
    middle = np.argwhere((of["faceonly"] == WHITE).all(axis=2)).mean(axis=0)
    assert np.abs(middle - (around.top + 0.75 * around.side, around.left + 0.5 * around.side)).max() < 5


def _has(pixels: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((pixels == colour).all(axis=2).any())


def test_bones_and_knuckles_have_their_colours() -> None:
    """Twenty hues, a line of two pixels each, under blue joints; nothing in the first row or column."""
    hand = {joint: (20.0 + 10 * joint, 40.0 + 20 * (joint % 4)) for joint in range(21)}
    ours = people_drawn([Person({}, [hand])], (256, 128))
    assert tuple(ours[40, 20]) == BLUE
    thumb = people_drawn([Person({}, [{0: (20.0, 40.0), 1: (60.0, 40.0)}])], (256, 128))
    assert tuple(thumb[40, 40]) == (255, 0, 0) and tuple(thumb[39, 40]) == (255, 0, 0)
    finger = people_drawn([Person({}, [{0: (20.0, 40.0), 5: (60.0, 40.0)}])], (256, 128))
    assert tuple(finger[40, 40]) == (204, 255, 0)
    assert not people_drawn([Person({}, [{0: (0.5, 40.0)}], [(30.0, -4.0)])], (256, 128)).any()
