from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ObserverUncertaintyLib.formats import InvalidImageError, UnreadableFileError, read_image, read_mask
from ObserverUncertaintyLib.images.grid import same_grid


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).integers(-500, 500, size=(6, 4, 5)).astype(np.int16)


def test_slices_are_stacked_by_position_and_not_by_file_name(tmp_path, write_series, values):
    write_series(tmp_path / "mr", values)
    volume = read_image(tmp_path / "mr")
    np.testing.assert_array_equal(volume.array, values)
    assert volume.grid.spacing == (0.5, 0.75, 2.0)
    assert volume.grid.origin == (10.0, 20.0, 30.0)
    assert volume.grid.orientation == "LPS"


def test_an_oblique_series_lies_where_its_header_says(tmp_path, write_series, values):
    c, s = np.cos(np.radians(30)), np.sin(np.radians(30))
    # rows along x, columns turned by 30 degrees about x, so that the normal is (0, -s, c)
    positions = [f"1\\{2 - 3 * k * s:.10f}\\{3 + 3 * k * c:.10f}" for k in range(6)]
    write_series(
        tmp_path / "mr",
        values,
        positions=positions,
        orientations=dict.fromkeys(range(6), f"1\\0\\0\\0\\{c:.10f}\\{s:.10f}"),
    )
    volume = read_image(tmp_path / "mr")
    last = volume.grid.index_to_physical() @ [4, 3, 5, 1]
    np.testing.assert_allclose(last[:3], [3, 2 + 2.25 * c - 15 * s, 3 + 2.25 * s + 15 * c], atol=1e-6)
    np.testing.assert_array_equal(volume.array, values)


def test_each_slice_is_scaled_by_its_own_slope_though_the_first_has_whole_numbers(tmp_path, write_series, values):
    slopes = dict.fromkeys(range(1, 6), "0.5") | {3: "0.25"}
    write_series(tmp_path / "pet", values, slopes=slopes)
    scaled = values * np.array([float(slopes.get(k, "1")) for k in range(6)])[:, None, None]
    assert np.any(scaled != np.round(scaled))
    np.testing.assert_array_equal(read_image(tmp_path / "pet").array, scaled)


@pytest.mark.parametrize("missing", [1, 2, 4])
def test_a_missing_slice_is_reported_with_its_neighbours(tmp_path, write_series, values, missing):
    files = write_series(tmp_path / "mr", values)
    files[missing].unlink()
    before, after = files[missing - 1].name, files[missing + 1].name
    with pytest.raises(
        InvalidImageError, match=rf"1 or more slices are missing: 4\.00 mm between {before} and {after}"
    ):
        read_image(tmp_path / "mr")


def test_uneven_slices_are_refused(tmp_path, write_series, values):
    positions = [f"0\\0\\{z}" for z in (0, 2, 4, 6.8, 8, 10)]
    write_series(tmp_path / "mr", values, positions=positions)
    with pytest.raises(InvalidImageError, match="slice spacing varies"):
        read_image(tmp_path / "mr")


def test_positions_rounded_by_the_scanner_are_accepted(tmp_path, write_series, values):
    positions = [f"0\\0\\{round(1.25 * k, 1)}" for k in range(6)]
    write_series(tmp_path / "mr", values, positions=positions)
    assert read_image(tmp_path / "mr").grid.spacing[2] == pytest.approx(1.25, abs=0.02)


def test_two_slices_at_one_position_are_refused(tmp_path, write_series, values):
    positions = [f"0\\0\\{z}" for z in (0, 2, 4, 0, 2, 4)]
    write_series(tmp_path / "mr", values, positions=positions)
    with pytest.raises(InvalidImageError, match="same position"):
        read_image(tmp_path / "mr")


def test_a_tilted_gantry_is_refused(tmp_path, write_series, values):
    positions = [f"0\\{0.5 * k}\\{2 * k}" for k in range(6)]
    write_series(tmp_path / "ct", values, positions=positions)
    with pytest.raises(InvalidImageError, match=r"sideways by up to 2\.50 mm"):
        read_image(tmp_path / "ct")


def test_mixed_orientations_are_refused(tmp_path, write_series, values):
    write_series(tmp_path / "mr", values, orientations={0: "0\\1\\0\\0\\0\\-1"})
    with pytest.raises(InvalidImageError, match="different orientations"):
        read_image(tmp_path / "mr")


