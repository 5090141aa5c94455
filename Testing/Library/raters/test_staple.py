from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.rater_files import load_raters
from ObserverUncertaintyLib.raters.staple import STAPLE_MARGIN, StapleRegion, StapleResult, staple


def noisy_raters(seed: int, count: int, shape: tuple[int, int, int] = (6, 7, 8)) -> np.ndarray:
    """Raters who miss and add voxels of one truth, each at a rate of their own."""
    rng = np.random.default_rng(seed)
    truth = rng.random(shape) < rng.uniform(0.2, 0.5)
    return raters_of(truth, rng.uniform(0.6, 1.0, count), rng.uniform(0.6, 1.0, count), rng)


def raters_of(truth: np.ndarray, sensitivity: np.ndarray, specificity: np.ndarray, rng: np.random.Generator):
    return np.stack(
        [
            np.where(truth, rng.random(truth.shape) < p, rng.random(truth.shape) >= q)
            for p, q in zip(sensitivity, specificity, strict=True)
        ]
    )


def drawn_raters(seed: int, count: int) -> np.ndarray:
    """Raters whose balls differ a little in place and size, as contours do."""
    rng = np.random.default_rng(seed)
    voxel = np.indices((12, 16, 18)).transpose(1, 2, 3, 0)
    return np.stack(
        [
            ((voxel - (6, 8, 9) - rng.normal(0, 0.8, 3)) ** 2).sum(axis=-1) < rng.uniform(3.5, 5.0) ** 2
            for _ in range(count)
        ]
    )


