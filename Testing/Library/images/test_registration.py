"""Alignment: the content of an image, whether two images show the same place, rigid registration."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.foreground import foreground
from ObserverUncertaintyLib.images.grid import Grid, GridMismatchError
from ObserverUncertaintyLib.images.registration import RegistrationError, RigidAlignment, register_rigid
from ObserverUncertaintyLib.images.resampling import resample
from ObserverUncertaintyLib.scores.metrics import dice

Image = NDArray[np.float32]
SEQUENCES = ("T1", "T1c", "T2", "FLAIR")


def load(path: Path) -> tuple[Image, Grid]:
    image = sitk.ReadImage(str(path), sitk.sitkFloat32)
    grid = Grid.from_sitk(image)
    return sitk.GetArrayFromImage(image).reshape(grid.shape), grid


def content_overlap(a: Image, b: Image) -> float:
    return dice(foreground(a), foreground(b))


def rigid_3d(degrees: tuple[float, float, float], shift: tuple[float, float, float]) -> sitk.Euler3DTransform:
    return sitk.Euler3DTransform((10.0, -20.0, 5.0), *np.radians(degrees).tolist(), shift)


def moved(grid: Grid, transform: sitk.Euler3DTransform) -> Grid:
    """The grid of an image whose patient was moved by a transform."""
    rotation = np.reshape(transform.GetMatrix(), (3, 3))
    direction = (rotation @ np.reshape(grid.direction, (3, 3))).ravel()
    return Grid(grid.size, grid.spacing, transform.TransformPoint(grid.origin), tuple(direction.tolist()))


def corner_error(grid: Grid, found: sitk.Transform, expected: sitk.Transform) -> float:
    """The mean distance in mm between where two transforms take the corners of a grid."""
    corners = grid.corners()[:, : grid.dimension].tolist()
    distances = [np.subtract(found.TransformPoint(c), expected.TransformPoint(c)) for c in corners]
    return float(np.linalg.norm(distances, axis=1).mean())


def phantom(shape: tuple[int, ...], seed: int = 1) -> Image:
    """A head: an ellipsoid of smooth, irregular tissue in air."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    inside = sum((a / r) ** 2 for a, r in zip(axes[-2:], (0.75, 0.6), strict=True))
    if shape[0] > 1:
        inside = inside + (axes[0] / 0.8) ** 2
    noise = np.random.default_rng(seed).normal(size=shape)
    texture = ndimage.gaussian_filter(noise, [min(n / 16, 3) if n > 1 else 0 for n in shape])
    image = np.where(inside < 1, 500 + 150 * texture / texture.std(), 0)
    return np.clip(image, 0, None).astype(np.float32)


def other_sequence(image: Image) -> Image:
    """The same anatomy with another, non-monotonic contrast."""
    return np.where(image > 0, 100 + 900 * np.abs(image / 500 - 1), 0).astype(np.float32)


# Content


def test_the_content_of_a_skull_stripped_image_is_its_brain() -> None:
    image = phantom((24, 48, 48))
    content = foreground(image)
    assert content.dtype == bool
    assert 2 * np.sum(content & (image > 0)) / (content.sum() + np.sum(image > 0)) > 0.95


def test_a_brain_normalised_around_zero_keeps_its_outline() -> None:
    image = phantom((24, 48, 48))
    brain = image > 0
    normalised = np.where(brain, (image - image[brain].mean()) / image[brain].std(), 0).astype(np.float32)
    assert content_overlap(image, normalised) > 0.95


def test_noise_in_the_air_is_not_content() -> None:
    image = phantom((24, 64, 64))
    noise = np.hypot(*np.random.default_rng(0).normal(scale=15, size=(2, *image.shape))).astype(np.float32)
    content = foreground(image + noise)
    assert content[image > 0].all()
    # The smoothing that keeps the noise out widens the outline by up to two voxels.
    distance = ndimage.distance_transform_edt(image == 0, sampling=(100, 1, 1))
    assert distance[content].max() < 3


def test_specks_are_dropped_and_holes_belong_to_the_content() -> None:
    image = np.zeros((1, 64, 64), dtype=np.float32)
    image[0, 10:50, 10:50] = 100
    image[0, 25:35, 25:35] = 0
    image[0, 60, 60] = 100
    content = foreground(image)
    assert content[0, 30, 30]
    assert not content[0, 60, 60]


def test_two_separate_parts_of_the_body_are_both_content() -> None:
    image = np.zeros((8, 64, 64), dtype=np.float32)
    image[:, 20:44, 5:28] = 100
    image[:, 20:44, 36:60] = 80
    content = foreground(image)
    assert content[4, 30, 15]
    assert content[4, 30, 50]


