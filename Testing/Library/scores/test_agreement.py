"""Agreement of raters: against scikit-learn, statsmodels and pingouin, and worked examples from the papers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ObserverUncertaintyLib.raters.votes import Votes
from ObserverUncertaintyLib.scores.agreement import (
    cohens_kappa,
    conformity_index,
    fleiss_kappa,
    reliability_of_mean,
    volume_correlation,
)
from ObserverUncertaintyLib.scores.entropy import binary_entropy
from ObserverUncertaintyLib.scores.metrics import dice
from ObserverUncertaintyLib.scores.subsets import MOST_SUBSETS, subsets_of_raters

RATERS = hnp.arrays(bool, (4, 2, 5, 6))
QUICK = settings(deadline=None, max_examples=40)


@given(RATERS)
@QUICK
def test_kappa_is_that_of_scikit_learn_and_statsmodels(raters):
    sklearn = pytest.importorskip("sklearn.metrics")
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    voxels = raters[0].size
    found = cohens_kappa(raters, voxels)
    for one, other in itertools.combinations(range(4), 2):
        if len(np.unique(raters[[one, other]])) > 1:
            expected = sklearn.cohen_kappa_score(raters[one].ravel(), raters[other].ravel())
            assert found[one, other] == pytest.approx(expected, abs=1e-9)
    marked = raters.reshape(4, -1).sum(axis=0)
    if 0 < marked.sum() < 4 * voxels:
        expected = inter_rater.fleiss_kappa(np.stack([4 - marked, marked], axis=1))
        assert fleiss_kappa(raters, voxels) == pytest.approx(expected, abs=1e-9)


def test_more_background_raises_kappa_towards_dice():
    raters = np.zeros((2, 10, 10, 10), bool)
    raters[0, 2:6, 2:6, 2:6] = raters[1, 3:6, 2:6, 2:6] = True
    near, far = (cohens_kappa(raters, voxels)[0, 1] for voxels in (100, 10**9))
    assert near < far == pytest.approx(dice(*raters), abs=1e-6)


def test_two_empty_masks_agree_by_chance_alone():
    empty = np.zeros((2, 2, 3, 3), bool)
    assert math.isnan(cohens_kappa(empty, 18)[0, 1])
    assert math.isnan(fleiss_kappa(empty, 18))
    assert math.isnan(conformity_index(empty))
    assert math.isnan(fleiss_kappa(empty[:1], 18))


@given(RATERS)
@QUICK
def test_the_conformity_index_is_that_of_sets(raters):
    sets = [set(np.flatnonzero(mask)) for mask in raters]
    pairs = list(itertools.combinations(sets, 2))
    union = sum(len(a | b) for a, b in pairs)
    expected = sum(len(a & b) for a, b in pairs) / union if union else math.nan
    assert conformity_index(raters) == pytest.approx(expected, nan_ok=True)


def test_the_mean_of_many_raters_is_reliable_where_single_ones_are_not():
    """By simulation: votes of raters with a chance of their own at each voxel, halves of them correlated."""
    rng = np.random.default_rng(0)
    chance = rng.beta(0.8, 0.8, 200_000)
    votes = rng.random((10, chance.size)) < chance
    halves = [half.mean(axis=0) for half in (votes[:5], votes[5:])]
    kappa = fleiss_kappa(votes.reshape(10, 1, 1, -1), chance.size)
    assert reliability_of_mean(kappa, 5) == pytest.approx(np.corrcoef(halves)[0, 1], abs=0.01)
    assert reliability_of_mean(kappa, 1) == kappa
    assert math.isnan(reliability_of_mean(-0.1, 3))


def test_the_correlation_of_volumes_is_that_of_shrout_and_fleiss():
    """Table 2 of Shrout and Fleiss 1979, for which they give ICC(2,1) = 0.29."""
    ratings = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
    assert volume_correlation(ratings) == pytest.approx(0.29, abs=0.005)
    assert volume_correlation(ratings[:, [0, 0, 0]]) == pytest.approx(1)
    assert math.isnan(volume_correlation(ratings[:1]))
    assert math.isnan(volume_correlation(np.full((3, 2), 7.0)))


@pytest.mark.filterwarnings("ignore")
@given(hnp.arrays(np.float64, (6, 3), elements=st.floats(1, 100)))
@QUICK
def test_the_correlation_of_volumes_is_that_of_pingouin(volumes):
    pingouin, pandas = pytest.importorskip("pingouin"), pytest.importorskip("pandas")
    if np.ptp(volumes.mean(axis=1)) < 1:
        return
    table = pandas.DataFrame(
        [(case, rater, volumes[case, rater]) for case in range(6) for rater in range(3)],
        columns=["case", "rater", "volume"],
    )
    found = pingouin.intraclass_corr(table, targets="case", raters="rater", ratings="volume")
    # The absolute agreement of single raters, which versions of pingouin name differently.
    expected = found[found["Type"].isin(["ICC2", "ICC(A,1)"])]["ICC"].iloc[0]
    assert volume_correlation(volumes) == pytest.approx(expected, abs=1e-6)


@given(RATERS)
@QUICK
def test_subsets_show_what_their_voxels_show(raters):
    found = subsets_of_raters(raters, 0.5)
    assert [each.raters for each in found] == [1, 2, 3, 4]
    for each in found:
        subsets = list(itertools.combinations(range(4), each.raters))
        shares = [raters[list(subset)].mean(axis=0) for subset in subsets]
        assert each.disputed_ml == pytest.approx(0.5 * np.mean([((s > 0) & (s < 1)).sum() for s in shares]))
        assert each.entropy_ml == pytest.approx(0.5 * np.mean([binary_entropy(s).sum() for s in shares]))
        if each.raters == 3:
            overlaps = [dice(raters[list(s)].sum(axis=0) > 1, raters[({0, 1, 2, 3} - set(s)).pop()]) for s in subsets]
            defined = [value for value in overlaps if not math.isnan(value)]
            expected = np.mean(defined) if defined else math.nan
            assert each.dice_left_out == pytest.approx(expected, nan_ok=True)
    assert found[-1].conformity_index == pytest.approx(conformity_index(raters), nan_ok=True)
    assert math.isnan(found[-1].dice_left_out)


def test_of_many_raters_some_subsets_stand_for_all():
    rng = np.random.default_rng(0)
    _k, j, i = np.ogrid[:1, :60, :60]
    raters = np.stack([(j - 30) ** 2 + (i - 30) ** 2 < radius**2 for radius in rng.normal(20, 2, 20)])
    raters = np.broadcast_to(raters, (20, 1, 60, 60))
    found = subsets_of_raters(Votes.of(raters), 1.0)
    assert len(found) == 20
    disputed = [each.disputed_ml for each in found]
    assert disputed[:10] == sorted(disputed[:10]), "more raters show more disagreement"
    assert disputed[-1] == max(disputed)
    again = subsets_of_raters(raters, 1.0)
    assert found[9] == again[9], f"the {MOST_SUBSETS} subsets are always the same ones"
