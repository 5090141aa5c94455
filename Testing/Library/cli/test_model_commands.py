"""The commands train, predict and evaluate: from a manifest to scores, resumed, interrupted, refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cohorts import write_discs
from cohorts_with_gaps import BAD, GOOD, write_cohort_with_gaps
from program import PROGRAM, result, run
from waiting import PATIENCE, wait_for

from ObserverUncertaintyLib.formats import read_image
from ObserverUncertaintyLib.formats.prediction_samples import ROUNDING, read_samples

TINY = ["--epochs", "2", "--depth", "1", "--filters", "4", "--device", "cpu"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_discs(tmp_path_factory.mktemp("cohort"), 4, slices=3)


@pytest.fixture(scope="module")
def model(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "model"
    run("train", cohort, "--fusion", "none", "--out", folder, "--cases", "case01,case02", *TINY)
    return folder


def test_train_predict_evaluate_from_manifest_to_scores(cohort: Path, tmp_path: Path) -> None:
    model, predictions = tmp_path / "model", tmp_path / "predictions"
    trained = result(run("train", cohort, "--fusion", "majority", "--out", model, "--json", *TINY))
    assert {"out", "device", "seconds", "peak_memory_mib"} <= set(trained)
    assert trained["out"] == str(model)
    report = result(
        run("predict", model, cohort, "--out", predictions, "--cases", "case03,case04", "--samples", 3, "--json")
    )
    assert {"out", "device", "seconds", "peak_memory_mib"} <= set(report)
    names = ["expected_entropy", "mutual_information", "predictive_entropy", "probability", "segmentation"]
    for case in ("case03", "case04"):
        files = sorted(file.name for file in (predictions / case).iterdir())
        unseen = json.loads((predictions / case / "prediction.json").read_text(encoding="utf-8"))["not_looked_at"]
        expected = [*(f"{name}.nii.gz" for name in names), "prediction.json", *([unseen] if unseen else [])]
        assert files == sorted(expected)
        maps = {name: read_image(predictions / case / f"{name}.nii.gz") for name in names}
        parts = maps["expected_entropy"].array + maps["mutual_information"].array
        assert maps["predictive_entropy"].array == pytest.approx(parts, abs=1e-6)
        assert np.array_equal(maps["segmentation"].array, maps["probability"].array > 0.5)
        source = read_image(cohort.parent / case / "S1.nii.gz")
        assert maps["probability"].grid == source.grid
    prediction = json.loads((predictions / "case03" / "prediction.json").read_text(encoding="utf-8"))
    assert "Research use only" in prediction["notice"]
    assert str(tmp_path) not in json.dumps(prediction)
    assert any("training set" in warning for warning in prediction["warnings"])
    run("evaluate", predictions, cohort, "--out", tmp_path / "scores.csv")
    content = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert [row["case"] for row in content["cases"]] == ["case03", "case04"]
    assert any("training set" in warning for warning in content["cases"][0]["warnings"])
    assert content["summary"]["wme"]["n"] == 2


def test_predict_takes_single_images_without_manifest_or_raters(model: Path, cohort: Path, tmp_path: Path) -> None:
    image = cohort.parent / "case03" / "S1.nii.gz"
    run("predict", model, "--image", f"S1={image}", "--out", tmp_path / "out", "--samples", 2, "--name", "anna")
    assert (tmp_path / "out" / "anna" / "segmentation.nii.gz").exists()
    text = run("predict", model, "--image", f"T2={image}", "--out", tmp_path / "other", code=2).stderr
    assert "S1 is missing" in text
    assert "SEQUENCE=FILE" in run("predict", model, "--image", image, "--out", tmp_path / "o", code=2).stderr
    assert not (tmp_path / "other" / "settings.json").exists(), "wrong input leaves nothing behind"
    for name in ("..", "a/b", ""):
        arguments = ("predict", model, "--image", f"S1={image}", "--out", tmp_path / "n", "--name", name)
        assert "plain name" in run(*arguments, code=2).stderr
    assert "either a manifest" in run("predict", model, "--out", tmp_path / "o", code=2).stderr


def test_predict_needs_no_rater_even_where_the_manifest_names_one(model: Path, cohort: Path, tmp_path: Path) -> None:
    copy = tmp_path / "cohort"
    shutil.copytree(cohort.parent, copy)
    (copy / "case04" / "rater2.nii.gz").write_text("damaged", encoding="utf-8")
    run("predict", model, copy / "cohort.toml", "--out", tmp_path / "out", "--cases", "case04", "--samples", 1)
    assert (tmp_path / "out" / "case04" / "prediction.json").exists()


def test_predict_resumes_with_the_same_settings_only(model: Path, cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("predict", model, cohort, "--out", out, "--cases", "case03", "--samples", 2)
    first = (out / "case03" / "prediction.json").stat().st_mtime_ns
    assert "not empty" in run("predict", model, cohort, "--out", out, "--samples", 2, code=2).stderr
    text = run("predict", model, cohort, "--out", out, "--samples", 3, "--resume", code=2).stderr
    assert "samples: it began with 2, now 3" in text
    shutil.rmtree(out / "case04", ignore_errors=True)
    run("predict", model, cohort, "--out", out, "--cases", "case03,case04", "--samples", 2, "--resume")
    assert (out / "case03" / "prediction.json").stat().st_mtime_ns == first
    assert (out / "case04" / "prediction.json").exists()


def test_predict_keeps_going_and_tells_by_its_exit_code_what_was_left_out(tmp_path: Path) -> None:
    whole = write_discs(tmp_path / "whole", 2, slices=3, sequences=2)
    run("train", whole, "--fusion", "none", "--out", tmp_path / "model", *TINY)
    manifest, out = write_cohort_with_gaps(tmp_path / "cohort"), tmp_path / "out"
    arguments = ("predict", tmp_path / "model", manifest, "--out", out, "--samples", 1)
    assert "case03 has no image S2" in run(*arguments, code=2).stderr
    done = run(*arguments, "--keep-going", code=1)
    assert done.stdout.startswith("3 cases in ")
    assert "left out: 3 of 6" in done.stdout
    for name, part in BAD.items():
        line = next(line for line in done.stdout.splitlines() if line.startswith(f"  {name}: "))
        assert f"warning: {name} is left out: " in done.stderr
        assert part in line
    report = result(run(*arguments, "--keep-going", "--resume", "--json", code=1))
    assert report["cases"] == list(GOOD)
    assert report["left_out"].keys() == BAD.keys()
    assert run(*arguments, "--keep-going", "--resume", "--cases", "case01,case04").stdout.startswith("2 cases in ")
    none = run(*arguments, "--keep-going", "--resume", "--cases", "case02", code=2)
    assert "None of the cases could be predicted" in none.stderr


def test_predict_saves_samples_if_asked_to(model: Path, cohort: Path, tmp_path: Path) -> None:
    arguments = ("predict", model, cohort, "--out", tmp_path / "out", "--cases", "case03", "--samples", 2)
    text = run(*arguments, "--save-samples", 3, code=2).stderr
    assert "3 samples are to be saved, but 2 are drawn" in text
    assert not (tmp_path / "out").exists()
    run(*arguments, "--save-samples", 2)
    case = tmp_path / "out" / "case03"
    mean = read_samples(case).probability.mean(axis=0)
    assert mean == pytest.approx(read_image(case / "probability.nii.gz").array, abs=ROUNDING + 1e-6)


def test_wrong_manifests_end_with_exit_code_2(model: Path, cohort: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "cohort.toml"
    wrong = {
        "[cohort]\nname='x'\ncases='none*'\n[images]\nS1='S1.nii.gz'\n": "cohort is empty",
        "[cohort]\nname='x'\ncases=[]\n[images]\nS1='S1.nii.gz'\n": "cohort is empty",
        "[cohort]\nname='x'\ncases='*'\ncolour='red'\n[images]\nS1='S1.nii.gz'\n": "unknown key in [cohort]: colour",
        "[cohort": "not a readable TOML",
    }
    for text, expected in wrong.items():
        manifest.write_text(text, encoding="utf-8")
        assert expected in run("train", manifest, "--fusion", "none", "--out", tmp_path / "m", *TINY, code=2).stderr
    assert "nowhere.toml" in run("predict", model, "nowhere.toml", "--out", tmp_path / "p", code=2).stderr
    text = run("predict", model, cohort, "--out", tmp_path / "p", "--cases", "case99", code=2).stderr
    assert "no such case: case99" in text
    assert not (tmp_path / "m").exists()


def test_swapped_arguments_and_impossible_numbers_are_wrong_input(cohort: Path, tmp_path: Path) -> None:
    text = run("train", cohort.parent, "--fusion", "none", "--out", tmp_path / "m", *TINY, code=2).stderr
    assert "is a folder" in text
    arguments = ("train", cohort, "--fusion", "none", "--out", tmp_path / "m", *TINY, "--learning-rate")
    for rate in ("nan", "inf", "0", "-1"):
        assert "learning rate" in run(*arguments, rate, code=2).stderr
    assert not (tmp_path / "m").exists()


def test_a_device_that_is_not_here_is_wrong_input(cohort: Path, tmp_path: Path) -> None:
    arguments = ("train", cohort, "--fusion", "none", "--out", tmp_path / "m", "--epochs", 1)
    assert "cuda:9" in run(*arguments, "--device", "cuda:9", code=2).stderr
    assert "no device" in run(*arguments, "--device", "quantum", code=2).stderr


def test_ctrl_c_stops_training_and_keeps_the_checkpoint(cohort: Path, tmp_path: Path) -> None:
    command = ["train", str(cohort), "--fusion", "none", "--out", str(tmp_path / "m"), *TINY, "--epochs", "5000"]
    process = subprocess.Popen([*PROGRAM, *command], stderr=subprocess.PIPE, encoding="utf-8")
    wait_for((tmp_path / "m" / "checkpoint" / "state.pt").exists, "a checkpoint")
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "--resume" in text
    assert "Traceback" not in text
    assert (tmp_path / "m" / "checkpoint" / "state.pt").exists()


def test_real_multi_rater_data_is_read_as_it_lies(test_data: Path, tmp_path: Path) -> None:
    folder = test_data / "brain_growth"
    raters = sorted((folder / "case05").glob("seg_rater*.nii.gz"))
    assert len(raters) == 7
    report = result(run("fuse", *raters, "--method", "staple", "--out", tmp_path / "staple.nii.gz", "--json"))
    assert all(0.5 < row["sensitivity"] <= 1 for row in report["raters"])
    manifest = tmp_path / "brain_growth.toml"
    names = "\n".join(f'rater{n} = "seg_rater{n}.nii.gz"' for n in range(1, 8))
    relative = os.path.relpath(folder, tmp_path)
    manifest.write_text(
        f'[cohort]\nname = "Brain growth"\nroot = "{relative}"\ncases = "case*"\nlabel = "tissue"\n'
        f'[images]\nMR = "image.nii.gz"\n[raters]\n{names}\n',
        encoding="utf-8",
    )
    cases = ("--cases", "case01,case02")
    run("train", manifest, "--fusion", "none", "--out", tmp_path / "model", *cases, *TINY)
    run("predict", tmp_path / "model", manifest, "--out", tmp_path / "p", "--cases", "case24", "--samples", 2)
    run("evaluate", tmp_path / "p", manifest, "--out", tmp_path / "scores.json")
    assert len(json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))["cases"]) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file's size")
@pytest.mark.parametrize("command", ["train", "predict", "study"])
def test_a_full_disk_is_told_with_exit_code_2(model: Path, cohort: Path, tmp_path: Path, command: str) -> None:
    out = tmp_path / "out"
    arguments = {
        "train": ("train", cohort, "--fusion", "none", "--out", out, *TINY),
        "predict": ("predict", model, cohort, "--out", out, "--samples", 2, "--device", "cpu"),
        "study": ("experiment", "cavity", cohort, "--out", out, "--folds", 2, "--samples", 2, *TINY),
    }[command]
    limited = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192));"
        "runpy.run_module('ObserverUncertaintyLib.cli', run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, *map(str, arguments)], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "the file cannot be written" in done.stderr
    assert str(out) in done.stderr