def test_a_single_slice_has_the_content_it_has_in_a_volume() -> None:
    image = phantom((1, 64, 64))
    assert content_overlap(image, (image > 0).astype(np.float32)) > 0.95


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_a_constant_image_is_all_content(value: float) -> None:
    assert foreground(np.full((2, 5, 5), value, dtype=np.float32)).all()


def test_voxels_that_are_not_a_number_are_not_content() -> None:
    image = phantom((8, 48, 48))
    image[:, :, :10] = np.nan
    assert not foreground(image)[:, :, :10].any()


@pytest.mark.parametrize("patient", ["patient07", "patient19"])
def test_the_overlap_tells_aligned_real_sequences_from_shifted_ones(test_data: Path, patient: str) -> None:
    images = {name: load(test_data / "open_ms" / patient / f"{name}.nii.gz") for name in SEQUENCES}
    shift = sitk.TranslationTransform(3, (60.0, 0.0, 0.0))
    for a, b in itertools.combinations(SEQUENCES, 2):
        image, grid = images[b]
        assert content_overlap(images[a][0], image) > 0.8, (a, b)
    assert content_overlap(images["T1"][0], resample(image, grid, grid, "linear", shift)) < 0.5


def test_the_overlap_tells_aligned_real_heads_from_shifted_ones(test_data: Path) -> None:
    folder = test_data / "open_ms_unregistered" / "patient01"
    fixed, grid = load(folder / "study1_FLAIR.nii.gz")
    moving, moving_grid = load(folder / "study1_T1W.nii.gz")
    shift = sitk.TranslationTransform(3, (60.0, 60.0, 0.0))
    assert content_overlap(fixed, resample(moving, moving_grid, grid, "linear")) > 0.8
    assert content_overlap(fixed, resample(moving, moving_grid, grid, "linear", shift)) < 0.5


@pytest.mark.parametrize("patient", ["STS_002", "STS_003"])
def test_a_real_leg_that_fills_most_of_the_picture_is_told_from_the_air(test_data: Path, patient: str) -> None:
    folder = test_data / "sarcoma_dicom_rtstruct" / "nifti" / patient
    content = foreground(load(folder / "MR_T1_image.nii.gz")[0])
    tumour = load(folder / "MR_T1_mask.nii.gz")[0] > 0
    assert 0.5 < content.mean() < 0.95
    assert content[tumour].mean() > 0.99


# Registration


def test_a_known_movement_between_two_contrasts_is_recovered() -> None:
    grid = Grid((64, 80, 32), (2.0, 2.0, 4.0), (-64.0, -80.0, -64.0))
    image = phantom(grid.shape)
    movement = rigid_3d((5.0, -4.0, 5.0), (8.0, -7.0, 5.5))
    found = register_rigid(other_sequence(image), moved(grid, movement), image, grid)
    assert corner_error(grid, found.transform, movement) < 0.5
    assert found.rotation_degrees == pytest.approx(8.0, abs=0.5)
    centre = grid.corners().mean(axis=0)
    assert found.translation_mm == pytest.approx(np.linalg.norm(movement.TransformPoint(centre) - centre), abs=0.5)
    aligned = resample(other_sequence(image), moved(grid, movement), grid, "linear", found.transform)
    assert content_overlap(aligned, image) > 0.95


def test_nothing_that_the_image_shows_moves_further_than_the_largest_shift() -> None:
    grid = Grid((64, 80, 32), (2.0, 2.0, 4.0), (-64.0, -80.0, -64.0))
    image = phantom(grid.shape)
    found = register_rigid(image, moved(grid, rigid_3d((0.0, 0.0, 5.0), (1.0, 0.0, 0.0))), image, grid)

    def shift(points: NDArray[np.float64]) -> float:
        return max(float(np.linalg.norm(np.subtract(found.transform.TransformPoint(p), p))) for p in points.tolist())

    content = grid.corners()[0] + np.argwhere(foreground(image))[::7, ::-1] * grid.spacing
    assert found.translation_mm < shift(content) <= found.largest_shift_mm < shift(grid.corners())


def test_images_that_lie_metres_apart_are_brought_together() -> None:
    grid = Grid((64, 80, 32), (2.0, 2.0, 4.0), (-64.0, -80.0, -64.0))
    image = phantom(grid.shape)
    movement = rigid_3d((0.0, 0.0, 6.0), (3000.0, 0.0, -1500.0))
    found = register_rigid(image, moved(grid, movement), image, grid)
    assert corner_error(grid, found.transform, movement) < 0.5


