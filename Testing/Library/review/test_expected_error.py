"""The expected error against drawn truths, and the order against sorting in plain Python."""

from __future__ import annotations

import numpy as np
import pytest

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.expected_error import expected_error, review_order

GRID = Grid((40, 30, 20))


def drawn(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).beta(0.3, 0.6, GRID.shape).astype(np.float32)


def test_its_sum_is_the_mean_number_of_wrong_voxels_over_truths_drawn_from_the_probability():
    probability, rng = drawn(), np.random.default_rng(1)
    wrong = [np.count_nonzero((probability > 0.5) != (rng.random(GRID.shape) < probability)) for _ in range(100)]
    error = expected_error(probability, GRID)
    of_the_mean = float(np.sqrt((error * (1 - error)).sum() / 100))
    assert abs(np.mean(wrong) - error.sum(dtype=float)) < 4 * of_the_mean
    assert of_the_mean < 0.002 * np.mean(wrong)


def test_the_order_is_that_of_sorted_and_leaves_out_what_is_certain():
    probability = drawn(2)
    probability[0, 0, :4] = (0.5, 0.005, 0.995, 0.5)
    flat = probability.ravel().tolist()
    unsure = [n for n, p in enumerate(flat) if min(p, np.float32(1) - np.float32(p)) > 0.01]
    expected = sorted(unsure, key=lambda n: -min(np.float32(flat[n]), np.float32(1) - np.float32(flat[n])))
    found = review_order(probability, GRID).tolist()
    assert found == expected
    assert found[:2] == [0, 3]
    assert not {1, 2} & set(found)


def test_of_a_certain_case_nothing_is_ranked():
    assert review_order(np.zeros(GRID.shape, np.float32), GRID).size == 0


def test_rounding_beyond_0_and_1_makes_no_negative_error():
    probability = np.full(GRID.shape, 1 + 5e-7)
    probability[0] = -5e-7
    assert expected_error(probability, GRID).min() == 0


@pytest.mark.parametrize(
    ("probability", "message"),
    [
        (np.full(GRID.shape, 50.0), "from 50 to 50"),
        (np.full(GRID.shape, np.nan), "nan"),
        (np.full(GRID.shape, -0.1), "from -0.1"),
        (np.zeros(GRID.size), r"shape \(40, 30, 20\), but its grid \(20, 30, 40\)"),
    ],
)
def test_what_is_no_probability_on_the_grid_is_refused(probability: np.ndarray, message: str):
    for function in (expected_error, review_order):
        with pytest.raises(InputError, match=message):
            function(probability, GRID)
