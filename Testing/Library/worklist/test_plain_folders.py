"""Folders of image files as cases, by the rule that 3D Slicer's module has for one folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import patient, write_series

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.manifest import read_manifest
from ObserverUncertaintyLib.formats import write_image, write_mask
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.worklist.settings import WorklistSettings
from ObserverUncertaintyLib.worklist.worklist import Worklist, make_worklist

GRID = Grid((4, 5, 6), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0))
IMAGE = np.arange(120, dtype=np.float32).reshape(6, 5, 4)
MASK = IMAGE > 60


def save(folder: Path, *names: str) -> None:
    """Write images, and masks under names that begin with a small letter m and a colon."""
    for name in names:
        if name.startswith("m:"):
            write_mask(folder / name[2:], MASK, GRID)
        else:
            write_image(folder / name, IMAGE, GRID)


def segments(file: Path, *names: str) -> None:
    image = GRID.to_sitk(MASK.astype(np.uint8))
    for number, name in enumerate(names):
        fields = {"ID": f"S{number}", "Name": name, "LabelValue": "1", "Layer": "0"}
        for key, value in fields.items():
            image.SetMetaData(f"Segment{number}_{key}", value)
    file.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(file))


def made(folder: Path, *structures: str) -> Worklist:
    return make_worklist(folder, folder.parent / "out", WorklistSettings(structures=structures))


def files(worklist: Worklist) -> dict[str, dict[str, str]]:
    """The files of each folder that is a case."""
    cases = json.loads(worklist.sources.read_text(encoding="utf-8"))["cases"].values()
    return {case["folder"]: case["files"] for case in cases}


def test_each_folder_is_a_case_sorted_as_in_slicer(tmp_path):
    folder = tmp_path / "patients"
    for name in ("anna lee", "bob"):
        save(folder / name, "t1.nrrd", "case_t1ce.nii.gz", "m:rater1.nrrd", "m:mask_ben.nii.gz", "m:consensus.nrrd")
    worklist = made(folder)
    assert files(worklist)["bob"] == {
        "image T1": "bob/t1.nrrd",
        "image T1c": "bob/case_t1ce.nii.gz",
        "rater mask_ben": "bob/mask_ben.nii.gz",
        "rater rater1": "bob/rater1.nrrd",
    }
    assert worklist.unmatched == {("file", "a result or a reference, and no rater's"): 2}
    manifest = worklist.manifest.read_text(encoding="utf-8")
    assert "lee" not in manifest
    assert "bob" not in manifest
    case = Cohort.open(worklist.manifest).load("patient002")
    assert (case.sequences, case.rater_names) == (("T1", "T1c"), ("mask_ben", "rater1"))


def test_a_files_name_is_taken_without_the_folders(tmp_path):
    for name in ("case07", "case08"):
        save(tmp_path / "p" / name, f"{name}_scan.nrrd", f"m:{name}_rater2.nrrd", f"m:{name}_Eva.nrrd")
    worklist = made(tmp_path / "p")
    assert set(files(worklist)["case07"]) == {"image scan", "rater Eva", "rater rater2"}
    assert list(read_manifest(worklist.manifest).images) == ["scan"]
    assert worklist.cases[0].notes == ("Eva is taken for a rater, since it is a mask; its name does not say so",)


def test_segments_are_raters_and_a_structure_picks_them(tmp_path):
    save(tmp_path / "p" / "a", "t1.nrrd")
    segments(tmp_path / "p" / "a" / "drawn.seg.nrrd", "Cavity Anna", "Edema Anna", "cavity_ben")
    segments(tmp_path / "p" / "a" / "eva.seg.nrrd", "Segment_1")
    assert set(files(made(tmp_path / "p"))["a"]) == {
        *("image T1", "rater Cavity Anna", "rater Edema Anna", "rater cavity_ben", "rater eva"),
    }
    worklist = make_worklist(tmp_path / "p", tmp_path / "picked", WorklistSettings(structures=("cavity",)))
    assert files(worklist)["a"] == {
        "image T1": "a/t1.nrrd",
        "rater Anna": "a/drawn.seg.nrrd#Cavity Anna",
        "rater ben": "a/drawn.seg.nrrd#cavity_ben",
    }
    assert worklist.unmatched == {("file", "it is no cavity"): 2}


def test_a_structure_that_no_name_has_is_what_all_masks_show(tmp_path):
    save(tmp_path / "p" / "a", "t1.nrrd", "m:rater1.nrrd", "m:rater2.nrrd")
    assert set(files(made(tmp_path / "p", "cavity"))["a"]) == {"image T1", "rater rater1", "rater rater2"}


def test_masks_beside_a_dicom_study_are_its_raters(tmp_path):
    write_series(tmp_path / "p" / "a" / "t1", patient(), "T1")
    write_series(tmp_path / "p" / "b" / "t1", patient(2), "T1")
    save(tmp_path / "p" / "a", "m:seg_anna.nrrd", "t2.nrrd")
    save(tmp_path / "p", "m:rater1.nrrd")
    save(tmp_path / "p" / "c", "m:rater1.nrrd")
    worklist = made(tmp_path / "p")
    assert sorted(case.raters for case in worklist.cases) == [(), ("seg_anna",)]
    assert worklist.unmatched == {
        ("file", "an image file beside a DICOM study"): 1,
        ("file", "it lies above several DICOM studies, so that it is unclear whose it is"): 1,
        ("file", "a mask in a folder without image"): 1,
    }


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["t1_t2.nrrd"], "it may be T1 or T2"),
        (["a_t2.nrrd", "b_t2.nrrd"], "T2: several files are called so"),
        (["m:a.nrrd", "a.nii.gz"], None),
    ],
)
def test_what_is_unclear_is_told(tmp_path, names, reason):
    save(tmp_path / "p" / "case", "flair.nrrd", *names)
    worklist = made(tmp_path / "p")
    assert worklist.cases[0].sequences[0] == "FLAIR"
    assert {why for _what, why in worklist.unmatched} == ({reason} if reason else set())


def test_a_case_without_a_clear_sequence_is_told_as_one(tmp_path):
    save(tmp_path / "p" / "a", "t1.nrrd")
    save(tmp_path / "p" / "b", "first_t1.nrrd", "second_t1.nrrd", "m:rater1.nrrd")
    worklist = made(tmp_path / "p")
    (unclear,) = (case for case in worklist.cases if case.why_not)
    assert unclear.notes == ("T1 is unclear: 2 files are called so; none is taken",)
    with pytest.raises(InputError, match=r"No case has all of .* found were no sequences.*2 x file: T1: several files"):
        make_worklist(tmp_path / "p" / "b", tmp_path / "b")


def test_a_name_with_that_of_a_folder_above_is_not_taken(tmp_path):
    save(
        tmp_path / "p" / "Muster" / "2020-01-03", "t1.nrrd", "scan_muster.nrrd", "m:rater_Muster.nrrd", "m:rater2.nrrd"
    )
    worklist = made(tmp_path / "p")
    assert (worklist.cases[0].sequences, worklist.cases[0].raters) == (("T1",), ("rater2",))
    assert {why for _what, why in worklist.unmatched} == {
        "its name tells nothing but the folder's",
        "what would be the rater's name has the patient's name or ID",
    }


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    save(tmp_path / "p" / "case", "flair.nrrd")
    (tmp_path / "p" / "case" / "other.nrrd").write_text("no image", encoding="utf-8")
    assert made(tmp_path / "p").unmatched == {("file", "it cannot be read"): 1}
