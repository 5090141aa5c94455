"""Bins of calibration: against a loop over voxels, and added up."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from ObserverUncertaintyLib.scores.calibration import CALIBRATION_BINS, CalibrationBins
from ObserverUncertaintyLib.scores.metrics import expected_calibration_error


def voxels(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, with 0 and 1 among them, and shares of three raters."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.random(count - 2), [0.0, 1.0]]), rng.integers(0, 4, count) / 3


def test_the_bins_are_those_of_a_loop_over_the_voxels():
    p, target = voxels(500, 0)
    count, sum_p, sum_t = [0] * CALIBRATION_BINS, [0.0] * CALIBRATION_BINS, [0.0] * CALIBRATION_BINS
    for probability, share in zip(p.tolist(), target.tolist(), strict=True):
        bin_ = next(n for n in range(CALIBRATION_BINS) if n == CALIBRATION_BINS - 1 or probability < (n + 1) / 15)
        count[bin_] += 1
        sum_p[bin_] += probability
        sum_t[bin_] += share
    found = CalibrationBins.of(p, target)
    assert found.voxels.tolist() == count
    assert found.probability.tolist() == pytest.approx(sum_p)
    assert found.raters.tolist() == pytest.approx(sum_t)
    error = sum(n / 500 * abs(a / n - b / n) for n, a, b in zip(count, sum_p, sum_t, strict=True) if n)
    assert found.error() == pytest.approx(error)


def test_added_bins_are_those_of_all_voxels_together_and_not_the_mean_of_the_errors():
    (p, target), (q, other) = voxels(300, 1), voxels(900, 2)
    # Too much in the one and too little in the other: in a bin of both it cancels in part.
    target, other = np.zeros_like(target), other / 2 + 0.5
    both = CalibrationBins.of(p, target) + CalibrationBins.of(q, other)
    together = expected_calibration_error(np.concatenate([p, q]), np.concatenate([target, other]))
    assert both.error() == pytest.approx(together, rel=1e-12)
    mean = (expected_calibration_error(p, target) + expected_calibration_error(q, other)) / 2
    assert abs(both.error() - mean) > 0.01


def test_nothing_added_changes_nothing_and_nothing_alone_is_undefined():
    nothing = CalibrationBins.of(np.zeros((0, 3)), np.zeros((0, 3)))
    assert math.isnan(nothing.error())
    some = CalibrationBins.of(*voxels(50, 3))
    assert (some + nothing).error() == some.error()


def test_bins_come_back_from_json():
    bins = CalibrationBins.of(*voxels(50, 4), bins=7)
    content = json.loads(json.dumps(bins.to_json()))
    again = CalibrationBins.from_json(content)
    assert again.to_json() == bins.to_json()
    assert again.error() == bins.error()
