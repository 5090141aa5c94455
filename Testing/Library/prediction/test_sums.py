"""Running sums over samples, against the stacked samples and their properties."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ObserverUncertaintyLib.prediction.sums import MonteCarloSums

SAMPLES = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 8), st.integers(1, 2), st.integers(1, 3), st.integers(1, 3)),
    elements=st.floats(0, 1, width=32),
)  # fmt: skip
QUICK = settings(deadline=None, max_examples=60)


def summed(samples: np.ndarray) -> MonteCarloSums:
    sums = MonteCarloSums(samples.shape[1:])
    for sample in samples:
        sums.add(sample)
    return sums


@given(SAMPLES)
@QUICK
def test_running_sums_equal_the_stacked_samples(samples):
    found = summed(samples).uncertainty()
    p = samples.astype(np.float64)
    direct = scipy.stats.entropy(np.stack([p, 1 - p]), base=2, axis=0).mean(axis=0)
    mean = p.mean(axis=0)
    total = scipy.stats.entropy(np.stack([mean, 1 - mean]), base=2, axis=0)
    np.testing.assert_allclose(summed(samples).mean_probability(), mean, atol=1e-12)
    np.testing.assert_allclose(found.predictive, total, atol=1e-9)
    np.testing.assert_allclose(found.expected, direct, atol=1e-9)
    np.testing.assert_allclose(found.mutual_information, total - direct, atol=1e-9)


@given(SAMPLES)
@QUICK
def test_the_two_parts_add_up_and_neither_is_negative(samples):
    found = summed(samples).uncertainty()
    np.testing.assert_allclose(found.predictive, found.expected + found.mutual_information, atol=1e-6)
    for part in (found.predictive, found.expected, found.mutual_information):
        assert part.min() >= 0.0
        assert part.max() <= 1.0


def test_samples_that_agree_hold_no_mutual_information_though_rounding_would_show_some():
    p = np.random.default_rng(0).random((1, 10, 10)).astype(np.float32)
    found = summed(np.stack([p] * 7)).uncertainty()
    assert found.mutual_information.min() >= 0.0
    np.testing.assert_allclose(found.mutual_information, 0.0, atol=1e-12)


def test_one_sample_holds_no_mutual_information():
    found = summed(np.random.default_rng(1).random((1, 2, 3, 4))).uncertainty()
    np.testing.assert_array_equal(found.mutual_information, 0.0)
    np.testing.assert_array_equal(found.predictive, found.expected)


def test_samples_that_are_sure_and_contradict_each_other_are_all_mutual_information():
    found = summed(np.array([0.0, 1.0]).reshape(2, 1, 1, 1)).uncertainty()
    assert (found.predictive.item(), found.expected.item(), found.mutual_information.item()) == (1.0, 0.0, 1.0)


def test_the_order_of_the_samples_hardly_matters():
    samples = np.random.default_rng(2).random((20, 1, 8, 8)).astype(np.float32)
    forth, back = summed(samples).uncertainty(), summed(samples[::-1]).uncertainty()
    np.testing.assert_allclose(forth.mutual_information, back.mutual_information, atol=1e-12)


def test_without_samples_there_is_no_mean():
    with pytest.raises(ValueError, match="no sample"):
        MonteCarloSums((1, 2, 2)).uncertainty()