def test_mixed_sizes_are_refused(tmp_path, write_series, values):
    write_series(tmp_path / "mr", values)
    write_series(tmp_path / "other", values[:1, :3], positions=["10\\20\\42"])
    (tmp_path / "other" / "1.2.3.4_00.dcm").rename(tmp_path / "mr" / "last.dcm")
    with pytest.raises(InvalidImageError, match=r"5 x 4 voxels.*5 x 3 voxels"):
        read_image(tmp_path / "mr")


def test_several_series_are_listed_and_one_is_picked(tmp_path, write_series, values):
    write_series(tmp_path / "mr", values)
    write_series(tmp_path / "mr", values[:3] + 1, uid="1.2.3.5")
    with pytest.raises(UnreadableFileError) as caught:
        read_image(tmp_path / "mr")
    assert "2 DICOM series" in str(caught.value)
    assert "#1.2.3.4  (6 files)" in str(caught.value)
    assert "#1.2.3.5  (3 files)" in str(caught.value)
    np.testing.assert_array_equal(read_image(f"{tmp_path / 'mr'}#1.2.3.5").array, values[:3] + 1)
    with pytest.raises(UnreadableFileError, match=r"no DICOM series 9\.9"):
        read_image(f"{tmp_path / 'mr'}#9.9")


@pytest.mark.parametrize("victim", [0, 3, 5])
@pytest.mark.parametrize("cut", [0.9, 0.4, 0.0])
def test_a_truncated_slice_is_named_even_at_the_end_of_the_stack(tmp_path, write_series, values, victim, cut):
    files = write_series(tmp_path / "mr", values)
    whole = files[victim].read_bytes()
    files[victim].write_bytes(whole[: int(len(whole) * cut)])
    with pytest.raises(UnreadableFileError, match=files[victim].name):
        read_image(tmp_path / "mr")


def test_files_of_other_kinds_in_the_folder_are_passed_over(tmp_path, test_data):
    source = test_data / "sarcoma_dicom_rtstruct" / "STS_002" / "MR_T1"
    shutil.copytree(source / "image", tmp_path / "mr")
    shutil.copy(source / "mask" / "RS.dcm", tmp_path / "mr")
    (tmp_path / "mr" / "notes.txt").write_text("notes", encoding="utf-8")
    assert read_image(tmp_path / "mr").grid.size == (115, 90, 35)


@pytest.mark.parametrize("content", [{}, {"notes.txt": "text"}])
def test_a_folder_without_dicom_is_refused(tmp_path, content):
    for name, text in content.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for read in (read_image, read_mask):
        with pytest.raises(UnreadableFileError, match="no readable DICOM image"):
            read(tmp_path)


def test_a_single_dicom_file_points_to_its_folder(tmp_path, write_series, values):
    files = write_series(tmp_path / "mr", values)
    with pytest.raises(UnreadableFileError, match=r"Give .*mr instead"):
        read_image(files[0])


def test_no_header_text_travels_into_the_result(tmp_path, write_series, values):
    write_series(tmp_path / "mr", (values > 0).astype(np.int16))
    assert "SECRET" not in repr(vars(read_image(tmp_path / "mr")))
    mask = read_mask(tmp_path / "mr")
    assert mask.name == "mr"
    np.testing.assert_array_equal(mask.array, values > 0)


@pytest.mark.parametrize("patient", ["STS_002", "STS_003"])
def test_a_real_series_agrees_with_its_conversion_to_nifti(test_data, patient):
    folder = test_data / "sarcoma_dicom_rtstruct"
    dicom = read_image(folder / patient / "MR_T1" / "image")
    nifti = read_image(folder / "nifti" / patient / "MR_T1_image.nii.gz")
    np.testing.assert_array_equal(dicom.array, nifti.array)
    assert same_grid(dicom.grid, nifti.grid)
    assert np.abs(dicom.grid.corners() - nifti.grid.corners()).max() < 1e-4


def test_a_real_series_with_a_slice_removed_is_refused(tmp_path: Path, test_data):
    shutil.copytree(test_data / "sarcoma_dicom_rtstruct" / "STS_002" / "MR_T1" / "image", tmp_path / "mr")
    (tmp_path / "mr" / "000017.dcm").unlink()
    with pytest.raises(InvalidImageError, match=r"slices are missing: 6\.54 mm between .*elsewhere 3\.27 mm"):
        read_image(tmp_path / "mr")


def test_a_real_ct_and_its_segmentation_lie_on_one_grid(test_data):
    image = read_image(test_data / "dicom_seg" / "ct")
    liver = read_mask(test_data / "dicom_seg" / "liver_seg.nrrd")
    assert same_grid(image.grid, liver.grid)
    inside = image.array[liver.array]
    assert 0 < np.median(inside) < 200  # soft tissue in Hounsfield units


