"""The commands simulate and experiment: cohorts that can be read, whole studies, and options that are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cohorts import write_discs
from program import result, run


def test_simulated_cavities_are_a_cohort_that_can_be_read_and_resumed(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    arguments = ("simulate", "cavities", "--out", out, "--cases", 2, "--spacing", 3, "--thickness", 6)
    report = result(run(*arguments, "--json"))
    from ObserverUncertaintyLib.cohort.cohort import Cohort

    cohort = Cohort.open(str(report["manifest"]))
    assert cohort.sequences == ("T1", "T1c", "T2", "FLAIR")
    assert cohort.manifest.skull_stripped is True
    assert cohort.manifest.simulated is True
    case = cohort.load("case02")
    assert case.raters.any(axis=(1, 2, 3)).all()
    assert case.truth is not None
    assert "not empty" in run(*arguments, code=2).stderr
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*.nii.gz")}
    shutil.rmtree(out / "case01")
    (out / "cohort.toml").unlink()
    run(*arguments, "--resume")
    assert all(file.stat().st_mtime_ns == time for file, time in before.items() if file.parent.name == "case02")
    assert (out / "case01" / "T1.nii.gz").exists()
    assert "cases: it began with 2, now 3" in run(*arguments, "--cases", 3, "--resume", code=2).stderr


def test_simulated_shapes_are_a_cohort_of_five_observers(tmp_path: Path) -> None:
    report = result(run("simulate", "shapes", "--out", tmp_path / "shapes", "--cases", 2, "--width", 32, "--json"))
    from ObserverUncertaintyLib.cohort.cohort import Cohort

    case = Cohort.open(str(report["manifest"])).load("shape002")
    assert case.sequences == ("unperturbed", "perturbed")
    assert len(case.rater_names) == 5
    assert case.grid.size == (32, 32, 1)
    assert case.truth is not None


@pytest.mark.slow
def test_the_quick_synthetic_study_goes_from_nothing_to_a_report(tmp_path: Path) -> None:
    # Smaller still than --quick by itself, whose five minutes are too long for a test.
    smaller = ("--width", 32, "--train", 6, "--test", 6, "--epochs", 1, "--samples", 2)
    study = ("experiment", "synthetic", "--out", tmp_path / "study", "--quick", *smaller)
    report = result(run(*study, "--json"))
    assert len(report["summary"]) == 10
    assert len(report["findings"]) == 8
    assert report["elsewhere"] == []
    text = run(*study, "--resume").stdout
    assert "| | U paper | 0.68 ± 0.08 | 0.54 ± 0.10 |" in text
    assert (tmp_path / "study" / "figure2.png").exists()
    assert "not empty" in run(*study, code=2).stderr
    assert "train: it began with 6, now 7" in run(*study, "--train", 7, "--resume", code=2).stderr


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (("--seeds", "0,-1"), '"-1" is no number'),
        (("--seeds", ""), "--seeds is empty"),
        (("--parts", "all"), "table1, "),
    ],
)
def test_wrong_lists_of_a_study_are_named(tmp_path: Path, wrong: tuple[str, str], text: str) -> None:
    assert text in run("experiment", "synthetic", "--out", tmp_path / "study", *wrong, code=2).stderr
    assert not (tmp_path / "study").exists()


@pytest.mark.slow
def test_the_cavity_study_runs_on_a_manifest(tmp_path: Path) -> None:
    manifest = write_discs(tmp_path / "cohort", 4)
    smaller = ("--folds", 2, "--epochs", 1, "--depth", 1, "--filters", 2, "--samples", 2, "--threads", 1)
    study = ("experiment", "cavity", manifest, "--out", tmp_path / "study", *smaller)
    report = result(run(*study, "--device", "cpu", "--json"))
    assert [row["arm"] for row in report["cases"]].count("majority") == 4
    assert report["elsewhere"] == []
    assert "2 of 2 folds complete, 4 cases" in run(*study, "--resume").stdout


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ((), "either a manifest, or --simulate"),
        (("cohort.toml", "--simulate"), "either a manifest, or --simulate"),
        (("--simulate", "--arms", "none"), 'Give "none" and at least one'),
        (("--simulate", "--arms", "none,median"), "'median' is not a valid FusionMethod. Give none, majority"),
        (("--simulate", "--patients", 5), "5 cases cannot be split into 6 folds"),
        (("--simulate", "--gpus", 1), "Add --ray"),
    ],
)
def test_wrong_options_of_the_cavity_study_are_named(tmp_path: Path, wrong: tuple[object, ...], text: str) -> None:
    assert text in run("experiment", "cavity", "--out", tmp_path / "study", *wrong, code=2).stderr
    assert not (tmp_path / "study").exists()
