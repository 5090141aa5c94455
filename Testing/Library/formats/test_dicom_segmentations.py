from __future__ import annotations

from dataclasses import replace

import highdicom
import numpy as np
import pytest
import SimpleITK as sitk
from contour_files import write_series
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from pydicom import dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from ObserverUncertaintyLib.cohort.loading import LoadOptions, load_case
from ObserverUncertaintyLib.cohort.rater_files import load_raters
from ObserverUncertaintyLib.formats import (
    InvalidImageError,
    InvalidMaskError,
    UnreadableFileError,
    read_image,
    read_masks,
)
from ObserverUncertaintyLib.images.grid import Grid, same_grid

GRID = Grid((12, 10, 8), (1.0, 1.5, 3.0), (-20.0, 5.0, 7.0), (1, 0, 0, 0, 0.8, -0.6, 0, 0.6, 0.8))


@pytest.fixture
def series(tmp_path):
    return write_series(tmp_path / "mr", GRID, np.random.default_rng(0).integers(0, 900, GRID.shape))


def write_segmentation(path, files, masks, kind=SegmentationTypeValues.BINARY, omit=True):
    """Masks by name, shape (k, j, i); frames without a voxel are left out, as every writer does."""
    sources = [dcmread(file) for file in files]
    described = [
        SegmentDescription(number, name, codes.SCT.Tissue, codes.SCT.Tissue, SegmentAlgorithmTypeValues.MANUAL)
        for number, name in enumerate(masks, 1)
    ]
    pixels = np.stack(list(masks.values()), axis=-1)
    Segmentation(
        sources,
        pixels,
        kind,
        described,
        generate_uid(),
        5,
        generate_uid(),
        1,
        "a",
        "b",
        "1",
        "2",
        omit_empty_frames=omit,
        **({"fractional_type": "PROBABILITY"} if kind is SegmentationTypeValues.FRACTIONAL else {}),
    ).save_as(path)
    return path


def boxes():
    anna, ben = np.zeros(GRID.shape, bool), np.zeros(GRID.shape, bool)
    anna[2:5, 3:7, 4:9] = True
    ben[3:6, 2:7, 4:8] = True
    return {"anna": anna, "ben": ben}


def test_real_segments_are_equal_bit_for_bit_to_the_same_masks_as_nrrd(test_data):
    folder = test_data / "dicom_seg"
    space = read_image(folder / "ct").space
    (liver,) = read_masks(folder / "liver.dcm", space)
    stored = sitk.ReadImage(str(folder / "liver_seg.nrrd"))
    np.testing.assert_array_equal(liver.array, sitk.GetArrayFromImage(stored) == 1)
    for found in (liver, read_masks(folder / "liver.dcm")[0]):
        assert same_grid(found.grid, Grid.from_sitk(stored))
        assert found.name == "Liver"
        assert found.warnings == ()
    overlapping = read_masks(folder / "partial_overlaps.dcm", space)
    assert [mask.name for mask in overlapping] == ["GREEN", "ORANGE", "PURPLE", "LIGHT_BLUE", "DARK_BLUE"]
    assert all(mask.array.any() for mask in overlapping)


def test_each_segment_is_a_rater_on_the_image_that_was_drawn_on(tmp_path, series):
    drawn = boxes()
    path = write_segmentation(tmp_path / "seg.dcm", series, drawn)
    masks = read_masks(path, read_image(series[0].parent).space)
    for mask in masks:
        np.testing.assert_array_equal(mask.array, drawn[mask.name])
        assert same_grid(mask.grid, GRID)
    images = {"T1": series[0].parent}
    case = load_case("case", images, {name: f"{path}#{name}" for name in drawn})
    np.testing.assert_array_equal(case.raters, np.stack(list(drawn.values())))
    assert case.warnings == ()


def test_without_the_image_a_segmentation_lies_on_the_slices_that_it_stores(tmp_path, series):
    path = write_segmentation(tmp_path / "seg.dcm", series, boxes())
    masks = read_masks(path)
    assert masks[0].grid.size == (12, 10, 4)
    assert masks[0].grid.orientation == GRID.orientation
    case = load_raters([path], LoadOptions())
    assert [int(mask.sum()) for mask in case.raters] == [60, 60]


