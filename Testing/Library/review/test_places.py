"""Places against closed forms, distances along the region by a search of its own, and SimpleITK's components."""

from __future__ import annotations

import heapq
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_image, read_mask
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review import places
from ObserverUncertaintyLib.review.places import Places, places_to_review

# Turned by 90 degrees and tilted, so that no axis of the array is one of the patient.
TILT = math.radians(30)
DIRECTION = (0.0, -math.cos(TILT), math.sin(TILT), 1.0, 0.0, 0.0, 0.0, math.sin(TILT), math.cos(TILT))


def entropy(p: float) -> float:
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def band(grid: Grid, radius_mm: float, softness_mm: float) -> np.ndarray:
    """A ball whose surface is unsure, more so on one side."""
    k, j, i = np.indices(grid.shape)
    x, y, z = (
        (along - (size - 1) / 2) * step for along, size, step in zip((i, j, k), grid.size, grid.spacing, strict=True)
    )
    distance = np.sqrt(x**2 + y**2 + z**2)
    return (1 / (1 + np.exp((distance - radius_mm) / (softness_mm * (1 + 0.5 * (x > 0)))))).astype(np.float32)


def unsure(probability: np.ndarray) -> np.ndarray:
    return (probability > 0.1) & (probability <= 0.9)


def index_of(position: tuple[float, float, float], grid: Grid) -> tuple[int, int, int]:
    """The voxel (k, j, i) at a position, by SimpleITK."""
    i, j, k = grid.to_sitk(np.zeros(grid.shape, np.uint8)).TransformPhysicalPointToIndex(position)
    return k, j, i


def along_the_region(region: np.ndarray, start: tuple[int, int, int], grid: Grid) -> np.ndarray:
    """Distances in mm along a region from one of its voxels, by Dijkstra's algorithm in plain Python."""
    distance = np.full(region.shape, np.inf)
    distance[start] = 0
    steps = [
        (step, math.hypot(*(n * mm for n, mm in zip(step, grid.spacing[::-1], strict=True))))
        for step in itertools.product((-1, 0, 1), repeat=3)
    ]
    queue = [(0.0, start)]
    while queue:
        so_far, voxel = heapq.heappop(queue)
        if so_far > distance[voxel]:
            continue
        for step, length in steps:
            beside = tuple(a + b for a, b in zip(voxel, step, strict=True))
            inside = all(0 <= n < size for n, size in zip(beside, region.shape, strict=True))
            if inside and region[beside] and so_far + length < distance[beside]:
                distance[beside] = so_far + length
                heapq.heappush(queue, (so_far + length, beside))
    return distance


def test_two_blobs_are_two_places_with_what_can_be_worked_out_by_hand():
    grid = Grid((30, 20, 12), (1.0, 1.5, 4.0), (-10.0, 7.0, 40.0), DIRECTION)
    probability, expected = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    probability[2:4, 5:8, 5:9], expected[2:4, 5:8, 5:9] = 0.3, 0.6  # 24 voxels
    probability[7:10, 14:17, 20:24], expected[7:10, 14:17, 20:24] = 0.75, 0.8  # 36 voxels
    probability[0, 0, 0] = 0.96  # certain enough
    found = places_to_review(probability, grid, expected)
    first, second = found.places
    assert found.expected_error_ml == pytest.approx((36 * 0.25 + 24 * 0.3 + 0.04) * 0.006)
    assert first.volume_ml == pytest.approx(36 * 0.006)
    assert first.expected_error_ml == pytest.approx(36 * 0.25 * 0.006)
    assert first.share == pytest.approx(9 / 16.24)
    assert second.share == pytest.approx(7.2 / 16.24)
    assert (first.slices, second.slices) == ((7, 9), (2, 3))
    assert first.mean_entropy == pytest.approx(entropy(0.75))
    assert first.epistemic_share == pytest.approx(1 - 0.8 / entropy(0.75), abs=1e-6)
    assert second.epistemic_share == pytest.approx(1 - 0.6 / entropy(0.3), abs=1e-6)
    np.testing.assert_array_equal(found.labels == 1, probability == 0.75)
    np.testing.assert_array_equal(found.labels == 2, probability == np.float32(0.3))
    # Smoothed, the error is greatest in the middle; of two middle voxels either will do.
    assert index_of(first.position, grid)[:2] == (8, 15)
    assert index_of(first.position, grid)[2] in (21, 22)
    assert (found.specks, found.specks_share) == (0, 0)


