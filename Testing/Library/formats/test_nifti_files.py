from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import (
    InvalidImageError,
    InvalidMaskError,
    UnreadableFileError,
    read_image,
    read_mask,
)
from ObserverUncertaintyLib.images.grid import same_grid

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
AFFINE = np.array([[0, -0.5, 0, 10], [0.75, 0, 0, -20], [0, 0, 3, 30], [0, 0, 0, 1.0]])


def save(path: Path, array: np.ndarray, kind: type = nib.Nifti1Image, affine: np.ndarray = AFFINE) -> Path:
    nib.save(kind(array, affine), path)
    return path


def patch(path: Path, offset: int, content: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[offset : offset + len(content)] = content
    path.write_bytes(data)
    return path


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII.GZ"])
def test_values_and_voxel_positions_agree_with_nibabel(tmp_path, values, kind, name):
    volume = read_image(save(tmp_path / name, values, kind))
    assert volume.array.dtype == np.float32
    np.testing.assert_array_equal(volume.array, values.T)
    np.testing.assert_allclose(volume.grid.index_to_physical(), RAS_TO_LPS @ AFFINE, atol=1e-5)


@pytest.mark.parametrize("version", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_every_voxel_type_is_read_in_both_byte_orders(tmp_path, version, dtype):
    array = np.arange(24).reshape(2, 3, 4)
    for order in "<>":
        header = version.header_class(endianness=order)
        header.set_data_dtype(order + dtype)
        path = tmp_path / f"{'little' if order == '<' else 'big'}.nii"
        nib.save(version(array.astype(order + dtype), np.eye(4), header), path)
        np.testing.assert_array_equal(read_image(path).array, array.T)


def test_the_geometry_is_the_one_simpleitk_gives_the_same_file(test_data):
    for path in sorted((test_data / "open_ms_unregistered" / "patient01").glob("study?_T2W.nii.gz")):
        image = sitk.ReadImage(str(path))
        volume = read_image(path)
        assert volume.grid.size == image.GetSize()
        assert volume.grid.spacing == image.GetSpacing()
        assert volume.grid.origin == image.GetOrigin()
        assert volume.grid.direction == image.GetDirection()
        np.testing.assert_array_equal(volume.array, sitk.GetArrayViewFromImage(image))
        affine = RAS_TO_LPS @ nib.load(path).affine
        np.testing.assert_allclose(volume.grid.index_to_physical(), affine, atol=1e-3)


def test_slope_and_intercept_are_applied(tmp_path):
    stored = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    path = save(tmp_path / "a.nii", stored)
    patch(path, 112, struct.pack("<ff", 0.5, -3.0))
    np.testing.assert_array_equal(read_image(path).array, stored.T * 0.5 - 3)


def test_a_slope_of_zero_means_no_scaling(tmp_path):
    stored = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    path = patch(save(tmp_path / "a.nii", stored), 112, struct.pack("<ff", 0.0, 5.0))
    np.testing.assert_array_equal(read_image(path).array, stored.T)


@pytest.mark.parametrize("scaling", [(np.nan, 0.0), (np.inf, 0.0), (1.0, np.nan)])
def test_a_scaling_that_is_not_finite_is_refused(tmp_path, values, scaling):
    path = patch(save(tmp_path / "a.nii", values), 112, struct.pack("<ff", *scaling))
    with pytest.raises(InvalidImageError, match=r"a\.nii.*scl_slope"):
        read_image(path)


def test_a_file_of_the_same_name_without_gz_does_not_lend_its_voxels(tmp_path, values):
    save(tmp_path / "a.nii", values)
    path = save(tmp_path / "a.nii.gz", values + 1)
    np.testing.assert_array_equal(read_image(path).array, values.T + 1)


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1), (5, 6, 7), (5, 6, 7, 1), (5, 6, 7, 1, 1), (5, 6, 1, 1)])
def test_axes_of_one_volume_beyond_the_third_are_dropped(tmp_path, shape):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    volume = read_image(save(tmp_path / "a.nii.gz", array))
    assert volume.grid.dimension == min(len(shape), 3)
    assert volume.grid.size == (*shape, 1)[:3]
    np.testing.assert_array_equal(volume.array, array.T.reshape(volume.grid.shape))


@pytest.mark.parametrize("shape", [(5, 6, 7, 2), (5, 6, 1, 2), (5, 6, 7, 1, 3)])
def test_several_volumes_are_refused_with_their_number(tmp_path, shape):
    path = save(tmp_path / "a.nii.gz", np.zeros(shape, np.float32))
    with pytest.raises(InvalidImageError, match=rf"a\.nii\.gz.*holds {shape[-1]} volumes"):
        read_image(path)


