from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ObserverUncertaintyLib.formats import InvalidMaskError, read_mask, read_masks

NAMES = ["seg_rater1.nii.gz", "seg_rater1.nrrd", "seg_rater1.mha"]


def save(path: Path, array: np.ndarray) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path), True)
    return path


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(0).random((4, 5, 6)) < 0.3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("value", "dtype"), [(1, np.uint8), (255, np.uint8), (-1, np.int16), (0.5, np.float32), (70000, np.int32)]
)
def test_any_one_value_inside_makes_a_mask(tmp_path, truth, name, value, dtype):
    mask = read_mask(save(tmp_path / name, np.where(truth, value, 0).astype(dtype)))
    assert mask.array.dtype == np.bool_
    assert mask.name == "seg_rater1"
    np.testing.assert_array_equal(mask.array, truth)


@pytest.mark.parametrize("name", NAMES)
def test_values_that_differ_by_rounding_are_one(tmp_path, truth, name):
    values = np.where(truth, np.float32(1), 0).astype(np.float32)
    values[:2] *= np.float32(0.99999994)
    np.testing.assert_array_equal(read_mask(save(tmp_path / name, values)).array, truth)


def test_values_that_are_two_look_different_in_the_text(tmp_path, truth):
    values = np.where(truth, np.float32(1), 0).astype(np.float32)
    values[:2] *= np.float32(0.9999)
    with pytest.raises(InvalidMaskError, match=r"\(0\.9999, 1\)"):
        read_mask(save(tmp_path / "a.nrrd", values))


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_mask_is_read(tmp_path, name):
    (mask,) = read_masks(save(tmp_path / name, np.zeros((4, 5, 6), np.uint8)))
    assert mask.array.shape == (4, 5, 6)
    assert not mask.array.any()


@pytest.mark.parametrize("name", NAMES)
def test_a_label_map_is_refused_with_the_labels_found(tmp_path, truth, name):
    path = save(tmp_path / name, (truth + truth[::-1] * 2).astype(np.uint8))
    with pytest.raises(InvalidMaskError, match=rf"{name}.* 3 different non-zero values \(1, 2, 3\).*label map"):
        read_mask(path)


@pytest.mark.parametrize("name", NAMES)
def test_a_probability_map_is_refused_with_five_of_its_values(tmp_path, name):
    path = save(tmp_path / name, (np.arange(120) / 119).astype(np.float32).reshape(4, 5, 6))
    with pytest.raises(InvalidMaskError, match=r"119 different.*(0\.\d+, ){4}0\.\d+ and 114 more.*threshold"):
        read_mask(path)


def test_labels_that_float32_cannot_tell_apart_are_still_two(tmp_path, truth):
    array = np.where(truth, 2**24, 0).astype(np.int32)
    array[0, 0, 0] = 2**24 + 1
    with pytest.raises(InvalidMaskError, match="2 different"):
        read_mask(save(tmp_path / "a.nrrd", array))


def test_real_masks_of_two_formats_are_read(test_data):
    liver = read_mask(test_data / "dicom_seg" / "liver_seg.nrrd")
    assert liver.name == "liver_seg"
    assert liver.grid.size == (512, 512, 3)
    with pytest.raises(InvalidMaskError, match=r"\(1, 2\)"):
        read_mask(test_data / "dicom_seg" / "liver_spine_seg.nrrd")
    tumour = read_mask(test_data / "sarcoma_dicom_rtstruct" / "nifti" / "STS_002" / "MR_T1_mask.nii.gz")
    assert int(tumour.array.sum()) == 17090
