"""Voxels lie after reading and writing where they lay, in every format, and what a header says badly is told."""

from __future__ import annotations

import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import InvalidImageError, UnreadableFileError, read_image, read_mask, write_image
from ObserverUncertaintyLib.images.grid import Grid

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
VOXELS = np.array([[0, 0, 0], [6, 0, 0], [0, 5, 0], [0, 0, 4]])
"""Indices (i, j, k) of four voxels that do not lie in one plane: together they fix every affine."""

TURNED = Rotation.from_euler("xyz", (20, -35, 70), degrees=True).as_matrix()
SHEAR = np.array([[1, 0.2, 0], [0, 1, 0.3], [0, 0, 1.0]])
DIRECTIONS = {
    "straight": np.eye(3),
    "turned": TURNED,
    "mirrored": TURNED * [-1, 1, 1],
    "other axes": np.array([[0, 0, -1.0], [1, 0, 0], [0, 1, 0]]),
}


def grid_of(matrix: np.ndarray) -> Grid:
    """A grid with these axes, each of length 1."""
    axes = matrix / np.linalg.norm(matrix, axis=0)
    return Grid((7, 6, 5), (0.5, 0.75, 3.0), (-12.5, 40.25, 7.0), tuple(axes.ravel().tolist()))


def places(to_physical: np.ndarray) -> np.ndarray:
    return VOXELS @ to_physical[:3, :3].T + to_physical[:3, 3]


def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)


def nifti(path: Path, q_form: np.ndarray | None, s_form: np.ndarray | None, codes: tuple[int, int] = (1, 1)) -> Path:
    """A file with these transforms from voxel index to RAS mm, and with voxels of 1 x 1 x 2 mm by pixdim."""
    save(path, np.zeros((7, 6, 5), np.uint8), q_form, s_form, (1, 1, 2), codes)
    return path


def save(
    path: Path,
    array: np.ndarray,
    q_form: np.ndarray | None,
    s_form: np.ndarray | None,
    voxel_size: tuple[float, ...],
    codes: tuple[int, int] = (1, 1),
) -> None:
    header = nib.Nifti1Header()
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_qform(q_form, codes[0] if q_form is not None else 0)
    header.set_sform(s_form, codes[1] if s_form is not None else 0)
    header.set_zooms(voxel_size)
    nib.save(nib.Nifti1Image(array, None, header), path)


UPRIGHT = np.diag([1.0, 1.0, 2.0, 1.0])


# --- written and read again


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.nrrd", "a.mha"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_four_voxels_lie_where_they_lay(tmp_path, name, direction):
    grid = grid_of(DIRECTIONS[direction])
    write_image(tmp_path / name, noise(), grid)
    found = read_image(tmp_path / name)
    np.testing.assert_array_equal(found.array, noise())
    np.testing.assert_allclose(places(found.grid.index_to_physical()), places(grid.index_to_physical()), atol=1e-4)
    assert found.warnings == ()
    image = sitk.ReadImage(str(tmp_path / name))
    by_itk = [image.TransformIndexToPhysicalPoint(voxel.tolist()) for voxel in VOXELS]
    np.testing.assert_allclose(by_itk, places(grid.index_to_physical()), atol=1e-4)
    if ".nii" in name:
        affine = RAS_TO_LPS @ nib.load(tmp_path / name).affine
        np.testing.assert_allclose(places(affine), places(grid.index_to_physical()), atol=1e-4)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_sheared_grid_keeps_its_shear_and_its_volume(tmp_path, name, direction):
    grid = grid_of(DIRECTIONS[direction] @ SHEAR)
    write_image(tmp_path / name, noise(), grid)
    found = read_image(tmp_path / name).grid
    np.testing.assert_allclose(places(found.index_to_physical()), places(grid.index_to_physical()), atol=1e-6)
    true_volume = abs(np.linalg.det(grid.index_to_physical()[:3, :3])) / 1000
    assert found.voxel_volume_ml == pytest.approx(true_volume)
    assert true_volume < 0.98 * np.prod(grid.spacing) / 1000


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii"])
def test_nifti_refuses_a_sheared_grid_before_anything_is_written(tmp_path, name):
    with pytest.raises(InputError, match=r"sheared .* elsewhere.*\.nrrd"):
        write_image(tmp_path / name, noise(), grid_of(SHEAR))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.nii"])