def test_colours_and_complex_numbers_are_refused(tmp_path):
    colours = np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    for array, found in ((colours, "RGB"), (np.zeros((4, 5, 6), np.complex64), "complex")):
        with pytest.raises(InvalidImageError, match=found):
            read_image(save(tmp_path / "a.nii.gz", array))


@pytest.mark.parametrize("cut", [0.999, 0.9, 0.5, 0.2, 0.05, 0.01])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_truncated_file_is_refused(tmp_path, values, cut, name, kind):
    path = save(tmp_path / name, values, kind)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * cut)])
    for read in (read_image, read_mask):
        with pytest.raises(UnreadableFileError, match=name):
            read(path)


@pytest.mark.parametrize("shape", [(2, 3, 4), (47, 1, 1), (4, 5, 6), (110, 110, 110)])
def test_a_file_that_lost_only_its_checksum_is_refused(tmp_path, shape):
    # Less than, exactly and more than what the first read of 540 bytes holds, and more than one chunk of voxels.
    path = save(tmp_path / "a.nii.gz", np.zeros(shape, np.float32))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(UnreadableFileError, match="incomplete or damaged"):
        read_image(path)


def test_a_whole_gzip_stream_of_too_few_voxels_is_refused(tmp_path, values):
    path = save(tmp_path / "a.nii.gz", values)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-4]))
    with pytest.raises(UnreadableFileError, match="480 bytes of voxels expected, 476 found"):
        read_image(path)


def test_a_header_that_asks_for_terabytes_is_refused_without_allocating_them(tmp_path, values):
    path = patch(save(tmp_path / "a.nii", values), 40, struct.pack("<8h", 3, 30000, 30000, 30000, 1, 1, 1, 1))
    with pytest.raises(UnreadableFileError, match="bytes of voxels expected"):
        read_image(path)


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 10_000), value=st.integers(1, 255))
def test_a_flipped_byte_is_either_harmless_or_refused_but_never_changes_voxels(tmp_path_factory, position, value):
    array = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    path = save(tmp_path_factory.mktemp("flip") / "a.nii.gz", array)
    data = bytearray(path.read_bytes())
    data[position % len(data)] ^= value
    path.write_bytes(data)
    try:
        found = read_image(path).array
    except InputError:
        return
    np.testing.assert_array_equal(found, array.T)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted(tmp_path, values, name, dtype, bad):
    array = values.astype(dtype)
    array[1, 2, 3] = array[0, 0, 0] = bad
    path = save(tmp_path / name, array)
    with pytest.raises(InvalidImageError, match=rf"{name}: 2 of 120 voxels"):
        read_image(path)
    with pytest.raises(InvalidMaskError, match=rf"{name}: 2 of 120 voxels"):
        read_mask(path)


def test_a_value_beyond_float32_is_reported_and_not_turned_into_infinity(tmp_path, values):
    array = values.astype(np.float64)
    array[0, 0, 0] = 1e300
    with pytest.raises(InvalidImageError, match="1 of 120 voxels"):
        read_image(save(tmp_path / "a.nii", array))


def test_a_pair_of_header_and_image_files_is_refused(tmp_path, values):
    nib.save(nib.Nifti1Pair(values, np.eye(4)), tmp_path / "a.hdr")
    with pytest.raises(UnreadableFileError, match=r"\.hdr/\.img"):
        read_image(tmp_path / "a.hdr")
    (tmp_path / "a.hdr").rename(tmp_path / "a.nii")
    with pytest.raises(UnreadableFileError, match="pair of files"):
        read_image(tmp_path / "a.nii")


@pytest.mark.parametrize("size", [0.0, np.nan, np.inf])
def test_a_voxel_size_that_cannot_be_is_refused(tmp_path, values, size):
    path = patch(save(tmp_path / "a.nii", values), 80, struct.pack("<f", size))
    with pytest.raises(UnreadableFileError, match="voxel size"):
        read_image(path)


def test_both_raters_of_a_real_slice_lie_on_its_two_dimensional_grid(test_data):
    folder = test_data / "brain_growth" / "case01"
    image = read_image(folder / "image.nii.gz")
    rater = read_mask(folder / "seg_rater1.nii.gz")
    assert rater.name == "seg_rater1"
    assert image.grid.dimension == 2
    assert same_grid(image.grid, rater.grid)
    assert rater.array.sum() == np.count_nonzero(nib.load(folder / "seg_rater1.nii.gz").get_fdata())
