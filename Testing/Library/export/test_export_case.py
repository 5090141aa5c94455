from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import highdicom
import numpy as np
import pytest
import SimpleITK as sitk
from contour_files import write_series, write_structure_set
from program import run
from pydicom import dcmread
from pydicom.uid import generate_uid
from scipy import ndimage

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.loading import load_case
from ObserverUncertaintyLib.export.case import FILES, export_case
from ObserverUncertaintyLib.export.contours import case_contours
from ObserverUncertaintyLib.formats import read_image, read_masks, write_image
from ObserverUncertaintyLib.images.grid import Grid, same_grid

COS, SIN = float(np.cos(0.3)), float(np.sin(0.3))
GRID = Grid((40, 36, 14), (1.1, 0.9, 3.0), (-33.3, 12.25, -40.125), (1, 0, 0, 0, COS, -SIN, 0, SIN, COS))
IDENTITY = {"PatientName": "Doe^Jane", "PatientID": "4711", "PatientBirthDate": "19500101", "AccessionNumber": "A1"}


@pytest.fixture
def series(tmp_path) -> Path:
    write_series(tmp_path / "mr", GRID, np.random.default_rng(0).integers(0, 900, GRID.shape), IDENTITY)
    return tmp_path / "mr"


@pytest.fixture(scope="module")
def probability() -> np.ndarray:
    """A ring: the middle is surely not inside."""
    k, j, i = np.indices(GRID.shape)
    radius = np.sqrt(((k - 7) * 3) ** 2 + ((j - 18) * 0.9) ** 2 + ((i - 20) * 1.1) ** 2)
    return (1 / (1 + np.exp((radius - 12) / 1.5)) * (radius > 4)).astype(np.float32)


def entropy(probability: np.ndarray) -> np.ndarray:
    p = np.clip(probability.astype(float), 1e-12, 1 - 1e-12)
    return (-p * np.log2(p) - (1 - p) * np.log2(1 - p)).astype(np.float32)


@pytest.fixture
def exported(series, probability, tmp_path):
    contours = case_contours(
        GRID, structure="resection cavity", reviewed=probability > 0.4, probability=probability, margin_mm=4.0
    )
    maps = {"probability": probability, "predictive_entropy": entropy(probability)}
    export_case(series, tmp_path / "out", GRID, contours, maps)
    return tmp_path / "out", contours, maps


def test_contours_are_told_again_from_both_objects(series, exported):
    folder, contours, _ = exported
    space = read_image(series).space
    for file in ("contours_seg.dcm", "contours_rtstruct.dcm"):
        masks = read_masks(folder / file, space)
        assert [mask.name for mask in masks] == [
            f"resection cavity, {what}" for what in ("reviewed", "inner contour", "outer contour", "margin 4 mm")
        ]
        for mask, contour in zip(masks, contours, strict=True):
            np.testing.assert_array_equal(mask.array, contour.mask)
            assert mask.warnings == ()


def test_maps_and_bands_are_read_by_highdicom_with_their_values_and_units(exported):
    folder, _, maps = exported
    for name, unit in (("probability", "1"), ("predictive_entropy", "bit")):
        stored = highdicom.imread(folder / f"{name}.dcm")
        volume = stored.get_volume(apply_real_world_transform=True)
        # highdicom sorts against the normal.
        np.testing.assert_allclose(volume.array[::-1], maps[name], atol=1e-6)
        (mapping,) = dcmread(folder / f"{name}.dcm").SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
        assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == unit
    bands = read_masks(folder / "entropy_bands_seg.dcm")
    assert [band.name for band in bands] == [
        f"Predictive entropy from {low:g} to {high:g} bit" for low, high in ((0.25, 0.5), (0.5, 0.75), (0.75, 1))
    ]
    drawn = sum(int(band.array.sum()) for band in bands)
    assert drawn == (maps["predictive_entropy"] >= 0.25).sum()


def test_every_object_refers_to_the_series_its_patient_and_its_study(series, exported):
    folder, _, _ = exported
    source = [dcmread(file, stop_before_pixels=True) for file in sorted(series.iterdir())]
    images = {str(header.SOPInstanceUID) for header in source}
    assert {file.name for file in folder.iterdir()} == {
        *("contours_seg.dcm", "contours_rtstruct.dcm", "entropy_bands_seg.dcm"),
        *("probability.dcm", "predictive_entropy.dcm"),
    }
    own = set()
    for file in folder.iterdir():
        written = dcmread(file)
        for name in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "AccessionNumber"):
            assert written[name].value == source[0][name].value
        assert written.FrameOfReferenceUID == source[0].FrameOfReferenceUID
        assert "RESEARCH USE ONLY" in written.SeriesDescription
        referred = {str(each.value) for each in written.iterall() if each.keyword == "ReferencedSOPInstanceUID"}
        assert images & referred
        own |= {str(written.SeriesInstanceUID), str(written.SOPInstanceUID)}
        assert written.SeriesNumber > 9000
    assert len(own) == 10
    assert not own & images


