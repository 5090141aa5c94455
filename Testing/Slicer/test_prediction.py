"""Monte Carlo dropout on the scene's case, in a real worker process."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import slicer
from simulated_cases import simulatedCase

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_image
from ObserverUncertaintyLib.jobs import INPUTS_FOLDER, JobError, JobState, find_jobs
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintySlicer import host
from ObserverUncertaintySlicer.attributes import textsOf
from ObserverUncertaintySlicer.foundJobs import takeUp
from ObserverUncertaintySlicer.hierarchy import addFolder, itemOf, placeUnder
from ObserverUncertaintySlicer.palette import SEGMENT_COLOR
from ObserverUncertaintySlicer.prediction import predictCase
from ObserverUncertaintySlicer.sequenceExport import exportAsTheyAre
from ObserverUncertaintySlicer.volumes import addVolume, arrayOfVolume, gridOfVolume

SAMPLES = 2
MAPS = {
    "probability": "probability",
    "predictiveEntropy": "predictive_entropy",
    "expectedEntropy": "expected_entropy",
    "mutualInformation": "mutual_information",
}
"""Keys of results, and the names of their files."""
MADE_BEFORE = Path(__file__).parents[1] / "MadeBefore" / "library.zip"


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """Job folders of their own, below a path with a space and an umlaut."""
    folder = tmp_path / "Müller jobs"
    monkeypatch.setenv(host.JOBS_VARIABLE, str(folder))
    return folder


@pytest.fixture
def sequences(scene, jobs):
    case = simulatedCase()
    return {
        name: addVolume(image, case.grid, f"case {name}")
        for name, image in zip(case.sequences, case.images, strict=True)
    }


def test_results_are_nodes_with_the_values_of_the_command_line(workerPython, sequences, tmp_path):
    patient = addFolder("Patient")
    for node in sequences.values():
        placeUnder(node, patient)
    nodes = predictCase(sequences, shipped_model(), SAMPLES, "cpu", seed=3, caseName="Anna").result()

    images = []
    for name, file in exportAsTheyAre(sequences, tmp_path).items():
        images += ["--image", f"{name}={file}"]
    command = [str(workerPython), "-m", "ObserverUncertaintyLib.cli", "predict", str(shipped_model()), *images]
    command += ["--out", str(tmp_path / "out"), "--name", "Anna", "--samples", str(SAMPLES), "--seed", "3"]
    subprocess.run([*command, "--device", "cpu"], check=True, capture_output=True)

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    for key, file in MAPS.items():
        expected = read_image(tmp_path / "out" / "Anna" / f"{file}.nii.gz")
        np.testing.assert_allclose(arrayOfVolume(nodes[key]), expected.array, atol=1e-6)
        assert hierarchy.GetItemParent(itemOf(nodes[key])) == patient
    assert nodes["predictiveEntropy"].GetName() == "Anna model uncertainty"
    assert nodes["predictiveEntropy"].GetDescription().startswith("Predictive entropy in bits")
    assert all(nodes[key].GetDescription() for key in MAPS)
    assert arrayOfVolume(nodes["predictiveEntropy"]).max() > 0.5
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(
        nodes["segmentation"], nodes["segmentation"].GetSegmentation().GetNthSegmentID(0), sequences["T1"]
    )
    np.testing.assert_array_equal(mask > 0, arrayOfVolume(nodes["probability"]) > 0.5)
    assert mask.any()
    assert nodes["segmentation"].GetSegmentation().GetNthSegment(0).GetColor() == pytest.approx(SEGMENT_COLOR)
    display = nodes["segmentation"].GetDisplayNode()
    assert (display.GetVisibility2DOutline(), display.GetVisibility2DFill()) == (True, False)


def test_results_say_what_made_them_and_the_exported_images_are_gone(workerPython, sequences, jobs):
    job = predictCase(sequences, shipped_model(), SAMPLES, "cpu")
    nodes = job.result()
    segmentation = nodes["segmentation"]
    assert segmentation.GetAttribute("ObserverUncertainty.Fusion") == "none"
    assert segmentation.GetAttribute("ObserverUncertainty.Samples") == "2"
    assert "not a medical device" in segmentation.GetAttribute("ObserverUncertainty.Notice").lower()
    assert job.job.folder.parent == jobs
    assert not (job.job.folder / INPUTS_FOLDER).exists()
    assert job.result() is nodes


def test_a_sequence_on_another_grid_is_resampled_and_this_is_said(workerPython, sequences):
    flair = sequences["FLAIR"]
    coarser = addVolume(arrayOfVolume(flair)[:, ::2, ::2], _every_second(gridOfVolume(flair)), "coarse FLAIR")
    nodes = predictCase({**sequences, "FLAIR": coarser}, shipped_model(), SAMPLES, "cpu").result()
    notes, _warnings = textsOf(nodes["segmentation"])
    assert any("coarse FLAIR was resampled" in note for note in notes)


def _every_second(grid):
    from dataclasses import replace

    size = ((grid.size[0] + 1) // 2, (grid.size[1] + 1) // 2, grid.size[2])
    return replace(grid, size=size, spacing=(grid.spacing[0] * 2, grid.spacing[1] * 2, grid.spacing[2]))


def test_further_sequences_are_left_out_and_missing_ones_named(jobs, sequences):
    del sequences["T1c"]
    with pytest.raises(InputError, match="T1c is missing"):
        predictCase(sequences, shipped_model())
    assert not jobs.exists() or not list(jobs.iterdir())


@pytest.mark.parametrize("wrong", ["a volume", "the Python"])
def test_of_a_job_that_cannot_start_no_image_is_left_behind(jobs, sequences, scene, monkeypatch, tmp_path, wrong):
    if wrong == "a volume":
        sequences["FLAIR"] = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "hollow")
    else:
        monkeypatch.setenv(host.PYTHON_VARIABLE, str(tmp_path / "no python"))
    with pytest.raises(InputError, match="hollow" if wrong == "a volume" else "no python"):
        predictCase(sequences, shipped_model())
    assert list(jobs.iterdir()) == []


def test_a_job_without_waiting_can_be_cancelled(workerPython, sequences):
    job = predictCase(sequences, shipped_model(), 5000, "cpu")
    assert not job.state.finished
    job.cancel()
    assert job.wait(60) is JobState.CANCELLED
    with pytest.raises(JobError):
        job.result()


def test_a_deleted_source_does_not_lose_the_result(workerPython, sequences, scene):
    job = predictCase(sequences, shipped_model(), SAMPLES, "cpu")
    for node in sequences.values():
        scene.RemoveNode(node)
    assert arrayOfVolume(job.result()["predictiveEntropy"]).max() > 0


def test_damaged_weights_fail_with_advice_and_no_node_is_made(workerPython, sequences, scene, tmp_path):
    model = shutil.copytree(shipped_model(), tmp_path / "model")
    (model / "weights.safetensors").write_bytes(b"damaged")
    before = scene.GetNumberOfNodes()
    job = predictCase(sequences, model, SAMPLES, "cpu")
    with pytest.raises(JobError, match=r"weights\.safetensors"):
        job.result()
    assert scene.GetNumberOfNodes() == before
    assert job.failure.code == "input"


@pytest.fixture
def madeBefore(tmp_path):
    """The folder of a prediction that an earlier version finished; its images and model are gone."""
    with zipfile.ZipFile(MADE_BEFORE) as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if name.startswith("job/")])
    return tmp_path / "job"


def test_a_prediction_that_an_earlier_version_made_is_taken_up(scene, madeBefore):
    (job,) = find_jobs(madeBefore.parent)
    nodes = takeUp(job).result()
    assert sorted(nodes) == sorted([*MAPS, "segmentation"])
    for key, file in MAPS.items():
        np.testing.assert_array_equal(
            arrayOfVolume(nodes[key]), read_image(madeBefore / "result" / f"{file}.nrrd").array
        )
        assert nodes[key].GetName().startswith("shape001 ")


def test_of_a_result_with_a_damaged_map_no_node_is_made(scene, madeBefore):
    (job,) = find_jobs(madeBefore.parent)
    assert job.state is JobState.DONE
    last = madeBefore / "result" / "mutual_information.nrrd"
    content = bytearray(last.read_bytes())
    content[-100] ^= 1
    last.write_bytes(content)
    before = scene.GetNumberOfNodes()
    with pytest.raises(InputError, match=r"mutual_information\.nrrd"):
        takeUp(job).result()
    assert scene.GetNumberOfNodes() == before
