"""No name, ID, birth date or UID of a DICOM header reaches what is written, unless it is asked for."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from contour_files import write_series, write_structure_set
from program import PROGRAM

from ObserverUncertaintyLib.base.privacy import traceback_without_messages, without_uids
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.jobs import JobState, PredictCohortRequest, start_job

GRID = Grid((32, 32, 6), (1.0, 1.0, 3.0), (-15.0, -15.0, 0.0))
SECRETS = ("Zzname", "Zzgiven", "ZZID", "19471123", "Zzother", "Zzdoctor", "Zzhospital", "ZZACC")
UID_ROOT = "1.2.826.0.1.99999"
"""Of every UID in the inputs."""

# A patient's name may be called otherwise in a text, and a UID be shortened.
MARKS = re.compile("|".join([*SECRETS, re.escape(UID_ROOT)]).encode(), re.IGNORECASE)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory) -> Path:
    """Three patients, each with two series and one RTSTRUCT of two raters; every field that may identify is marked."""
    folder = tmp_path_factory.mktemp("hospital")
    for number in range(1, 4):
        write_patient(folder / f"export{number}", number)
    return folder


def write_patient(folder: Path, number: int) -> None:
    def uid(*parts: int) -> str:
        return ".".join([UID_ROOT, str(number), *map(str, parts)])

    who = {
        "PatientName": f"Zzname{number}^Zzgiven",
        "PatientID": f"ZZID{number}",
        "PatientBirthDate": "19471123",
        "OtherPatientIDs": f"Zzother{number}",
        "ReferringPhysicianName": "Zzdoctor",
        "InstitutionName": "Zzhospital",
        "AccessionNumber": f"ZZACC{number}",
        "StudyInstanceUID": uid(1),
        "FrameOfReferenceUID": uid(2),
    }
    _k, j, i = np.indices(GRID.shape)
    distance = np.hypot(j - 15 - number, i - 16)
    for series, description in enumerate(("t1_mprage_post", "3D FLAIR"), 3):
        values = 200 + 300 * (distance < 8) + 10 * series + np.random.default_rng(number).integers(0, 40, GRID.shape)
        header = {**who, "SeriesInstanceUID": uid(series), "SeriesDescription": description}
        write_series(folder / f"s{series}", GRID, values, header, instance_uids=[uid(series, n) for n in range(1, 7)])
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    rois = {}
    for rater, radius in (("cavity anna", 8.0), ("cavity ben", 7.0)):
        circle = np.column_stack([15 + number + radius * np.sin(angles), 16 + radius * np.cos(angles)])
        corners = [np.column_stack([circle[:, 1], circle[:, 0], np.full(40, n), np.ones(40)]) for n in range(6)]
        rois[rater] = [(each @ GRID.index_to_physical().T)[:, :3] for each in corners]
    header = {**who, "OperatorsName": "Zzdoctor", "SeriesInstanceUID": uid(9)}
    write_structure_set(folder / "plan" / "rs.dcm", rois, uid(2), header=header)


def contents(file: Path) -> bytes:
    """What a file says, decompressed."""
    data = file.read_bytes()
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            return b"\n".join(archive.read(name) for name in archive.namelist())
    if data[:4] == b"NRRD" and b"encoding: gzip" in data[:4096]:
        head, _, body = data.partition(b"\n\n")
        return head + gzip.decompress(body)
    return data


def leaks(folder: Path, but: tuple[str, ...] = ("sources.json",)) -> list[str]:
    """Files below a folder whose name or content has a mark."""
    found = []
    for file in sorted(folder.rglob("*")):
        if MARKS.search(str(file.relative_to(folder)).encode()):
            found.append(f"the name {file}")
        if file.is_file() and file.name not in but and (match := MARKS.search(contents(file))):
            found.append(f"{file}: {match[0]!r}")
    return found


class Program:
    """The command line in a folder that takes all that it writes, temporary files and crash logs too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        self.environment = {**os.environ, "TMPDIR": str(self.temporary), "TEMP": str(self.temporary)}

    def __call__(self, *arguments: object, code: int = 0) -> str:
        done = subprocess.run(
            [*PROGRAM, *map(str, arguments)],
            capture_output=True,
            encoding="utf-8",
            check=False,
            cwd=self.folder,
            env=self.environment,
        )
        assert done.returncode == code, done.stderr
        said = done.stdout + done.stderr
        assert not MARKS.search(said.encode()), said
        return said


TINY = ("--epochs", 1, "--depth", 1, "--filters", 4, "--device", "cpu", "--validation-cases", "patient003")


@pytest.fixture(scope="module")
def worked(hospital, tmp_path_factory) -> Program:
    """A folder in which everything was made of the hospital's files that the program makes."""
    program = Program(tmp_path_factory.mktemp("work"))
    program("worklist", hospital, "--out", "worklist", "--structure", "cavity", "--name", "Study")
    manifest = "worklist/cohort.toml"
    program("agreement", manifest, "--out", "agreement.csv")
    program("train", manifest, "--out", "model", "--fusion", "none", *TINY)
    program("predict", "model", manifest, "--out", "predictions", "--samples", 2, "--save-samples", 1)
    program("evaluate", "predictions", manifest, "--out", "scores.csv")
    program("review", "cases", "predictions", "--json")
    program("review", "places", "predictions/patient001", "--out", "places.nii.gz")
    export1 = hospital / "export1"
    rs = export1 / "plan" / "rs.dcm"
    raters = (f"{rs}#cavity anna", f"{rs}#cavity ben", "--image", export1 / "s3")
    program("fuse", *raters, "--method", "staple", "--out", "fused.nrrd")
    program("disagreement", *raters, "--out", "entropy.nii.gz")
    return program


