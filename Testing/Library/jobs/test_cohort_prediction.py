"""A cohort predicted as one job: what is left out, a worker that is killed, a job that is cancelled, going on."""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import datetime
from pathlib import Path

import pytest
from cohorts import discs, write_discs
from cohorts_with_gaps import BAD, GOOD, write_cohort_with_gaps
from waiting import PATIENCE, wait_for

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.jobs import Job, JobState, PredictCohortRequest, SimulateRequest, find_jobs, start_job
from ObserverUncertaintyLib.jobs.events import EventReader, EventWriter
from ObserverUncertaintyLib.jobs.folder import Heartbeat, JobRecord
from ObserverUncertaintyLib.jobs.outcome import CohortOutcome, outcome_file
from ObserverUncertaintyLib.jobs.worker import EventProgress
from ObserverUncertaintyLib.model.settings import TrainingSettings, UNetSettings
from ObserverUncertaintyLib.training.train import train


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    settings = TrainingSettings(epochs=1, network=UNetSettings(depth=1, filters=4))
    train(discs(2, slices=3, sequences=2), folder, settings, device="cpu")
    return folder


def start(manifest: Path, model: Path, tmp_path: Path, name: str, **options: object) -> Job:
    request = PredictCohortRequest(str(manifest), str(model), str(tmp_path / "out"), device="cpu", **options)  # type: ignore[arg-type]
    return start_job(request, tmp_path / "jobs" / name, name=name, keep_running=True)


def complete(tmp_path: Path) -> dict[str, int]:
    """The complete cases, and when each was."""
    return {file.parent.name: file.stat().st_mtime_ns for file in (tmp_path / "out").glob("*/prediction.json")}


def slow(tmp_path: Path) -> Path:
    """A cohort that takes some seconds."""
    return write_discs(tmp_path / "cohort", 8, slices=24, size=64, sequences=2)


def test_the_job_predicts_what_it_can_and_tells_the_rest(tmp_path: Path, model: Path) -> None:
    manifest = write_cohort_with_gaps(tmp_path / "cohort")
    job = start(manifest, model, tmp_path, "queue", samples=2)
    assert job.wait(PATIENCE) is JobState.DONE, job.failure
    outcome = CohortOutcome.read(job.result()["outcome"])
    assert outcome.complete == GOOD
    assert set(complete(tmp_path)) == set(GOOD)
    for name, part in BAD.items():
        assert part in outcome.left_out[name]
        assert any(text.startswith(f"{name} is left out: ") for text in job.warnings)
    assert (job.progress.done, job.progress.total) == (600, 600)
    assert job.progress.detail == "6 of 6: case06"
    asked = json.loads((job.folder / "job.json").read_text(encoding="utf-8"))["request"]
    assert asked["manifest"] == str(manifest)
    assert "S1.nii.gz" not in json.dumps(asked)
    # With the images brought onto one grid, one more can be predicted; the others stay as they are.
    before = complete(tmp_path)
    again = start(manifest, model, tmp_path, "again", samples=2, resume=True, resample=True)
    assert again.wait(PATIENCE) is JobState.DONE, again.failure
    assert set(CohortOutcome.read(outcome_file(again.folder)).left_out) == {"case02", "case03"}
    assert {name: complete(tmp_path)[name] for name in before} == before


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_a_killed_worker_loses_no_complete_case_and_another_job_goes_on(tmp_path: Path, model: Path) -> None:
    manifest = slow(tmp_path)
    job = start(manifest, model, tmp_path, "first", samples=40)
    # Found by its folder, as by a program that starts anew.
    wait_for(lambda: Heartbeat.read(job.folder) is not None, "the worker")
    (found,) = find_jobs(tmp_path / "jobs")
    wait_for(lambda: len(CohortOutcome.read(outcome_file(job.folder)).complete) >= 2 and found.state, "two cases")
    assert found.state is JobState.RUNNING
    heartbeat = Heartbeat.read(job.folder)
    assert heartbeat is not None
    os.kill(heartbeat.pid, signal.SIGKILL)
    assert job.wait(PATIENCE) is JobState.FAILED
    assert found.wait(PATIENCE) is JobState.FAILED
    before = complete(tmp_path)
    assert 2 <= len(before) < 8
    assert set(CohortOutcome.read(outcome_file(job.folder)).complete) <= set(before)
    again = start(manifest, model, tmp_path, "second", samples=40, resume=True)
    assert again.wait(PATIENCE) is JobState.DONE, again.failure
    assert len(complete(tmp_path)) == 8
    assert {name: complete(tmp_path)[name] for name in before} == before
    assert sum(text.endswith("is complete already") for text in again.messages) == len(before)