def test_decimal_strings_have_sixteen_characters_at_most(exported):
    folder, _, _ = exported
    dataset = dcmread(folder / "contours_rtstruct.dcm")
    values = [value for element in dataset.iterall() if element.keyword == "ContourData" for value in element.value]
    assert len(values) > 1000
    assert max(len(value.original_string) for value in values) <= 16


def test_a_hole_is_joined_to_its_contour(exported):
    folder, contours, _ = exported
    dataset = dcmread(folder / "contours_rtstruct.dcm")
    contour = contours[0].mask
    assert ndimage.binary_fill_holes(contour[7]).sum() > contour[7].sum()
    slices = int(contour.any(axis=(1, 2)).sum())
    assert len(dataset.ROIContourSequence[0].ContourSequence) == slices
    kinds = {str(each.ContourGeometricType) for each in dataset.ROIContourSequence[0].ContourSequence}
    assert kinds == {"CLOSED_PLANAR"}


def test_dciodvfy_finds_no_error(exported):
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not installed (Debian's dicom3tools)")
    for file in exported[0].iterdir():
        done = subprocess.run([program, file], capture_output=True, encoding="utf-8", check=False)
        told = done.stdout + done.stderr
        assert any(kind in told for kind in ("Segmentation", "RTStructureSet", "ParametricMap"))
        assert "Error" not in told, f"{file.name}: {told}"


def dcmqi(name: str, *arguments: object) -> None:
    program = Path(sys.executable).with_name(name)
    if not program.exists():
        pytest.skip("dcmqi is not installed (python -m pip install dcmqi)")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr


def test_the_tools_of_dcmqi_read_segments_and_maps(exported, tmp_path):
    folder, contours, maps = exported
    for made, program, file in (
        ("seg", "segimage2itkimage", "contours_seg"),
        ("map", "paramap2itkimage", "probability"),
    ):
        (tmp_path / made).mkdir()
        dcmqi(program, "--inputDICOM", folder / f"{file}.dcm", "--outputDirectory", tmp_path / made, "-t", "nrrd")
    described = json.loads((tmp_path / "seg" / "meta.json").read_text(encoding="utf-8"))
    labels = [segment["SegmentLabel"] for group in described["segmentAttributes"] for segment in group]
    assert sorted(labels) == sorted(contour.name for contour in contours)
    volumes = [sitk.ReadImage(str(file)) for file in (tmp_path / "seg").glob("*.nrrd")]
    # One file a segment, or several in one: in each the voxels are those that were exported.
    counted = sorted(
        int((sitk.GetArrayFromImage(volume) == value).sum())
        for volume in volumes
        for value in np.unique(sitk.GetArrayFromImage(volume))
        if value
    )
    assert counted == sorted(int(contour.mask.sum()) for contour in contours)
    (found,) = (tmp_path / "map").glob("*.nrrd")
    reference = GRID.to_sitk(np.zeros(GRID.shape, np.uint8))
    oriented = sitk.Resample(sitk.ReadImage(str(found)), reference, sitk.Transform(), sitk.sitkNearestNeighbor)
    np.testing.assert_allclose(sitk.GetArrayFromImage(oriented), maps["probability"], atol=1e-6)


def test_results_among_drawings_are_known_again(series, exported):
    folder, _, _ = exported
    for file in ("contours_seg.dcm", "contours_rtstruct.dcm"):
        raters = {
            "anna": f"{folder / file}#resection cavity, reviewed",
            "ben": f"{folder / file}#resection cavity, outer contour",
        }
        with pytest.raises(InputError, match="is no rater's drawing, but a model's prediction"):
            load_case("case", {"T1": series}, raters)
        assert load_case("case", {"T1": series}, {"anna": raters["anna"]}).raters.any()


def test_a_multi_frame_series_is_referred_to_by_its_frames(series, probability, tmp_path):
    files = [dcmread(file) for file in sorted(series.iterdir())]
    converted = highdicom.legacy.LegacyConvertedEnhancedMRImage(files[::-1], generate_uid(), 1, generate_uid(), 1)
    converted.save_as(tmp_path / "frames.dcm")
    contours = case_contours(GRID, structure="cavity", probability=probability)
    export_case(tmp_path / "frames.dcm", tmp_path / "out", GRID, contours, {"probability": probability})
    space = read_image(tmp_path / "frames.dcm").space
    assert same_grid(space.grid, GRID)
    for file in ("contours_seg.dcm", "contours_rtstruct.dcm"):
        for mask, contour in zip(read_masks(tmp_path / "out" / file, space), contours, strict=True):
            np.testing.assert_array_equal(mask.array, contour.mask)
    stored = highdicom.imread(tmp_path / "out" / "probability.dcm").get_volume(apply_real_world_transform=True)
    np.testing.assert_allclose(stored.array[::-1], probability, atol=1e-6)
    numbers = [
        int(each.ContourImageSequence[0].ReferencedFrameNumber)
        for each in dcmread(tmp_path / "out" / "contours_rtstruct.dcm").ROIContourSequence[0].ContourSequence
    ]
    places = converted.PerFrameFunctionalGroupsSequence
    heights = [float(places[number - 1].PlanePositionSequence[0].ImagePositionPatient[2]) for number in numbers]
    assert heights == sorted(heights)


class Told(Progress):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)