def test_a_position_is_the_centre_of_a_voxel_of_its_place():
    grid = Grid((44, 40, 14), (1.3, 1.5, 4.0), (-10.0, 7.0, 40.0), DIRECTION)
    found = places_to_review(band(grid, 20, 1.5), grid)
    image = grid.to_sitk(found.labels)
    assert len(found.places) > 3
    for place in found.places:
        index = image.TransformPhysicalPointToContinuousIndex(place.position)
        np.testing.assert_allclose(index, np.round(index), atol=1e-6)
        assert found.labels[index_of(place.position, grid)] == place.number


def test_what_is_expected_to_be_wrong_is_shared_out_between_places_specks_and_confident_voxels():
    grid = Grid((44, 40, 14), (1.3, 1.5, 4.0))
    probability = band(grid, 20, 1.5)
    probability[0, 0, 0] = probability[13, 39, 40] = 0.4
    found = places_to_review(probability, grid)
    error = np.minimum(probability, 1 - probability).astype(float)
    assert found.specks == 2
    assert found.specks_share == pytest.approx(0.8 / error.sum(), rel=1e-5)
    confident = error[~unsure(probability)].sum() / error.sum()
    assert sum(place.share for place in found.places) + found.specks_share + confident == pytest.approx(1, rel=1e-5)
    for place in found.places:
        inside = found.labels == place.number
        assert place.share == pytest.approx(error[inside].sum() / error.sum(), rel=1e-5)
        assert place.volume_ml == pytest.approx(inside.sum() * 1.3 * 1.5 * 4 / 1000)
        assert place.slices == (np.nonzero(inside)[0].min(), np.nonzero(inside)[0].max())
        assert place.epistemic_share is None
    shares = [place.share for place in found.places]
    assert shares == sorted(shares, reverse=True)
    assert found.places[-1].expected_error_ml >= min(0.2, 0.02 * found.expected_error_ml)


def test_a_band_around_a_ball_is_divided_between_peaks_that_are_nearest_along_it():
    grid = Grid((24, 22, 12), (2.0, 2.2, 4.0))
    probability = band(grid, 17, 1.5)
    region = unsure(probability)
    assert sitk.GetArrayFromImage(sitk.ConnectedComponent(grid.to_sitk(region), True)).max() == 1
    found = places_to_review(probability, grid)
    np.testing.assert_array_equal(found.labels > 0, region)
    peaks = [index_of(place.position, grid) for place in found.places]
    distances = np.array([along_the_region(region, peak, grid) for peak in peaks])
    assert len(peaks) > 4
    for one, other in itertools.combinations(range(len(peaks)), 2):
        assert distances[one][peaks[other]] >= 20
    own = np.take_along_axis(distances, np.maximum(found.labels.astype(int) - 1, 0)[np.newaxis], 0)[0]
    np.testing.assert_allclose(own[region], distances.min(axis=0)[region], rtol=1e-12)
    for place in found.places:
        parts = sitk.ConnectedComponent(grid.to_sitk(found.labels == place.number), True)
        assert sitk.GetArrayFromImage(parts).max() == 1


def test_the_first_place_lies_where_the_band_is_thickest():
    grid = Grid((44, 40, 14), (1.3, 1.5, 4.0))
    found = places_to_review(band(grid, 20, 1.5), grid)
    assert found.places[0].position[0] > 43 * 1.3 / 2


def test_two_walls_that_do_not_touch_are_two_places_however_near():
    grid = Grid((20, 20, 20))
    probability = np.zeros(grid.shape, np.float32)
    probability[5:15, 5:15, 8:11] = 1
    probability[5:15, 5:15, [7, 11]] = (0.5, 0.4)
    found = places_to_review(probability, grid)
    assert [np.unique(np.nonzero(found.labels == n)[2]).tolist() for n in (1, 2)] == [[7], [11]]


def test_a_scrap_at_the_end_of_a_region_joins_its_neighbour():
    grid = Grid((100, 9, 9))
    probability = np.zeros(grid.shape, np.float32)
    probability[2:7, 2:7, 5:20] = 0.5
    probability[4, 4, 20:60] = 0.15  # a thin tail of 40 mm, 3 % of the expected error in two pieces
    found = places_to_review(probability, grid)
    assert len(found.places) == 1
    np.testing.assert_array_equal(found.labels > 0, probability > 0)


def test_a_region_stays_one_place_if_only_all_of_it_together_is_worth_a_look():
    grid = Grid((100, 60, 9))
    probability = np.zeros(grid.shape, np.float32)
    probability[2:7, 2:7, 5:20] = 0.5
    probability[4, 40, 20:60] = 0.15
    assert 0.02 < 40 * 0.15 / (40 * 0.15 + 375 * 0.5) < 0.04
    found = places_to_review(probability, grid)
    assert len(found.places) == 2
    assert found.labels[4, 40, 20:60].tolist() == [2] * 40


