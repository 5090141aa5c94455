"""Uncertainty that finds errors: against scikit-learn, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ObserverUncertaintyLib.scores.error_detection import area_under_risk_coverage, error_auroc, error_overlap
from ObserverUncertaintyLib.scores.metrics import dice

QUICK = settings(deadline=None, max_examples=60)


@given(hnp.arrays(np.float32, 200, elements=st.sampled_from([0.0, 0.1, 0.5, 1.0])), hnp.arrays(bool, 200))
@QUICK
def test_the_area_under_the_roc_is_scikit_learns(uncertainty, wrong):
    sklearn = pytest.importorskip("sklearn.metrics")
    if wrong.any() and not wrong.all():
        expected = sklearn.roc_auc_score(wrong, uncertainty)
        assert error_auroc(uncertainty, wrong) == pytest.approx(expected, abs=1e-9)
    else:
        assert math.isnan(error_auroc(uncertainty, wrong))


def test_the_overlap_is_the_dice_of_the_most_uncertain_voxels_with_the_wrong_ones():
    rng = np.random.default_rng(0)
    uncertainty, wrong = rng.random((10, 20, 10)), rng.random((10, 20, 10)) < 0.03
    order = np.argsort(-uncertainty.ravel())
    expected = []
    for count in (20, 40, 60, 80, 100):
        most = np.zeros(2000, bool)
        most[order[:count]] = True
        expected.append(dice(most, wrong.ravel()))
    assert error_overlap(uncertainty, wrong) == pytest.approx(np.mean(expected))
    wrong = uncertainty > np.sort(uncertainty.ravel())[-61]  # the 3 % that are the most uncertain ones
    assert error_overlap(uncertainty, wrong) == pytest.approx(np.mean([2 / 4, 4 / 5, 1, 6 / 7, 6 / 8]))
    assert math.isnan(error_overlap(uncertainty, np.zeros_like(wrong)))


def test_the_risk_of_those_said_to_be_best_is_averaged_over_their_number():
    quality = np.array([0.9, 0.5, 0.7])
    assert area_under_risk_coverage(quality, quality) == pytest.approx((0.1 + 0.4 / 2 + 0.9 / 3) / 3)
    assert area_under_risk_coverage(-quality, quality) == pytest.approx((0.5 + 0.8 / 2 + 0.9 / 3) / 3)
    assert math.isnan(area_under_risk_coverage(np.zeros(0), np.zeros(0)))
