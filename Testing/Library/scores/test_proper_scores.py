"""Proper scores: against scikit-learn with each rater's marks as labels, and the property that names them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ObserverUncertaintyLib.scores.proper_scores import brier_score, negative_log_likelihood

SHARE = hnp.arrays(np.float64, 12, elements=st.floats(0.001, 0.999))
QUICK = settings(deadline=None, max_examples=60)


@given(SHARE, hnp.arrays(bool, (3, 12)))
@QUICK
def test_they_are_scikit_learns_over_all_raters(probability, raters):
    sklearn = pytest.importorskip("sklearn.metrics")
    labels, repeated, share = raters.ravel(), np.tile(probability, 3), raters.mean(axis=0)
    assert brier_score(probability, share) == pytest.approx(np.mean((repeated - labels) ** 2), abs=1e-12)
    expected = sklearn.log_loss(labels, repeated, labels=[False, True])
    assert negative_log_likelihood(probability, share) == pytest.approx(expected, abs=1e-9)


@given(SHARE, SHARE)
@QUICK
def test_nothing_scores_better_than_the_raters_mean(probability, share):
    for score in (brier_score, negative_log_likelihood):
        assert score(share, share) <= score(probability, share) + 1e-12


def test_a_certain_mistake_is_bad_and_not_infinite():
    assert negative_log_likelihood(np.array([0.0]), np.array([1.0])) == pytest.approx(-math.log(1e-6))
    assert brier_score(np.array([0.0]), np.array([1.0])) == 1
    assert math.isnan(brier_score(np.zeros(0), np.zeros(0)))
    assert math.isnan(negative_log_likelihood(np.zeros(0), np.zeros(0)))