@pytest.mark.parametrize(("rounding", "is_said"), [(1e-4, False), (0.005, True)])
def test_axes_that_rounding_put_off_the_right_angle_are_made_perpendicular(tmp_path, name, rounding, is_said):
    sheared = np.eye(3)
    sheared[0, 1] = rounding
    grid = grid_of(sheared)
    if name == "a.nii":
        save(tmp_path / name, noise().T, None, RAS_TO_LPS @ grid.index_to_physical(), grid.spacing)
    else:
        sitk.WriteImage(grid.to_sitk(noise()), str(tmp_path / name))
    found = read_image(tmp_path / name)
    np.testing.assert_allclose(
        places(found.grid.index_to_physical()), places(grid.index_to_physical()), atol=0.1 * min(grid.spacing)
    )
    assert any("perpendicular" in warning for warning in found.warnings) == is_said
    write_image(tmp_path / "out.nii.gz", noise(), found.grid)
    again = read_image(tmp_path / "out.nii.gz").grid
    np.testing.assert_allclose(places(again.index_to_physical()), places(found.grid.index_to_physical()), atol=0.005)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
@pytest.mark.parametrize(("spacing", "is_said"), [(0.0005, True), (0.02, False), (10.0, False), (900.0, True)])
def test_a_voxel_size_that_is_hardly_meant_in_mm_is_warned_about(tmp_path, name, spacing, is_said):
    write_image(tmp_path / name, noise(), Grid((7, 6, 5), (spacing, spacing, spacing)))
    assert any("another unit" in warning for warning in read_image(tmp_path / name).warnings) == is_said


# --- MetaImage


def metaimage(path: Path, **fields: str) -> Path:
    head = {
        "NDims": "3",
        "DimSize": "7 6 5",
        "ElementType": "MET_UCHAR",
        "ElementSpacing": "1 1 2",
        **fields,
        "ElementDataFile": "LOCAL",
    }
    text = "".join(f"{name} = {value}\n" for name, value in head.items() if value)
    path.write_bytes(f"ObjectType = Image\n{text}".encode() + bytes(210))
    return path


def test_a_metaimage_whose_matrix_scales_has_the_voxel_size_that_follows(tmp_path):
    path = metaimage(tmp_path / "a.mha", TransformMatrix="2 0 0 0 2 0 0 0 1", Offset="1 2 3")
    grid = read_image(path).grid
    assert grid.spacing == (2, 2, 2)
    assert grid.voxel_volume_ml == pytest.approx(0.008)
    np.testing.assert_allclose(places(grid.index_to_physical()), [[1, 2, 3], [13, 2, 3], [1, 12, 3], [1, 2, 11]])


@pytest.mark.parametrize(
    "fields",
    [{"Offset": "nan 0 0"}, {"ElementSpacing": "nan 1 1"}, {"TransformMatrix": "inf 0 0 0 1 0 0 0 1"}, {"Offset": "a"}],
)
def test_a_metaimage_with_a_place_that_is_no_number_is_refused(tmp_path, fields):
    with pytest.raises(UnreadableFileError, match=rf"header gives .*{next(iter(fields))}"):
        read_image(metaimage(tmp_path / "a.mha", **fields))


def test_a_metaimage_without_voxel_size_is_warned_about(tmp_path):
    assert "no voxel size" in read_image(metaimage(tmp_path / "a.mha", ElementSpacing="")).warnings[0]
    assert read_image(metaimage(tmp_path / "b.mha", ElementSpacing="", ElementSize="1 1 2")).warnings == ()


def test_a_metaimage_in_micrometres_is_refused(tmp_path):
    with pytest.raises(InvalidImageError, match="'um'; expected mm"):
        read_image(metaimage(tmp_path / "a.mha", DistanceUnits="um"))


# --- NRRD


def nrrd(path: Path, *lines: str) -> Path:
    head = ["NRRD0004", "type: uint8", "dimension: 3", "sizes: 7 6 5", "encoding: raw", *lines]
    path.write_bytes(("\n".join(head) + "\n\n").encode() + bytes(210))
    return path


SPACE = "space: left-posterior-superior"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((), "no voxel size"),
        (("spacings: 1 1 nan",), "no voxel size"),
        ((SPACE, "space directions: (1,0,0) (0,1,0) none"), "no voxel size"),
        (("spacings: 1 1 2",), "neither position nor orientation"),
        ((SPACE, "space directions: (1,0,0) (0,1,0) (0,0,2)"), None),
    ],
)
def test_a_nrrd_file_that_lacks_a_part_of_its_place_is_warned_about(tmp_path, lines, said):
    warnings = read_image(nrrd(tmp_path / "a.nrrd", *lines)).warnings
    assert (said is None and not warnings) or said in warnings[0]
    assert read_mask(tmp_path / "a.nrrd").warnings == warnings


