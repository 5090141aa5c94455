"""The real work through real workers, against the library called directly."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from cohorts import disc_case, discs, write_discs
from starting import start
from waiting import PATIENCE, wait_for

from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.loading import load_case
from ObserverUncertaintyLib.formats import read_image, read_mask, write_image
from ObserverUncertaintyLib.images.grid import Grid, same_grid
from ObserverUncertaintyLib.jobs import (
    ImportRequest,
    JobState,
    PredictRequest,
    ProbeRequest,
    RegisterRequest,
    TrainRequest,
    start_job,
)
from ObserverUncertaintyLib.jobs.folder import Heartbeat
from ObserverUncertaintyLib.jobs.requests import request_from_json, request_to_json
from ObserverUncertaintyLib.model.description import read_description
from ObserverUncertaintyLib.model.settings import DropoutMasks, PredictionSettings, TrainingSettings, UNetSettings
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.prediction.imported import SampleFiles
from ObserverUncertaintyLib.prediction.inference import predict
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.training.train import train

MAPS = ["probability", "segmentation", "predictive_entropy", "expected_entropy", "mutual_information"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    train(
        discs(2, slices=4), folder, TrainingSettings(epochs=3, network=UNetSettings(depth=1, filters=4)), device="cpu"
    )
    return folder


@pytest.fixture
def image(tmp_path: Path) -> Path:
    case = disc_case(5, slices=4)
    oblique = Grid(case.grid.size, (1.1, 0.9, 3.0), (10.0, -20.0, 5.0), (0, 1, 0, -1, 0, 0, 0, 0, 1))
    write_image(tmp_path / "Bild 1.nrrd", case.images[0], oblique)
    return tmp_path / "Bild 1.nrrd"


def test_a_prediction_job_gives_what_the_library_gives(tmp_path: Path, model: Path, image: Path) -> None:
    settings = {"samples": 3, "seed": 4, "batch_size": 2, "dropout_masks": DropoutMasks.BALANCED}
    request = PredictRequest({"S1": str(image)}, str(model), "Müller", device="cpu", **settings)
    job = start_job(request, tmp_path / "job", name="Prediction")
    assert job.wait(PATIENCE) is JobState.DONE, job.failure
    files = job.result()
    assert sorted(files) == sorted([*MAPS, "not_looked_at", "report"])
    case = load_case("Müller", {"S1": image}, {})
    network, description = load_model(model)
    expected = predict(network, description, case, PredictionSettings(**settings))
    probability = read_image(files["probability"])
    assert same_grid(probability.grid, case.grid)
    # The worker may compute with another number of threads, which adds up in another order.
    np.testing.assert_allclose(probability.array, expected.probability, atol=1e-6)
    for name, values in [
        ("predictive_entropy", expected.uncertainty.predictive),
        ("expected_entropy", expected.uncertainty.expected),
        ("mutual_information", expected.uncertainty.mutual_information),
    ]:
        np.testing.assert_allclose(read_image(files[name]).array, values, atol=1e-5)
    segmentation = sitk.ReadImage(str(files["segmentation"]))
    assert segmentation.GetPixelID() == sitk.sitkUInt8
    assert (read_mask(files["segmentation"]).array == (probability.array > 0.5)).all()
    assert b"encoding: raw" in files["probability"].read_bytes()[:2000]
    assert files["probability"].stat().st_size >= probability.array.nbytes
    assert expected.not_looked_at is not None
    assert (read_mask(files["not_looked_at"]).array == expected.not_looked_at).all()
    report = json.loads(files["report"].read_text(encoding="utf-8"))
    assert report["not_looked_at"] == files["not_looked_at"].name
    assert report["case"] == "Müller"
    assert {name: report[name] for name in settings} == settings
    assert "not a medical device" in report["notice"].lower()
    assert (job.progress.done, job.progress.total) == (6, 6)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file's size")
def test_a_prediction_whose_maps_find_no_room_is_no_result(tmp_path: Path, model: Path) -> None:
    case = disc_case(5, size=96, slices=4)
    write_image(tmp_path / "image.nrrd", case.images[0], case.grid)
    request = PredictRequest({"S1": str(tmp_path / "image.nrrd")}, str(model), samples=1, device="cpu")
    job = start("full_disk", tmp_path / "job", request=request)
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    assert (job.failure.code, "enough free space" in job.failure.text) == ("disk", True)
    assert not (tmp_path / "job" / "result" / "prediction.json").exists()


def test_a_prediction_that_cannot_be_made_says_what_to_do(tmp_path: Path, model: Path, image: Path) -> None:
    request = PredictRequest({"T1": str(image)}, str(model), device="cpu")
    job = start_job(request, tmp_path / "sequence", name="x")
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    assert (job.failure.code, "S1 is missing" in job.failure.text) == ("input", True)


def test_a_device_that_is_not_there_is_a_failure_of_the_device(tmp_path: Path, model: Path, image: Path) -> None:
    request = PredictRequest({"S1": str(image)}, str(model), device="cuda:63")
    job = start_job(request, tmp_path / "device", name="x")
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    assert (job.failure.code, "cuda:63" in job.failure.text) == ("device", True)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_a_killed_training_is_resumed_by_another_job_to_the_same_weights(tmp_path: Path) -> None:
    manifest = write_discs(tmp_path / "cohort", 4)
    settings = TrainingSettings(FusionMethod.MAJORITY, epochs=40, network=UNetSettings(depth=1, filters=4))
    request = TrainRequest(str(manifest), str(tmp_path / "model"), settings, ("case01", "case02", "case03"), "cpu")
    job = start_job(request, tmp_path / "first", name="Training")
    wait_for(lambda: job.state is not JobState.STARTING and len(job.losses) >= 2, "two epochs")
    heartbeat = Heartbeat.read(job.folder)
    assert heartbeat is not None
    os.kill(heartbeat.pid, signal.SIGKILL)
    assert job.wait(PATIENCE) is JobState.FAILED
    resumed = TrainRequest(**{**vars(request), "resume": True})
    job = start_job(resumed, tmp_path / "second", name="Training")
    assert job.wait(PATIENCE) is JobState.DONE, job.failure
    assert job.result() == {"model": tmp_path / "model"}
    assert "resumed after epoch" in " ".join(job.messages)
    cases = Cohort.open(manifest, ["case01", "case02", "case03"]).load_all()
    whole = train(cases, tmp_path / "whole", settings, cohort_name="Discs", label="disc", device="cpu").description
    assert read_description(tmp_path / "model").training["fusion"] == "majority"
    assert job.losses == pytest.approx(whole.training["losses"], rel=1e-4)
    assert len(job.losses) == 40
    assert (job.progress.done, job.progress.already > 0) == (job.progress.total, True)


def test_registration_brings_a_shifted_image_back(tmp_path: Path) -> None:
    case = disc_case(1, size=48, slices=8)
    rng = np.random.default_rng(1)
    k, j, i = np.mgrid[:8, :48, :48]
    content = np.exp(-((((k - 4) / 3) ** 2 + ((j - 20) / 12) ** 2 + ((i - 26) / 8) ** 2) ** 2))
    array = (100 * content + 30 * content * np.sin(i / 4) + rng.normal(0, 1, content.shape)).clip(0).astype(np.float32)
    shifted = Grid(case.grid.size, case.grid.spacing, (6.0, -4.0, 0.0))
    write_image(tmp_path / "a.nrrd", array, case.grid)
    write_image(tmp_path / "b.nrrd", array, shifted)
    request = RegisterRequest({"T1": str(tmp_path / "a.nrrd"), "T2/FLAIR": str(tmp_path / "b.nrrd")}, "T1")
    job = start_job(request, tmp_path / "job", name="Registration")
    assert job.wait(PATIENCE) is JobState.DONE, job.failure
    files = job.result()
    assert sorted(files) == ["T2/FLAIR", "report"]
    moved = read_image(files["T2/FLAIR"])
    assert same_grid(moved.grid, case.grid)
    assert np.abs(moved.array - array)[content > 0.5].mean() < 5
    report = json.loads(files["report"].read_text(encoding="utf-8"))
    assert report["images"]["T2/FLAIR"]["translation_mm"] == pytest.approx(np.hypot(6, 4), abs=0.5)
    assert report["images"]["T2/FLAIR"]["rotation_degrees"] == pytest.approx(0, abs=1)
    assert "T2/FLAIR was registered rigidly to T1" in report["notes"][0]


def test_a_probe_names_devices_and_packages(tmp_path: Path) -> None:
    import torch

    job = start_job(ProbeRequest(), tmp_path / "job", name="Probe")
    assert job.wait(PATIENCE) is JobState.DONE, job.failure
    report = json.loads(job.result()["report"].read_text(encoding="utf-8"))
    assert report["devices"][0]["name"] == "cpu"
    assert 0 < report["devices"][0]["free_mib"] <= report["devices"][0]["memory_mib"]
    assert (report["torch"], report["lacking"], report["problems"]) == (torch.__version__, [], [])


def test_a_probe_works_where_torch_is_absent(tmp_path: Path) -> None:
    wall = tmp_path / "wall"
    wall.mkdir()
    # Python runs a module of this name when it starts.
    (wall / "sitecustomize.py").write_text(
        "from importlib.machinery import PathFinder\n"
        "found = PathFinder.find_spec\n"
        "PathFinder.find_spec = lambda name, *rest: None if name == 'torch' else found(name, *rest)\n",
        encoding="utf-8",
    )
    library = str(Path(__file__).parents[3])
    environment = {"PYTHONPATH": os.pathsep.join([str(wall), library])}
    job = start_job(ProbeRequest(), tmp_path / "job", name="Probe", environment=environment)
    assert job.wait(PATIENCE) is JobState.DONE, job.failure
    report = json.loads(job.result()["report"].read_text(encoding="utf-8"))
    assert (report["torch"], report["lacking"]) == (None, [{"name": "torch", "found": None}])
    train_request = TrainRequest(str(tmp_path / "cohort.toml"), str(tmp_path / "model"))
    job = start_job(train_request, tmp_path / "train", name="Training", environment=environment)
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    assert (job.failure.code, "torch" in job.failure.text) == ("dependency", True)


def test_an_import_job_gives_what_the_library_gives(tmp_path: Path, image: Path) -> None:
    grid = read_image(image).grid
    samples = np.random.default_rng(0).random((3, *grid.shape)).astype(np.float32)
    np.save(tmp_path / "samples.npy", samples)
    request = ImportRequest(SampleFiles((str(tmp_path / "samples.npy"),), str(image)), "Müller", "cavity", "nnU-Net")
    assert request_from_json(request_to_json(request)) == request
    job = start_job(request, tmp_path / "job", name="import")
    assert job.wait(PATIENCE) is JobState.DONE, job.failure
    files = job.result()
    assert sorted(files) == sorted([*MAPS, "report"])
    np.testing.assert_allclose(read_image(files["probability"]).array, samples.mean(axis=0), atol=1e-6)
    report = json.loads(files["report"].read_text(encoding="utf-8"))
    assert (report["label"], report["tool"], report["case"]) == ("cavity", "nnU-Net", "Müller")


def test_an_import_job_that_fails_says_what_to_do(tmp_path: Path, image: Path) -> None:
    np.save(tmp_path / "samples.npy", np.zeros((1, 2, 3)))
    job = start_job(
        ImportRequest(SampleFiles((str(tmp_path / "samples.npy"),), str(image))), tmp_path / "job", name="x"
    )
    assert job.wait(PATIENCE) is JobState.FAILED
    assert job.failure is not None
    assert (job.failure.code, "the array has the shape" in job.failure.text) == ("input", True)