def test_a_cancelled_job_keeps_complete_cases_and_tells_the_time_left_of_all(tmp_path: Path, model: Path) -> None:
    job = start(slow(tmp_path), model, tmp_path, "queue", samples=40)
    wait_for(lambda: job.state is not JobState.STARTING and job.progress.done > 150, "the second case")
    assert job.progress.total == 800
    assert job.progress.detail.startswith("2 of 8: case02") or job.progress.done >= 200
    left, spent = job.progress.seconds_left, job.progress.seconds
    assert left is not None
    assert left > 2 * spent  # three quarters and more are still to come
    job.cancel(PATIENCE)
    assert job.wait(PATIENCE) is JobState.CANCELLED
    assert 1 <= len(complete(tmp_path)) < 8


def test_if_no_case_can_be_predicted_or_the_device_is_not_there_the_job_fails(tmp_path: Path, model: Path) -> None:
    manifest = write_discs(tmp_path / "cohort", 2, slices=3)
    job = start(manifest, model, tmp_path, "sequence", samples=1)
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    assert job.failure.code == "input"
    assert job.failure.text.count("S2 is missing") == 2
    request = PredictCohortRequest(str(manifest), str(model), str(tmp_path / "out"), device="cuda:63")
    job = start_job(request, tmp_path / "jobs" / "device", name="x")
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    assert job.failure.code == "device"


def test_skipped_cases_leave_the_time_left_to_those_that_are_computed(tmp_path: Path) -> None:
    progress = EventProgress(EventWriter(tmp_path / "events.jsonl"), tmp_path)
    progress.start("predict", 600)
    progress.start("predict", 600, 200)  # two were complete already
    progress.advance(0, "3 of 6")
    progress.advance(100, "3 of 6")
    progress.start("predict", 600, 400)  # one is left out
    progress.start("compare", 3)
    found = [event.data for event in EventReader(tmp_path / "events.jsonl").read()]
    assert [(data["done"], data["already"]) for data in found if data["task"] == "predict"] == [
        (0, 0),
        (200, 200),
        (200, 200),
        (400, 300),
    ]
    assert (found[-1]["done"], found[-1]["already"]) == (0, 0)
    record = JobRecord("queue", SimulateRequest(), False, datetime.now().astimezone())
    told = [(10.0, 0, 0), (50.0, 200, 200), (60.0, 200, 200), (80.0, 300, 200), (90.0, 400, 300)]
    lines = [
        {
            "kind": "progress",
            "time": time,
            "data": {"task": "predict", "done": done, "total": 600, "already": already, "detail": ""},
        }
        for time, done, already in told
    ]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    job = Job(tmp_path, record)
    job.poll()
    assert (job.progress.seconds, job.progress.done - job.progress.already) == (30.0, 100)


@pytest.mark.parametrize("text", ["", "[]", '{"complete": []}', '{"complete": [], "left_out": []}'])
def test_a_damaged_outcome_is_told(tmp_path: Path, text: str) -> None:
    assert CohortOutcome.read(tmp_path / "outcome.json") == CohortOutcome()
    (tmp_path / "outcome.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"outcome\.json cannot be read"):
        CohortOutcome.read(tmp_path / "outcome.json")
