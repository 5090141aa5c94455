"""What was drawn is known from the contours alone, and an undo brings back exactly what was known before."""

from __future__ import annotations

import numpy as np
import pytest

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.drawing import Drawing
from ObserverUncertaintyLib.review.propagation import propagate

GRID = Grid((12, 14, 10), (1.0, 1.0, 3.0))


def ball(radius=4.0):
    k, j, i = np.indices(GRID.shape)
    return (3 * (k - 5.0)) ** 2 + (j - 7.0) ** 2 + (i - 6.0) ** 2 < radius**2


def with_voxels(contour, *boxes):
    changed = contour.copy()
    for box in boxes:
        changed[box] ^= True
    return changed


IN_SLICE = np.s_[4, 2:5, 3:7]
SAGITTAL = np.s_[2:8, 3:9, 1]
LUMP = np.s_[2:4, 2:10, 2:10]


@pytest.mark.parametrize(("where", "axis"), [(IN_SLICE, 0), (SAGITTAL, 2), (LUMP, 0), (np.s_[3:9, 2, 3:9], 1)])
def test_what_changed_was_drawn_across_the_axis_along_which_it_is_thinnest(where, axis):
    drawing = Drawing(ball(), GRID)
    drawing.follow(with_voxels(ball(), where))
    expected = np.zeros(GRID.shape, bool)
    expected[where] = True
    (found,) = drawing.drawn.items()
    assert found[0] == axis
    np.testing.assert_array_equal(found[1], expected)


def test_a_single_voxel_was_drawn_in_a_slice_of_the_first_axis():
    drawing = Drawing(ball(), GRID)
    drawing.follow(with_voxels(ball(), np.s_[5, 5, 5]))
    assert list(drawing.drawn) == [0]


def test_undo_and_redo_bring_back_what_was_drawn_then():
    start = ball()
    first = with_voxels(start, IN_SLICE)
    second = with_voxels(first, SAGITTAL)
    drawing = Drawing(start, GRID)
    assert drawing.follow(first)
    after_first = drawing.drawn
    assert drawing.follow(second)
    assert set(drawing.drawn) == {0, 2}
    assert not drawing.follow(first)
    assert list(drawing.drawn) == [0]
    np.testing.assert_array_equal(drawing.drawn[0], after_first[0])
    drawing.follow(start)
    assert drawing.drawn == {}
    drawing.follow(second)
    assert set(drawing.drawn) == {0, 2}


def test_a_propagation_draws_nothing_and_its_undo_keeps_the_strokes():
    start = ball()
    probability = np.where(start, 0.6, 0.4)
    drawing = Drawing(start, GRID)
    drawn = with_voxels(start, IN_SLICE)
    drawing.follow(drawn)
    carried = propagate(probability, start, drawn, drawing.drawn, GRID)
    assert carried.followed.any()
    before = drawing.drawn
    drawing.follow_without_drawing(carried.contour)
    np.testing.assert_array_equal(drawing.drawn[0], before[0])
    drawing.follow(drawn)
    np.testing.assert_array_equal(drawing.drawn[0], before[0])
    np.testing.assert_array_equal(drawing.contour, drawn)
    again = propagate(probability, start, drawing.contour, drawing.drawn, GRID)
    np.testing.assert_array_equal(again.contour, carried.contour)


def test_a_decided_slice_counts_as_a_whole_and_undo_takes_the_decision_back():
    start = ball()
    drawing = Drawing(start, GRID)
    drawing.decide_slice(4)
    changed = with_voxels(start, np.s_[6, 2, 2])
    drawing.follow_without_drawing(changed)
    expected = np.zeros(GRID.shape, bool)
    expected[4] = True
    np.testing.assert_array_equal(drawing.drawn[0], expected)
    drawing.follow(start)
    assert drawing.drawn == {}


def test_a_record_that_was_kept_is_taken_up():
    before = Drawing(ball(), GRID)
    before.follow(with_voxels(ball(), IN_SLICE))
    before.decide_slice(3, axis=1)
    kept = before.drawn
    after = Drawing(before.contour, GRID, {**kept, 2: np.zeros(GRID.shape, bool)})
    assert set(after.drawn) == set(kept) == {0, 1}
    for axis, mask in kept.items():
        np.testing.assert_array_equal(after.drawn[axis], mask)


def test_undo_brings_back_the_level_too():
    drawing = Drawing(ball(), GRID, level=0.5)
    drawing.level = 0.8
    drawing.follow_without_drawing(ball(3.0))
    drawing.follow(ball())
    assert drawing.level == 0.5
    drawing.follow(ball(3.0))
    assert drawing.level == 0.8
    assert not drawing.strokes


def test_the_same_contour_again_is_no_stroke_and_later_changes_do_not_reach_the_record():
    contour = ball()
    drawing = Drawing(contour, GRID)
    assert not drawing.follow(contour)
    assert not drawing.strokes
    contour[0, 0, 0] = True
    assert not drawing.contour[0, 0, 0]


def test_a_contour_of_another_grid_is_refused():
    with pytest.raises(InputError, match=r"The contour has the shape \(2, 2, 2\)"):
        Drawing(np.zeros((2, 2, 2), bool), GRID)
    with pytest.raises(InputError, match="The contour has the shape"):
        Drawing(ball(), GRID).follow(np.zeros((2, 2, 2), bool))
