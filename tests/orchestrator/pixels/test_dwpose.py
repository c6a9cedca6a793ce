"""DWPose without its networks: who is detected, in what of the picture each is looked at, and what is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.orchestrator.pixels.looking import looked
from tests.orchestrator.pixels.test_preprocessors import drawn
from triptych.errors import FailedPreconditionError
from triptych_orchestrator.pixels.preprocessors.networks import Answer
from triptych_orchestrator.pixels.preprocessors.pose.drawing import drawn as people_drawn
from triptych_orchestrator.pixels.preprocessors.pose.dwpose import DETECTOR, WHOLE_BODY, look
from triptych_orchestrator.pixels.preprocessors.pose.dwpose.whole_body import person_of

PERSON, DOG = 0, 16
SIZE = (480, 320)
# In what the detector is given, 640 x 640, the picture lies 640 x 427.
LARGER = SIZE[0] / 640
Seen = tuple[tuple[float, float, float, float], int, float]


def cells(*things: Seen, size: tuple[int, int] = (640, 640)) -> np.ndarray:
    """[1, cells, 85] as YOLOX tells of things in boxes: in the cell of 32 pixels where each has its middle."""
    counts = [(size[0] // stride, size[1] // stride) for stride in (8, 16, 32)]
    numbers = np.zeros((sum(width * height for width, height in counts), 85), np.float32)
    first, width = len(numbers) - counts[2][0] * counts[2][1], counts[2][0]
    for (left, top, right, bottom), kind, sure in things:
        x, y = (left + right) / 64, (top + bottom) / 64
        cell = first + int(y) * width + int(x)
        numbers[cell, :4] = x - int(x), y - int(y), np.log((right - left) / 32), np.log((bottom - top) / 32)
        numbers[cell, [4, 5 + kind]] = 1, sure
    return numbers[None]


def boxes(*things: Seen) -> np.ndarray:
    return np.array(DETECTOR.boxes(Answer(cells(*things), (640, 640)), SIZE))


def points(places: Sequence[tuple[float, float]], sure: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """[2, 133, 768]: of a box of that size, shares of which the places are."""
    lines = np.zeros((2, 133, 2 * max(size)), np.float32)
    for number, (place, score) in enumerate(zip(places, sure, strict=True)):
        for line, share, extent in zip(lines, place, size, strict=True):
            line[number, int(share * 2 * extent)] = score
    return lines


def test_people_are_where_their_cells_say_the_surest_first() -> None:
    first, second = (60, 40, 220, 420), (300.5, 64, 452.5, 400)
    ours = boxes((first, PERSON, 0.5), (second, PERSON, 0.9), ((500, 300, 640, 420), DOG, 0.95))
    np.testing.assert_allclose(ours, np.array([second, first]) * LARGER, atol=1e-3)


def test_of_two_that_are_nearly_one_the_surer_is_kept() -> None:
    """Of what both have they share more than 0.45."""
    one, nearly, beside = (60, 40, 220, 420), (100, 40, 260, 420), (160, 40, 320, 420)
    np.testing.assert_allclose(boxes((nearly, PERSON, 0.5), (one, PERSON, 0.9)), [np.array(one) * LARGER], atol=1e-3)
    assert len(boxes((beside, PERSON, 0.5), (one, PERSON, 0.9))) == 2


def test_of_things_without_people_the_whole_picture_is_looked_at() -> None:
    assert boxes(((60, 40, 220, 420), DOG, 0.5)).tolist() == [[0, 0, *SIZE]]
    assert boxes(((60, 40, 220, 420), PERSON, 0.2)).tolist() == [[0, 0, *SIZE]]
    assert not boxes(((60, 40, 220, 420), PERSON, 0.05)).size


def test_boxes_beyond_all_bounds_come_to_an_end() -> None:
    numbers = np.full((1, 8400, 85), 0.9, np.float32)
    numbers[..., 2:4] = 80  # its exponential has 35 digits
    (whole,) = DETECTOR.boxes(Answer(numbers, (640, 640)), SIZE)
    assert whole == (-480, -320, 960, 640)
    numbers[..., 2:4] = np.float32(1e30)  # and this one none
    assert DETECTOR.boxes(Answer(numbers, (640, 640)), SIZE) == [(0, 0, *SIZE)]
    numbers[..., 0] = np.inf
    assert DETECTOR.boxes(Answer(numbers, (640, 640)), SIZE) == [(0, 0, *SIZE)]
    noise = np.random.default_rng(3).normal(0.6, 2, (1, 2100, 85)).astype(np.float32)
    assert len(DETECTOR.boxes(Answer(noise, (320, 320)), SIZE)) == 127


@pytest.mark.parametrize("own", [(0, 0), (416, 352)])
def test_the_detector_is_given_the_picture_with_grey_beside(own: tuple[int, int]) -> None:
    pixels, (width, height) = drawn(*SIZE), own if any(own) else (640, 640)
    image = DETECTOR.seen(pixels, own)
    inner = cv2.resize(pixels, (width, int(320 * width / 480)), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)
    assert image.shape == (3, height, width)
    np.testing.assert_allclose(image[:, : inner.shape[1]], inner, atol=1e-3)
    np.testing.assert_allclose(image[:, inner.shape[1] :], 114, atol=1e-3)


def test_each_is_looked_at_with_what_lies_around() -> None:
    """1.25 of the box, or of its proportions 3 : 4 what is missing; black beyond the picture."""
    pixels, given = drawn(*SIZE), []

    def whole_body(image: np.ndarray) -> np.ndarray:
        given.append(image)
        return points([(0, 0)] * 133, [0] * 133, (288, 384))

    box = (240, 120, 336, 312)
    found = cells(((box[0] / LARGER, box[1] / LARGER, box[2] / LARGER, box[3] / LARGER), PERSON, 0.9))
    looked(look(pixels, 0, 0), {"yolox": lambda _: found, "dw_openpose_full": whole_body})
    side = np.array([180, 240])  # 192 x 1.25 high, and as wide as 3 : 4 has it
    left, top = np.array([288, 216]) - side / 2
    part = np.pad(pixels, [(0, 60), (0, 0), (0, 0)])[int(top) : int(top) + 240, int(left) : int(left) + 180]
    wanted = cv2.resize(part, (288, 384), interpolation=cv2.INTER_LINEAR)
    colours = given[0].transpose(1, 2, 0) * (0.229, 0.224, 0.225) + (0.485, 0.456, 0.406)
    assert len(given) == 1 and given[0].shape == (3, 384, 288)
    assert np.abs(colours * 255 - wanted).mean() < 4  # half a pixel of 1.6 aside
    np.testing.assert_allclose(colours[-20:], 0, atol=1e-3)


def test_a_picture_as_long_as_networks_are_given_is_looked_at_whole() -> None:
    """With a few pixels more OpenCV fails."""
    network = replace(WHOLE_BODY, box=(0, 0, 32_704, 64))
    assert network.seen(np.full((64, 32_704, 3), 255, np.uint8), (0, 0)).max() > 1


def test_points_become_openposes_people() -> None:
    """COCO's joints in OpenPose's order, the neck between the shoulders, each hand's 21, the face's 68 and the eyes."""
    found = np.stack([np.arange(133), 500 - np.arange(133), np.full(133, 0.9)], axis=1).astype(np.float32)
    body, (left, right), face = person_of(found)
    numbers = {joint: round(x) for joint, (x, _) in body.items()}
    shoulders, hips, head = {2: 6, 5: 5}, {8: 12, 11: 11}, {0: 0, 14: 2, 15: 1, 16: 4, 17: 3}
    arms, legs = {3: 8, 4: 10, 6: 7, 7: 9}, {9: 14, 10: 16, 12: 13, 13: 15}
    assert numbers == shoulders | hips | head | arms | legs | {1: 6} and body[1] == (5.5, 494.5)
    assert [left[0], left[20], right[0], right[20]] == [(91, 409), (111, 389), (112, 388), (132, 368)]
    assert [x for x, _ in face] == [*range(23, 91), 2, 1]


def test_what_is_not_sure_is_not_there() -> None:
    found = np.ones((133, 3), np.float32)
    found[:, 2] = 0.29
    assert person_of(found) == ({}, [{}, {}], [])
    found[[0, 5, 30, 112], 2] = 0.3
    body, (left, right), face = person_of(found)
    assert (body.keys(), left.keys(), right.keys(), len(face)) == ({0, 5}, set(), {0}, 1)
    found[[5, 6], 2] = 0.31
    assert 1 in person_of(found).body


def test_everybody_is_drawn() -> None:
    """Points come back to where the box was, whatever the size that it is looked at in."""
    chance = np.random.default_rng(5)
    places, sure = [*map(tuple, chance.uniform(0.2, 0.8, (133, 2)))], chance.uniform(0, 1, 133).tolist()
    seen = [((0, 0, 200, 300), PERSON, 0.8), ((320, 60, 480, 280), PERSON, 0.6)]
    lines = {"yolox": lambda _: cells(*seen), "dw_openpose_full": lambda _: points(places, sure, (288, 384))}
    ours = looked(look(drawn(*SIZE), 0, 0), lines)
    people = []
    for (left, top, right, bottom), _, _ in seen:
        height = max(bottom - top, (right - left) * 4 / 3) * LARGER * 1.25
        corner = np.array([left + right, top + bottom]) / 2 * LARGER - (height * 3 / 8, height / 2)
        found = np.array(
            [
                [*corner + (np.floor(np.array(at) * (576, 768)) / (576, 768)) * (height * 0.75, height), score]
                for at, score in zip(places, sure, strict=True)
            ],
            np.float32,
        )
        people.append(person_of(found))
    wanted = people_drawn(people, SIZE)
    assert ours.shape == (320, 480, 3) and 0.05 < (wanted > 0).any(axis=2).mean() < 0.9
    assert (ours != wanted).any(axis=2).mean() < 0.002


def test_nobody_is_black() -> None:
    ours = looked(look(drawn(*SIZE), 0, 0), {"yolox": lambda _: cells()})
    assert ours.shape == (320, 480, 3) and not ours.any()


def test_other_numbers_are_refused() -> None:
    with pytest.raises(
        FailedPreconditionError, match="yolox's file gives 100 x 85 numbers, not 8400 x 85, as YOLOX does"
    ):
        DETECTOR.boxes(Answer(np.zeros((1, 100, 85), np.float32), (640, 640)), SIZE)
    wanted = "full's file gives 2 x 17 x 768 numbers, not two lines for each of 133 points, of 576 and of 768"
    with pytest.raises(FailedPreconditionError, match=wanted):
        WHOLE_BODY.points(Answer(np.zeros((2, 17, 768), np.float32), (288, 384)))
