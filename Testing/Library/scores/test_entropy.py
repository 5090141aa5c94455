from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.scores.entropy import binary_entropy, expert_entropy

PROBABILITY = st.floats(0.0, 1.0, allow_subnormal=False)
RATERS = hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 2), st.integers(1, 3), st.integers(1, 4)))
QUICK = settings(deadline=None, max_examples=60)


# --- the entropy of a probability


def test_certainty_has_no_entropy_and_even_odds_have_one_bit():
    found = binary_entropy(np.array([0.0, 0.5, 1.0]))
    np.testing.assert_array_equal(found, [0.0, 1.0, 0.0])
    assert not np.signbit(found).any()  # -0.0 would be printed as such in tables


@given(PROBABILITY)
@QUICK
def test_the_entropy_equals_scipys_in_bits(p):
    assert binary_entropy(np.array(p)) == pytest.approx(scipy.stats.entropy([p, 1 - p], base=2), abs=1e-12)


@given(PROBABILITY)
@QUICK
def test_the_entropy_is_symmetric_and_within_0_and_1(p):
    forth, back = binary_entropy(np.array([p, 1 - p]))
    assert forth == pytest.approx(back, abs=1e-12)
    assert 0.0 <= forth <= 1.0


def test_a_known_value_and_the_slope_at_one_quarter():
    # H(1/4) = 2 - (3/4) log2 3, and dH/dp = log2((1 - p) / p) = log2 3 there.
    assert binary_entropy(np.array(0.25)) == pytest.approx(2 - 0.75 * math.log2(3), abs=1e-14)
    low, high = binary_entropy(np.array([0.25 - 1e-6, 0.25 + 1e-6]))
    assert (high - low) / 2e-6 == pytest.approx(math.log2(3), rel=1e-6)


def test_single_precision_loses_nothing_on_the_way():
    p = np.linspace(0, 1, 11, dtype=np.float32).reshape(1, 1, 11)
    assert binary_entropy(p).dtype == np.float64
    np.testing.assert_array_equal(binary_entropy(p), binary_entropy(p.astype(np.float64)))


# --- the entropy of raters' votes


@given(RATERS)
@QUICK
def test_the_experts_entropy_is_that_of_their_mean_vote(raters):
    expected = [
        scipy.stats.entropy([votes.sum(), (~votes).sum()], base=2) for votes in raters.reshape(len(raters), -1).T
    ]
    np.testing.assert_allclose(expert_entropy(raters).ravel(), expected, atol=1e-12)
    np.testing.assert_allclose(expert_entropy(raters), binary_entropy(raters.mean(axis=0)), atol=1e-12)


def test_five_raters_can_give_three_values_only():
    votes = np.arange(6)[None, :] > np.arange(5)[:, None]  # 0 to 5 raters in favour
    found = expert_entropy(votes[:, None, None, :])[0, 0]
    one, two = 0.7219280948873623, 0.9709505944546686  # H(1/5), H(2/5)
    np.testing.assert_allclose(found, [0, one, two, two, one, 0], atol=1e-15)
    assert found[1:5].mean() == pytest.approx(0.846, abs=5e-4)


def test_one_rater_never_disagrees_and_none_is_refused():
    assert not expert_entropy(np.random.default_rng(0).random((1, 3, 4, 5)) < 0.5).any()
    with pytest.raises(InputError, match="1 to 64 raters"):
        expert_entropy(np.zeros((0, 3, 4, 5), bool))