def test_all_that_the_program_writes_names_no_patient(worked):
    written = {file.suffix for file in worked.folder.rglob("*") if file.is_file()}
    assert {".csv", ".json", ".toml", ".gz", ".nrrd", ".safetensors"} <= written
    assert leaks(worked.folder) == []


def test_the_file_that_identifies_patients_is_the_one_that_says_so(worked):
    sources = worked.folder / "worklist" / "sources.json"
    assert MARKS.search(sources.read_bytes())
    assert "identifies patients" in json.loads(sources.read_text(encoding="utf-8"))["notice"]


def test_an_export_names_the_patient_since_it_is_asked_for(worked, hospital):
    arguments = ("export", "predictions/patient001", "--out", "exported", "--json", "--series")
    sources = json.loads((worked.folder / "worklist" / "sources.json").read_text(encoding="utf-8"))
    place = sources["cases"]["patient001"]["files"]["image T1c"]
    done = worked(*arguments, hospital / place)
    assert len(json.loads(done.splitlines()[0])["files"]) >= 5
    assert all(MARKS.search(file.read_bytes()) for file in (worked.folder / "exported").iterdir())
    for file in (worked.folder / "exported").iterdir():
        file.unlink()


def test_a_queue_in_the_background_leaves_nothing_that_names_a_patient(worked, tmp_path):
    """One of its cases cannot be read, and its error would name a series."""
    broken = tmp_path / "hospital"
    for number in range(1, 4):
        write_patient(broken / f"export{number}", number)
    program = Program(tmp_path / "work")
    program("worklist", broken, "--out", "worklist", "--structure", "cavity")
    sources = json.loads((tmp_path / "work" / "worklist" / "sources.json").read_text(encoding="utf-8"))
    case = sources["cases"]["patient002"]["files"]["image T1c"]
    # Another series of the patient in the same folder, so that the error lists both by their UIDs.
    other = next((broken / sources["cases"]["patient002"]["files"]["image FLAIR"]).glob("*.dcm"))
    (broken / case / "other.dcm").write_bytes(other.read_bytes())
    request = PredictCohortRequest(
        str(tmp_path / "work" / "worklist" / "cohort.toml"),
        str(worked.folder / "model"),
        str(tmp_path / "work" / "predictions"),
        samples=2,
        device="cpu",
    )
    job = start_job(request, tmp_path / "work" / "job", name="predict 3 cases")
    assert job.wait() is JobState.DONE
    told = (tmp_path / "work" / "job" / "result" / "outcome.json").read_text(encoding="utf-8")
    assert "[UID]" in told
    assert "patient002" in told
    assert leaks(tmp_path / "work") == []


CRASHES = {
    "in a reader": "import ObserverUncertaintyLib.formats.dicom.structure_sets as m\nm.draw = crash",
    "in a loop": "import ObserverUncertaintyLib.prediction.ensemble as m\nm.Ensemble.predict = crash",
}


@pytest.mark.parametrize("where", CRASHES)
def test_a_crash_leaves_a_log_without_what_its_message_quotes(worked, tmp_path, where):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "TEMP": str(tmp_path)}
    command = {
        "in a reader": ["agreement", "worklist/cohort.toml"],
        "in a loop": ["predict", "model", "worklist/cohort.toml", "--out", str(tmp_path / "out")],
    }[where]
    program = (
        f"import sys; sys.argv[1:] = {command!r}\n"
        f"def crash(*_arguments, **_options): raise ZeroDivisionError('Zzname1^Zzgiven ZZID1 {UID_ROOT}.1.2.3')\n"
        f"{CRASHES[where]}\nfrom ObserverUncertaintyLib.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        encoding="utf-8",
        check=False,
        cwd=worked.folder,
        env=environment,
    )
    assert done.returncode == 1, done.stderr
    (log,) = tmp_path.glob("observer-uncertainty-*.log")
    assert "ZeroDivisionError" in log.read_text(encoding="utf-8")
    assert "in crash" in log.read_text(encoding="utf-8")
    assert leaks(tmp_path) == []


def test_where_an_error_came_is_told_without_its_message():
    def inner():
        raise KeyError("Zzname")

    try:
        try:
            inner()
        except KeyError as error:
            raise ValueError("ZZID1") from error
    except ValueError as error:
        text = traceback_without_messages(error)
    assert text.index("KeyError") < text.index("ValueError")
    assert "in inner" in text
    # The line of the program that raised is shown, and what it was given is not.
    assert "ZZID1" not in text.replace('raise ValueError("ZZID1") from error', "")


def test_uids_are_taken_out_of_texts_and_other_numbers_stay():
    text = "folder#1.2.840.113619.2.55.3 (20 files), MR.2.25.3.4.5.6.7.dcm, version 1.2.3, 10.0.0.1, at 3.25 mm."
    assert without_uids(text) == "folder#[UID] (20 files), MR.[UID].dcm, version 1.2.3, 10.0.0.1, at 3.25 mm."
