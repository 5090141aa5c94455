"""The commands import-samples and calibrate, and what predict does with ensembles, raters and calibrations."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from cohorts import disc_case, write_discs
from program import result, run

from ObserverUncertaintyLib.formats import read_image, read_mask, write_image

TINY = ["--epochs", "12", "--depth", "1", "--filters", "4", "--device", "cpu", "--learning-rate", "0.005"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_discs(tmp_path_factory.mktemp("cohort"), 9, slices=3)


@pytest.fixture(scope="module")
def trained(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "model"
    run("train", cohort, "--fusion", "union", "--out", folder, "--cases", "case01,case02,case03,case04", *TINY)
    return folder


@pytest.fixture
def model(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "model")


def test_calibrate_then_predict_with_and_without(model: Path, cohort: Path, tmp_path: Path) -> None:
    cases = "case05,case06,case07,case08,case09"
    made = result(
        run(
            "calibrate",
            model,
            cohort,
            "--cases",
            cases,
            "--samples",
            3,
            "--map",
            "isotonic",
            "--device",
            "cpu",
            "--json",
        )
    )
    assert made["figures"]["ece_roi_pooled"]["after"] < made["figures"]["ece_roi_pooled"]["before"]
    assert made["out"] == str(model / "calibration.json")
    for out, options in (("with", []), ("without", ["--no-calibration"])):
        run("predict", model, cohort, "--out", tmp_path / out, "--cases", "case09", "--samples", 3, *options)
    reports = {
        out: json.loads((tmp_path / out / "case09" / "prediction.json").read_text(encoding="utf-8"))
        for out in ("with", "without")
    }
    assert "calibrated to 3 raters on 5 cases" in reports["with"]["calibration"]
    assert reports["without"]["calibration"] is None
    contours = [read_mask(tmp_path / out / "case09" / "segmentation.nii.gz").array for out in reports]
    np.testing.assert_array_equal(*contours)
    # The contour that review writes by default is the segmentation.
    shown = result(run("review", "contour", tmp_path / "with" / "case09", "--out", tmp_path / "c.nii.gz", "--json"))
    assert shown["level"] == reports["with"]["segmentation_level"] != 0.5
    np.testing.assert_array_equal(read_mask(tmp_path / "c.nii.gz").array, contours[0])
    again = run("calibrate", model, cohort, "--cases", cases, code=2)
    assert "exists already" in again.stderr


def test_calibrate_refuses_cases_that_were_trained_on(model: Path, cohort: Path) -> None:
    done = run("calibrate", model, cohort, "--cases", "case04,case05", "--samples", 1, code=2)
    assert "case04 was in the model's training set" in done.stderr
    assert not (model / "calibration.json").exists()


def test_models_predict_together(trained: Path, cohort: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    run("train", cohort, "--fusion", "none", "--out", other, "--cases", "case01", "--seed", 1, *TINY)
    out = tmp_path / "out"
    run(
        "predict",
        trained,
        cohort,
        "--ensemble-with",
        other,
        "--flip",
        "--out",
        out,
        "--cases",
        "case09",
        "--samples",
        4,
    )
    report = json.loads((out / "case09" / "prediction.json").read_text(encoding="utf-8"))
    assert len(report["ensemble"]) == 2
    assert report["flip"] is True
    assert set(report["fusion"].split(", ")) == {"union", "none"}
    done = run("predict", trained, cohort, "--ensemble-with", trained, "--out", tmp_path / "twice", code=2)
    assert "same model" in done.stderr


def test_a_model_that_was_told_whose_drawing_it_saw_draws_as_one_of_them(cohort: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    run("train", cohort, "--fusion", "none", "--rater-input", "--out", model, "--cases", "case01,case02", *TINY)
    run("predict", model, cohort, "--rater", "rater3", "--out", tmp_path / "a", "--cases", "case09", "--samples", 2)
    done = run("predict", model, cohort, "--rater", "rater9", "--out", tmp_path / "b", "--cases", "case09", code=2)
    assert 'cannot draw as "rater9": it knows rater1, rater2, rater3' in done.stderr
    assert not (tmp_path / "b" / "case09").exists()


def test_import_samples_makes_a_folder_that_evaluate_and_review_take(cohort: Path, tmp_path: Path) -> None:
    case = disc_case(8, slices=3)
    grid = read_image(cohort.parent / "case09" / "S1.nii.gz").grid
    files = [tmp_path / f"{n}.nii.gz" for n in range(3)]
    for file, mask in zip(files, case.raters, strict=True):
        write_image(file, mask * 0.8 + 0.1, grid)
    out = tmp_path / "out"
    made = result(
        run(
            "import-samples",
            *files,
            "--out",
            out,
            "--name",
            "case09",
            "--tool",
            "nnU-Net",
            "--save-samples",
            3,
            "--json",
        )
    )
    assert (made["samples"], made["tool"], made["weights"]) == (3, "nnU-Net", None)
    assert str(tmp_path) not in (out / "case09" / "prediction.json").read_text(encoding="utf-8")
    run("evaluate", out, cohort, "--out", tmp_path / "scores.csv")
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert scores["cases"][0]["dice_majority"] == 1
    assert scores["cases"][0]["ged"] == pytest.approx(0, abs=1e-9)
    assert result(run("review", "places", out / "case09", "--json"))["places"]
    listed = result(run("review", "cases", out, "--json"))
    assert [case["case"] for case in listed["cases"]] == ["case09"]


def test_import_samples_leaves_nothing_behind_where_it_fails_and_writes_over_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4)))
    done = run("import-samples", tmp_path / "a.npy", "--out", tmp_path / "out", code=2)
    assert "Name an image with the same voxels" in done.stderr
    assert not (tmp_path / "out" / "case").exists()
    case = disc_case(8, slices=3)
    write_image(tmp_path / "p.nii.gz", case.raters[0] * 0.5, case.grid)
    run("import-samples", tmp_path / "p.nii.gz", "--out", tmp_path / "out")
    before = (tmp_path / "out" / "case" / "prediction.json").read_bytes()
    assert "not empty" in run("import-samples", tmp_path / "p.nii.gz", "--out", tmp_path / "out", code=2).stderr
    # A probability of that folder would be written over while it is read.
    own = tmp_path / "out" / "case" / "probability.nii.gz"
    done = run("import-samples", own, "--out", tmp_path / "out", "--overwrite", code=2)
    assert "also read here" in done.stderr
    assert (tmp_path / "out" / "case" / "prediction.json").read_bytes() == before


def test_softseg_can_be_trained_and_what_excludes_it_is_said(cohort: Path, tmp_path: Path) -> None:
    softseg = ["--final-activation", "normalised-relu", "--loss", "adaptive-wing"]
    run("train", cohort, "--fusion", "mean", "--out", tmp_path / "m", "--cases", "case01,case02", *softseg, *TINY)
    done = run("train", cohort, "--fusion", "mean", "--out", tmp_path / "n", *softseg[:2], *TINY, code=2)
    assert "Choose the loss adaptive-wing" in done.stderr


def test_a_prediction_that_was_imported_is_replaced_only_by_a_whole_one_and_by_nothing_unasked(
    trained: Path, cohort: Path, tmp_path: Path
) -> None:
    case = disc_case(8, slices=3)
    grid = read_image(cohort.parent / "case09" / "S1.nii.gz").grid
    write_image(tmp_path / "p.nii.gz", case.raters[0] * 0.5 + 0.2, grid)
    out = tmp_path / "out"
    run("import-samples", tmp_path / "p.nii.gz", "--out", out, "--name", "case09", "--save-samples", 1)
    before = {file.name: file.read_bytes() for file in (out / "case09").rglob("*.*") if file.is_file()}
    # What fails leaves it, and so does a prediction that resumes in its folder.
    np.save(tmp_path / "bad.npy", np.full(grid.shape, 7.0))
    failing = ("import-samples", tmp_path / "bad.npy", "--geometry", tmp_path / "p.nii.gz", "--out", out)
    run(*failing, "--name", "case09", "--overwrite", code=2)
    done = run("predict", trained, cohort, "--cases", "case09", "--out", out, "--samples", 1, "--resume", code=2)
    assert "holds a result of another program" in done.stderr
    assert {file.name: file.read_bytes() for file in (out / "case09").rglob("*.*") if file.is_file()} == before
    # A call that was killed left a folder; the next one clears it away.
    (out / "case09" / ".new-1").mkdir()
    (out / "case09" / ".new-1" / "x.nii.gz").touch()
    run("import-samples", tmp_path / "p.nii.gz", "--out", out, "--name", "case09", "--overwrite")
    assert not (out / "case09" / ".new-1").exists()
    assert not list((out / "case09").glob("samples/*"))
    assert (out / "case09" / "prediction.json").is_file()


@pytest.mark.parametrize("options", [["--name", " "], ["--name", "a\nb"], ["--tool", " "]])
def test_blank_names_are_refused(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "p.nii.gz").touch()
    run("import-samples", tmp_path / "p.nii.gz", "--out", tmp_path / "out", *options, code=2)
