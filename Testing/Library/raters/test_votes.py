from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.raters.fusion import FusionMethod, Tie, fuse
from ObserverUncertaintyLib.raters.votes import RunningVotes, Votes
from ObserverUncertaintyLib.scores.entropy import expert_entropy
from ObserverUncertaintyLib.scores.metrics import pairwise_dice

COUNTS = [1, 2, 7, 8, 9, 12, 13, 16, 17, 32, 33, 64]
SHAPES = [(7, 9), (4, 6, 8), (1, 5, 5)]


def drawn(count: int, shape: tuple[int, ...], seed: int = 0, share: float = 0.4) -> np.ndarray:
    """Raters who mark voxels at random, with an empty border."""
    rng = np.random.default_rng(seed)
    marked = rng.random((count, *shape)) < share
    return np.pad(marked, ((0, 0), *((1, 2) for _ in shape)))


def plain_maps(raters: np.ndarray) -> dict[str, np.ndarray]:
    """Every fused map but STAPLE's, and the experts' entropy, from sums over the raters at every voxel."""
    number = raters.sum(axis=0, dtype=np.int64)
    share = number / len(raters)
    return {
        "majority": 2 * number > len(raters),
        "union": raters.any(axis=0),
        "intersection": raters.all(axis=0),
        "mean": raters.mean(axis=0, dtype=np.float64).astype(np.float32),
        "entropy": scipy.stats.entropy([share, 1 - share], base=2),
    }


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_patterns_give_every_vote_back(count, shape):
    raters = drawn(count, shape, seed=count)
    votes = Votes.of(raters)
    for number, rater in enumerate(raters):
        np.testing.assert_array_equal(votes.on_grid(votes.patterns[:, number]), rater)
    assert not votes.patterns[0].any()
    assert len({tuple(pattern) for pattern in votes.patterns.tolist()}) == len(votes.patterns)
    np.testing.assert_array_equal(votes.counts, np.bincount(votes.index.ravel(), minlength=len(votes.patterns)))


@given(
    count=st.sampled_from(COUNTS),
    shape=st.sampled_from(SHAPES),
    seed=st.integers(0, 10**6),
    share=st.sampled_from([0.0, 0.02, 0.4, 1.0]),
)
@settings(deadline=None, max_examples=60)
def test_all_maps_from_one_count_equal_those_from_sums_at_every_voxel(count, shape, seed, share):
    raters = drawn(count, shape, seed, share)
    votes, plain = Votes.of(raters), plain_maps(raters)
    for method in FusionMethod:
        if method not in ("none", "staple"):
            found = fuse(votes, method)
            np.testing.assert_array_equal(found, plain[method], strict=True)
    np.testing.assert_array_equal(fuse(votes, "majority", Tie.FOREGROUND), 2 * raters.sum(axis=0) >= count)
    np.testing.assert_allclose(expert_entropy(votes), plain["entropy"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("count", COUNTS)
def test_counted_votes_and_masks_give_the_same(count):
    raters = drawn(count, (5, 6, 7), seed=count)
    votes = Votes.of(raters)
    assert Votes.of(votes) is votes
    for method in FusionMethod:
        if method != "none":
            np.testing.assert_array_equal(fuse(votes, method), fuse(raters, method), strict=True)
    np.testing.assert_array_equal(expert_entropy(votes), expert_entropy(raters))
    np.testing.assert_array_equal(pairwise_dice(votes), pairwise_dice(raters))


def test_masks_that_do_not_lie_in_one_piece_of_memory_are_counted_too():
    raters = drawn(5, (6, 7, 8))
    turned = np.moveaxis(np.asfortranarray(raters)[:, ::-1], 1, 3)
    for name, plain in plain_maps(turned).items():
        found = expert_entropy(turned) if name == "entropy" else fuse(turned, name)
        np.testing.assert_allclose(found, plain, rtol=0, atol=1e-12)


def test_the_box_holds_what_any_rater_marked_and_nothing_else():
    raters = np.zeros((2, 9, 9, 9), bool)
    raters[0, 3:5, 4, 7] = True
    raters[1, 2, 1, 8] = True
    votes = Votes.of(raters)
    assert votes.box == (slice(2, 5), slice(1, 5), slice(7, 9))
    assert votes.index.shape == (3, 4, 2)
    assert votes.counts.sum() == 24


@pytest.mark.parametrize("count", [3, 20])
def test_when_nobody_marked_anything_there_is_one_pattern_everywhere(count):
    votes = Votes.of(np.zeros((count, 3, 4, 5), bool))
    assert votes.index.size == 0
    assert votes.counts.sum() == 0
    values = np.arange(7.0, 7.0 + len(votes.patterns))
    np.testing.assert_array_equal(votes.on_grid(values), np.full((3, 4, 5), 7.0))


def test_a_value_for_voxels_that_nobody_marked_can_be_kept_to_a_region():
    votes = Votes.of(np.pad(np.ones((1, 1, 1), bool), ((0, 0), (2, 3), (2, 3))))
    found = votes.on_grid(np.array([5, 6]), (slice(1, 4), slice(2, 6)))
    expected = np.zeros((6, 6), int)
    expected[1:4, 2:6] = 5
    expected[2, 2] = 6
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("count", [0, 65])
def test_other_than_1_to_64_raters_are_refused_by_everything(count):
    raters = np.zeros((count, 2, 2, 2), bool)
    wanted = f"1 to 64 raters .* not of {count}"
    for method in FusionMethod:
        if method != "none":
            with pytest.raises(InputError, match=wanted):
                fuse(raters, method)
    for function in (expert_entropy, pairwise_dice):
        with pytest.raises(InputError, match=wanted):
            function(raters)


@pytest.mark.parametrize("count", COUNTS)
def test_masks_counted_one_by_one_have_the_votes_of_all_at_once(count):
    raters = drawn(count, (4, 6, 8), seed=count)
    running = RunningVotes(raters.shape[1:])
    for mask in raters:
        running.add(mask)
    found, expected = running.votes(), Votes.of(raters)
    assert (found.box, found.shape) == (expected.box, expected.shape)
    for number, mask in enumerate(raters):
        np.testing.assert_array_equal(found.on_grid(found.patterns[:, number]), mask)
    np.testing.assert_array_equal(pairwise_dice(found), pairwise_dice(expected))


def test_votes_of_no_mask_or_of_too_many_are_refused():
    running = RunningVotes((2, 2))
    with pytest.raises(ValueError, match="no mask"):
        running.votes()
    for _ in range(64):
        running.add(np.eye(2, dtype=bool))
    assert running.is_full
    with pytest.raises(ValueError, match="more than 64"):
        running.add(np.eye(2, dtype=bool))
