"""What the command line does with the wrong file, the same one twice, and names: exit code 2, and nothing written."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cohorts import disc_case, write_discs

from ObserverUncertaintyLib.formats import read_mask, write_mask

PROGRAM = [sys.executable, "-m", "ObserverUncertaintyLib.cli"]
TINY = ["--epochs", "1", "--depth", "1", "--filters", "4", "--device", "cpu"]


def run(*arguments: object, cwd: Path, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) if home is None else {**os.environ, "HOME": str(home), "USERPROFILE": str(home)}
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)], capture_output=True, encoding="utf-8", check=False, cwd=cwd, env=environment
    )


def refused(*arguments: object, cwd: Path) -> str:
    """The text of a refusal that left every file as it was."""
    before = {file: file.read_bytes() for file in cwd.rglob("*") if file.is_file()}
    done = run(*arguments, cwd=cwd)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert {file: file.read_bytes() for file in cwd.rglob("*") if file.is_file()} == before
    return done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three raters' masks."""
    case = disc_case(0, slices=2)
    for name, mask in zip(("anna", "ben", "carl"), case.raters, strict=True):
        write_mask(tmp_path / f"{name}.nii.gz", mask, case.grid)
    return tmp_path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of three cases, and a model."""
    place = tmp_path_factory.mktemp("made")
    write_discs(place / "cohort", 3, slices=2)
    done = run(
        *("train", "cohort/cohort.toml", "--fusion", "none", "--out", "model", "--cases", "case01"), *TINY, cwd=place
    )
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Path:
    """A copy of both that may be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "study"))


@pytest.mark.parametrize("command", [("fuse", "--method", "intersection"), ("disagreement",)])
@pytest.mark.parametrize("alias", ["anna.nii.gz", "./anna.nii.gz", "link.nii.gz", "hard.nii.gz"])
def test_a_raters_drawing_is_never_written_over(folder: Path, command: tuple[str, ...], alias: str) -> None:
    (folder / "link.nii.gz").symlink_to("anna.nii.gz")
    (folder / "hard.nii.gz").hardlink_to(folder / "anna.nii.gz")
    text = refused(*command, "anna.nii.gz", "ben.nii.gz", "--overwrite", "--out", alias, cwd=folder)
    assert "anna.nii.gz" in text
    assert "never written over" in text


@pytest.mark.parametrize("command", [("fuse", "--method", "majority"), ("disagreement",)])
def test_a_former_result_is_not_one_more_rater(folder: Path, command: tuple[str, ...]) -> None:
    raters = sorted(file.name for file in folder.iterdir())
    assert run("fuse", *raters, "--method", "majority", "--out", "all.nii.gz", cwd=folder).returncode == 0
    assert "all.nii.gz is no rater's drawing, but a fused mask" in refused(
        *command, *raters, "all.nii.gz", "--out", "new.nii.gz", cwd=folder
    )
    assert run(*command, *raters, "--out", "all.nii.gz", "--overwrite", cwd=folder).returncode == 0, "made anew"


def test_files_are_read_and_written_in_the_home_folder(folder: Path) -> None:
    home, elsewhere = folder, folder / "elsewhere"
    elsewhere.mkdir()
    done = run(
        "fuse", "~/anna.nii.gz", "~/ben.nii.gz", "--method", "union", "--out=~/new.nii.gz", cwd=elsewhere, home=home
    )
    assert done.returncode == 0, done.stderr
    assert (home / "new.nii.gz").is_file()
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("ending", [".NII.GZ", ".NII", ".NRRD", ".MHA"])
def test_endings_in_upper_case_are_as_good(folder: Path, ending: str) -> None:
    for name in ("anna", "ben"):
        done = run("fuse", f"{name}.nii.gz", "carl.nii.gz", "--method", "union", "--out", f"{name}{ending}", cwd=folder)
        assert done.returncode == 0, done.stderr
    done = run("fuse", f"anna{ending}", f"ben{ending}", "--method", "union", "--out", f"both{ending}", cwd=folder)
    assert done.returncode == 0, done.stderr
    drawn = [read_mask(folder / f"{name}.nii.gz").array for name in ("anna", "ben", "carl")]
    np.testing.assert_array_equal(read_mask(folder / f"both{ending}").array, np.any(drawn, axis=0))


@pytest.mark.parametrize("length", [249, 300, 5000])
def test_a_name_that_is_too_long_is_refused_before_the_work(folder: Path, length: int) -> None:
    name = "x" * length
    assert "too long" in refused(
        "fuse", "anna.nii.gz", "ben.nii.gz", "--method", "union", "--out", f"{name}.nii.gz", cwd=folder
    )
    assert "too long" in refused(
        "fuse", "anna.nii.gz", f"{name}.nii.gz", "--method", "union", "--out", "o.nrrd", cwd=folder
    )


