"""The generator of Experiment 1 against what section 3.2 of the paper says, and against geometry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from scipy import stats

from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.raters import fusion
from ObserverUncertaintyLib.scores.entropy import expert_entropy
from ObserverUncertaintyLib.scores.metrics import dice, weighted_mean_entropy
from ObserverUncertaintyLib.simulation.cohort_folder import write_cohort
from ObserverUncertaintyLib.simulation.shapes import (
    FIELD_MM,
    ShapeSettings,
    closed_spline,
    filled,
    many_observers_mean,
    observer_perimeter,
    simulate_shape,
    truth_perimeter,
)

SMALL = ShapeSettings(width=64)
CLEAN = replace(ShapeSettings(width=128), blur=(0.0, 0.0), noise=0.0)


def polar(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    offset = points - FIELD_MM / 2
    return np.arctan2(offset[:, 1], offset[:, 0]), np.hypot(offset[:, 0], offset[:, 1])


def turned(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Angle between two sets of points in degrees."""
    difference = np.rad2deg(after - before)
    return (difference + 180) % 360 - 180


def is_uniform(values: np.ndarray, low: float, high: float) -> bool:
    assert low <= values.min()
    assert values.max() <= high
    return bool(stats.kstest(values, "uniform", (low, high - low)).pvalue > 0.01)


def test_perimeter_points_are_spread_as_the_paper_says() -> None:
    regular = np.arange(8) * np.pi / 4
    angles, factors = [], []
    for seed in range(300):
        angle, distance = polar(truth_perimeter(SMALL, np.random.default_rng(seed)))
        angles.append(turned(angle, regular))
        factors.append(distance / (0.2 * FIELD_MM))
    assert is_uniform(np.ravel(angles), -15, 15)
    assert is_uniform(np.ravel(factors), 0.75, 1.5)


def test_observers_move_the_three_rightmost_points_only() -> None:
    turns, factors = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        truth = truth_perimeter(SMALL, rng)
        seen = observer_perimeter(truth, SMALL, rng)
        moved = np.flatnonzero(np.abs(seen - truth).max(axis=1) > 1e-9)
        assert set(moved) == set(np.argsort(truth[:, 0])[-3:])
        (before, distance), (after, new_distance) = polar(truth[moved]), polar(seen[moved])
        turns.append(turned(after, before))
        factors.append(new_distance / distance)
    assert is_uniform(np.ravel(turns), -10, 10)
    assert is_uniform(np.ravel(factors), 0.6, 1.4)


def test_the_curve_passes_through_the_points_and_is_smooth_where_it_closes() -> None:
    for seed in range(20):
        points = truth_perimeter(SMALL, np.random.default_rng(seed))
        curve = closed_spline(points)
        np.testing.assert_allclose(curve[:: len(curve) // 8], points, atol=1e-9)
        steps = np.diff(np.vstack([curve[-2:], curve[:2]]), axis=0)
        angle = np.arctan2(steps[:, 1], steps[:, 0])
        assert np.abs(turned(angle[1:], angle[:-1])).max() < 10  # no corner at the first point


def test_the_mask_is_what_the_polygon_holds() -> None:
    settings = ShapeSettings(width=200)
    rows, columns = np.mgrid[:200, :200]
    centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1) * settings.pixel
    for seed in range(10):
        points = truth_perimeter(settings, np.random.default_rng(seed))
        mask, curve = filled(points, settings), closed_spline(points)
        inside = Polygon(curve).contains_points(centres).reshape(mask.shape)
        assert np.count_nonzero(inside != mask) <= 2  # a centre on the line itself
        x, y = curve.T
        area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
        assert mask.sum() * settings.pixel**2 == pytest.approx(area, rel=0.005)


def test_a_curve_that_crosses_itself_leaves_no_hole() -> None:
    # Two loops around the centre, as a clock's hands that go round twice.
    angles = np.linspace(0, 4 * np.pi, 8, endpoint=False)
    points = FIELD_MM / 2 + 60 * np.stack([np.cos(angles), np.sin(angles)], axis=1) * (1 + 0.01 * np.arange(8))[:, None]
    assert filled(points, SMALL)[32, 32]


def test_observers_disagree_as_much_as_measured_before() -> None:
    cases = [simulate_shape(index, 0, SMALL) for index in range(150)]
    for method, mean in ((fusion.union, 0.90), (fusion.intersection, 0.89)):
        found = [dice(method(case.raters), case.truth) for case in cases if case.truth is not None]
        assert np.mean(found) == pytest.approx(mean, abs=0.01)
        assert np.std(found) == pytest.approx(0.03, abs=0.005)
    entropies = [expert_entropy(case.raters) for case in cases]
    assert np.mean([e[e > 0].mean() for e in entropies]) == pytest.approx(0.845, abs=0.01)
    assert np.mean([weighted_mean_entropy(e, e) for e in entropies]) == pytest.approx(0.861, abs=0.01)


def test_the_same_arguments_give_the_same_sample_and_others_another() -> None:
    first, again = simulate_shape(3, 7, SMALL), simulate_shape(3, 7, SMALL)
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.raters, again.raters)
    for other in (simulate_shape(4, 7, SMALL), simulate_shape(3, 8, SMALL)):
        assert not np.array_equal(first.truth, other.truth)
        assert not np.array_equal(first.images, other.images)