def test_of_a_large_structure_also_places_with_a_small_share_stay():
    grid = Grid((200, 160, 3), (1.0, 1.0, 3.0))
    probability = np.zeros(grid.shape, np.float32)
    probability[1] = 0.5
    found = places_to_review(probability, grid)
    assert len(found.places) > 50
    assert found.places[0].share < 0.04
    assert min(place.expected_error_ml for place in found.places) >= 0.2
    assert (found.labels[1] > 0).all()


def test_a_model_that_is_unsure_nearly_everywhere_is_told_apart(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(places, "MOST_VOXELS", 119)
    grid = Grid((6, 5, 4), (1.0, 1.0, 5.0))
    with pytest.raises(InputError, match=r"in 120 voxels \(1 mL\); places are found in up to 119"):
        places_to_review(np.full(grid.shape, 0.3), grid)
    probability = np.full(grid.shape, 0.3)
    probability[0, 0, 0] = 0
    assert len(places_to_review(probability, grid).places) == 1


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 1, 0)])
def test_another_order_of_the_axes_in_the_file_shows_the_same_places(order: tuple[int, int, int]):
    grid = Grid((44, 40, 14), (1.3, 1.5, 4.0), (-10.0, 7.0, 40.0), DIRECTION)
    rng = np.random.default_rng(4)
    # Without noise some heights are equal, and the order of the array decides.
    probability = np.clip(band(grid, 20, 1.5) + rng.normal(0, 0.01, grid.shape), 0, 1)
    turned = sitk.PermuteAxes(grid.to_sitk(probability), order)
    first = places_to_review(probability, grid)
    second = places_to_review(sitk.GetArrayFromImage(turned), Grid.from_sitk(turned))
    assert len(first.places) == len(second.places)
    for one, other in zip(first.places, second.places, strict=True):
        assert one.position == pytest.approx(other.position)
        assert one.expected_error_ml == pytest.approx(other.expected_error_ml, rel=0.02)  # ties between two peaks


@pytest.mark.parametrize("value", [0.0, 1.0, 0.02])
def test_where_the_model_is_confident_there_is_no_place(value: float):
    grid = Grid((6, 5, 4))
    found = places_to_review(np.full(grid.shape, value), grid, np.zeros(grid.shape))
    assert found.places == ()
    assert not found.labels.any()
    assert found.expected_error_ml == pytest.approx(min(value, 1 - value) * 120 / 1000)
    assert (found.specks, found.specks_share) == (0, 0)


def test_many_specks_alone_make_no_place():
    grid = Grid((21, 21, 21))
    probability = np.zeros(grid.shape, np.float32)
    probability[::4, ::4, ::4] = 0.5
    found = places_to_review(probability, grid)
    assert (len(found.places), found.specks, found.specks_share) == (0, 216, pytest.approx(1))


def raters_mean(case: Path) -> tuple[np.ndarray, Grid]:
    grid = read_image(case / "image.nii.gz").grid
    masks = [read_mask(case / f"seg_rater{n}.nii.gz").array for n in range(1, 8)]
    return np.mean(masks, axis=0, dtype=np.float32), grid


def test_real_raters_of_one_slice_leave_no_region_out_without_saying_so(test_data: Path):
    for name in ("case01", "case12", "case24"):
        probability, grid = raters_mean(test_data / "brain_growth" / name)
        found: Places = places_to_review(probability, grid)
        components = sitk.ConnectedComponent(grid.to_sitk(unsure(probability)), True)
        regions = sitk.GetArrayFromImage(components).reshape(grid.shape)
        shown = np.unique(regions[found.labels > 0])
        assert found.places
        assert len(shown) + found.specks == regions.max()
        np.testing.assert_array_equal(found.labels > 0, np.isin(regions, shown))


@pytest.mark.parametrize(
    ("probability", "expected", "message"),
    [
        (np.zeros((6, 5, 4)), None, "The probability has the shape"),
        (np.full((4, 5, 6), np.nan), None, "The probability has values from nan"),
        (np.full((4, 5, 6), 0.5), np.zeros((1, 5, 6)), "The expected entropy has the shape"),
        (np.full((4, 5, 6), 0.5), np.full((4, 5, 6), 2.0), "The expected entropy has values from 2"),
        (np.full((4, 5, 6), 0.3), np.full((4, 5, 6), 0.9), "above the predictive entropy by up to 0.0187 bits"),
    ],
)
def test_maps_that_cannot_be_a_predictions_are_refused(
    probability: np.ndarray, expected: np.ndarray | None, message: str
):
    with pytest.raises(InputError, match=message):
        places_to_review(probability, Grid((6, 5, 4)), expected)
