from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.special import expit

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_image
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.alternatives import alternatives

GRID = Grid((60, 56, 44), (1.0, 1.0, 1.5))


def ball(radius_mm: float, blur_mm: float, grid: Grid = GRID) -> np.ndarray:
    """A probability that falls along a straight line from 1 to 0 across a ball's border: 1/2 at the radius."""
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(grid.shape, grid.spacing[::-1], strict=True)]
    distance = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    return np.clip(0.5 - (distance - radius_mm) / blur_mm, 0, 1).astype(np.float32)


def smooth_noise(seed: int) -> np.ndarray:
    """A smooth random field, pushed towards 0 and 1 the more the higher the seed."""
    noise = sitk.GetImageFromArray(np.random.default_rng(seed).normal(size=GRID.shape).astype(np.float32))
    field = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(noise, 4.0))
    return expit(2.0**seed * (field / field.std() - 1)).astype(np.float32)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """By SimpleITK."""
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*(sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in (a, b)))
    return overlap.GetDiceCoefficient()


def test_of_a_blurred_ball_there_are_five_balls_from_strict_to_generous():
    # 0.82, 0.66 ... 0.18 are reached 0.32, 0.16 ... -0.32 of the blur inside the border.
    found = alternatives(ball(14, 15), GRID)
    assert found.why_few is None
    assert [contour.level for contour in found.contours] == [0.82, 0.66, 0.5, 0.34, 0.18]
    assert [contour.weight for contour in found.contours] == [0.2] * 5
    volumes = [4 / 3 * np.pi * radius**3 / 1000 for radius in (9.2, 11.6, 14, 16.4, 18.8)]
    assert [contour.volume_ml for contour in found.contours] == pytest.approx(volumes, rel=0.02)
    assert "the narrowest of 5, for strict experts: probability above 0.82" in found.contours[0].meaning
    assert "number 3 of 5" in found.contours[2].meaning
    assert "the widest of 5, for generous experts: probability above 0.18" in found.contours[-1].meaning


def test_the_sharper_the_border_the_fewer_contours():
    # Of balls with the radii r < R the Dice is 2 r^3 / (r^3 + R^3), which is 0.9 where r / R = (9/11)^(1/3) = 0.935.
    # The two largest are the most alike. Between the levels 0.1 and 0.9 lies 0.8 of the blur.
    expected = {}
    for blur in (0.5, 2, 3, 4.5, 6, 8.5):
        for count in (5, 4, 3, 2, 1):
            step = 0.8 * blur / count
            largest = 14 + step * (count - 1) / 2
            if count == 1 or 1 - step / largest <= (9 / 11) ** (1 / 3):
                expected[blur] = count
                break
    assert set(expected.values()) == {1, 2, 3, 4, 5}
    found = {blur: alternatives(ball(14, blur), GRID) for blur in expected}
    assert {blur: len(each.contours) for blur, each in found.items()} == expected
    assert [blur for blur, each in found.items() if each.why_few] == [b for b, count in expected.items() if count < 3]


@pytest.mark.parametrize("seed", range(4))
def test_any_two_contours_differ_clearly_and_the_narrower_lies_inside(seed):
    found = alternatives(smooth_noise(seed), GRID).contours
    assert len(found) > 1
    for narrow, wide in itertools.combinations(found, 2):
        assert not np.any(narrow.mask & ~wide.mask)
        assert dice(narrow.mask, wide.mask) <= 0.9
        assert np.count_nonzero(wide.mask & ~narrow.mask) * 0.0015 >= 0.1
        assert wide.volume_ml == pytest.approx(np.count_nonzero(wide.mask) * 0.0015)


@pytest.mark.parametrize("seed", range(5))
def test_the_weighted_contours_are_in_steps_what_the_probability_is_between_one_tenth_and_nine_tenths(seed):
    probability = smooth_noise(seed)
    found = alternatives(probability, GRID).contours
    mean = sum(contour.weight * contour.mask for contour in found)
    # The middle of a share is at most half a share away.
    assert np.abs(mean - np.clip((probability - 0.1) / 0.8, 0, 1)).max() <= 0.5 / len(found) + 1e-4


