"""A finished job that an earlier version did, with compressed maps: it is found and its results are read."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ObserverUncertaintyLib.formats import read_image
from ObserverUncertaintyLib.jobs import JobState, PredictRequest, find_jobs, remove_job
from ObserverUncertaintyLib.scores.entropy import binary_entropy

MADE = Path(__file__).parents[2] / "MadeBefore" / "library.zip"
REQUEST = PredictRequest(
    images={
        "unperturbed": "/data/cohort/shape001/unperturbed.nii.gz",
        "perturbed": "/data/cohort/shape001/perturbed.nii.gz",
    },
    model="/data/model",
    case_name="shape001",
    samples=2,
    device="cpu",
)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    with zipfile.ZipFile(MADE) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def test_a_finished_job_is_found_with_its_request_and_what_it_told(made: Path) -> None:
    (job,) = find_jobs(made)
    assert (job.state, job.failure) == (JobState.DONE, None)
    assert (job.name, job.request, job.keeps_running) == ("shape001", REQUEST, False)
    assert job.started.isoformat() == "2026-11-30T02:03:16.126149+00:00"
    assert (job.progress.done, job.progress.total) == (2, 2)
    assert ["training set" in text for text in job.warnings] == [True]
    remove_job(job)
    assert not (made / "job").exists()


def test_its_compressed_maps_are_read_and_agree_with_each_other_and_the_report(made: Path) -> None:
    files = find_jobs(made)[0].result()
    report = json.loads(files.pop("report").read_text(encoding="utf-8"))
    assert all(b"encoding: gzip" in file.read_bytes()[:2000] for file in files.values())
    maps = {name: read_image(file).array for name, file in files.items()}
    entropy = maps.pop("predictive_entropy")
    np.testing.assert_allclose(entropy, binary_entropy(maps["probability"]), atol=1e-6)
    assert report["mean_entropy"] == pytest.approx(entropy.mean(), rel=1e-6)
    np.testing.assert_allclose(maps.pop("mutual_information") + maps.pop("expected_entropy"), entropy, atol=1e-6)
    assert ((maps.pop("probability") > 0.5) == maps.pop("segmentation")).all()
    assert maps == {}


def test_a_map_that_was_damaged_since_then_is_told(made: Path) -> None:
    with (made / "job" / "result" / "probability.nrrd").open("ab") as file:
        file.write(b"more")
    (job,) = find_jobs(made)
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert "probability.nrrd has 3694 bytes, the job wrote 3690" in job.failure.text
