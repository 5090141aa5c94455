"""Jobs that train a model on: the requests, and what real workers make of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cohorts import disc_case, discs, write_discs
from reviewing import save_review
from waiting import PATIENCE, wait_for

from ObserverUncertaintyLib.jobs import JobState, LearnRequest, TrainRequest, start_job
from ObserverUncertaintyLib.jobs.requests import request_from_json, request_to_json
from ObserverUncertaintyLib.model.description import read_description
from ObserverUncertaintyLib.model.settings import LearningSettings, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.training.train import train

SMALL = TrainingSettings(epochs=2, network=UNetSettings(depth=1, filters=4))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    train(discs(2), folder, SMALL, device="cpu")
    return folder


def test_a_model_to_start_from_goes_into_the_request_with_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    request = TrainRequest("cohort.toml", "new", start_from="old").resolved()
    assert (request.model, request.start_from) == (str(tmp_path / "new"), str(tmp_path / "old"))
    assert request_from_json(json.loads(json.dumps(request_to_json(request)))) == request
    assert TrainRequest("cohort.toml", "new").resolved().start_from is None
    earlier = request_to_json(TrainRequest("/cohort.toml", "/new"))
    del earlier["start_from"]
    assert request_from_json(earlier) == TrainRequest("/cohort.toml", "/new")


def test_a_job_trains_a_model_on(tmp_path: Path, model: Path) -> None:
    manifest = write_discs(tmp_path / "cohort", 2)
    request = TrainRequest(str(manifest), str(tmp_path / "new"), SMALL, device="cpu", start_from=str(model))
    job = start_job(request, tmp_path / "job", name="Training")
    assert job.wait(PATIENCE) is JobState.DONE, job.failure
    new = read_description(job.result()["model"])
    assert new.training["start_from"] == read_description(model).weights_digest


def test_a_job_refuses_to_start_from_another_network(tmp_path: Path, model: Path) -> None:
    manifest = write_discs(tmp_path / "cohort", 2)
    settings = replace(SMALL, network=UNetSettings(depth=2, filters=4))
    request = TrainRequest(str(manifest), str(tmp_path / "new"), settings, device="cpu", start_from=str(model))
    job = start_job(request, tmp_path / "job", name="Training")
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    assert (job.failure.code, "depth: the model has 1" in job.failure.text) == ("input", True)


@pytest.fixture
def request_(tmp_path: Path, model: Path) -> LearnRequest:
    manifest, case = write_discs(tmp_path / "cohort", 3), disc_case(0)
    assert case.truth is not None
    save_review(tmp_path / "reviews" / "case01" / "a.nrrd", case.truth, case.grid)
    settings = LearningSettings(epochs=2, samples=5)
    return LearnRequest(
        str(manifest), str(tmp_path / "reviews"), str(model), str(tmp_path / "learned"), settings, device="cpu"
    )


def test_what_to_learn_comes_back_from_json_with_whole_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = LearningSettings(7, 1e-4, 2, 3, ("a", "b"), 4)
    request = LearnRequest("cohort.toml", "reviews", "old", "new", settings, "cuda:1", resume=True).resolved()
    assert request == LearnRequest(
        *(str(tmp_path / name) for name in ("cohort.toml", "reviews", "old", "new")), settings, "cuda:1", resume=True
    )
    for each in (request, LearnRequest("/cohort.toml", "/reviews", "/old", "/new")):
        content = json.loads(json.dumps(request_to_json(each)))
        assert content["kind"] == "learn"
        assert request_from_json(content) == each


def test_a_job_learns_from_reviews_and_compares(tmp_path: Path, model: Path, request_: LearnRequest) -> None:
    job = start_job(request_, tmp_path / "job", name="Learning")
    assert job.wait(PATIENCE) is JobState.DONE, job.failure
    results = job.result()
    assert results == {"model": tmp_path / "learned" / "model", "comparison": tmp_path / "learned" / "comparison.json"}
    assert read_description(results["model"]).training["start_from"] == read_description(model).weights_digest
    content = json.loads(results["comparison"].read_text(encoding="utf-8"))
    assert [each["case"] for each in content["cases"] if each["corrected"]] == ["case01"]
    assert (content["corrected"]["cases"], content["others"]["cases"]) == (1, 1)
    assert len(job.losses) == 2
    assert job.progress.fraction == 1


def test_a_cancelled_learning_is_resumed_by_another_job(tmp_path: Path, request_: LearnRequest) -> None:
    long = replace(request_, settings=replace(request_.settings, epochs=100))
    job = start_job(long, tmp_path / "first", name="Learning")
    wait_for(lambda: len(job.losses) >= 2 or job.state.finished, "two epochs")
    job.cancel()
    assert job.wait(PATIENCE) is JobState.CANCELLED, job.failure
    job = start_job(replace(long, resume=True), tmp_path / "second", name="Learning")
    assert job.wait(PATIENCE) is JobState.DONE, job.failure
    assert "resumed after epoch" in " ".join(job.messages)
    assert sorted(job.result()) == ["comparison", "model"]


def test_a_review_that_cannot_be_used_is_a_failure_of_the_input(tmp_path: Path, request_: LearnRequest) -> None:
    (tmp_path / "reviews" / "case01").rename(tmp_path / "reviews" / "case09")
    job = start_job(request_, tmp_path / "job", name="Learning")
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    assert (job.failure.code, "has reviews of case09" in job.failure.text) == ("input", True)
