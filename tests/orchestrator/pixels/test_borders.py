"""Where a picture lies on a larger canvas, and what is around it until it is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.orchestrator.pixels.test_regions import noise
from triptych_orchestrator.pixels.borders import Sides, around, bordered, layout

BLACK = Image.new("L", (1, 1))


@pytest.mark.parametrize("picture", [(64, 48), (75, 101), (1, 1), (7, 200)])
@pytest.mark.parametrize(
    "sides", [(32, 0, 0, 0), (0, 8, 0, 0), (0, 0, 9, 0), (1, 2, 3, 4), (16, 16, 16, 16), (0, 0, 0, 1)]
)
def test_a_canvas_is_of_whole_latents_and_the_picture_begins_with_one(
    picture: tuple[int, int], sides: tuple[int, int, int, int]
) -> None:
    where = layout(picture, Sides(*sides), 8)
    assert not (where.size[0] % 8 or where.size[1] % 8 or where.picture.left % 8 or where.picture.top % 8)
    assert where.picture.size == picture
    assert where.result.size == (picture[0] + sides[0] + sides[2], picture[1] + sides[1] + sides[3])
    assert (where.picture.left - where.result.left, where.picture.top - where.result.top) == sides[:2]
    assert where.result.left >= 0 and where.result.right <= where.size[0] < where.result.right + 8 + sides[0]
    # No latent that is kept has a pixel that is new and wanted.
    mask = np.asarray(around(where, where.kept, BLACK.resize(picture)))
    kept, result = np.argwhere(mask[::8, ::8] == 0) * 8, where.result
    for top, left in kept:
        inside = top >= where.picture.top and left >= where.picture.left
        right, bottom = min(left + 8, result.right), min(top + 8, result.bottom)
        assert inside and right <= where.picture.right and bottom <= where.picture.bottom


def test_what_is_new_is_made_of_the_picture() -> None:
    picture = noise(20, 12)
    where, pixels = layout(picture.size, Sides(8, 0, 3, 4), 8), np.asarray(picture)
    copied, mirrored = (np.asarray(bordered(picture, where, fill)) for fill in ("copy", "reflect"))
    for canvas in (copied, mirrored):
        assert canvas.shape[1::-1] == where.size == (32, 16)
        assert (canvas[:12, 8:28] == pixels).all()
    assert (copied[:12, :8] == pixels[:, :1]).all() and (copied[12:, 8:28] == pixels[-1:]).all()
    assert (mirrored[:12, 7] == pixels[:, 1]).all() and (mirrored[12, 8:28] == pixels[10]).all()
    assert bordered(noise(1, 1), layout((1, 1), Sides(40, 0, 0, 0), 8), "reflect").size == (48, 8)


def test_a_pictures_own_mask_counts_where_it_is_kept() -> None:
    own = Image.new("L", (16, 16))
    own.putpixel((9, 3), 255)
    mask = np.asarray(around(where := layout((16, 16), Sides(8, 0, 0, 0), 8), where.kept, own))
    assert (mask[:, :8] == 255).all() and mask[3, 17] == 255 and mask[:, 8:].sum(dtype=int) == 255


def test_a_box_within_is_never_turned_inside_out() -> None:
    where = layout((24, 16), Sides(8, 0, 8, 8), 8)
    assert where.kept == (8, 0, 32, 16) and where.kept_within(4) == (12, 0, 28, 12)
    assert where.kept_within(200) == (16, 0, 24, 8)
