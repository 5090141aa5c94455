"""The Dice that a prediction lets one expect, against closed forms, brute force and cases that keep its promise."""

from __future__ import annotations

import numpy as np
import pytest

from ObserverUncertaintyLib.review.quality import expected_dice
from ObserverUncertaintyLib.scores.metrics import dice


def test_a_sure_prediction_expects_to_be_right() -> None:
    mask = np.zeros((4, 5, 6), np.float32)
    mask[1:3, 1:4, 2:5] = 1
    assert expected_dice(mask) == 1


@pytest.mark.parametrize(
    ("voxels", "expected"),
    [
        # 50 voxels more are marked than segmented at 40 of 100 levels, and exactly those at 60.
        ({1.0: 100, 0.4: 50}, 1.0),
        # 60 more at 45 levels, 40 fewer at 45, exactly those at 10: the middle one of 3/4, 10/13 and 1.
        ({1.0: 60, 0.55: 40, 0.45: 60}, 10 / 13),
        # 40 fewer at 45 levels, 60 more at 5 and exactly those at 50: between 10/13 and 1.
        ({1.0: 60, 0.55: 40, 0.05: 60}, (10 / 13 + 1) / 2),
    ],
)
def test_few_levels_by_hand(voxels: dict[float, int], expected: float) -> None:
    probability = np.concatenate([np.full(count, p) for p, count in voxels.items()] + [np.zeros(500)])
    assert expected_dice(probability.astype(np.float32)) == pytest.approx(expected, abs=1e-6)


def test_a_ball_with_a_blurred_edge_is_what_calculus_says() -> None:
    # p falls evenly from 1 at radius 15 to 0 at radius 25: above level u lies a ball of radius 25 - 10 u.
    axis = np.arange(-30, 31)
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    probability = np.clip((25 - radius) / 10, 0, 1).astype(np.float32)
    levels = np.random.default_rng(0).uniform(size=100_000)
    r = 25 - 10 * levels
    exact = np.median(2 * np.minimum(r, 20) ** 3 / (r**3 + 20**3))
    assert 0.75 < exact < 0.9
    assert expected_dice(probability) == pytest.approx(exact, abs=0.005)


def test_it_is_the_median_of_dice_over_levels_by_brute_force() -> None:
    probability = np.random.default_rng(1).beta(0.3, 0.5, (6, 7, 8)).astype(np.float32)
    levels = (np.arange(100) + 0.5) / 100
    brute = np.median([dice(probability > 0.5, probability > level) for level in levels])
    assert expected_dice(probability) == pytest.approx(brute, abs=1e-12)


def test_of_cases_that_vary_as_it_supposes_half_have_a_higher_dice() -> None:
    rng = np.random.default_rng(2)
    above = []
    for _ in range(400):
        probability = np.sort(rng.beta(rng.uniform(0.2, 1), rng.uniform(0.2, 1), 2000)).astype(np.float32)
        marked = probability > rng.uniform()  # one level for the whole case
        above.append(dice(probability > 0.5, marked) > expected_dice(probability))
    assert np.mean(above) == pytest.approx(0.5, abs=0.08)  # three standard errors


def test_much_background_that_is_nearly_sure_changes_nothing() -> None:
    probability = np.random.default_rng(3).uniform(size=1000).astype(np.float32)
    padded = np.concatenate([probability, np.full(100_000, 0.004, np.float32)])
    assert expected_dice(padded) == expected_dice(probability)


def test_nothing_segmented_has_no_dice() -> None:
    assert np.isnan(expected_dice(np.full((3, 3, 3), 0.5, np.float32)))
    assert np.isnan(expected_dice(np.zeros((3, 3, 3), np.float32)))