def test_what_is_left_out_is_said(series, probability, tmp_path):
    told = Told()
    contours = case_contours(GRID, structure="cavity", probability=probability * 0.6)
    files = export_case(
        series, tmp_path / "out", GRID, contours, {"predictive_entropy": probability * 0.2}, progress=told
    )
    assert [file.name for file in files] == ["contours_seg.dcm", "contours_rtstruct.dcm", "predictive_entropy.dcm"]
    assert told.warnings == [
        "cavity, inner contour has no voxel and is left out",
        "the entropy is below 0.25 bit everywhere, so that it has no bands",
    ]


def test_what_cannot_be_exported_is_refused_before_anything_is_written(series, probability, tmp_path):
    contours = case_contours(GRID, structure="cavity", probability=probability)
    out = tmp_path / "out"
    other = Grid(GRID.size, GRID.spacing, (0.0, 0.0, 0.0), GRID.direction)
    with pytest.raises(InputError, match="lies on another voxel grid"):
        export_case(series, out, other, contours)
    with pytest.raises(InputError, match="nothing to export"):
        export_case(series, out, GRID, case_contours(GRID, structure="cavity", probability=probability * 0))
    write_image(tmp_path / "image.nii.gz", probability, GRID)
    with pytest.raises(InputError, match=r"image\.nii\.gz: this is no DICOM series"):
        export_case(tmp_path / "image.nii.gz", out, GRID, contours)
    for file in series.iterdir():
        header = dcmread(file)
        del header.FrameOfReferenceUID
        header.save_as(file)
    with pytest.raises(InputError, match="names no frame of reference"):
        export_case(series, out, GRID, contours)
    assert not out.exists()


def test_a_former_export_is_replaced_as_a_whole_and_only_when_asked(series, exported, probability):
    folder, _, _ = exported
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    contours = case_contours(GRID, structure="cavity", probability=probability)
    with pytest.raises(InputError, match="is not empty"):
        export_case(series, folder, GRID, contours)
    export_case(series, folder, GRID, contours, overwrite=True)
    assert {file.name for file in folder.iterdir()} == {"contours_seg.dcm", "contours_rtstruct.dcm", "notes.txt"}
    assert set(FILES) > {"contours_seg.dcm", "contours_rtstruct.dcm"}


def test_a_failure_leaves_the_former_export(series, exported, probability):
    folder, _, _ = exported
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    contours = case_contours(GRID, structure="cavity", probability=probability)

    class Stops(Progress):
        def advance(self, *_arguments: object) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="cannot be written: No space left"):
        export_case(series, folder, GRID, contours, overwrite=True, progress=Stops())
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_foci_on_a_few_slices_come_back_on_them_alone(series, tmp_path):
    reviewed = np.zeros(GRID.shape, bool)
    reviewed[[2, 4, 6, 11], 10:20, 12:30] = True
    export_case(series, tmp_path / "out", GRID, case_contours(GRID, structure="cavity", reviewed=reviewed))
    for file in ("contours_seg.dcm", "contours_rtstruct.dcm"):
        (mask,) = read_masks(tmp_path / "out" / file, read_image(series).space)
        np.testing.assert_array_equal(mask.array, reviewed)


def test_what_is_read_is_never_written_over(series, exported, probability):
    folder, _, _ = exported
    contours = case_contours(GRID, structure="cavity", probability=probability)
    reviewed = f"{folder / 'contours_rtstruct.dcm'}#resection cavity, reviewed"
    before = {file: file.read_bytes() for file in (*folder.iterdir(), *series.iterdir())}
    with pytest.raises(InputError, match="would be overwritten, but it is also read here"):
        export_case(series, folder, GRID, contours, inputs={"the reviewed contour": reviewed}, overwrite=True)
    with pytest.raises(InputError, match="holds the series that the files refer to"):
        export_case(series, series, GRID, contours, overwrite=True)
    assert {file: file.read_bytes() for file in before} == before


