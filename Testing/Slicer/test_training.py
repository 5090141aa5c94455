"""Training from the scene's side, in a real worker process."""

from __future__ import annotations

import numpy as np
import pytest

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import write_text
from ObserverUncertaintyLib.formats import write_image, write_mask
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.jobs import JobState
from ObserverUncertaintyLib.model.settings import UNetSettings
from ObserverUncertaintySlicer import host
from ObserverUncertaintySlicer.modelCards import readCard
from ObserverUncertaintySlicer.training import PRESETS, trainModel

GRID = Grid(size=(24, 24, 4), spacing=(2.0, 2.0, 4.0))
TINY = {"depth": 1, "filters": 4}


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    """A cohort of two bright discs that two raters drew with different radii."""
    monkeypatch.setenv(host.JOBS_VARIABLE, str(tmp_path / "jobs"))
    folder = tmp_path / "cohort"
    rows, columns = np.mgrid[:24, :24]
    for number in (1, 2):
        distance = np.hypot(rows - 11, columns - 10 - number)
        image = np.repeat(((distance < 6) * 50.0 + 20 + (rows % 3))[None], 4, axis=0).astype(np.float32)
        write_image(folder / f"p{number}" / "t1.nrrd", image, GRID)
        for rater, radius in (("anna", 5), ("ben", 7)):
            mask = np.repeat((distance < radius)[None], 4, axis=0)
            write_mask(folder / f"p{number}" / f"{rater}.nrrd", mask, GRID)
    text = '[cohort]\nname = "Discs"\ncases = "p*"\nlabel = "disc"\nsimulated = true\n[images]\nT1 = "t1.nrrd"\n'
    write_text(folder / "cohort.toml", text + '[raters]\nanna = "anna.nrrd"\nben = "ben.nrrd"\n')
    return folder / "cohort.toml"


def test_the_job_gives_the_models_folder_and_tells_every_epochs_loss(workerPython, manifest, tmp_path):
    job = trainModel(manifest, tmp_path / "model", "majority", epochs=3, device="cpu", **TINY)
    assert job.result() == tmp_path / "model"
    card = readCard(tmp_path / "model")
    assert card.description.training["fusion"] == "majority"
    assert card.description.training["losses"] == pytest.approx(job.job.losses)
    assert len(job.job.losses) == 3
    assert card.isSimulated


def test_a_cancelled_training_resumes_where_it_stopped(workerPython, manifest, tmp_path):
    job = trainModel(manifest, tmp_path / "model", epochs=300, device="cpu", **TINY)
    while len(job.job.losses) < 2 and not job.state.finished:
        job.wait(0.05)
    job.cancel()
    assert job.wait(60) is JobState.CANCELLED
    done = len(job.job.losses)
    assert 2 <= done < 300
    resumed = trainModel(manifest, tmp_path / "model", epochs=300, device="cpu", resume=True, **TINY)
    resumed.wait(1.0)
    while not resumed.job.losses and not resumed.state.finished:
        resumed.wait(0.05)
    assert resumed.job.losses[:2] == pytest.approx(job.job.losses[:2])
    resumed.cancel()
    assert resumed.wait(60).finished


def test_a_training_that_made_its_batches_smaller_is_gone_on_with_so(workerPython, manifest, tmp_path):
    job = trainModel(manifest, tmp_path / "model", epochs=1, batch_size=2, device="cpu", **TINY)
    job.result()
    resumed = trainModel(manifest, tmp_path / "model", epochs=1, device="cpu", resume=True, **TINY)
    assert resumed.job.request.settings.batch_size == 2
    assert resumed.result() == tmp_path / "model"


def test_a_training_that_began_otherwise_is_refused_before_a_job_is_made(workerPython, manifest, tmp_path):
    trainModel(manifest, tmp_path / "model", epochs=1, device="cpu", **TINY).result()
    jobs = sorted((tmp_path / "jobs").iterdir())
    with pytest.raises(InputError, match=r"(?s)batch_size: 4, now 8.*Epochs: 1, now 2.*begin again"):
        trainModel(manifest, tmp_path / "model", epochs=2, batch_size=8, device="cpu", resume=True, **TINY)
    assert sorted((tmp_path / "jobs").iterdir()) == jobs


def test_cases_and_settings_reach_the_model(workerPython, manifest, tmp_path):
    trainModel(manifest, tmp_path / "model", epochs=1, cases=["p2"], seed=5, loss="dice", device="cpu", **TINY).result()
    training = readCard(tmp_path / "model").description.training
    assert (training["seed"], training["loss"], len(training["cases"])) == (5, "dice", 1)


def test_wrong_input_is_told_before_a_job_is_made(manifest, tmp_path):
    jobs = tmp_path / "jobs"
    with pytest.raises(InputError, match="no such manifest"):
        trainModel(tmp_path / "nothing.toml", tmp_path / "model")
    with pytest.raises(InputError, match="p7"):
        trainModel(manifest, tmp_path / "model", cases=["p7"])
    with pytest.raises(InputError, match="epoch: no such option"):
        trainModel(manifest, tmp_path / "model", epoch=3)
    with pytest.raises(InputError, match="fusion"):
        trainModel(manifest, tmp_path / "model", "median")
    assert not jobs.exists()


def test_the_presets_are_the_papers_networks():
    shapes, cavity = PRESETS["shapes"].network, PRESETS["cavity"].network
    assert (shapes.depth, shapes.filters, PRESETS["shapes"].epochs) == (2, 16, 100)
    assert (cavity.depth, cavity.filters) == (5, 48)
    assert all(preset.network.dropout == UNetSettings().dropout == 0.2 for preset in PRESETS.values())
