"""Slices to edit: against the formula written out slice by slice, and a band whose order is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.slices import slices_to_edit

# Turned and tilted; different sizes and spacings along all axes.
TILT = math.radians(20)
GRID = Grid(
    (9, 8, 7),
    (1.0, 1.5, 4.0),
    (-20.0, 30.0, 5.0),
    (0.0, -math.cos(TILT), math.sin(TILT), 1.0, 0.0, 0.0, 0.0, math.sin(TILT), math.cos(TILT)),
)


def drawn() -> np.ndarray:
    return np.random.default_rng(3).random(GRID.shape).astype(np.float32)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("edited", [(), (2,), (6, 1)])
def test_they_are_ranked_by_the_error_that_an_edit_settles_in_them_and_their_neighbours(
    axis: int, edited: tuple[int, ...]
):
    probability = drawn()
    spacing = (4.0, 1.5, 1.0)[axis]
    errors = []
    for index in range(probability.shape[axis]):
        part = np.take(probability, index, axis).astype(float)
        errors.append(np.where(part > 0.5, 1 - part, part).sum() * 0.006)
    expected = {}
    for index in range(len(errors)):
        if index not in edited:
            settled = 0.0
            for other, error in enumerate(errors):
                left = min((1 - math.exp(-abs(other - known) * spacing / 8) for known in edited), default=1.0)
                settled += error * left * math.exp(-abs(other - index) * spacing / 8)
            expected[index] = (errors[index], settled)
    found = slices_to_edit(probability, GRID, edited, axis)
    assert [each.index for each in found] == sorted(expected, key=lambda index: -expected[index][1])
    for each in found:
        assert (each.expected_error_ml, each.priority) == pytest.approx(expected[each.index], rel=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_position_is_the_middle_of_the_expected_error_in_the_patient(axis: int):
    probability = drawn()
    image = GRID.to_sitk(probability)
    for each in slices_to_edit(probability, GRID, axis=axis):
        positions, weights = [], []
        for index in np.ndindex(GRID.shape):
            if index[axis] == each.index:
                positions.append(image.TransformIndexToPhysicalPoint(index[::-1]))
                weights.append(min(probability[index], 1 - probability[index]))
        assert each.position == pytest.approx(np.average(positions, axis=0, weights=weights), abs=1e-4)


def test_the_middle_of_what_is_unsure_comes_first_and_after_its_edit_a_place_far_away():
    probability = np.zeros((32, 4, 4), np.float32)
    probability[7:12] = probability[30] = 0.5
    grid = Grid((4, 4, 32))
    assert slices_to_edit(probability, grid)[0].index == 9
    probability[9] = 1
    # 0.5 (1 - exp(-21 / 8)) is more than what is left of the four slices beside the edited one.
    assert slices_to_edit(probability, grid, {9})[0].index == 30


def test_a_slice_without_doubt_and_a_case_without_it_are_not_ranked():
    probability = np.zeros((3, 4, 5), np.float32)
    probability[1, 2, 3] = 0.2
    found = slices_to_edit(probability, Grid((5, 4, 3)), axis=2)
    assert [(each.index, each.position) for each in found] == [(3, (3.0, 2.0, 1.0))]
    assert slices_to_edit(np.ones((3, 4, 5)), Grid((5, 4, 3))) == ()
    assert slices_to_edit(probability, Grid((5, 4, 3)), {1}) == ()


@pytest.mark.parametrize(
    ("edited", "axis", "message"),
    [((), 3, "Axis 3"), ((7,), 0, "Slice 7 .* from 0 to 6"), ((-1,), 2, "Slice -1 .* from 0 to 8")],
)
def test_an_axis_or_slice_that_is_not_there_is_refused(edited: tuple[int, ...], axis: int, message: str):
    with pytest.raises(InputError, match=message):
        slices_to_edit(drawn(), GRID, edited, axis)


def test_what_is_no_probability_is_refused():
    with pytest.raises(InputError, match="from 0 to 255"):
        slices_to_edit(np.linspace(0, 255, 504).reshape(GRID.shape), GRID)
