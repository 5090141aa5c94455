"""A folder of patients as a worklist, from its headers to cases that load."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import (
    CT,
    ENHANCED_MR,
    SECONDARY_CAPTURE,
    patient,
    save,
    uid,
    write_segments,
    write_series,
    write_structures,
)

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.manifest import read_manifest
from ObserverUncertaintyLib.cohort.sources import SourcesError
from ObserverUncertaintyLib.worklist.settings import WorklistSettings
from ObserverUncertaintyLib.worklist.worklist import ListedCase, Worklist, make_worklist

CAVITY = WorklistSettings(structures=("cavity",))


def made(folder: Path, out: Path | None = None, settings: WorklistSettings = CAVITY, **options: Any) -> Worklist:
    return make_worklist(folder, out or folder.parent / f"{folder.name} worklist", settings, **options)


def sources(worklist: Worklist) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(worklist.sources.read_text(encoding="utf-8"))
    return content


def who(worklist: Worklist) -> dict[str, str]:
    """Pseudonym by PatientID and date."""
    cases = sources(worklist)["cases"]
    return {f"{case['patient']['id'][-2:]} {case['study']['date']}": name for name, case in cases.items()}


def only(worklist: Worklist) -> ListedCase:
    (case,) = worklist.cases
    return case


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    """Two patients with two sequences and two raters each; of the second the raters are segments."""
    folder = tmp_path / "patients"
    for number in (1, 2):
        place = folder / f"Secretname{number:04d}"
        write_series(place / "a", patient(number), "T1 mprage", prefix="t1")
        images = write_series(place / "a", patient(number), "t1_mprage_post", prefix="t1c")
        write_series(place / "b", patient(number), "AX T2 FLAIR")
        if number == 1:
            write_structures(place / "c" / "rs.dcm", images[0], ["Cavity_Anna", "Brainstem", "ben cavity"], label="v1")
        else:
            write_segments(place / "c" / "seg.dcm", images, ["Cavity anna", "Cavity_Ben"])
    return folder


def test_patients_become_cases_with_sequences_and_raters(patients):
    worklist = made(patients)
    assert [case.name for case in worklist.cases] == ["patient001", "patient002"]
    assert {case.sequences for case in worklist.cases} == {("T1", "T1c", "FLAIR")}
    manifest = read_manifest(worklist.manifest)
    assert list(manifest.images) == ["T1", "T1c", "FLAIR"]
    assert [rater.casefold() for rater in manifest.raters] == ["anna", "ben"], "one spelling for both patients"
    assert (manifest.cases, manifest.label) == (("patient001", "patient002"), "cavity")
    assert worklist.unmatched == {('RTSTRUCT "Brainstem"', "it is no cavity"): 1}
    cohort = Cohort(manifest)
    for name in cohort.case_names:
        loaded = cohort.load_images(name)
        assert loaded.images.shape == (3, 3, 4, 4)
        files = cohort.files(name)
        assert "#" in files.images["T1"], "two series in one folder"
        assert "#" not in files.images["FLAIR"]
        assert all(".dcm#" in file for file in files.raters.values())
    np.testing.assert_array_equal(cohort.load_images("patient001").images[0, 0], np.arange(16).reshape(4, 4) + 1)


def test_identities_stand_in_the_sources_alone_which_only_their_owner_may_read(patients):
    worklist = made(patients)
    told = repr(worklist.cases) + repr(worklist.unmatched) + repr(worklist.notes)
    for text in (told, worklist.manifest.read_text(encoding="utf-8")):
        assert "secret" not in text.lower()
        assert "1.2.826" not in text
        assert "1950" not in text
        assert str(patients) not in text
    content = sources(worklist)
    assert "identifies patients" in content["notice"]
    assert who(worklist).keys() == {"01 20200103", "02 20200103"}
    assert stat.S_IMODE(worklist.sources.stat().st_mode) == 0o600
    assert "Secretoperator" not in worklist.sources.read_text(encoding="utf-8"), "nor who sat at the machine"
    assert {"file": "Secretname0001/c/rs.dcm", "what": 'RTSTRUCT "Brainstem"', "why": "it is no cavity"} in (
        content["not_used"]
    )


def test_texts_of_the_header_that_name_the_patient_are_neither_told_nor_taken(tmp_path):
    folder = tmp_path / "patients"
    images = write_series(folder / "a", patient(), "T1")
    write_series(folder / "b", patient(), "Secretname0001 special")
    write_structures(folder / "rs.dcm", images[0], ["Cavity Secretname0001", "Cavity SECRETID0001", "Cavity Ben"])
    worklist = made(folder)
    assert only(worklist).raters == ("Ben",)
    assert worklist.unmatched == {
        ("a description that names the patient", "no rule knows it"): 1,
        ("RTSTRUCT a name with the patient's name or ID", "its name has the patient's name or ID"): 2,
    }


def test_each_study_is_a_case_and_a_patients_further_ones_follow_by_date(tmp_path):
    folder = tmp_path / "patients"
    for date in ("20210101", "20200101", "20220101"):
        write_series(folder / date, patient(), "T1", study=date, StudyDate=date)
    write_series(folder / "other", patient(2), "T1")
    names = who(made(folder))
    first = names["01 20200101"]
    assert [names["01 20210101"], names["01 20220101"]] == [f"{first}-2", f"{first}-3"]
    assert {first, names["02 20200103"]} == {"patient001", "patient002"}


def test_an_update_keeps_pseudonyms_and_tells_new_and_vanished_cases(patients, tmp_path):
    out = tmp_path / "out"
    before = who(made(patients, out))
    text = (out / "cohort.toml").read_text(encoding="utf-8")
    (out / "cohort.toml").write_text(text.replace('"Worklist"', '"My study"'), encoding="utf-8")
    for number in (3, 4):
        for description in ("T1", "T1 KM", "FLAIR"):
            write_series(patients / f"p{number}" / description, patient(number), description)
    write_series(patients / "again", patient(1), "T1", study="second", StudyDate="20230101")
    (patients / "Secretname0002").rename(tmp_path / "elsewhere")
    worklist = made(patients, out, update=True)
    after = who(worklist)
    assert after["01 20200103"] == before["01 20200103"]
    assert after["02 20200103"] == before["02 20200103"]
    assert after["01 20230101"] == before["01 20200103"] + "-2"
    assert {after["03 20200103"], after["04 20200103"]} == {"patient003", "patient004"}
    told = {case.name: case for case in worklist.cases}
    assert told[after["02 20200103"]].why_not.startswith("it is no longer in the folder")
    assert told[after["01 20230101"]].why_not == "no T1c, FLAIR"
    assert {name for name, case in told.items() if case.is_new} == {
        after["03 20200103"], after["04 20200103"], after["01 20230101"],
    }  # fmt: skip
    manifest = read_manifest(out / "cohort.toml")
    assert manifest.name == "My study"
    assert manifest.cases == (before["01 20200103"], "patient003", "patient004")
    (tmp_path / "elsewhere").rename(patients / "Secretname0002")
    assert len(read_manifest(made(patients, out, update=True).manifest).cases) == 4, "it is there again"


def test_a_case_that_somebody_took_out_of_the_manifest_stays_out(patients, tmp_path):
    out = tmp_path / "out"
    made(patients, out)
    text = (out / "cohort.toml").read_text(encoding="utf-8")
    (out / "cohort.toml").write_text(text.replace('["patient001", "patient002"]', '["patient002"]'), encoding="utf-8")
    for _again in range(2):
        worklist = made(patients, out, update=True)
        assert worklist.cases[0].why_not == "it was taken out of the manifest by hand"
        assert read_manifest(worklist.manifest).cases == ("patient002",)


def test_an_update_leaves_raters_that_a_pattern_names(patients, tmp_path):
    out = tmp_path / "out"
    made(patients, out)
    text = (out / "cohort.toml").read_text(encoding="utf-8").replace('"cases"', 'root = "../masks"\n"cases"')
    (out / "cohort.toml").write_text(text + 'carl = "carl/{case}.nrrd"\n', encoding="utf-8")
    made(patients, out, update=True)
    manifest = read_manifest(out / "cohort.toml")
    assert manifest.raters["carl"] == "carl/{case}.nrrd"
    assert manifest.root == tmp_path / "masks"


def test_without_a_worklist_there_is_nothing_to_update_and_with_one_nothing_to_make(patients, tmp_path):
    with pytest.raises(InputError, match="no worklist to update"):
        made(patients, tmp_path / "out", update=True)
    made(patients, tmp_path / "out")
    with pytest.raises(InputError, match="is not empty"):
        made(patients, tmp_path / "out")
    (tmp_path / "out" / "sources.json").write_text(
        '{"root": ".", "cases": {"patient001": {"files": {}}, "patient002": {"files": {}}}}', encoding="utf-8"
    )
    with pytest.raises(SourcesError, match="patient001 does not say how its patient is recognised"):
        made(patients, tmp_path / "out", update=True)


def test_a_case_that_lacks_a_usual_sequence_is_told_and_not_in_the_manifest(patients):
    write_series(patients / "p3", patient(3), "T1")
    write_series(patients / "p4", patient(4), "AX SWI")
    worklist = made(patients)
    assert sorted(case.why_not for case in worklist.cases) == ["", "", "no T1, T1c, FLAIR", "no T1c, FLAIR"]
    assert len(read_manifest(worklist.manifest).cases) == 2
    chosen = made(patients, patients.parent / "t1", WorklistSettings(sequences=("T1",)))
    assert len(read_manifest(chosen.manifest).cases) == 3
    assert chosen.notes == ()
    with pytest.raises(InputError, match="No case has T2; found were T1, T1c, FLAIR"):
        made(patients, patients.parent / "t2", WorklistSettings(sequences=("T2",)))


def test_a_sequence_that_few_cases_have_is_told(patients):
    write_series(patients / "p3", patient(3), "T2 tse", study="x")
    assert made(patients).notes == ("found, and not asked of every case: T2 (in 1)",)


# Which series


def test_of_several_series_the_original_with_most_slices_is_taken_and_told(tmp_path):
    folder = tmp_path / "patients"
    write_series(folder / "1", patient(), "T1 sag", slices=3)
    write_series(folder / "2", patient(), "T1 3D", slices=5)
    write_series(folder / "3", patient(), "T1 derived", slices=9, ImageType=["DERIVED", "SECONDARY"])
    write_series(folder / "4", patient(), "T1 MPR", slices=9, ImageType=["DERIVED", "SECONDARY", "MPR"])
    worklist = made(folder)
    assert only(worklist).notes == ('T1 is "T1 3D" (5 slices); left: "T1 sag" (3 slices), "T1 derived" (9 slices)',)
    assert sources(worklist)["cases"]["patient001"]["files"] == {"image T1": "2"}
    assert worklist.unmatched[('"T1 MPR"', "reformat or projection")] == 1


def test_of_equally_many_slices_the_thinnest_are_taken_and_equal_ones_refused(tmp_path):
    folder = tmp_path / "patients"
    for number, thickness in enumerate((3, 1, 2)):
        write_series(folder / str(number), patient(), f"T1 no {number}", SliceThickness=thickness)
    assert 'T1 is "T1 no 1"' in only(made(folder, tmp_path / "a")).notes[0]
    for number in (8, 9):
        write_series(folder / str(number), patient(), f"T1 no {number}", SliceThickness=0.5)
    write_series(folder / "t2", patient(), "T2")
    worklist = made(folder, tmp_path / "b")
    assert only(worklist).sequences == ("T2",)
    assert "T1 is unclear" in only(worklist).notes[0]
    assert worklist.unmatched[('"T1 no 8"', "T1: several series are alike")] == 1


def test_a_contrast_agent_in_the_header_decides_where_the_description_does_not(tmp_path):
    folder = tmp_path / "patients"
    write_series(folder / "1", patient(), "t1_mprage_sag", ContrastBolusAgent="Gadovist")
    write_series(folder / "2", patient(), "t1_tse nativ", ContrastBolusAgent="Gadovist")
    write_series(folder / "3", patient(), "FLAIR", ContrastBolusAgent="Gadovist")
    worklist = made(folder)
    assert sources(worklist)["cases"]["patient001"]["files"] == {"image T1": "2", "image T1c": "1", "image FLAIR": "3"}
    (note,) = only(worklist).notes
    assert note.startswith('"t1_mprage_sag" is taken for T1c')
    write_series(tmp_path / "none", patient(), "t1_mprage_sag", ContrastBolusAgent="NONE")
    assert only(made(tmp_path / "none")).sequences == ("T1",)


def test_the_protocols_name_counts_where_the_description_says_nothing(tmp_path):
    write_series(tmp_path / "p", patient(), "Axial", ProtocolName="t1_mprage_post")
    assert only(made(tmp_path / "p")).sequences == ("T1c",)


def test_what_is_no_image_of_a_sequence_is_told(tmp_path):
    folder = tmp_path / "patients"
    write_series(folder / "1", patient(), "T1", kind=SECONDARY_CAPTURE)
    write_series(folder / "2", patient(), "T1 phase", ImageType=["ORIGINAL", "PRIMARY", "P"])
    write_series(folder / "3", patient(), "T1 pre Gd, T1 KM")
    write_series(folder / "4", patient(), "T1", Modality="US")
    for part in ("5", "6"):
        write_series(folder / part, patient(), "T2", prefix=part)
    write_series(folder / "7", patient(), "FLAIR")
    worklist = made(folder)
    assert only(worklist).sequences == ("FLAIR",)
    assert worklist.unmatched == {
        ('"T1"', "screen capture or report"): 1,
        ('"T1 phase"', "phase image"): 1,
        ('"T1 pre Gd, T1 KM"', "it may be T1 or T1c"): 1,
        ('"T1"', "of a kind that the rules do not name"): 1,
        ('"T2"', "T2: its files lie in several folders; put them into one, without copies"): 1,
    }


def test_a_series_whose_files_are_two_patients_is_not_taken(tmp_path):
    import pydicom

    folder = tmp_path / "patients"
    files = write_series(folder / "t1", patient(), "T1")
    write_series(folder / "t2", patient(), "T2")
    data = pydicom.dcmread(files[0])
    data.PatientID = "SECRETID0002"
    save(data, folder / "t1" / "b.dcm")
    worklist = made(folder)
    assert [case.sequences for case in worklist.cases if not case.why_not] == [("T2",)]
    assert sum(count for (_what, why), count in worklist.unmatched.items() if "have one series UID" in why) == 2


def test_a_study_of_plans_and_reports_is_no_case(tmp_path):
    images = write_series(tmp_path / "p" / "t1", patient(), "T1")
    write_structures(tmp_path / "p" / "rs.dcm", images[0], ["Cavity A"], StudyInstanceUID=uid("planning"))
    write_series(tmp_path / "p" / "dose", patient(), "Dose", slices=1, study="planning", Modality="RTDOSE")
    worklist = made(tmp_path / "p")
    assert only(worklist).raters == ("A",)
    assert worklist.unmatched == {('"Dose"', "of a kind that the rules do not name"): 1}


def test_ct_is_a_sequence_and_its_topogram_none(tmp_path):
    write_series(tmp_path / "p" / "1", patient(), "Thorax 5.0", kind=CT)
    write_series(tmp_path / "p" / "2", patient(), "Topogram", kind=CT)
    worklist = made(tmp_path / "p")
    assert only(worklist).sequences == ("CT",)
    assert worklist.unmatched == {('"Topogram"', "localizer"): 1}


def test_a_file_of_many_frames_is_named_itself(tmp_path):
    write_series(tmp_path / "p", patient(), "T1", slices=1, kind=ENHANCED_MR, NumberOfFrames=7)
    assert sources(made(tmp_path / "p"))["cases"]["patient001"]["files"] == {"image T1": "001.dcm"}


def test_one_id_with_two_names_is_told(tmp_path):
    write_series(tmp_path / "p" / "1", patient(), "T1", study="a")
    write_series(tmp_path / "p" / "2", patient(PatientName="Other^Secret"), "T1", study="b")
    worklist = made(tmp_path / "p")
    assert all("look whether it is one patient" in case.notes[0] for case in worklist.cases)


def test_series_of_any_kind_of_file_in_one_folder_are_loaded_one_by_one(tmp_path):
    folder = tmp_path / "p"
    first = write_series(folder, patient(), "T1", prefix="a")
    write_series(folder, patient(), "T2", prefix="b", implicit=True)
    write_structures(folder / "rs.dcm", first[0], ["Cavity A"])
    write_series(folder / "bare", patient(), "FLAIR", preamble=False)
    worklist = made(folder)
    assert only(worklist).sequences == ("T1", "T2", "FLAIR")
    assert Cohort.open(worklist.manifest).load_images("patient001").images.shape == (3, 3, 4, 4)


def test_a_header_without_patient_is_a_case_and_told(tmp_path):
    write_series(tmp_path / "p", patient(PatientID="", PatientName="", PatientBirthDate=""), "T1")
    assert "the header names no patient" in only(made(tmp_path / "p")).notes[0]


# Raters


def test_without_a_structure_no_contour_is_a_raters_and_their_names_are_told(patients):
    worklist = made(patients, settings=WorklistSettings())
    assert all(case.raters == () for case in worklist.cases)
    assert ('RTSTRUCT "Cavity_Anna"', "no structure was named, by which raters' contours are known") in (
        worklist.unmatched
    )


def test_contours_count_for_the_study_that_they_refer_to(tmp_path):
    folder = tmp_path / "patients"
    first = write_series(folder / "1", patient(), "T1", study="a", StudyDate="20200101")
    second = write_series(folder / "2", patient(), "T1", study="b", StudyDate="20210101")
    write_structures(folder / "rs" / "1.dcm", first[0], ["Cavity A"])
    write_structures(folder / "rs" / "2.dcm", second[0], ["Cavity B"], StudyInstanceUID=uid("planning"))
    write_structures(folder / "rs" / "3.dcm", second[0], ["Cavity C"], refers=False)
    worklist = made(folder)
    assert [case.raters for case in worklist.cases] == [("A",), ("B",)]
    assert list(worklist.unmatched) == [
        ("RTSTRUCT", "it refers to no series, or not to one study alone, of its patient")
    ]


def test_contours_without_a_raters_name_are_named_by_label_or_number(tmp_path):
    for name, labels in {"labels": ("obs A", "obs B"), "alike": ("RTstruct", "RTstruct")}.items():
        images = write_series(tmp_path / name / "t1", patient(), "T1")
        for number, label in enumerate(labels):
            write_structures(tmp_path / name / f"{number}.dcm", images[0], ["Cavity"], label=label)
    by_label, by_number = only(made(tmp_path / "labels")), only(made(tmp_path / "alike"))
    assert by_label.raters == ("obs A", "obs B")
    assert by_number.raters == ("rater1", "rater2")
    assert "need not stand for the same person" in by_number.notes[0]


def test_signs_that_a_terminal_takes_for_orders_are_not_told(tmp_path):
    images = write_series(tmp_path / "p" / "t1", patient(), "T1")
    write_structures(tmp_path / "p" / "1.dcm", images[0], ["Brain\x1b[2J stem"])
    assert list(made(tmp_path / "p").unmatched) == [('RTSTRUCT "Brain [2J stem"', "it is no cavity")]


def test_two_contours_of_one_rater_are_both_left_and_told(tmp_path):
    images = write_series(tmp_path / "p" / "t1", patient(), "T1")
    write_structures(tmp_path / "p" / "1.dcm", images[0], ["Cavity Anna", "Cavity Ben"])
    write_structures(tmp_path / "p" / "2.dcm", images[0], ["Cavity anna", "Cavity C", "Cavity C"])
    worklist = made(tmp_path / "p")
    assert only(worklist).raters == ("Ben",)
    assert worklist.unmatched == {
        ("contour of Anna", "the same rater has several contours in one case"): 1,
        ("contour of anna", "the same rater has several contours in one case"): 1,
        ('RTSTRUCT "Cavity C"', "2 of one file have this name"): 1,
    }


def test_a_folder_without_a_case_is_refused_with_what_was_there(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.txt").touch()
    with pytest.raises(InputError, match=r"no case was found; .* 1 x file: files that are no images"):
        made(tmp_path / "p")
    with pytest.raises(InputError, match="there is no such folder"):
        made(tmp_path / "none")


def test_real_exams_become_cases(test_data, tmp_path):
    settings = WorklistSettings(structures=("GTV_Mass",))
    worklist = make_worklist(test_data / "sarcoma_dicom_rtstruct" / "STS_002", tmp_path / "out", settings)
    assert only(worklist).sequences == ("T1",)
    assert only(worklist).raters == ("MR T1",)
    assert Cohort.open(worklist.manifest).load_images("patient001").images.shape[0] == 1
    ct = make_worklist(test_data / "dicom_seg", tmp_path / "ct", WorklistSettings(structures=("liver",)))
    assert only(ct).sequences == ("CT",)
    assert only(ct).raters == ("rater1", "rater2", "spine"), "a SEG object, and two masks beside it"
    assert Cohort.open(ct.manifest).load_images("patient001").images.shape == (1, 3, 512, 512)
