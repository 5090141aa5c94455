"""The commands that train a model on: `review learn`, and `train` that starts from a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cohorts import disc_case, write_discs
from program import result, run
from reviewing import save_review

TINY = ["--epochs", "2", "--depth", "1", "--filters", "4", "--device", "cpu"]
BRIEF = ["--epochs", "2", "--samples", "5", "--device", "cpu"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_discs(tmp_path_factory.mktemp("cohort"), 4)


@pytest.fixture(scope="module")
def model(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "model"
    run("train", cohort, "--fusion", "none", "--out", folder, "--cases", "case01,case02", *TINY)
    return folder


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, case = tmp_path_factory.mktemp("reviews"), disc_case(0)
    assert case.truth is not None
    save_review(folder / "case01" / "a.nii.gz", case.truth, case.grid, "Ann B.")
    return folder


def training(folder: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((folder / "model.json").read_text(encoding="utf-8"))["training"]
    return content


def digest(folder: Path) -> str:
    return str(json.loads((folder / "model.json").read_text(encoding="utf-8"))["weights_digest"])


def test_train_starts_from_a_model(cohort: Path, model: Path, tmp_path: Path) -> None:
    run("train", cohort, "--fusion", "none", "--out", tmp_path / "on", "--start-from", model, *TINY)
    assert training(tmp_path / "on")["start_from"] == digest(model)
    arguments = ("train", cohort, "--fusion", "none", "--out", tmp_path / "x", "--start-from", model, *TINY)
    assert "filters: the model has 4, the training 8" in run(*arguments, "--filters", 8, code=2).stderr
    assert "crop: the model has foreground" in run(*arguments, "--crop", "none", code=2).stderr
    assert not (tmp_path / "x").exists()


def test_a_model_learns_and_the_table_and_a_sentence_say_what_of_it(
    cohort: Path, model: Path, reviews: Path, tmp_path: Path
) -> None:
    old = {file.name: file.read_bytes() for file in model.iterdir()}
    out = tmp_path / "learned"
    done = run("review", "learn", cohort, reviews, model, "--out", out, "--held-out", "case02,case04", *BRIEF)
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["case", "Dice", "with"]
    assert [line.split()[:3] for line in lines[2:5]] == [
        ["case01", "review", "yes"],
        ["case02", "majority", "no"],
        ["case04", "majority", "no"],
    ]
    assert "On the corrected case, which the new model was trained on" in done.stdout
    assert "The old model was trained on 1 of them, which is in its favour." in done.stdout
    assert f"The new model is in {out / 'model'}; the old one stays in {model}." in done.stdout
    assert "Not a medical device." in done.stdout
    assert {file.name: file.read_bytes() for file in model.iterdir()} == old
    assert training(out / "model")["start_from"] == digest(model)
    assert training(out / "model")["raters"] == ["rater1", "rater2", "rater3", "reviewed by Ann B."]


def test_the_result_is_machine_readable_and_resumes(cohort: Path, model: Path, reviews: Path, tmp_path: Path) -> None:
    arguments = ("review", "learn", cohort, reviews, model, "--out", tmp_path / "out", *BRIEF, "--json")
    found = result(run(*arguments))
    assert found["model"] == str(tmp_path / "out" / "model")
    assert len(found["held_out"]) == 1
    assert found["held_out"][0] in ("case03", "case04"), "the model was trained on case02"
    written = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert {key: found[key] for key in written} == written
    assert "is not empty" in run(*arguments, code=2).stderr
    assert result(run(*arguments, "--resume")) == found
    assert "learning_rate: it began with 0.0003" in run(*arguments, "--resume", "--learning-rate", 1, code=2).stderr


def test_all_other_cases_may_be_trained_on(cohort: Path, model: Path, reviews: Path, tmp_path: Path) -> None:
    arguments = ("review", "learn", cohort, reviews, model, "--out", tmp_path / "out", *BRIEF, "--train-on-all")
    assert "Give one of them" in run(*arguments, "--held-out", "case04", code=2).stderr
    found = result(run(*arguments, "--json"))
    assert (found["held_out"], found["others"]["cases"], found["others"]["trained_on"]) == ([], 3, 3)


def test_wrong_reviews_end_with_exit_code_2(cohort: Path, model: Path, tmp_path: Path) -> None:
    arguments = ("review", "learn", cohort, tmp_path / "reviews", model, "--out", tmp_path / "out", *BRIEF)
    assert "there is no such folder of reviews" in run(*arguments, code=2).stderr
    case = disc_case(0, size=24)
    save_review(tmp_path / "reviews" / "case01" / "a.nrrd", case.raters[0], case.grid)
    assert "lies on another voxel grid than case01: S1" in run(*arguments, code=2).stderr