@pytest.mark.parametrize(
    "lines",
    [
        (SPACE, "space directions: (1,0,0) (0,1,0) (0,0,2)", 'space units: "um" "um" "um"'),
        ("spacings: 1 1 2", 'units: "cm" "cm" "cm"'),
    ],
)
def test_a_nrrd_file_in_other_units_is_refused(tmp_path, lines):
    with pytest.raises(InvalidImageError, match="expected mm"):
        read_image(nrrd(tmp_path / "a.nrrd", *lines))


# --- NIfTI


@pytest.mark.parametrize(("codes", "taken"), [((1, 2), "q-form is taken"), ((2, 1), "s-form is taken")])
def test_a_q_form_and_an_s_form_that_contradict_each_other_are_warned_about(tmp_path, codes, taken):
    moved = UPRIGHT.copy()
    moved[0, 3] = 25
    volume = read_image(nifti(tmp_path / "a.nii", UPRIGHT, moved, codes))
    assert "25 mm apart" in volume.warnings[0]
    assert taken in volume.warnings[0]
    assert read_mask(tmp_path / "a.nii").warnings == volume.warnings


def test_a_q_form_and_an_s_form_that_agree_are_not_warned_about(tmp_path):
    assert read_image(nifti(tmp_path / "a.nii", UPRIGHT, UPRIGHT)).warnings == ()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_either_form_alone_places_the_voxels(tmp_path, direction):
    affine = UPRIGHT.copy()
    affine[:3, :3] = DIRECTIONS[direction] @ UPRIGHT[:3, :3]
    affine[:3, 3] = 5, 6, 7
    for forms in ((affine, None), (None, affine), (affine, affine)):
        volume = read_image(nifti(tmp_path / "a.nii", *forms))
        np.testing.assert_allclose(volume.grid.index_to_physical(), RAS_TO_LPS @ affine, atol=1e-5)
        assert volume.warnings == ()


def test_a_file_without_any_transform_is_warned_about(tmp_path):
    assert "neither position nor orientation" in read_image(nifti(tmp_path / "a.nii", None, None)).warnings[0]


def test_a_sheared_s_form_keeps_its_shear_and_its_volume(tmp_path):
    affine = np.eye(4)
    affine[:3, :3] = SHEAR / np.linalg.norm(SHEAR, axis=0) * [1, 1, 2]
    grid = read_image(nifti(tmp_path / "a.nii", None, affine)).grid
    np.testing.assert_allclose(places(grid.index_to_physical()), places(RAS_TO_LPS @ affine), atol=1e-5)
    assert grid.voxel_volume_ml == pytest.approx(abs(np.linalg.det(affine)) / 1000)


def test_voxel_sizes_that_contradict_each_other_are_refused(tmp_path):
    with pytest.raises(InvalidImageError, match=r"1 x 1 x 2 mm by pixdim, of 3 x 3 x 3 mm by the s-form"):
        read_image(nifti(tmp_path / "a.nii", None, np.diag([3.0, 3, 3, 1])))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_an_s_form_in_which_voxels_have_no_place_is_refused(tmp_path, bad):
    with pytest.raises(UnreadableFileError, match="s-form"):
        read_image(nifti(tmp_path / "a.nii", None, np.diag([1.0, 1.0, bad, 1.0])))


@pytest.mark.parametrize("offset", [256, 268])
def test_a_q_form_that_is_no_number_is_refused(tmp_path, offset):
    path = nifti(tmp_path / "a.nii", UPRIGHT, None)
    data = bytearray(path.read_bytes())
    data[offset : offset + 4] = struct.pack("<f", np.nan)
    path.write_bytes(data)
    with pytest.raises(UnreadableFileError, match="q-form"):
        read_image(path)


def test_metres_and_micrometres_become_millimetres_in_both_forms(tmp_path):
    path = nifti(tmp_path / "a.nii", UPRIGHT, UPRIGHT)
    data = bytearray(path.read_bytes())
    data[123] = 1
    path.write_bytes(data)
    volume = read_image(path)
    assert volume.grid.spacing == (1000, 1000, 2000)
    assert not any("contradicts" in warning for warning in volume.warnings)