@pytest.mark.parametrize("observers", [2, 9])
def test_another_number_of_observers_changes_nothing_else(observers: int) -> None:
    five, other = simulate_shape(0, 1, SMALL), simulate_shape(0, 1, replace(SMALL, observers=observers))
    np.testing.assert_array_equal(other.images, five.images)
    np.testing.assert_array_equal(other.truth, five.truth)
    same = min(5, observers)
    np.testing.assert_array_equal(other.raters[:same], five.raters[:same])
    assert len({mask.tobytes() for mask in other.raters}) == observers


def test_a_smaller_image_shows_the_same_scene() -> None:
    large, small = (simulate_shape(0, 2, ShapeSettings(width=width)) for width in (256, 128))
    assert large.truth is not None
    assert small.truth is not None
    assert dice(large.truth[:, ::2, ::2], small.truth) > 0.97
    assert large.grid.voxel_volume_ml * 4 == pytest.approx(small.grid.voxel_volume_ml)


def test_the_unperturbed_image_is_the_truth_with_a_random_intensity() -> None:
    intensities = []
    for index in range(60):
        case = simulate_shape(index, 0, CLEAN)
        assert case.truth is not None
        image = case.image("unperturbed")
        assert not image[~case.truth].any()
        (value,) = np.unique(image[case.truth])
        intensities.append(value)
    assert is_uniform(np.array(intensities), 30, 255)


def test_the_perturbed_image_sums_the_observers_and_fades_to_the_right() -> None:
    decays, largest = [], []
    for index in range(60):
        case = simulate_shape(index, 0, CLEAN)
        image, votes = case.image("perturbed")[0], case.raters.sum(axis=0)[0]
        assert case.truth is not None
        agreed = (votes == 5) & case.truth[0]
        x = np.nonzero(agreed)[1] / 128
        slope, intercept = np.polyfit(x, np.log(image[agreed]), 1)
        np.testing.assert_allclose(np.log(image[agreed]), slope * x + intercept, atol=1e-4)
        decays.append(-slope)
        largest.append(np.exp(intercept + slope * 0.5 / 128))
        assert not image[(votes == 0) & ~case.truth[0]].any()
        one = image[(votes == 1) & ~case.truth[0]]
        assert one.size == 0 or 0 < one.max() < image[agreed].max()
    assert is_uniform(np.array(decays), 0.5, 6.5)
    # The largest intensity is drawn before the image fades.
    fade = np.exp(np.array(decays) * 1.0 / 128)
    assert is_uniform(np.array(largest) * fade, 29, 258)


def test_noise_and_blur_are_as_stated() -> None:
    case = simulate_shape(0, 0, replace(ShapeSettings(), blur=(0.0, 0.0), intensity=(200.0, 200.0)))
    assert case.truth is not None
    assert case.image("unperturbed")[~case.truth].std() == pytest.approx(0.15 * 200, rel=0.02)
    blurred = simulate_shape(0, 0, replace(ShapeSettings(), blur=(4.0, 4.0), noise=0.0, intensity=(1.0, 1.0)))
    steepest = np.hypot(*np.gradient(blurred.image("unperturbed")[0])).max()
    # The slope of a straight step blurred with sigma s is at most 1 / (s sqrt(2 pi)).
    assert steepest == pytest.approx(1 / (4 * np.sqrt(2 * np.pi)), rel=0.1)


def test_many_further_observers_agree_with_the_first_ones_in_the_mean() -> None:
    further = many_observers_mean(0, 0, 200, SMALL)
    many = simulate_shape(0, 0, replace(SMALL, observers=200)).raters.mean(axis=0)[0]
    assert np.abs(further - many).max() < 5 * np.sqrt(0.5 / 200)
    assert not np.array_equal(further, many)


def test_a_cohort_on_disk_holds_the_same_arrays(tmp_path: Path) -> None:
    manifest = write_cohort(
        tmp_path / "shapes",
        lambda index: simulate_shape(index, 5, SMALL),
        ["shape001", "shape002"],
        {"seed": 5},
        name="Shapes",
        label="shape",
    )
    for index, loaded in enumerate(Cohort.open(manifest).load_all()):
        made = simulate_shape(index, 5, SMALL)
        np.testing.assert_array_equal(loaded.images, made.images)
        np.testing.assert_array_equal(loaded.raters, made.raters)
        np.testing.assert_array_equal(loaded.truth, made.truth)
        assert loaded.grid.dimension == 2


@pytest.mark.parametrize("wrong", [{"width": 8}, {"observers": 0}, {"radius": 0.6}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="no such shapes"):
        ShapeSettings(**wrong)  # type: ignore[arg-type]