def test_raters_may_come_in_several_formats(tmp_path, series):
    drawn = boxes()
    path = write_segmentation(tmp_path / "seg.dcm", series, drawn)
    sitk.WriteImage(GRID.to_sitk(drawn["ben"].astype(np.uint8)), str(tmp_path / "ben.nii.gz"))
    case = load_case("case", {"T1": series[0].parent}, {"a": f"{path}#anna", "b": tmp_path / "ben.nii.gz"})
    np.testing.assert_array_equal(case.raters, np.stack(list(drawn.values())))


def test_a_fractional_segment_is_taken_from_one_half_on_and_this_is_said(tmp_path, series):
    shares = np.zeros(GRID.shape, np.float32)
    shares[2, 2, 2:7] = [0.2, 0.4, 0.6, 0.8, 1.0]
    path = write_segmentation(tmp_path / "seg.dcm", series, {"anna": shares}, SegmentationTypeValues.FRACTIONAL)
    (mask,) = read_masks(path, read_image(series[0].parent).space)
    assert np.argwhere(mask.array)[:, 2].tolist() == [4, 5, 6]
    assert "a voxel counts as drawn from 0.5 on" in mask.warnings[0]


def test_slices_lie_where_they_are_though_the_file_does_not_say_how_far_apart(tmp_path, series):
    mask = np.zeros(GRID.shape, bool)
    mask[[1, 6], 3:7, 4:9] = True
    path = write_segmentation(tmp_path / "seg.dcm", series, {"anna": mask})
    dataset = dcmread(path)
    del dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices
    dataset.save_as(path)
    (found,) = read_masks(path, read_image(series[0].parent).space)
    np.testing.assert_array_equal(found.array, mask)
    assert found.warnings == ()
    (alone,) = read_masks(path)
    assert "does not say how far its slices are apart; 15 mm is taken" in alone.warnings[0]


def test_another_frame_of_reference_is_refused(tmp_path, series):
    path = write_segmentation(tmp_path / "seg.dcm", series, boxes())
    space = replace(read_image(series[0].parent).space, frame_of_reference="1.2.3")
    with pytest.raises(InvalidMaskError, match=r"seg\.dcm: 'anna' was drawn in another frame of reference"):
        read_masks(path, space)


def test_a_damaged_segmentation_is_named(tmp_path, series):
    path = write_segmentation(tmp_path / "seg.dcm", series, boxes())
    whole = path.read_bytes()
    for end in range(400, len(whole) - 40, len(whole) // 12):
        path.write_bytes(whole[:end])
        with pytest.raises(UnreadableFileError, match=r"seg\.dcm: this is a DICOM SEG, but it"):
            read_masks(path, read_image(series[0].parent).space)


@pytest.fixture
def enhanced(tmp_path, series):
    """The series as one multi-frame file (Legacy Converted Enhanced MR), as highdicom makes it."""
    files = [dcmread(file) for file in series]
    converted = highdicom.legacy.LegacyConvertedEnhancedMRImage(files, generate_uid(), 1, generate_uid(), 1)
    (tmp_path / "enhanced").mkdir()
    converted.save_as(tmp_path / "enhanced" / "frames.dcm")
    return tmp_path / "enhanced" / "frames.dcm"


def test_a_multi_frame_image_is_the_series_that_it_was_made_of(series, enhanced):
    single = read_image(series[0].parent)
    for given in (enhanced, enhanced.parent):
        found = read_image(given)
        np.testing.assert_array_equal(found.array, single.array)
        assert same_grid(found.grid, single.grid)
        assert found.frame_of_reference == single.frame_of_reference != ""


def test_frames_that_are_no_stack_are_refused(enhanced):
    frames = dcmread(enhanced)
    position = frames.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence[0]
    position.ImagePositionPatient = (
        frames.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient
    )
    frames.save_as(enhanced)
    with pytest.raises(InvalidImageError, match=r"frames\.dcm: its 8 frames do not form one even stack"):
        read_image(enhanced)


def test_a_package_that_an_older_slicer_lacks_is_named(tmp_path, series, monkeypatch):
    path = write_segmentation(tmp_path / "seg.dcm", series, boxes())
    monkeypatch.setitem(__import__("sys").modules, "highdicom", None)
    with pytest.raises(UnreadableFileError, match=r"seg\.dcm: .*the package highdicom is needed"):
        read_masks(path)
