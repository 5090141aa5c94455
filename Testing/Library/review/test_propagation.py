"""Propagation of corrections: against a Gaussian process and a linear system written out, and shapes that are known."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review import propagation
from ObserverUncertaintyLib.review.propagation import propagate
from ObserverUncertaintyLib.scores.metrics import dice

GRID = Grid((48, 44, 15), (1.0, 1.2, 3.0))


def ball(radius: float, grid: Grid = GRID) -> NDArray[np.float64]:
    """Distance in mm to a sphere's surface around the grid's middle, positive inside."""
    away = sum(
        ((np.arange(n) - (n - 1) / 2) * s).reshape([-1 if axis == own else 1 for axis in range(3)]) ** 2
        for own, (n, s) in enumerate(zip(grid.shape, grid.spacing[::-1], strict=True))
    )
    return radius - np.sqrt(away)


# The model believes in a ball of 13 mm and doubts over some mm; the expert draws one of 16 mm.
BELIEVED = expit(ball(13.0))
EXPERT = ball(16.0) > 0


def slice_drawn(k: int, axis: int = 0) -> dict[int, NDArray[np.bool_]]:
    mask = np.zeros(GRID.shape, bool)
    np.moveaxis(mask, axis, 0)[k] = True
    return {axis: mask}


def test_without_a_stroke_nothing_follows_whatever_the_correction_began_with():
    for start in (BELIEVED > 0.5, BELIEVED > 0.2, ball(15.0) > 0, np.zeros(GRID.shape, bool)):
        for drawn in ({}, {0: np.zeros(GRID.shape, bool)}):
            found = propagate(BELIEVED, start, start, drawn, GRID)
            assert np.array_equal(found.contour, start)
            assert not found.followed.any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_corrected_slice_brings_its_neighbours_nearer_to_the_expert(axis: int):
    start = BELIEVED > 0.5
    k = GRID.shape[axis] // 2
    drawn = slice_drawn(k, axis)
    contour = np.where(drawn[axis], EXPERT, start)
    found = propagate(BELIEVED, start, contour, drawn, GRID)
    assert np.array_equal(found.contour[drawn[axis]], EXPERT[drawn[axis]])
    assert np.array_equal(found.followed, (found.contour != start) & ~drawn[axis])
    for beside in (k - 1, k + 1):
        before, now, expert = (np.take(mask, beside, axis) for mask in (start, found.contour, EXPERT))
        assert dice(now, expert) > dice(before, expert) + 0.05
        assert dice(now, expert) > 0.94


def test_the_direction_of_the_slices_makes_no_difference():
    start, drawn = BELIEVED > 0.5, slice_drawn(7)
    image = np.random.default_rng(0).random(GRID.shape)
    found = propagate(BELIEVED, start, np.where(drawn[0], EXPERT, start), drawn, GRID, image)
    turned_grid = Grid(GRID.size[::-1], GRID.spacing[::-1])
    turned = propagate(BELIEVED.T, start.T, np.where(drawn[0], EXPERT, start).T, {2: drawn[0].T}, turned_grid, image.T)
    assert np.array_equal(turned.contour.T, found.contour)
    assert np.allclose(turned.probability.T, found.probability, atol=1e-3)


def test_what_is_certain_or_far_away_stays():
    start = BELIEVED > 0.5
    drawn = slice_drawn(0)
    # The reviewer fills a whole slice that the model is sure is background, far from where it doubts.
    found = propagate(BELIEVED, start, np.where(drawn[0], True, start), drawn, GRID)
    certain = (BELIEVED < 0.01) | (BELIEVED > 0.99)
    inner = certain & ~propagation._doubtful(BELIEVED) & ~drawn[0]
    assert inner.any()
    assert np.array_equal(found.contour[inner], start[inner])
    far = np.arange(15) * 3.0 > propagation.REACH_MM
    assert np.array_equal(found.contour[far], start[far])
    assert found.contour[0].all()


def test_a_stroke_moves_the_border_there_and_not_on_the_other_side():
    start, k = BELIEVED > 0.5, 7
    stroke = np.zeros(GRID.shape, bool)
    stroke[k, :, 30:] = EXPERT[k, :, 30:] & ~start[k, :, 30:]
    found = propagate(BELIEVED, start, start | stroke, {0: stroke}, GRID)
    right = np.zeros(GRID.shape, bool)
    right[:, :, 30:] = True
    assert found.followed[k + 1, :, 30:].any()
    assert not found.followed[:, :, :24].any()
    assert np.abs(found.probability - BELIEVED)[:, :, :24].max() < 0.02
    for slice_ in (k - 1, k + 1):
        assert dice(found.contour[slice_] & right[slice_], EXPERT[slice_] & right[slice_]) > dice(
            start[slice_] & right[slice_], EXPERT[slice_] & right[slice_]
        )


def test_leaving_out_the_last_stroke_gives_exactly_what_was_there_before_it():
    start = BELIEVED > 0.5
    first, second = slice_drawn(5), slice_drawn(9)
    contour = np.where(first[0], EXPERT, start)
    before = propagate(BELIEVED, start, contour, first, GRID)
    both = {0: first[0] | second[0]}
    after = propagate(BELIEVED, start, np.where(both[0], EXPERT, before.contour), both, GRID)
    again = propagate(BELIEVED, start, np.where(first[0], EXPERT, after.contour), first, GRID)
    assert not np.array_equal(after.contour, before.contour)
    assert np.array_equal(again.contour, before.contour)
    assert np.array_equal(again.probability, before.probability)


def test_an_edge_of_the_image_stops_it():
    # Doubt everywhere; a stroke on one side of a step in the grey values.
    grid = Grid((20, 9, 5))
    probability = np.full(grid.shape, 0.45)
    image = np.zeros(grid.shape)
    image[:, :, 10:] = 100.0
    start = probability > 0.5
    stroke = np.zeros(grid.shape, bool)
    stroke[2, :, 5:10] = True
    changes = [
        propagate(probability, start, start | stroke, {0: stroke}, grid, shown).probability[2, 4] - 0.45
        for shown in (image, None)
    ]
    assert abs(changes[0][10]) < 0.01 < changes[1][10]
    assert changes[0][4] == pytest.approx(changes[1][4], rel=0.1)
    assert changes[0][4] > 0.01


@pytest.mark.parametrize("seed", range(3))
def test_the_residual_is_carried_as_a_gaussian_process_with_exponential_covariance_does(seed: int):
    rng = np.random.default_rng(seed)
    drawn = rng.random((12, 4, 5)) < 0.25
    residual = np.where(drawn, rng.normal(size=drawn.shape), 0.0)
    carried, _weight = propagation._bridge(residual, drawn, 2.5)
    places = np.arange(12) * 2.5
    covariance = np.exp(-np.abs(places[:, None] - places) / propagation.CARRIED_MM)
    for j, i in np.ndindex(4, 5):
        known = np.flatnonzero(drawn[:, j, i])
        expected = (
            covariance[:, known] @ np.linalg.solve(covariance[np.ix_(known, known)], residual[known, j, i])
            if len(known)
            else np.zeros(12)
        )
        assert carried[:, j, i] == pytest.approx(expected, abs=1e-12)


def test_what_slices_of_two_directions_say_is_not_said_twice():
    believed, contour = np.zeros((5, 5, 5)), np.ones((5, 5, 5), bool)
    across = np.zeros((5, 5, 5), bool)
    across[2] = True
    along = np.zeros((5, 5, 5), bool)
    along[:, 2] = True
    carried = propagation._carried_residual(believed, contour, {0: across, 1: along}, (1.0, 1.0, 1.0))
    # A filled slice is 6 logits away from doubt, and so is where both cross.
    assert carried[2, 2, 2] == pytest.approx(6.0)
    near = math.exp(-1 / 8)
    assert carried[3, 3, 3] == pytest.approx(6.0 * 2 * near / max(2 * near, 1.0))
    assert carried[0, 2, 2] == pytest.approx(6.0)


def test_the_spread_solves_its_linear_system():
    rng = np.random.default_rng(1)
    shape = (4, 5, 6)
    unknown = rng.random(shape) < 0.6
    settled, prior, grey = (rng.random(shape) for _ in range(3))
    found = propagation._spread(unknown, settled, prior, grey)
    voxels = list(zip(*np.nonzero(unknown), strict=True))
    matrix, right = np.zeros((len(voxels),) * 2), np.zeros(len(voxels))
    for row, voxel in enumerate(voxels):
        matrix[row, row] += 0.2
        right[row] += 0.2 * prior[voxel]
        for axis, step in product(range(3), (-1, 1)):
            other = tuple(at + step * (own == axis) for own, at in enumerate(voxel))
            if all(0 <= at < n for at, n in zip(other, shape, strict=True)):
                tie = math.exp(-200 * (grey[voxel] - grey[other]) ** 2) + 1e-4
                matrix[row, row] += tie
                if unknown[other]:
                    matrix[row, voxels.index(other)] -= tie
                else:
                    right[row] += tie * settled[other]
    assert found[unknown] == pytest.approx(np.linalg.solve(matrix, right), abs=3e-3)
    assert np.array_equal(found[~unknown], settled[~unknown])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"probability": BELIEVED[1:]}, "The probability has the shape"),
        ({"probability": BELIEVED * 100}, "values from"),
        ({"start": EXPERT[1:]}, "The start has the shape"),
        ({"contour": EXPERT[:, 1:]}, "The contour has the shape"),
        ({"image": BELIEVED[1:]}, "The image has the shape"),
        ({"drawn": {1: EXPERT[1:]}}, "What was drawn across axis 1 has the shape"),
        ({"drawn": {3: EXPERT}}, "across axis 3"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, text: str):
    arguments = {
        "probability": BELIEVED,
        "start": EXPERT,
        "contour": EXPERT,
        "drawn": {},
        "grid": GRID,
        "image": None,
    }
    with pytest.raises(InputError, match=text):
        propagate(**(arguments | change))
