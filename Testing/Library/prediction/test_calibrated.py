"""A calibrated prediction: other probabilities and entropies, the same contour."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.model.calibration import CalibrationKind, CalibrationMap
from ObserverUncertaintyLib.prediction.calibrated import calibrated
from ObserverUncertaintyLib.prediction.maps import Prediction, report_of_maps
from ObserverUncertaintyLib.prediction.sums import MonteCarloSums
from ObserverUncertaintyLib.scores.entropy import Uncertainty, binary_entropy

LOWER = CalibrationMap(CalibrationKind.TEMPERATURE, slope=0.6, bias=-0.4)
STEPS = CalibrationMap(CalibrationKind.ISOTONIC, knots=(0.0, 0.49, 0.51, 1.0), values=(0.0, 0.7, 0.7000001, 1.0))
"""Nearly flat around one half, so that float32 makes many probabilities one."""


def drawn(seed: int = 0) -> Prediction:
    rng = np.random.default_rng(seed)
    sums, middle = MonteCarloSums((3, 20, 30)), rng.random((3, 20, 30))
    for _ in range(8):
        sums.add(np.clip(middle + rng.normal(0, 0.15, middle.shape), 0, 1).astype(np.float32))
    return Prediction(sums.mean_probability().astype(np.float32), sums.uncertainty(), 8)


@pytest.mark.parametrize("mapping", [LOWER, STEPS])
@given(seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=25)
def test_the_segmentation_is_exactly_that_of_the_uncalibrated_map(mapping, seed):
    before = drawn(seed)
    after = calibrated(before, mapping)
    np.testing.assert_array_equal(after.segmentation, before.segmentation)
    assert after.level == pytest.approx(float(mapping(np.array(0.5))), abs=1e-6)
    np.testing.assert_allclose(after.probability, mapping(before.probability), atol=1e-6)


def test_voxels_at_exactly_one_half_stay_outside():
    before = Prediction(np.array([[[0.5, 0.5]]], np.float32), uncertainty_of([[[0.5, 0.5]]]), 1)
    assert not calibrated(before, LOWER).segmentation.any()


def test_the_predictive_entropy_is_that_of_the_calibrated_probability_and_its_parts_keep_their_shares():
    before, after = drawn(), calibrated(drawn(), LOWER)
    np.testing.assert_allclose(after.uncertainty.predictive, binary_entropy(after.probability), atol=1e-12)
    parts = after.uncertainty
    np.testing.assert_allclose(parts.predictive, parts.expected + parts.mutual_information, atol=1e-12)
    unsure = before.uncertainty.predictive > 1e-6
    np.testing.assert_allclose(
        (parts.expected / parts.predictive)[unsure],
        (before.uncertainty.expected / before.uncertainty.predictive)[unsure],
        atol=1e-9,
    )


def test_where_the_model_was_certain_no_part_of_the_entropy_appears():
    certain = Prediction(np.array([[[0, 1]]], np.float32), uncertainty_of([[[0, 1]]]), 1)
    after = calibrated(certain, LOWER).uncertainty
    assert not after.predictive.any()
    assert not after.expected.any()


def uncertainty_of(sample: list) -> Uncertainty:
    sums = MonteCarloSums(np.shape(sample))
    sums.add(np.array(sample, np.float32))
    return sums.uncertainty()


def test_the_report_names_the_level_and_the_volume_of_the_same_contour():
    before, after = drawn(), calibrated(drawn(), LOWER)
    grid = Grid((30, 20, 3))
    told, untold = report_of_maps(after, grid), report_of_maps(before, grid)
    assert told["volume_ml"] == untold["volume_ml"]
    assert (told["segmentation_level"], untold["segmentation_level"]) == (after.level, 0.5)
    assert told["mean_entropy"] != untold["mean_entropy"]
