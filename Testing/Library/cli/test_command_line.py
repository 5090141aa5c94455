"""The command line as a user meets it: real processes, real files, exit codes, and what is printed where."""

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
import SimpleITK as sitk
from cohorts import disc_case, write_discs
from program import PROGRAM, result, run
from waiting import PATIENCE, wait_for

from ObserverUncertaintyLib.formats import read_image, read_mask, write_image, write_mask
from ObserverUncertaintyLib.formats.prediction_samples import ROUNDING, read_samples
from ObserverUncertaintyLib.images.grid import Grid

TINY = ["--epochs", "2", "--depth", "1", "--filters", "4", "--device", "cpu"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_discs(tmp_path_factory.mktemp("cohort"), 4, slices=3)


@pytest.fixture(scope="module")
def model(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "model"
    run("train", cohort, "--fusion", "none", "--out", folder, "--cases", "case01,case02", *TINY)
    return folder


@pytest.fixture
def raters(tmp_path: Path) -> list[Path]:
    case = disc_case(0, slices=3)
    files = [tmp_path / f"{name}.nii.gz" for name in case.rater_names]
    for file, mask in zip(files, case.raters, strict=True):
        write_mask(file, mask, case.grid)
    return files


def test_every_command_explains_itself_with_an_example() -> None:
    commands = (["demo"], ["fuse"], ["disagreement"], ["train"], ["predict"], ["evaluate"])
    commands += (
        *(["review", each] for each in ("cases", "places", "contour", "alternatives", "propagate")),
        ["simulate", "cavities"],
        ["simulate", "shapes"],
        ["experiment", "synthetic"],
        ["experiment", "cavity"],
    )
    for command in commands:
        text = run(*command, "--help").stdout
        assert f"\n    observer-uncertainty {' '.join(command)} " in text, "on a line of its own"
        assert "\\b" not in text
    assert "Research use only" in run("--help").stdout


def test_help_loads_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys; import ObserverUncertaintyLib.cli; print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("method", ["majority", "staple", "union", "intersection", "mean"])
def test_fuse_writes_on_the_raters_grid(raters: list[Path], tmp_path: Path, method: str) -> None:
    out = tmp_path / "fused.nii.gz"
    report = result(run("fuse", *raters, "--method", method, "--out", out, "--json"))
    image, rater = sitk.ReadImage(str(out)), sitk.ReadImage(str(raters[0]))
    assert image.GetPixelID() == (sitk.sitkFloat32 if method == "mean" else sitk.sitkUInt8)
    assert image.GetSize() == rater.GetSize()
    assert image.GetSpacing() == pytest.approx(rater.GetSpacing())
    stack = np.stack([sitk.GetArrayFromImage(sitk.ReadImage(str(file))) for file in raters])
    array = sitk.GetArrayFromImage(image)
    expected = {
        "majority": stack.sum(axis=0) > 1,
        "union": stack.any(axis=0),
        "intersection": stack.all(axis=0),
        "mean": stack.mean(axis=0).astype(np.float32),
    }
    if method in expected:
        assert np.array_equal(array, expected[method])
    assert report["method"] == method
    assert report["volume_ml"] == pytest.approx(array.sum(dtype=float) * 3 / 1000)
    names = [row["name"] for row in report["raters"]]
    assert names == ["rater1", "rater2", "rater3"]
    assert ("sensitivity" in report["raters"][0]) == (method == "staple")


def test_staple_may_take_the_whole_image_into_account(raters: list[Path], tmp_path: Path) -> None:
    rows = {}
    for region in ("box", "image"):
        out = tmp_path / f"{region}.nrrd"
        rows[region] = result(
            run("fuse", *raters, "--method", "staple", "--staple-region", region, "--out", out, "--json")
        )["raters"]
    # Background that nobody marked is background that every rater left out.
    gains = [wide["specificity"] - tight["specificity"] for wide, tight in zip(rows["image"], rows["box"], strict=True)]
    assert min(gains) >= 0
    assert max(gains) > 0


def test_a_segmentation_with_several_segments_is_several_raters(tmp_path: Path) -> None:
    case = disc_case(0, slices=3)
    layers = sitk.Compose([case.grid.to_sitk(mask) for mask in case.raters])
    for number in range(3):
        layers.SetMetaData(f"Segment{number}_ID", f"Segment_{number}")
        layers.SetMetaData(f"Segment{number}_Name", f"Dr {'ABC'[number]}")
        layers.SetMetaData(f"Segment{number}_LabelValue", "1")
        layers.SetMetaData(f"Segment{number}_Layer", str(number))
    file = tmp_path / "raters.seg.nrrd"
    sitk.WriteImage(layers, str(file))
    report = result(run("disagreement", file, "--out", tmp_path / "entropy.nrrd", "--json"))
    assert [row["name"] for row in report["raters"]] == ["Dr A", "Dr B", "Dr C"]
    entropy = read_image(tmp_path / "entropy.nrrd")
    assert entropy.array.max() == pytest.approx(0.9182958, abs=1e-6)
    two = run("disagreement", f"{file}#Dr A", f"{file}#Dr C", "--out", tmp_path / "two.nrrd", "--json")
    assert [row["name"] for row in result(two)["raters"]] == ["Dr A", "Dr C"]


def test_raters_on_another_grid_are_refused_or_resampled_and_reported(raters: list[Path], tmp_path: Path) -> None:
    mask = read_mask(raters[1])
    write_mask(raters[1], mask.array, Grid(mask.grid.size, (1.0, 1.0, 3.3)))
    out = tmp_path / "fused.nii.gz"
    text = run("fuse", *raters, "--method", "union", "--out", out, code=2).stderr
    assert "32 x 32 x 3 voxels of 1 x 1 x 3 mm" in text
    assert "32 x 32 x 3 voxels of 1 x 1 x 3.3 mm" in text
    assert not out.exists()
    done = run("fuse", *raters, "--method", "union", "--out", out, "--resample", "--json")
    assert "rater2 was resampled (nearest)" in result(done)["notes"][0]
    assert "rater2 was resampled" in done.stderr


def test_wrong_raters_are_named_with_exit_code_2(raters: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out.nii.gz"
    assert (
        "missing.nii.gz" in run("fuse", "missing.nii.gz", raters[0], "--method", "union", "--out", out, code=2).stderr
    )
    assert "only one rater" in run("disagreement", raters[0], "--out", out, code=2).stderr
    assert "none" in run("fuse", *raters, "--method", "none", "--out", out, code=2).stderr
    labels = tmp_path / "labels.nii.gz"
    grid = read_mask(raters[0]).grid
    write_image(labels, np.arange(np.prod(grid.shape)).reshape(grid.shape) % 3, grid)
    assert "labels.nii.gz" in run("fuse", labels, raters[0], "--method", "union", "--out", out, code=2).stderr
    truncated = tmp_path / "truncated.nii.gz"
    truncated.write_bytes(raters[0].read_bytes()[:-30])
    assert "truncated.nii.gz" in run("fuse", truncated, raters[0], "--method", "union", "--out", out, code=2).stderr
    run("fuse", *raters, "--method", "unknown", "--out", out, code=2)
    assert ".txt" in run("fuse", *raters, "--method", "union", "--out", tmp_path / "a.txt", code=2).stderr
    assert not out.exists()


def test_an_empty_mask_is_accepted_warned_about_and_recorded(raters: list[Path], tmp_path: Path) -> None:
    mask = read_mask(raters[2])
    write_mask(raters[2], np.zeros_like(mask.array), mask.grid)
    done = run("fuse", *raters, "--method", "staple", "--out", tmp_path / "out.nii.gz", "--json")
    assert "rater3 drew nothing" in done.stderr
    assert "rater3 drew nothing" in result(done)["warnings"][0]


def test_an_existing_file_is_kept_unless_overwritten(raters: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out.nii.gz"
    out.write_text("mine", encoding="utf-8")
    assert "exists already" in run("fuse", *raters, "--method", "union", "--out", out, code=2).stderr
    assert out.read_text(encoding="utf-8") == "mine"
    run("fuse", *raters, "--method", "union", "--out", out, "--overwrite")
    assert read_mask(out).array.any()


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
