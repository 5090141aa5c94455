"""Boxes around everything that may be more than background."""

from __future__ import annotations

import numpy as np
import pytest

from ObserverUncertaintyLib.boxes import CONTEXT, GROWTH, POSSIBLE, Box, likely_boxes, whole_box


def covered(boxes: list[Box], shape: tuple[int, ...]) -> np.ndarray:
    """How often each pixel is used."""
    count = np.zeros(shape, int)
    for box in boxes:
        count[list(box.slices), box.rows, box.columns] += box.used
    return count


def test_a_box_holds_what_is_possible_with_growth_and_context_in_whole_squares() -> None:
    probability = np.zeros((12, 200, 240))
    probability[5, 100:110, 60:64] = 0.5
    (box,) = likely_boxes(probability, batch_size=6, multiple=16)
    assert box.slices == (5,)
    assert box.used.shape == (1, box.rows.stop - box.rows.start, box.columns.stop - box.columns.start)
    # 100 - 40 to 110 + 40 and 60 - 40 to 64 + 40, in squares of 16.
    assert GROWTH + CONTEXT == 40
    assert (box.rows, box.columns) == (slice(48, 160), slice(16, 112))
    expected = np.zeros(probability.shape, int)
    expected[5, 100 - GROWTH : 110 + GROWTH, 60 - GROWTH : 64 + GROWTH] = 1
    assert np.array_equal(covered([box], probability.shape), expected)


def test_two_structures_have_two_boxes_each_with_its_own_slices() -> None:
    probability = np.zeros((8, 320, 320))
    probability[1:4, 30:40, 30:40] = 0.9
    probability[3:9, 250:260, 250:260] = 0.9
    first, second = likely_boxes(probability, batch_size=8, multiple=16)
    assert (first.slices, second.slices) == ((1, 2, 3), (3, 4, 5, 6, 7))
    assert first.rows.stop <= second.rows.start


@pytest.mark.parametrize("multiple", [4, 16, 32])
def test_every_possible_pixel_is_used_once_also_at_the_edges(multiple: int) -> None:
    rng = np.random.default_rng(multiple)
    shape = (11, 90, 70)
    probability = np.where(rng.random(shape) < 0.001, 0.2, 0.0)
    probability[0, 0, 69] = probability[10, 89, 0] = POSSIBLE + 0.01
    boxes = likely_boxes(probability, batch_size=4, multiple=multiple)
    count = covered(boxes, shape)
    assert count.max() == 1
    assert count[probability > POSSIBLE].all()
    for box in boxes:
        assert box.rows.start % multiple == box.columns.start % multiple == 0
        assert box.of(probability).shape == box.used.shape


def test_nothing_possible_no_box() -> None:
    assert likely_boxes(np.full((3, 8, 8), POSSIBLE), 2, 4) == []


def test_a_whole_box_is_all_of_its_slices() -> None:
    box = whole_box(range(2, 4), 5, 6)
    array = np.arange(5 * 5 * 6, dtype=float).reshape(5, 5, 6)
    assert np.array_equal(box.of(array), array[2:4])
    assert box.used.all()
