"""Skeletons of drawn maps: of the people who were laid into them, where they stand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.orchestrator.pixels import poses
from tests.orchestrator.pixels.looking import looked
from tests.orchestrator.pixels.test_preprocessors import drawn
from triptych.errors import FailedPreconditionError
from triptych_orchestrator.pixels.preprocessors.networks import Pixels, Size
from triptych_orchestrator.pixels.preprocessors.pose import OpenPose
from triptych_orchestrator.pixels.preprocessors.pose.drawing import drawn as people_drawn
from triptych_orchestrator.pixels.preprocessors.pose.network import PoseNetwork
from triptych_orchestrator.pixels.preprocessors.pose.people import Skeleton, skeletons
from triptych_orchestrator.pixels.preprocessors.pose.person import Person
from triptych_orchestrator.pixels.preprocessors.pose.plane import Maps

BODY = PoseNetwork("openpose")
SIZE = (512, 512)
CELL = 8 * 512 / 184
LEFT, RIGHT = poses.standing(20, 30, 220, 450), poses.standing(270, 60, 220, 420)


def picture(maps: np.ndarray, pixels: Pixels) -> Pixels:
    ours: Pixels = looked(OpenPose().look(pixels, 0, 0), {"openpose": lambda _: maps})
    return ours


def found(*people: poses.Joints, noise: float = 0) -> list[Skeleton]:
    maps = poses.maps(people, (23, 23), CELL)
    maps += np.random.default_rng(3).normal(0, noise, maps.shape).astype(np.float32)
    return sorted(skeletons(Maps(maps, SIZE, (1 / CELL, 1 / CELL))), key=lambda each: each[1])


def assert_stands(skeleton: Skeleton, person: poses.Joints) -> None:
    assert skeleton.keys() == person.keys()
    apart = [np.hypot(*np.subtract(skeleton[joint], place)) for joint, place in person.items()]
    assert max(apart) < CELL / 2


@pytest.mark.parametrize("noise", [0, 0.03])
def test_two_people_are_told_apart(noise: float) -> None:
    ours = found(LEFT, RIGHT, noise=noise)
    assert len(ours) == 2
    for skeleton, person in zip(ours, (LEFT, RIGHT), strict=True):
        assert_stands(skeleton, person)


def test_two_whose_arms_cross_keep_their_own() -> None:
    """Where the left one's wrist lies behind the right one's elbow, the fields say whose it is."""
    reaching = LEFT | {6: (260.0, 200.0), 7: (330.0, 240.0)}
    ours = found(reaching, RIGHT)
    assert len(ours) == 2
    assert np.hypot(*np.subtract(ours[0][7], (330, 240))) < CELL and np.hypot(*np.subtract(ours[1][7], RIGHT[7])) < CELL


def test_what_is_not_seen_is_not_drawn() -> None:
    """An arm is, a head is, and of somebody else too little: three joints."""
    without = poses.standing(20, 30, 220, 450, without=(3, 4, 0, 14, 15, 16, 17))
    shoulders = {joint: RIGHT[joint] for joint in (1, 2, 5)}
    (ours,) = found(without, shoulders)
    assert_stands(ours, without)


def test_nobody_is_black() -> None:
    for maps in (np.zeros((57, 23, 23), np.float32), poses.maps([], (23, 23), CELL)):
        ours = picture(maps, drawn(*SIZE))
        assert ours.shape == (512, 512, 3) and not ours.any()


def test_noise_comes_to_an_end() -> None:
    noise = np.random.default_rng(4).normal(size=(57, 23, 23)).astype(np.float32)
    assert picture(noise, drawn(256, 256)).shape == (256, 256, 3)
    assert picture(np.ones_like(noise), drawn(256, 256)).shape == (256, 256, 3)


def test_limbs_and_joints_have_their_colours() -> None:
    """A forearm of an ellipse 8 pixels wide, dimmed, and round joints of 4 pixels over its ends."""
    ours = people_drawn([Person({3: (100, 60), 4: (160, 60)})], (256, 128))
    assert [tuple(ours[60, across]) for across in (100, 130, 160)] == [(255, 255, 0), (153, 153, 0), (170, 255, 0)]
    assert ours[56:65, 130].any(axis=1).all() and not ours[[55, 65], 130].any()
    alone = people_drawn([Person({3: (100, 60)})], (256, 128))
    np.testing.assert_array_equal(alone, cv2.circle(np.zeros((128, 256, 3), np.uint8), (100, 60), 4, (255, 255, 0), -1))


@pytest.mark.parametrize(
    ("size", "own", "given"),
    [
        ((512, 512), (0, 0), (184, 184)),
        ((640, 512), (0, 0), (232, 184)),
        ((512, 768), (0, 0), (128, 184)),
        ((512, 512), (0, 368), (368, 368)),
        ((640, 512), (368, 368), (368, 368)),
    ],
)
def test_a_picture_lies_in_the_corner_of_what_is_given(size: Size, own: Size, given: Size) -> None:
    pixels = drawn(*size)
    scale = min(given[0] / size[0], given[1] / size[1])
    width, height = int(size[0] * scale), int(size[1] * scale)
    inner = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)[..., ::-1].transpose(2, 0, 1)
    image = BODY.seen(pixels, own)
    assert BODY.size(size, own) == given and image.shape == (3, given[1], given[0])
    np.testing.assert_allclose(image[:, :height, :width], inner / 256 - 0.5, atol=1e-6)
    assert not image[:, height:].any() and not image[:, :, width:].any()


@pytest.mark.parametrize(("size", "shape"), [((512, 768), (23, 16)), ((768, 512), (23, 35)), ((768, 512), (46, 46))])
def test_joints_come_back_to_where_they_were_seen(size: Size, shape: Size) -> None:
    """Also of a file with a size of its own, with grey below."""
    cell = max(size[0] / shape[1], size[1] / shape[0])
    person = poses.standing(size[0] * 0.1, size[1] * 0.05, size[0] * 0.8, size[1] * 0.85)
    ours = picture(poses.maps([person], shape, cell), drawn(*size))
    across, down = np.rint(person[1]).astype(int)  # the neck
    assert (ours[down - 4 : down + 5, across - 4 : across + 5] == (255, 85, 0)).all(axis=2).any()
    left, right = (int(np.nonzero(ours.any(axis=(0, 2)))[0][place]) for place in (0, -1))
    assert abs(left - min(x for x, _ in person.values())) < cell
    assert abs(right - max(x for x, _ in person.values())) < cell


def test_other_maps_are_refused() -> None:
    with pytest.raises(FailedPreconditionError, match="openpose's file gives 19 maps, not 57, the 38 of limbs before"):
        picture(np.zeros((19, 23, 23), np.float32), drawn(64, 64))
