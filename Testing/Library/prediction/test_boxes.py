"""Boxes around everything that may be more than background."""

from __future__ import annotations

import numpy as np
import pytest

from ObserverUncertaintyLib.prediction.boxes import CONTEXT, GROWTH, POSSIBLE, Box, likely_boxes, whole_boxes


def used(boxes: list[Box], shape: tuple[int, ...]) -> np.ndarray:
    """How often each pixel is used."""
    count = np.zeros(shape, int)
    for box in boxes:
        box.of(count)[...] += box.used
    return count


def test_a_box_holds_what_is_possible_with_growth_and_context_in_whole_squares() -> None:
    probability = np.zeros((12, 200, 240))
    probability[5, 100:110, 60:64] = 0.5
    (box,) = likely_boxes(probability, batch_size=6, multiple=16)
    assert box.number == 5
    # 100 - 40 to 110 + 40 and 60 - 40 to 64 + 40, in squares of 16.
    assert GROWTH + CONTEXT == 40
    assert box.window == (slice(48, 160), slice(16, 112))
    assert box.used.shape == (112, 96)
    expected = np.zeros(probability.shape, int)
    expected[5, 100 - GROWTH : 110 + GROWTH, 60 - GROWTH : 64 + GROWTH] = 1
    assert np.array_equal(used([box], probability.shape), expected)


def test_two_structures_have_two_windows_each_with_its_own_slices() -> None:
    probability = np.zeros((8, 320, 320))
    probability[1:4, 30:40, 30:40] = 0.9
    probability[3:9, 250:260, 250:260] = 0.9
    boxes = likely_boxes(probability, batch_size=8, multiple=16)
    above, below = boxes[0].window, boxes[-1].window
    assert above[0].stop <= below[0].start
    assert [box.number for box in boxes if box.window == above] == [1, 2, 3]
    assert [box.number for box in boxes if box.window == below] == [3, 4, 5, 6, 7]


@pytest.mark.parametrize("multiple", [4, 16, 32])
def test_every_possible_pixel_is_used_once_also_at_the_edges(multiple: int) -> None:
    rng = np.random.default_rng(multiple)
    shape = (11, 90, 70)
    probability = np.where(rng.random(shape) < 0.001, 0.2, 0.0)
    probability[0, 0, 69] = probability[10, 89, 0] = POSSIBLE + 0.01
    boxes = likely_boxes(probability, batch_size=4, multiple=multiple)
    count = used(boxes, shape)
    assert count.max() == 1
    assert count[probability > POSSIBLE].all()
    for box in boxes:
        assert all(side.start % multiple == 0 for side in box.window)
        assert box.of(probability).shape == box.used.shape


def test_nothing_possible_no_box() -> None:
    assert likely_boxes(np.full((3, 8, 8), POSSIBLE), 2, 4) == []


def test_whole_boxes_are_all_of_every_slice() -> None:
    boxes = whole_boxes(3, 5, 6)
    array = np.arange(3 * 5 * 6, dtype=float).reshape(3, 5, 6)
    assert np.array_equal(np.stack([box.of(array) for box in boxes]), array)
    assert (used(boxes, array.shape) == 1).all()