def test_what_a_killed_export_left_is_swept_away(series, probability, tmp_path):
    left = tmp_path / "out" / ".export-abc"
    left.mkdir(parents=True)
    (left / "contours_seg.dcm").write_bytes(b"half")
    export_case(series, tmp_path / "out", GRID, case_contours(GRID, structure="cavity", probability=probability))
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"contours_seg.dcm", "contours_rtstruct.dcm"}


def test_values_that_no_object_may_have_are_emptied_and_told(series, probability, tmp_path):
    for file in series.iterdir():
        header = dcmread(file)
        header.PatientBirthDate, header.StudyTime, header.PatientSex = "17.03.1950", "12:00:00", "male"
        header.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        header.PatientName = "Yamada^Tarou=山田^太郎"
        header.SliceThickness = None
        header.save_as(file)
    told = Told()
    contours = case_contours(GRID, structure="腫瘍", probability=probability)
    files = export_case(series, tmp_path / "out", GRID, contours, {"probability": probability}, progress=told)
    assert "PatientBirthDate, PatientSex, StudyTime of the series are no values of their kind" in told.warnings[0]
    for file in files:
        written = dcmread(file)
        assert written.PatientBirthDate == ""
        assert str(written.PatientName) == "Yamada^Tarou=山田^太郎"
    for file in files[:2]:
        assert read_masks(file, read_image(series).space)[0].name == "腫瘍, segmentation"


@pytest.mark.parametrize("field", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_a_series_without_what_objects_refer_to_is_refused(series, probability, tmp_path, field):
    for file in series.iterdir():
        header = dcmread(file)
        header[field].value = ""
        header.save_as(file)
    with pytest.raises(InputError, match=f"lacks {field}|no readable DICOM image"):
        export_case(series, tmp_path / "out", GRID, case_contours(GRID, structure="c", probability=probability))
    assert not (tmp_path / "out").exists()


def test_series_without_names_are_exported_too(tmp_path, probability):
    files = write_series(tmp_path / "mr", GRID)
    for file in files:
        header = dcmread(file)
        for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber"):
            del header[name]
        header.save_as(file)
    contours = case_contours(GRID, structure="cavity", probability=probability)
    export_case(tmp_path / "mr", tmp_path / "out", GRID, contours, {"probability": probability})
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_the_command_writes_a_predicted_case(series, probability, tmp_path):
    case = tmp_path / "predicted"
    write_image(case / "probability.nii.gz", probability, GRID)
    write_image(case / "predictive_entropy.nii.gz", entropy(probability), GRID)
    write_image(tmp_path / "reviewed.nrrd", probability > 0.3, GRID)
    done = run(
        *("export", case, "--series", series, "--out", tmp_path / "out", "--reviewed", tmp_path / "reviewed.nrrd"),
        *("--margin", 3, "--structure", "cavity", "--json"),
    )
    assert done.returncode == 0, done.stderr
    assert [Path(file).name for file in json.loads(done.stdout)["files"]] == [
        *("contours_seg.dcm", "contours_rtstruct.dcm", "probability.dcm", "predictive_entropy.dcm"),
        "entropy_bands_seg.dcm",
    ]
    (reviewed, *_) = read_masks(tmp_path / "out" / "contours_rtstruct.dcm", read_image(series).space)
    np.testing.assert_array_equal(reviewed.array, read_image(case / "probability.nii.gz").array > 0.3)
    assert "Jane" not in done.stdout + done.stderr
    run("export", case, "--series", series, "--out", tmp_path / "again", "--structure", "a\\b", code=2)


def test_the_command_tells_how_a_reviewed_contour_was_read(series, probability, tmp_path):
    case = tmp_path / "predicted"
    write_image(case / "probability.nii.gz", probability, GRID)
    corners = np.array([[5, 5], [25, 5], [25, 25], [5, 25]], float)
    index = [np.column_stack([corners, np.full(4, k), np.ones(4)]) for k in (3, 6, 9)]
    contours = [(each @ GRID.index_to_physical().T)[:, :3] for each in index]
    path = write_structure_set(tmp_path / "rs.dcm", {"mine": contours}, read_image(series).frame_of_reference)
    done = run("export", case, "--series", series, "--out", tmp_path / "out", "--reviewed", path, "--no-maps")
    assert "are interpolated" in done.stderr