def simpleitk_staple(raters: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The posterior, the sensitivities and the specificities of SimpleITK's filter, over all voxels given."""
    stapler = sitk.STAPLEImageFilter()
    stapler.SetForegroundValue(1)
    posterior = stapler.Execute([sitk.GetImageFromArray(rater.astype(np.uint8)) for rater in raters])
    return sitk.GetArrayFromImage(posterior), np.array(stapler.GetSensitivity()), np.array(stapler.GetSpecificity())


def slow_staple(raters: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Warfield et al. 2004, equations 14, 15, 18 and 19, voxel by voxel, for so many EM steps."""
    votes = raters.reshape(len(raters), -1)
    prior = votes.mean()
    weight = votes.mean(axis=0)
    for _ in range(steps):
        p = [weight[v].sum() / weight.sum() for v in votes]
        q = [(1 - weight)[~v].sum() / (1 - weight).sum() for v in votes]
        for voxel in range(votes.shape[1]):
            a, b = prior, 1 - prior
            for rater, vote in enumerate(votes[:, voxel]):
                a *= p[rater] if vote else 1 - p[rater]
                b *= 1 - q[rater] if vote else q[rater]
            weight[voxel] = a / (a + b)
    return weight.reshape(raters.shape[1:]), np.array(p), np.array(q)


def require_equal(found: StapleResult, raters: np.ndarray, tolerance: float = 1e-6):
    """The same as SimpleITK's filter on the voxels that took part."""
    posterior, sensitivity, specificity = simpleitk_staple(raters[(slice(None), *found.box)])
    np.testing.assert_allclose(found.posterior[found.box], posterior, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(found.segmentation, found.posterior > 0.5)
    np.testing.assert_allclose(found.sensitivity, sensitivity, rtol=0, atol=tolerance)
    np.testing.assert_allclose(found.specificity, specificity, rtol=0, atol=tolerance)


# --- against others


@given(seed=st.integers(0, 10**6), count=st.integers(2, 9), margin=st.sampled_from([STAPLE_MARGIN, 0, 1, 3]))
@settings(deadline=None, max_examples=40)
def test_the_result_equals_simpleitks_for_contours(seed, count, margin):
    raters = drawn_raters(seed, count)
    require_equal(staple(raters, margin), raters)


@pytest.mark.parametrize("seed", range(25))
def test_the_result_equals_simpleitks_for_noisy_raters(seed):
    raters = noisy_raters(seed, count=2 + seed % 8)
    require_equal(staple(raters), raters)


@pytest.mark.parametrize("seed", range(5))
def test_the_result_equals_simpleitks_for_masks_of_pure_noise(seed):
    raters = np.random.default_rng(seed).random((2 + seed % 4, 3, 8, 8)) < 0.2 + 0.1 * (seed % 6)
    require_equal(staple(raters), raters)


def test_the_result_equals_simpleitks_where_it_takes_thousands_of_steps():
    raters = np.array([[1, 0, 0, 1], [0, 1, 0, 1]], bool)[:, None, None, :]
    found = staple(raters)
    assert found.iterations > 10_000
    require_equal(found, raters, tolerance=1e-9)


@pytest.mark.parametrize("margin", [STAPLE_MARGIN, 4])
def test_the_result_equals_simpleitks_for_real_raters(test_data, margin):
    for folder in sorted((test_data / "brain_growth").glob("case*")):
        raters = load_raters(sorted(folder.glob("seg_rater*.nii.gz"))).raters
        assert len(raters) == 7
        require_equal(staple(raters, margin), raters)


@given(
    seed=st.integers(0, 10**6),
    count=st.integers(2, 14),
    around=st.tuples(*(st.integers(0, 9) for _ in range(6))),
    flat=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_the_result_equals_simpleitks_over_the_whole_image(seed, count, around, flat):
    raters = np.pad(drawn_raters(seed, count), ((0, 0), around[:2], around[2:4], around[4:]))
    if flat:  # a 2-D image
        raters = raters[:, around[0] + 6]
    found = staple(raters, region="image")
    assert found.box == tuple(slice(0, n) for n in raters.shape[1:])
    require_equal(found, raters)


@pytest.mark.parametrize("seed", range(12))
def test_the_result_equals_simpleitks_over_the_whole_image_for_noisy_raters(seed):
    raters = np.pad(noisy_raters(seed, count=2 + seed % 8), ((0, 0), (2, 1), (0, 3), (4, 4)))
    found = staple(raters, region=StapleRegion.IMAGE)
    require_equal(found, raters)
    # Noise makes no voxel's truth certain: the posterior beyond the box is a number of its own.
    assert found.posterior[0, 0, 0] == found.posterior[-1, -1, -1]
    assert found.prior == pytest.approx(raters.mean())


def test_a_region_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="'brain' is not a valid StapleRegion"):
        staple(drawn_raters(1, 3), region="brain")


@pytest.mark.parametrize("raters", [drawn_raters(1, 3), noisy_raters(2, 5, (3, 4, 5))])
def test_the_result_equals_em_voxel_by_voxel(raters):
    raters = raters[(slice(None), *staple(raters).box)]
    found = staple(raters)
    posterior, sensitivity, specificity = slow_staple(raters, found.iterations)
    np.testing.assert_allclose(found.posterior, posterior, atol=1e-9)
    np.testing.assert_allclose(found.sensitivity, sensitivity, atol=1e-9)
    np.testing.assert_allclose(found.specificity, specificity, atol=1e-9)
    assert found.prior == pytest.approx(raters.mean())


# --- what it is for


def test_the_performance_of_simulated_raters_is_recovered():
    rng = np.random.default_rng(7)
    truth = rng.random((20, 30, 30)) < 0.3
    sensitivity, specificity = np.array([0.95, 0.8, 0.7, 0.9, 0.6]), np.array([0.9, 0.97, 0.85, 0.6, 0.99])
    found = staple(raters_of(truth, sensitivity, specificity, rng))
    # 18000 voxels: the standard error of each rate is below 0.007.
    np.testing.assert_allclose(found.sensitivity, sensitivity, atol=0.02)
    np.testing.assert_allclose(found.specificity, specificity, atol=0.02)
    assert np.mean((found.posterior > 0.5) == truth) > 0.95


def test_a_good_rater_outweighs_two_poor_ones():
    rng = np.random.default_rng(3)
    truth = rng.random((20, 30, 30)) < 0.5
    raters = raters_of(truth, np.array([0.99, 0.65, 0.65]), np.array([0.99, 0.65, 0.65]), rng)
    outvoted = (raters[0] != raters[1]) & (raters[0] != raters[2])
    posterior = staple(raters).posterior
    np.testing.assert_array_equal((posterior > 0.5)[outvoted], raters[0][outvoted])


# --- what must not matter


@pytest.mark.parametrize("place", ["inside", "at the edge"])
def test_empty_voxels_around_the_image_change_nothing(place):
    raters = drawn_raters(4, 4)
    if place == "at the edge":
        raters = raters[:, 5:, :, 9:]
        assert raters[:, 0].any()
        assert raters[..., 0].any()
    padded = np.pad(raters, ((0, 0), (3, 0), (2, 9), (7, 1)))
    found, in_padded = staple(raters), staple(padded)
    np.testing.assert_array_equal(in_padded.posterior[3:, 2:-9, 7:-1], found.posterior)
    np.testing.assert_array_equal(in_padded.sensitivity, found.sensitivity)
    np.testing.assert_array_equal(in_padded.specificity, found.specificity)
    assert in_padded.posterior.sum() == found.posterior.sum()


def test_the_margin_lets_background_take_part_and_is_cut_at_the_edge():
    raters = np.zeros((2, 9, 9, 9), bool)
    raters[:, 0:2, 4:6, 7:9] = True
    assert staple(raters).box == (slice(0, 2), slice(4, 6), slice(7, 9))
    assert staple(raters, 2).box == (slice(0, 4), slice(2, 8), slice(5, 9))
    assert staple(raters, 2).prior == pytest.approx(8 / (4 * 6 * 4))


@given(seed=st.integers(0, 10**6), order=st.permutations(range(5)))
@settings(deadline=None, max_examples=20)
def test_the_order_of_the_raters_goes_with_their_performance_and_not_with_the_posterior(seed, order):
    raters = drawn_raters(seed, 5)
    found, reordered = staple(raters), staple(raters[order])
    np.testing.assert_allclose(reordered.posterior, found.posterior, atol=1e-8)
    np.testing.assert_allclose(reordered.sensitivity, found.sensitivity[order], atol=1e-8)
    np.testing.assert_allclose(reordered.specificity, found.specificity[order], atol=1e-8)


def test_turning_the_image_turns_the_posterior():
    raters = drawn_raters(5, 3)
    turned = staple(raters.transpose(0, 3, 1, 2)[:, ::-1]).posterior
    np.testing.assert_allclose(turned[::-1].transpose(1, 2, 0), staple(raters).posterior, atol=1e-9)


# --- what can go wrong


def test_when_nobody_marked_anything_there_is_nothing_and_nobody_is_judged():
    found = staple(np.zeros((3, 4, 5, 6), bool))
    np.testing.assert_array_equal(found.posterior, np.zeros((4, 5, 6)))
    assert np.isnan(found.sensitivity).all()
    assert np.isnan(found.specificity).all()
    assert (found.prior, found.iterations) == (0.0, 0)
    assert found.posterior[found.box].size == 0


def test_a_rater_who_marked_nothing_misses_everything_and_the_others_still_count():
    raters = drawn_raters(6, 3)
    with_empty = np.concatenate([raters, np.zeros_like(raters[:1])])
    found = staple(with_empty)
    require_equal(found, with_empty)
    assert (found.sensitivity[3], found.specificity[3]) == (0.0, 1.0)
    assert (found.posterior > 0.5)[raters.all(axis=0)].all()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_raters_who_agree_are_right(count):
    mask = drawn_raters(8, 1)
    found = staple(np.repeat(mask, count, axis=0))
    np.testing.assert_array_equal(found.posterior, mask[0])
    np.testing.assert_array_equal(found.sensitivity, np.ones(count))
    np.testing.assert_array_equal(found.specificity, np.ones(count))


def test_a_box_that_all_raters_fill_is_foreground_and_says_nothing_about_specificity():
    # SimpleITK's filter divides 0 by 0 here and gives NaN for every voxel.
    raters = np.zeros((3, 4, 4, 4), bool)
    raters[:, 1:3, 1:3, 1:3] = True
    found = staple(raters)
    np.testing.assert_array_equal(found.posterior, raters[0])
    np.testing.assert_array_equal(found.sensitivity, np.ones(3))
    assert np.isnan(found.specificity).all()


def test_64_raters_are_told_apart():
    rng = np.random.default_rng(9)
    truth = rng.random((10, 12, 14)) < 0.3
    sensitivity, specificity = np.linspace(0.6, 0.98, 64), np.linspace(0.95, 0.7, 64)
    raters = raters_of(truth, sensitivity, specificity, rng)
    found = staple(raters)
    require_equal(found, raters)
    np.testing.assert_array_equal(found.posterior > 0.5, truth)
    np.testing.assert_allclose(found.sensitivity, sensitivity, atol=0.09)  # about four standard errors
    np.testing.assert_allclose(found.specificity, specificity, atol=0.06)


@pytest.mark.parametrize("count", [0, 65])
def test_no_rater_and_more_than_64_are_refused(count):
    with pytest.raises(InputError, match=f"1 to 64 raters .* not of {count}"):
        staple(np.zeros((count, 2, 2, 2), bool))