def test_the_middle_one_of_an_odd_number_is_the_segmentation_also_where_the_probability_is_one_half():
    probability = ball(14, 4.5)
    probability[np.abs(probability - 0.5) < 0.02] = 0.5
    found = alternatives(probability, GRID).contours
    assert np.any(probability == 0.5)
    assert len(found) == 3
    assert np.array_equal(found[1].mask, probability > 0.5)


def test_a_certain_case_has_its_segmentation_alone_and_it_is_said_why():
    probability = ball(10, 0.1)
    found = alternatives(probability, GRID)
    (only,) = found.contours
    assert only.weight == 1
    assert np.array_equal(only.mask, probability > 0.5)
    assert found.why_few is not None
    assert "0.77 and of 0.50" in found.why_few
    assert f"and {only.volume_ml:.2f} mL" in found.why_few


def test_where_nothing_reaches_one_half_the_narrower_choice_is_to_mark_nothing():
    found = alternatives(np.minimum(ball(10, 8), np.float32(0.4)), GRID)
    narrow, wide = found.contours
    assert not narrow.mask.any()
    assert wide.volume_ml == pytest.approx(4 / 3 * np.pi * 11.6**3 / 1000, rel=0.02)
    assert found.why_few is not None
    assert "0.00 and 0.00 mL" in found.why_few


def test_an_empty_case_has_an_empty_contour():
    (only,) = alternatives(np.zeros(GRID.shape, np.float32), GRID).contours
    assert not only.mask.any()


def test_what_is_as_small_as_a_few_voxels_offers_no_choice():
    # The same array with voxels of 1.5 and of 0.0015 microlitres: the widest of five balls has 28 and 0.028 mL.
    small = Grid(GRID.size, (0.1, 0.1, 0.15))
    assert len(alternatives(ball(14, 15), GRID).contours) == 5
    found = alternatives(ball(14, 15), small)
    assert len(found.contours) == 1
    assert found.why_few is not None
    assert "0.1 mL or more" in found.why_few


def test_small_pieces_are_kept():
    probability = ball(14, 15)
    probability[0, 0, 0] = 0.95
    found = alternatives(probability, GRID).contours
    assert [bool(contour.mask[0, 0, 0]) for contour in found] == [True] * 5


def test_the_contours_are_always_the_same():
    first, second = (alternatives(smooth_noise(1), GRID).contours for _ in range(2))
    assert [a.meaning for a in first] == [b.meaning for b in second]
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(first, second, strict=True))


def test_contours_of_what_some_real_raters_mark_are_nearer_to_the_others_than_their_majority(test_data: Path):
    """On the real drawings of seven raters, the first four are the probability, the others are to be covered."""
    covered, alone = [], []
    for folder in sorted((test_data / "brain_growth").glob("case*")):
        drawn = [read_image(folder / f"seg_rater{n}.nii.gz") for n in range(1, 8)]
        masks = np.array([each.array > 0 for each in drawn])
        probability = masks[:4].mean(axis=0, dtype=np.float32)
        found = alternatives(probability, drawn[0].grid).contours
        for mask in masks[4:]:
            covered.append(max(dice(contour.mask, mask) for contour in found))
            alone.append(dice(probability > 0.5, mask))
    assert len(covered) == 72
    assert np.mean(covered) > np.mean(alone) + 0.005


def test_a_probability_on_another_grid_is_refused():
    with pytest.raises(InputError, match=r"\(44, 60, 56\), but its grid \(44, 56, 60\)"):
        alternatives(np.zeros((44, 60, 56), np.float32), GRID)


@pytest.mark.parametrize(("value", "found"), [(1.5, "0 to 1.5"), (-3.0, "-3 to 0"), (np.nan, "without NaN")])
def test_what_is_no_probability_is_refused(value, found):
    wrong = np.zeros(GRID.shape, np.float32)
    wrong[3, 4, 5] = value
    with pytest.raises(InputError, match=found):
        alternatives(wrong, GRID)
