"""Paired comparisons against values by hand and against the normal approximation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from ObserverUncertaintyLib.studies.paired import paired_interval, paired_test


def test_the_interval_is_the_bootstraps() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0.1, 0.2, 400)
    middle, low, high = paired_interval(np.append(values, np.nan))
    assert middle == pytest.approx(values.mean())
    # With many values the interval nears the normal one.
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.003)
    assert high == pytest.approx(values.mean() + half, abs=0.003)


def test_the_effect_is_the_share_of_ranks_in_favour_minus_those_against() -> None:
    second = np.zeros(5)
    first = np.array([1.0, 2.0, 3.0, -4.0, 0.0])  # ranks 1, 2, 3 in favour and 4 against; 0 says nothing
    found = paired_test(first, second)
    assert found.effect == pytest.approx((1 + 2 + 3 - 4) / 10)
    assert (found.n, found.mean) == (5, pytest.approx(0.4))
    # Of the 16 ways to give four ranks a sign, 14 are at least as far from even as 6 against 4.
    assert found.p == pytest.approx(14 / 16)


def test_all_in_one_direction_is_the_whole_effect() -> None:
    rng = np.random.default_rng(0)
    second = rng.random(12)
    found = paired_test(second + rng.uniform(0.1, 0.2, 12), second)
    assert found.effect == 1
    assert found.p == pytest.approx(2 / 2**12)
    assert found.p == pytest.approx(scipy.stats.binomtest(12, 12).pvalue)


def test_undefined_values_are_left_out_and_equal_ones_say_nothing() -> None:
    values = np.array([0.3, np.nan, 0.5])
    found = paired_test(values, values)
    assert (found.n, found.mean, found.p, found.effect) == (2, 0, 1, 0)
    nothing = paired_test(values[1:2], values[1:2])
    assert nothing.n == 0
    assert all(math.isnan(value) for value in (nothing.mean, nothing.p, nothing.effect))