def test_a_case_is_trained_on_or_validated_on(study: Path) -> None:
    train = ("train", "cohort/cohort.toml", "--fusion", "none", "--out", "new", *TINY)
    assert "case01: in --cases and in --validation-cases" in refused(
        *train, "--cases", "case01,case02", "--validation-cases", "case03,case01", cwd=study
    )
    assert "no case" in refused(*train, "--cases", ",", cwd=study)
    assert "every case" in refused(*train, "--validation-cases", "case01,case02,case03", cwd=study)
    assert "no such case: nobody" in refused(*train, "--validation-cases", "nobody", cwd=study)


def test_predictions_are_written_over_no_input(study: Path) -> None:
    shutil.copy(study / "cohort" / "case02" / "rater1.nii.gz", study / "cohort" / "case02" / "segmentation.nii.gz")
    manifest = study / "cohort" / "cohort.toml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace('"truth.nii.gz"', '"segmentation.nii.gz"'), encoding="utf-8")
    predict = ("predict", "model", "--samples", 1, "--device", "cpu", "--overwrite")
    by_manifest = refused(*predict, manifest, "--cases", "case02", "--out", "cohort", cwd=study)
    assert re.search(
        r"case02.segmentation\.nii\.gz would be overwritten, but it is also read here \(truth", by_manifest
    )
    image = study / "probability.nii.gz"
    shutil.copy(study / "cohort" / "case02" / "S1.nii.gz", image)
    assert "(image S1" in refused(*predict, "--image", f"S1={image}", "--name", study.name, "--out", "..", cwd=study)
    assert "(the model" in refused(*predict, manifest, "--out", "./model", cwd=study)
    assert "too long" in refused(*predict, "--image", f"S1={image}", "--name", "x" * 300, "--out", "new", cwd=study)
    twice = ("--image", f"S1={image}", "--image", f"S2={image}")
    assert "image S1 and image S2 are the same file" in refused(*predict, *twice, "--out", "new2", cwd=study)


def test_scores_are_written_over_no_report(study: Path) -> None:
    predict = ("predict", "model", "cohort/cohort.toml", "--out", "p", "--samples", 1, "--device", "cpu")
    assert run(*predict, "--cases", "case02", cwd=study).returncode == 0
    evaluate = ("evaluate", "p", "cohort/cohort.toml", "--overwrite", "--out")
    assert "the report of case case02" in refused(*evaluate, "p/case02/prediction.csv", cwd=study)
    assert run(*evaluate, "scores.csv", cwd=study).returncode == 0
    assert len(json.loads((study / "scores.json").read_text(encoding="utf-8"))["cases"]) == 1


def test_a_simulation_is_not_written_over_its_own_anatomy(study: Path) -> None:
    simulate = ("simulate", "cavities", "--cases", 1, "--overwrite", "--anatomy", "cohort/case01", "--out")
    for out in ("cohort", "cohort/case01"):
        assert "is never written over" in refused(*simulate, out, cwd=study)


PATCHES = {
    "a file": "import ObserverUncertaintyLib.formats.images as m; m._READERS['.nii.gz'] = lambda path: 1 / 0",
    "memory": "import ObserverUncertaintyLib.formats.images as m\n"
    "def read(path): raise MemoryError\n"
    "m._READERS['.nii.gz'] = read",
    "the system": "import ObserverUncertaintyLib.cli.raters as m\n"
    "def prepare(*a): raise PermissionError(13, 'Permission denied', 'anna.nii.gz')\n"
    "m._prepare = prepare",
}


@pytest.mark.parametrize(
    ("what", "code", "text"),
    [
        ("a file", 1, "error: this should not have happened at anna.nii.gz: ZeroDivisionError: division by zero"),
        ("memory", 1, "error: the memory is not enough at anna.nii.gz"),
        ("the system", 2, "error: anna.nii.gz: Permission denied"),
    ],
)
def test_an_error_that_nobody_foresaw_names_the_file_in_work_and_the_log(
    folder: Path, what: str, code: int, text: str
) -> None:
    arguments = ["fuse", "anna.nii.gz", "ben.nii.gz", "--method", "union", "--out", "new.nii.gz"]
    program = f"import sys; sys.argv[1:] = {arguments!r}\n{PATCHES[what]}\n"
    program += "from ObserverUncertaintyLib.cli import main; main()"
    environment = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=False, cwd=folder, env=environment
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert text in done.stderr
    (log,) = folder.glob("observer-uncertainty-*.log")
    assert str(log) in done.stderr
    content = log.read_text(encoding="utf-8")
    assert "Traceback (most recent call last)" in content
    assert "fuse --method --out" in content
    for name in ("anna", "ben.nii", "new.nii", "division by zero"):
        assert name not in content
