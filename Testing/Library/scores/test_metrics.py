from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ObserverUncertaintyLib.scores.entropy import expert_entropy
from ObserverUncertaintyLib.scores.metrics import (
    CALIBRATION_BINS,
    dice,
    expected_calibration_error,
    mean_entropy,
    pairwise_dice,
    weighted_mean_entropy,
    weighted_mean_entropy_as_printed,
)

SHAPE = (2, 3, 4)
MASK = hnp.arrays(bool, SHAPE)
SHARE = hnp.arrays(np.float64, SHAPE, elements=st.floats(0, 1, allow_subnormal=False))
QUICK = settings(deadline=None, max_examples=60)


def five_raters(size: int = 40) -> np.ndarray:
    """Five raters' disks of growing radius, shape (rater, 1, size, size)."""
    j, i = np.mgrid[:size, :size] - (size - 1) / 2
    return np.stack([(j**2 + i**2 < radius**2)[None] for radius in (9, 10, 11, 12, 14)])


# --- Dice


@given(MASK, MASK)
@QUICK
def test_dice_equals_simpleitks(a, b):
    assume(a.any() or b.any())
    measure = sitk.LabelOverlapMeasuresImageFilter()
    measure.Execute(*(sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in (a, b)))
    assert dice(a, b) == pytest.approx(measure.GetDiceCoefficient(), abs=1e-12)
    assert dice(a, b) == dice(b, a)


def test_dice_of_known_overlaps():
    a = np.array([True, True, True, False])
    assert dice(a, a) == 1.0
    assert dice(a, ~a) == 0.0
    assert dice(a, np.array([False, True, False, False])) == 0.5
    assert dice(a, np.zeros(4, bool)) == 0.0


def test_dice_of_two_empty_masks_is_not_defined():
    assert math.isnan(dice(np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)))


def test_dice_of_every_two_raters_is_a_symmetric_table():
    raters = five_raters()
    areas = [int(mask.sum()) for mask in raters]
    found = pairwise_dice(raters)
    for a in range(5):
        for b in range(5):  # the disks lie in each other
            assert found[a, b] == pytest.approx(2 * areas[min(a, b)] / (areas[a] + areas[b]))


@given(hnp.arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 3), st.integers(1, 4), st.integers(1, 5))))
@QUICK
def test_dice_of_every_two_raters_equals_that_of_the_two_alone(raters):
    found = pairwise_dice(raters)
    for a, b in itertools.combinations(range(len(raters)), 2):
        np.testing.assert_array_equal(found[[a, b], [b, a]], dice(raters[a], raters[b]))
    np.testing.assert_array_equal(found.diagonal(), 1.0)


def test_dice_between_raters_is_nan_where_both_are_empty():
    found = pairwise_dice(np.stack([np.zeros(SHAPE, bool), np.ones(SHAPE, bool), np.zeros(SHAPE, bool)]))
    assert math.isnan(found[0, 2])
    assert found[0, 1] == 0.0


# --- WME and ME


@given(SHARE, SHARE)
@QUICK
def test_wme_and_me_equal_loops_over_the_voxels(expert, predictive):
    products = [e * p for e, p in zip(expert.ravel().tolist(), predictive.ravel().tolist(), strict=True)]
    weights = math.fsum(expert.ravel().tolist())
    assume(weights > 1e-6)
    assert weighted_mean_entropy(expert, predictive) == pytest.approx(math.fsum(products) / weights, abs=1e-12)
    assert weighted_mean_entropy_as_printed(expert, predictive) == pytest.approx(math.fsum(products) / 24, abs=1e-12)
    assert mean_entropy(predictive) == pytest.approx(math.fsum(predictive.ravel().tolist()) / 24, abs=1e-12)


@given(SHARE, st.floats(0, 1))
@QUICK
def test_wme_of_a_constant_prediction_is_that_constant(expert, constant):
    assume(expert.sum() > 1e-6)
    assert weighted_mean_entropy(expert, np.full(SHAPE, constant)) == pytest.approx(constant, abs=1e-12)


def test_wme_of_five_raters_and_a_prediction_equal_to_their_entropy():
    # Four rings with 4, 3, 2 and 1 raters in favour: entropies H(1/5), H(2/5), H(2/5), H(1/5).
    raters = five_raters()
    rings = np.diff([int(mask.sum()) for mask in raters])
    one, two = 0.7219280948873623, 0.9709505944546686
    entropies = np.array([one, two, two, one])
    expert = expert_entropy(raters)
    expected = (rings * entropies**2).sum() / (rings * entropies).sum()
    assert weighted_mean_entropy(expert, expert) == pytest.approx(expected, abs=1e-12)
    assert one < expected < two  # a perfect prediction does not reach 1
    assert weighted_mean_entropy_as_printed(expert, expert) == pytest.approx((rings * entropies**2).sum() / 1600)