@pytest.mark.parametrize(
    ("file", "kind"),
    [("sarcoma_dicom_rtstruct/STS_002/MR_T1/mask/RS.dcm", "DICOM RTSTRUCT"), ("dicom_seg/liver.dcm", "DICOM SEG")],
)
def test_contour_objects_are_no_images(test_data, tmp_path, file, kind):
    shutil.copy(test_data / file, tmp_path / "contours.dcm")
    for given in (tmp_path / "contours.dcm", tmp_path):
        with pytest.raises(UnreadableFileError, match=rf"contours\.dcm: this is a {kind}; expected an image"):
            read_image(given)


PIXEL_SPACING = b"\x28\x00\x30\x00"
POSITION = b"\x20\x00\x32\x00"
ORIENTATION = b"\x20\x00\x37\x00"


def hide(files: list[Path], tag: bytes) -> None:
    """Rename a field of DICOM files to one of the same group that nobody reads, as if it were missing."""
    for file in files:
        before, after = file.read_bytes().split(tag)
        file.write_bytes(before + tag[:2] + b"\x2f\x00" + after)


def restate(files: list[Path], tag: bytes, value: str) -> None:
    """Put another text, no longer than the old one, into a field of DICOM files without explicit types."""
    for file in files:
        before, after = file.read_bytes().split(tag)
        length = int.from_bytes(after[:4], "little")
        assert len(value) <= length
        file.write_bytes(before + tag + after[:4] + value.encode().ljust(length) + after[4 + length :])


def test_a_series_without_voxel_size_is_refused(tmp_path, write_series, values):
    hide(write_series(tmp_path / "mr", values), PIXEL_SPACING)
    with pytest.raises(InvalidImageError, match=r"PixelSpacing is missing.*made up"):
        read_image(tmp_path / "mr")


@pytest.mark.parametrize("stated", ["0\\0", "-1\\1", "a\\b", ""])
def test_a_voxel_size_that_cannot_be_is_refused(tmp_path, write_series, values, stated):
    restate(write_series(tmp_path / "mr", values), PIXEL_SPACING, stated)
    with pytest.raises(InvalidImageError, match="no usable voxel size"):
        read_image(tmp_path / "mr")


@pytest.mark.parametrize("stated", [r"1\0\0\1\0\0", r"2\0\0\0\2\0", r"1\0\0\.1\1\0", r"0\0\0\0\0\0", r"nan\0"])
def test_an_orientation_that_cannot_be_is_refused(tmp_path, write_series, values, stated):
    orientations = dict.fromkeys(range(len(values)), r"1\0\0\0\1\0")
    restate(write_series(tmp_path / "mr", values, orientations=orientations), ORIENTATION, stated)
    with pytest.raises(InvalidImageError, match="ImageOrientationPatient"):
        read_image(tmp_path / "mr")


def test_a_rounded_orientation_is_taken(tmp_path, write_series, values):
    turned = dict.fromkeys(range(len(values)), r"0.99985\0.01745\0\-0.01745\0.99985\0")
    files = write_series(tmp_path / "mr", values, orientations=turned)
    restate(files, ORIENTATION, r"0.9998\0.0175\0\-0.0174\0.9999\0")
    read_image(tmp_path / "mr")


@pytest.mark.parametrize("tag", [POSITION, ORIENTATION])
def test_slices_that_do_not_say_where_they_lie_are_refused(tmp_path, write_series, values, tag):
    hide(write_series(tmp_path / "mr", values)[:1], tag)
    with pytest.raises(InvalidImageError, match="no position or no orientation"):
        read_image(tmp_path / "mr")


def test_a_single_slice_is_as_thick_as_its_header_says(tmp_path, write_series, values):
    write_series(tmp_path / "mr", values[:1], further_tags={"0018|0050": "5"})
    volume = read_image(tmp_path / "mr")
    assert volume.grid.spacing == (0.5, 0.75, 5)
    assert volume.warnings == ()


def test_a_single_slice_without_thickness_or_place_is_warned_about(tmp_path, write_series, values):
    files = write_series(tmp_path / "mr", values[:1])
    assert ["no slice thickness" in warning for warning in read_image(tmp_path / "mr").warnings] == [True]
    hide(files, ORIENTATION)
    assert "neither position nor orientation" in read_image(tmp_path / "mr").warnings[0]
