from __future__ import annotations

import os
import warnings
from pathlib import Path

import pydicom
import pytest
from dicom_files import ENHANCED_MR, RTSTRUCT, patient, save, uid, write_series, write_structures
from pydicom.dataset import Dataset

from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.worklist import scanning
from ObserverUncertaintyLib.worklist.scanning import Found, scan


def looked(folder: Path) -> Found:
    return scan(folder, Progress())


def by_description(found: Found) -> dict[str, list[dict[str, int]]]:
    """How many files a series has in each folder."""
    series: dict[str, list[dict[str, int]]] = {}
    for one in found.series:
        places = {place.relative_to(found.root).as_posix(): len(names) for place, names in one.files.items()}
        series.setdefault(one.header.description, []).append(places)
    return series


@pytest.fixture
def parsed(monkeypatch):
    """The files whose headers were parsed."""
    names: list[str] = []
    read = scanning.read_header
    monkeypatch.setattr(
        scanning, "read_header", lambda path, *rest: (names.append(Path(path).name), read(path, *rest))[1]
    )
    return names


@pytest.mark.parametrize(
    "options", [{}, {"implicit": True}, {"preamble": False}, {"preamble": False, "implicit": True}]
)
def test_one_file_of_a_series_is_parsed(tmp_path, parsed, options):
    write_series(tmp_path, patient(), "T1", slices=5, prefix="a", **options)
    write_series(tmp_path, patient(), "T2", slices=4, prefix="b", **options)
    found = looked(tmp_path)
    assert by_description(found) == {"T1": [{".": 5}], "T2": [{".": 4}]}
    assert parsed == ["a001.dcm", "b001.dcm"]
    assert found.others == {}


def test_a_series_that_refers_to_another_is_not_taken_for_it(tmp_path):
    first = write_series(tmp_path, patient(), "T1", prefix="a")
    source = pydicom.dcmread(first[0])
    item = Dataset()
    item.StudyInstanceUID, item.SeriesInstanceUID = source.StudyInstanceUID, source.SeriesInstanceUID
    write_series(tmp_path, patient(), "T1 MPR", prefix="b", ReferencedSeriesSequence=[item])
    assert by_description(looked(tmp_path)) == {"T1": [{".": 3}], "T1 MPR": [{".": 3}]}


def test_contours_beside_their_series_are_no_slices(tmp_path):
    images = write_series(tmp_path, patient(), "T1", prefix="a")
    write_structures(tmp_path / "z1.dcm", images[0], ["A"], SeriesInstanceUID=uid("rs"))
    write_structures(tmp_path / "z2.dcm", images[0], ["B"], SeriesInstanceUID=uid("rs"))
    found = looked(tmp_path)
    assert [(one.header.kind == RTSTRUCT, sum(map(len, one.files.values()))) for one in found.series] == [
        (False, 3),
        (True, 2),
    ]


def test_another_patients_slice_with_the_same_uids_is_another_series(tmp_path):
    write_series(tmp_path, patient(), "T1", prefix="a")
    data = pydicom.dcmread(tmp_path / "a001.dcm")
    data.PatientID = "SECRETID0002"
    save(data, tmp_path / "b.dcm")
    found = looked(tmp_path)
    assert len(found.series) == 2
    assert scanning.shared_uids(found.series)[tmp_path, data.SeriesInstanceUID] == 2


def test_a_series_in_two_folders_is_one_series(tmp_path):
    for part in ("a", "b"):
        write_series(tmp_path / part, patient(), "T1", prefix=part)
    assert by_description(looked(tmp_path)) == {"T1": [{"a": 3, "b": 3}]}


def test_the_frames_of_a_file_are_its_slices(tmp_path):
    write_series(tmp_path, patient(), "T1", slices=1, kind=ENHANCED_MR, NumberOfFrames=7)
    (series,) = looked(tmp_path).series
    assert series.slices == 7


def test_what_cannot_be_used_is_told_with_the_reason(tmp_path):
    whole = write_series(tmp_path / "a", patient(), "T1")[0].read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:200])
    # Here pydicom's error quotes the header.
    (tmp_path / "length.dcm").write_bytes(whole[:138] + b"\x97\x00" + whole[140:])
    (tmp_path / "text.dcm").write_text("no DICOM", encoding="utf-8")
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "readme.txt").write_text("hello", encoding="utf-8")
    (tmp_path / ".hidden.dcm").write_text("no DICOM", encoding="utf-8")
    (tmp_path / "gone.dcm").symlink_to("nowhere")
    save_index(tmp_path / "DICOMDIR")
    found = looked(tmp_path)
    told = {reason: sorted(path.name for path in paths) for reason, paths in found.others.items()}
    assert told.pop("files that cannot be opened") == ["gone.dcm"]
    assert told.pop("files that are no images") == ["DICOMDIR", "readme.txt"]
    assert sorted(name for names in told.values() for name in names) == [
        "cut.dcm",
        "empty.dcm",
        "length.dcm",
        "text.dcm",
    ]
    assert all("DICOM" in reason for reason in told)
    assert by_description(found) == {"T1": [{"a": 3}]}


def save_index(file: Path) -> None:
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.1.3.10", uid("index")
    save(data, file)


def test_values_that_break_the_rules_are_taken_and_nothing_is_warned_of(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_series(tmp_path, patient(PatientBirthDate="about 1950", PatientID="SECRET" * 20), "T1 " * 40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (series,) = looked(tmp_path).series
    assert series.header.patient.birth_date == "about 1950"


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_folder_with_two_names_is_looked_through_once(tmp_path):
    write_series(tmp_path / "a", patient(), "T1")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "a" / "loop").symlink_to("..")
    assert by_description(looked(tmp_path)) == {"T1": [{"a": 3}]}


def test_real_series_are_found(test_data):
    found = looked(test_data / "sarcoma_dicom_rtstruct" / "STS_002")
    assert sorted((one.header.is_contours, one.slices) for one in found.series)[-1] == (True, 1)
    assert len(found.series) == 2