def test_wme_is_1_for_two_raters_and_a_prediction_equal_to_their_entropy():
    expert = expert_entropy(five_raters()[[0, 4]])  # either 0 or 1 bit
    assert weighted_mean_entropy(expert, expert) == pytest.approx(1.0, rel=1e-12)
    assert mean_entropy(expert) == pytest.approx(np.mean(expert == 1.0))


def test_wme_looks_only_where_the_raters_disagree():
    expert = expert_entropy(five_raters())
    assert weighted_mean_entropy(expert, (expert == 0).astype(float)) == 0.0
    assert weighted_mean_entropy(expert, (expert > 0).astype(float)) == pytest.approx(1.0, rel=1e-12)


def test_wme_is_not_defined_where_the_raters_agree_everywhere():
    nothing = np.zeros(SHAPE)
    assert math.isnan(weighted_mean_entropy(nothing, np.ones(SHAPE)))
    assert weighted_mean_entropy_as_printed(nothing, np.ones(SHAPE)) == 0.0


def test_voxels_in_single_precision_are_added_in_double():
    expert, predictive = np.random.default_rng(0).random((2, 60, 60, 60), np.float32)
    e, p = expert.astype(np.float64), predictive.astype(np.float64)
    assert weighted_mean_entropy(expert, predictive) == pytest.approx((e * p).sum() / e.sum(), rel=1e-11)
    assert weighted_mean_entropy_as_printed(expert, predictive) == pytest.approx((e * p).mean(), rel=1e-11)
    assert mean_entropy(predictive) == pytest.approx(p.mean(), rel=1e-11)


def test_the_mean_entropy_of_a_sure_prediction_is_0_without_a_sign():
    assert not np.signbit(mean_entropy(expert_entropy(np.ones((3, *SHAPE), bool))))


# --- calibration


def slow_calibration_error(p: np.ndarray, target: np.ndarray, bins: int) -> float:
    """The definition, bin by bin: [0, 1/n), [1/n, 2/n), ..., [(n - 1)/n, 1]."""
    error = 0.0
    for n in range(bins):
        last = n == bins - 1
        inside = [k for k in range(p.size) if n / bins <= p[k] and (p[k] < (n + 1) / bins or last)]
        if inside:
            gap = sum(p[k] for k in inside) / len(inside) - sum(target[k] for k in inside) / len(inside)
            error += len(inside) / p.size * abs(gap)
    return error


@given(SHARE, SHARE, st.sampled_from([1, 2, 8, 16]))
@QUICK
def test_the_calibration_error_equals_a_loop_over_the_bins(p, target, bins):
    # Powers of two, so that an edge is the same number in the loop and in the library.
    found = expected_calibration_error(p, target, bins)
    assert found == pytest.approx(slow_calibration_error(p.ravel(), target.ravel(), bins), abs=1e-9)


def test_the_calibration_error_of_an_example_by_hand():
    p = np.array([0.1, 0.2, 0.6, 0.9, 1.0])
    votes = np.array([0.0, 0.5, 0.5, 1.0, 0.5])
    # bins [0, .5): p .15, votes .25, gap .1 of 2; [.5, 1]: p .8333, votes .6667, gap .1667 of 3
    assert expected_calibration_error(p, votes, bins=2) == pytest.approx(2 / 5 * 0.1 + 3 / 5 * (2.5 - 2.0) / 3)


def test_p_of_1_belongs_to_the_last_bin():
    p, votes = np.array([0.95, 1.0]), np.array([1.0, 0.95])
    assert expected_calibration_error(p, votes, bins=10) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("bins", [2, 4, 10, CALIBRATION_BINS])
def test_an_edge_belongs_to_the_bin_above_it(bins):
    edges = np.arange(bins) / bins
    middles = (np.arange(bins) + 0.5) / bins
    # In one bin, the two errors of opposite sign cancel; in two bins they would not.
    p, votes = np.concatenate([edges, middles]), np.concatenate([edges + 0.1, middles - 0.1])
    assert expected_calibration_error(p, votes, bins) == pytest.approx(0.0, abs=1e-12)


@given(SHARE)
@QUICK
def test_a_prediction_equal_to_the_raters_mean_is_perfectly_calibrated(p):
    assert expected_calibration_error(p, p) == 0.0


def test_being_sure_and_wrong_is_the_worst():
    assert expected_calibration_error(np.ones(SHAPE), np.zeros(SHAPE)) == 1.0


@given(SHARE, SHARE, st.integers(0, 1000))
@QUICK
def test_the_calibration_error_does_not_depend_on_the_order_of_the_voxels(p, target, seed):
    order = np.random.default_rng(seed).permutation(p.size)
    shuffled = expected_calibration_error(p.ravel()[order], target.ravel()[order])
    assert shuffled == pytest.approx(expected_calibration_error(p, target), abs=1e-12)


def test_the_calibration_error_of_no_voxel_is_not_defined():
    assert math.isnan(expected_calibration_error(np.zeros(0), np.zeros(0)))
