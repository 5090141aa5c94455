"""Jobs that train a model on: the requests, and what real workers make of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cohorts import discs, write_discs
from waiting import PATIENCE

from ObserverUncertaintyLib.jobs import JobState, TrainRequest, start_job
from ObserverUncertaintyLib.jobs.requests import request_from_json, request_to_json
from ObserverUncertaintyLib.model.description import read_description
from ObserverUncertaintyLib.model.settings import TrainingSettings, UNetSettings
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