def test_two_dimensional_images_are_registered_in_their_plane() -> None:
    grid = Grid((128, 112, 1), dimension=2)
    image = phantom(grid.shape)
    movement = sitk.Euler2DTransform((64.0, 56.0), np.radians(-12.0), (9.0, -6.0))
    moving = resample(image, grid, grid, "linear", movement.GetInverse())
    found = register_rigid(other_sequence(moving), grid, image, grid)
    assert corner_error(grid, found.transform, movement) < 1.0
    assert found.rotation_degrees == pytest.approx(12.0, abs=0.5)


def test_the_result_is_the_same_on_any_number_of_threads() -> None:
    grid = Grid((48, 48, 16), (3.0, 3.0, 6.0))
    image = phantom(grid.shape)
    moving_grid = moved(grid, rigid_3d((3.0, 2.0, 0.0), (4.0, 0.0, 0.0)))
    default = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    found: list[RigidAlignment] = []
    try:
        for threads in (1, 2, 5):
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
            found.append(register_rigid(other_sequence(image), moving_grid, image, grid, seed=3))
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(default)
    assert len({a.transform.GetParameters() for a in found}) == 1
    assert len({a.metric for a in found}) == 1


def test_an_image_without_content_cannot_be_registered() -> None:
    grid = Grid((32, 32, 8))
    with pytest.raises(RegistrationError, match=r"moving image .* same value everywhere"):
        register_rigid(np.zeros(grid.shape, dtype=np.float32), grid, phantom(grid.shape), grid)
    assert issubclass(RegistrationError, InputError)


def test_an_image_with_voxels_that_are_not_a_number_cannot_be_registered() -> None:
    grid = Grid((32, 32, 8))
    broken = phantom(grid.shape)
    broken[0, 0, 0] = np.nan
    with pytest.raises(RegistrationError, match=r"fixed image .* not a number"):
        register_rigid(phantom(grid.shape), grid, broken, grid)


def test_a_volume_of_one_slice_is_too_thin_to_register() -> None:
    volume, slice_ = Grid((32, 32, 8)), Grid((32, 32, 1))
    with pytest.raises(RegistrationError, match=r"only 1 voxel\(s\) along one axis"):
        register_rigid(phantom(slice_.shape), slice_, phantom(volume.shape), volume)


def test_a_slice_and_a_volume_cannot_be_registered() -> None:
    volume, slice_ = Grid((32, 32, 8)), Grid((32, 32, 1), dimension=2)
    with pytest.raises(GridMismatchError, match="2-D image cannot be registered to a 3-D one"):
        register_rigid(phantom(slice_.shape), slice_, phantom(volume.shape), volume)


def test_images_that_have_nothing_in_common_are_refused_with_advice() -> None:
    grid = Grid((64, 64, 32), (2.0, 2.0, 4.0))
    noise = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    with pytest.raises(RegistrationError, match=r"could not be aligned(.|\n)*align them by hand"):
        register_rigid(noise, grid, phantom(grid.shape), grid)


def published(path: Path) -> sitk.AffineTransform:
    """Read a published transform, which SimpleITK cannot use under the generic type its file names.

    It maps points of the FLAIR to points of the other sequence, as `resample` wants it: taken so, the mutual
    information of all four pairs is higher than with its inverse (0.721 against 0.710, 0.704 / 0.690, 0.661 / 0.616,
    0.671 / 0.645), and in study 2 higher than without any transform.
    """
    read = sitk.ReadTransform(str(path))
    transform = sitk.AffineTransform(3)
    transform.SetFixedParameters(read.GetFixedParameters())
    transform.SetParameters(read.GetParameters())
    return transform


@pytest.mark.parametrize("perturbed", [False, True], ids=["as scanned", "moved by 8 degrees and 12 mm"])
@pytest.mark.parametrize("sequence", ["T1W", "T2W"])
@pytest.mark.parametrize("study", ["study1", "study2"])
def test_real_sequences_are_registered_as_their_publishers_did(
    test_data: Path, study: str, sequence: str, perturbed: bool
) -> None:
    folder = test_data / "open_ms_unregistered" / "patient01"
    fixed, fixed_grid = load(folder / f"{study}_FLAIR.nii.gz")
    moving, moving_grid = load(folder / f"{study}_{sequence}.nii.gz")
    expected: sitk.Transform = published(folder / f"{study}_{sequence}_intrastudy_to_FLAIR.txt")
    if perturbed:
        movement = rigid_3d((5.0, -4.0, 5.0), (8.0, -7.0, 5.5))
        moving_grid = moved(moving_grid, movement)
        expected = sitk.CompositeTransform([movement, expected])
    found = register_rigid(moving, moving_grid, fixed, fixed_grid)
    # The published transforms scale slightly: no rigid one comes closer to them than 0.4 to 1.2 mm.
    assert corner_error(fixed_grid, found.transform, expected) < 2.0
