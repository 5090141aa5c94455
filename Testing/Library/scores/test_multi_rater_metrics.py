"""Scores beyond the paper against values by hand, and against their definitions written out here."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ObserverUncertaintyLib.raters.fusion import majority, mean
from ObserverUncertaintyLib.scores.metrics import dice
from ObserverUncertaintyLib.scores.multi_rater_metrics import (
    EnergyDistance,
    consensus_dice,
    dissensus_dice,
    entropy_correlation,
    soft_dice,
    volume_crps,
)

SHAPE = (2, 3, 4)
MASK = hnp.arrays(bool, SHAPE)
RATERS = hnp.arrays(bool, st.tuples(st.integers(1, 5), *(st.just(size) for size in SHAPE)))
SHARE = hnp.arrays(np.float64, SHAPE, elements=st.floats(0, 1, allow_subnormal=False))
QUICK = settings(deadline=None, max_examples=60)


def row(*values: float) -> np.ndarray:
    """Voxels of a volume with one row."""
    return np.array(values)[None, None]


def masks(*rows: str) -> np.ndarray:
    """Raters of a volume with one row, such as "1100"."""
    return np.array([[[[letter == "1" for letter in text]]] for text in rows])


# --- soft Dice


def test_soft_dice_by_hand():
    raters = masks("1110", "1100")  # mean 1, 1, 0.5, 0
    # Below 0.5 the mean's cut map has 3 voxels, from 0.5 on 2; the prediction's has 3, from 0.3 on 2.
    found = soft_dice(row(1.0, 1.0, 0.25, 0.0), raters)
    assert found == pytest.approx((2 * 1 + 2 * (2 * 2 / 5) + 5 * 1) / 9)


def test_soft_dice_of_the_raters_mean_is_1():
    raters = masks("11100", "11000", "10000", "11110", "11000")
    assert soft_dice(mean(raters), raters) == 1.0


@given(SHARE, RATERS)
@QUICK
def test_soft_dice_equals_the_loop_over_thresholds(probability, raters):
    share = raters.mean(axis=0)
    each = [dice(probability > n / 10, share > n / 10) for n in range(1, 10)]
    defined = [value for value in each if not math.isnan(value)]
    assume(defined)
    assert soft_dice(probability, raters) == pytest.approx(np.mean(defined))


def test_soft_dice_of_nothing_is_not_defined():
    assert math.isnan(soft_dice(np.zeros(SHAPE), np.zeros((3, *SHAPE), bool)))


# --- consensus and dissensus


def test_consensus_and_dissensus_by_hand():
    raters = masks("11110000", "11001000")  # all: 0 and 1; none: 5 to 7; disputed: 2, 3 and 4
    segmented = masks("10100100")[0]
    assert consensus_dice(segmented, raters) == pytest.approx(2 * 1 / (2 + 2))
    # In the disputed voxels the segmentation has one; the first rater has it and another, the second one other.
    assert dissensus_dice(segmented, raters) == pytest.approx((2 * 1 / 3 + 0) / 2)


@given(MASK, RATERS)
@QUICK
def test_consensus_and_dissensus_look_at_their_voxels_only(segmented, raters):
    agreed = raters.all(axis=0) | ~raters.any(axis=0)
    expected = dice(segmented[agreed], raters[0][agreed])
    np.testing.assert_equal(consensus_dice(segmented, raters), expected)
    each = [dice(segmented[~agreed], rater[~agreed]) for rater in raters]
    defined = [value for value in each if not math.isnan(value)]
    assert dissensus_dice(segmented, raters) == pytest.approx(np.mean(defined) if defined else math.nan, nan_ok=True)


def test_the_majority_is_perfect_where_all_agree():
    raters = masks("1110", "1100", "1000")
    assert consensus_dice(majority(raters), raters) == 1.0
    assert math.isnan(dissensus_dice(majority(raters[:1]), raters[:1]))


# --- volume


def test_the_crps_at_the_mean_volume_is_the_known_share_of_the_deviation():
    raters = masks("11110000", "11000000")  # volumes 4 and 2: mean 3, deviation 1
    assert volume_crps(row(1, 1, 0.5, 0.5, 0, 0, 0, 0), raters, 0.5) == pytest.approx(
        0.5 * (math.sqrt(2) - 1) / math.sqrt(math.pi)
    )


@given(st.floats(0, 8), st.integers(0, 3), st.integers(4, 8))
@QUICK
def test_the_crps_equals_its_integral(volume, small, large):
    raters = masks("1" * small + "0" * (8 - small), "1" * large + "0" * (8 - large), "1" * 5 + "0" * 3)
    volumes = raters.sum(axis=(1, 2, 3)) * 2.0
    normal = scipy.stats.norm(volumes.mean(), volumes.std())
    low, high = volumes.mean() - 60, volumes.mean() + 60
    below, _ = scipy.integrate.quad(lambda v: normal.cdf(v) ** 2, low, 2 * volume, limit=200)
    above, _ = scipy.integrate.quad(lambda v: (normal.cdf(v) - 1) ** 2, 2 * volume, high, limit=200)
    probability = np.full((1, 1, 8), volume / 8)
    assert volume_crps(probability, raters, 2.0) == pytest.approx(below + above, abs=1e-5)


def test_the_crps_of_one_volume_is_the_distance_to_it():
    raters = masks("1100", "0110")
    assert volume_crps(row(1, 1, 1, 0.5), raters, 3.0) == pytest.approx(1.5 * 3)


# --- correlation


@given(SHARE, SHARE)
@QUICK
def test_the_correlation_is_pearsons(expert, predictive):
    assume(min(expert.std(), predictive.std()) > 1e-3)
    expected = scipy.stats.pearsonr(expert.ravel(), predictive.ravel()).statistic
    assert entropy_correlation(expert, predictive) == pytest.approx(expected, abs=1e-9)


def test_the_correlation_with_a_constant_is_not_defined():
    assert math.isnan(entropy_correlation(np.ones(SHAPE), np.random.default_rng(0).random(SHAPE)))


# --- generalised energy distance


def distance(raters: np.ndarray, samples: np.ndarray) -> float:
    found = EnergyDistance(raters)
    for sample in samples:
        found.add(sample.astype(np.float32))
    return found.squared()


def plain_energy_distance(raters: np.ndarray, samples: np.ndarray) -> float:
    """The definition, pair by pair."""

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return 1 - (a & b).sum() / (a | b).sum() if (a | b).any() else 0.0

    def expected(first: np.ndarray, second: np.ndarray) -> float:
        return float(np.mean([apart(a, b) for a, b in itertools.product(first, second)]))

    return 2 * expected(samples, raters) - expected(samples, samples) - expected(raters, raters)


def test_the_energy_distance_by_hand():
    raters, samples = masks("1100", "1000"), masks("1100", "0011")
    # d(s, r): 0, 1/2, 1, 1; d(s, s'): 0, 1, 1, 0; d(r, r'): 0, 1/2, 1/2, 0
    assert distance(raters, samples) == pytest.approx(2 * 2.5 / 4 - 2 / 4 - 1 / 4)


@given(RATERS, RATERS)
@QUICK
def test_the_energy_distance_equals_the_loop_over_pairs(raters, samples):
    assert distance(raters, samples) == pytest.approx(plain_energy_distance(raters, samples), abs=1e-12)


def test_samples_that_are_the_raters_have_no_distance_and_empty_ones_the_largest():
    raters = masks("1110", "1000", "1100")
    assert distance(raters, raters[::-1]) == pytest.approx(0, abs=1e-12)
    assert distance(raters[:1], np.zeros_like(raters)) == 2.0


def test_a_sample_is_cut_above_one_half():
    found = EnergyDistance(masks("1100"))
    found.add(row(0.9, 0.51, 0.5, 0.1))
    assert (found.squared(), found.samples) == (0.0, 1)


def test_without_samples_there_is_no_distance_and_beyond_64_masks_no_more_are_taken():
    found = EnergyDistance(masks("1100", "1110"))
    assert math.isnan(found.squared())
    for _ in range(100):
        found.add(row(1, 1, 0, 0))
    assert found.samples == 62
    assert found.squared() == pytest.approx(2 * (0 + 1 / 3) / 2 - 0 - (1 / 3) / 2)
