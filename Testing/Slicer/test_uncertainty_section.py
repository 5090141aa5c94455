"""Step 4 of the panel: real predictions with the shipped model, and everything that may come between."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import slicer
from opened_panel import openPanel, pretendDevices, simulatedSequences, waitFor

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.jobs import JobState
from ObserverUncertaintyLib.model.settings import DropoutMasks
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintySlicer import host
from ObserverUncertaintySlicer.attributes import ROLE, UNLIKE_TRAINING, Role
from ObserverUncertaintySlicer.backgroundJobs import knownJobs
from ObserverUncertaintySlicer.devices import Device, forgetDevices
from ObserverUncertaintySlicer.parameters import AUTOMATIC
from ObserverUncertaintySlicer.prediction import automaticSamples
from ObserverUncertaintySlicer.volumes import arrayOfVolume


@pytest.fixture
def panel(workerPython, slicerApplication, moduleFile, monkeypatch, tmp_path):
    monkeypatch.setenv(host.PYTHON_VARIABLE, str(workerPython))
    panel = openPanel(slicerApplication, moduleFile, monkeypatch, tmp_path)
    panel.parameters.device = "cpu"
    panel.parameters.samples = 2
    return panel


@pytest.fixture
def section(panel):
    return panel.uncertainty


@pytest.fixture
def ui(section):
    return section.ui


@pytest.fixture
def case(panel):
    """A case that the shipped model fits, without raters."""
    panel.parameters.caseName = "Ann <1>"
    panel.parameters.sequences = simulatedSequences()
    return panel.parameters.sequences


def finish(section):
    waitFor(lambda: not section.bar.isRunning)


def test_what_is_missing_is_said_with_what_to_do_and_hides_the_button(panel, ui, tmp_path, monkeypatch):
    assert ui.runButton.isHidden()
    assert "load a case in step 1" in ui.missingLabel.text
    assert ui.samplingLabel.isHidden()
    assert "needs a case" in ui.sectionButton.text
    sequences = simulatedSequences()
    panel.parameters.sequences = {"T1": sequences["T1"]}
    assert "Needs the sequence T1c: add its volume in step 1" in ui.missingLabel.text
    panel.parameters.sequences = sequences
    assert ui.missingLabel.isHidden()
    assert not ui.runButton.isHidden()
    assert ui.runButton.enabled
    assert not ui.samplingLabel.isHidden()
    assert "ready" in ui.sectionButton.text
    slicer.mrmlScene.RemoveNode(sequences["T1c"])
    assert "Needs the sequence T1c: add its volume in step 1" in ui.missingLabel.text
    panel.parameters.modelFolder = str(tmp_path)
    assert str(tmp_path) in ui.missingLabel.text
    panel.parameters.modelFolder = ""
    monkeypatch.setattr("ObserverUncertaintySlicer.dependencies.missingPackages", lambda: ["torch"])
    panel.update()
    assert "Needs torch: click" in ui.missingLabel.text
    assert "in step 3" in ui.missingLabel.text


def test_automatic_samples_suit_the_device(panel, section, ui, case, monkeypatch):
    parameters = panel.parameters
    parameters.samples, parameters.device = AUTOMATIC, "auto"
    assert ui.samplesSpin.text == "automatic"
    assert ui.balancedCheck.isHidden()
    assert parameters.balancedMasks is False
    pretendDevices(monkeypatch, Device("cpu", "AMD"))
    panel.update()
    assert section.sampling() == (5, True) == automaticSamples(onProcessor=True)
    assert ui.samplingLabel.text == "Run takes 5 balanced samples on the processor."
    pretendDevices(monkeypatch, Device("cpu", "AMD"), Device("cuda:0", "NVIDIA RTX A5000"))
    panel.update()
    assert section.sampling() == (20, False) == automaticSamples(onProcessor=False)
    assert ui.samplingLabel.text == "Run takes 20 samples on NVIDIA RTX A5000."
    parameters.device = "cpu"
    assert section.sampling() == (5, True)
    forgetDevices()
    parameters.device = "auto"
    assert section.sampling() == (5, True)
    assert section.samplingText() == "5 balanced samples"
    parameters.device = "cuda:1"
    assert section.samplingText() == "20 samples on cuda:1"


def test_samples_that_were_chosen_are_taken(panel, section, ui):
    panel.parameters.samples = 12
    assert not ui.balancedCheck.isHidden()
    assert section.sampling() == (12, False)
    panel.parameters.balancedMasks = True
    assert section.sampling() == (12, True)
    assert section.samplingText().startswith("12 balanced samples")


@pytest.mark.usefixtures("case")
def test_a_run_takes_the_automatic_samples(panel, section, ui):
    panel.parameters.samples = AUTOMATIC
    ui.runButton.click()
    request = section.bar.job.job.request
    assert (request.samples, request.dropout_masks) == (5, DropoutMasks.BALANCED)
    ui.runButton.click()
    finish(section)


def test_every_control_is_a_parameter_and_shows_it(panel, ui):
    ui.samplesSpin.value = 7
    ui.seedSpin.value = 11
    ui.keepRunningCheck.checked = True
    ui.balancedCheck.checked = True
    parameters = panel.parameters
    assert (parameters.samples, parameters.seed, parameters.keepRunning) == (7, 11, True)
    assert parameters.balancedMasks
    parameters.samples, parameters.seed, parameters.keepRunning = 3, 4, False
    assert (ui.samplesSpin.value, ui.seedSpin.value, ui.keepRunningCheck.checked) == (3, 4, False)
    parameters.balancedMasks = False
    assert not ui.balancedCheck.checked


def test_a_run_gives_the_nodes_and_says_the_volume(panel, section, ui, case, slicerApplication):
    ui.seedSpin.value = 5
    ui.balancedCheck.checked = True
    ui.runButton.click()
    assert ui.runButton.text == "Cancel"
    assert not ui.runProgress.isHidden()
    assert "running" in ui.sectionButton.text
    request = section.bar.job.job.request
    assert (request.samples, request.seed, request.device, request.case_name) == (2, 5, "cpu", "Ann <1>")
    assert request.dropout_masks is DropoutMasks.BALANCED
    finish(section)
    assert slicerApplication.dialogs.messages == []
    parameters = panel.parameters
    probability = arrayOfVolume(parameters.probability)
    p = np.clip(probability.astype(float), 1e-12, 1 - 1e-12)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    np.testing.assert_allclose(arrayOfVolume(parameters.predictiveEntropy), entropy, atol=1e-3)
    mutual = arrayOfVolume(parameters.predictiveEntropy) - arrayOfVolume(parameters.expectedEntropy)
    np.testing.assert_allclose(arrayOfVolume(parameters.mutualInformation), np.maximum(mutual, 0), atol=1e-3)
    volume = np.count_nonzero(probability > 0.5) * 3 * 3 * 9 / 1000
    assert f"Ann &lt;1&gt; segmentation (model): {volume:.2f} mL" in ui.resultLabel.text
    assert "Research use only, not a medical device." in ui.resultLabel.text
    # The shipped model's card says so, and the result may be looked at without the card.
    assert "Simulated data, not for patients." in ui.resultLabel.text
    assert section.state() == f"resection cavity {volume:.1f} mL (simulated data), by SimulatedCavity"
    assert ui.sectionButton.text.startswith(f"4. Model uncertainty: resection cavity {volume:.1f} mL")
    panel.parameters.segmentation.SetAttribute("ObserverUncertainty.Model", "another model's")
    assert section.state() == f"resection cavity {volume:.1f} mL (simulated data)"
    panel.parameters.segmentation.SetAttribute(
        "ObserverUncertainty.Model", panel.modelInUse.card.description.weights_digest
    )
    panel.parameters.segmentation.SetAttribute("ObserverUncertainty.TrainedOnSimulation", None)
    section._shown = None
    panel.update()
    assert "Simulated" not in ui.resultLabel.text
    assert section.state() == f"resection cavity {volume:.1f} mL, by SimulatedCavity"
    assert ui.runProgress.isHidden()
    assert ui.runButton.text == "Run the model"
    red = slicer.mrmlScene.GetSingletonNode("Red", "vtkMRMLSliceCompositeNode")
    assert red.GetForegroundVolumeID() == panel.parameters.predictiveEntropy.GetID(), "it is shown over the image"


def test_warnings_of_job_and_result_are_shown(panel, section, ui, case):
    ui.runButton.click()
    section.bar.job.job.warnings.append("Out of memory: <tried> a smaller batch")
    finish(section)
    assert "<b>Warning:</b> Out of memory: &lt;tried&gt; a smaller batch" in ui.resultLabel.text
    segmentation = panel.parameters.segmentation
    segmentation.SetAttribute("ObserverUncertainty.Notes", json.dumps(["FLAIR was resampled"]))
    segmentation.SetAttribute("ObserverUncertainty.Warnings", json.dumps(["be careful"]))
    section._shown = None
    panel.update()
    assert "<b>Warning:</b> be careful" in ui.resultLabel.text
    assert "FLAIR was resampled" in ui.resultLabel.text
    UNLIKE_TRAINING.set(segmentation, "it shows 100 mL")
    segmentation.SetAttribute("ObserverUncertainty.Warnings", json.dumps(["be careful", "unlike: it shows 100 mL"]))
    section._shown = None
    panel.update()
    assert "it shows 100 mL" in panel.guide.ui.unlikeLabel.text
    assert "it shows 100 mL" not in ui.resultLabel.text, "told once, above the steps"
    assert "be careful" in ui.resultLabel.text


def test_results_that_are_edited_or_deleted_are_followed(panel, section, ui, case):
    ui.runButton.click()
    finish(section)
    segmentation = panel.parameters.segmentation
    segmentation.GetSegmentation().RemoveAllSegments()
    panel.update()
    assert "mL" not in ui.resultLabel.text
    slicer.mrmlScene.RemoveNode(segmentation)
    assert ui.resultLabel.isHidden()
    assert section.state() == "results are there"
    slicer.mrmlScene.RemoveNode(panel.parameters.predictiveEntropy)
    assert ui.sectionButton.text.endswith(": ready")


def test_a_run_can_be_cancelled(panel, section, ui, case):
    panel.parameters.samples = 500
    ui.runButton.click()
    job = section.bar.job
    waitFor(lambda: job.progress.done > 0)
    ui.runButton.click()
    assert ui.runButton.text == "Cancelling…"
    finish(section)
    assert job.state is JobState.CANCELLED
    assert "Cancelled" in ui.runLabel.text
    assert panel.parameters.predictiveEntropy is None
    assert ui.runButton.enabled


def test_a_failed_run_is_told_in_its_step_and_in_no_message(panel, section, ui, case, slicerApplication, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(shipped_model(), folder)
    (folder / "weights.safetensors").write_bytes(b"no weights")
    panel.modelInUse.choose(folder)
    ui.runButton.click()
    finish(section)
    assert slicerApplication.dialogs.messages == []
    assert ui.runLabel.text.startswith("Failed: ")
    assert str(folder) in ui.runLabel.text
    assert "Show log" in ui.runLabel.text
    assert "log.txt" in ui.runLabel.toolTip
    assert ui.sectionButton.text == "4. Model uncertainty: failed"
    assert "predict Ann <1> failed" in slicer.util.mainWindow().statusBar().currentMessage()
    assert panel.parameters.predictiveEntropy is None
    table = panel.jobList.ui.jobTable
    assert [table.item(0, column).text() for column in range(2)] == ["failed", ""]
    panel.model.ui.modelCombo.setCurrentIndex(0)
    ui.runButton.click()
    assert "running" in ui.sectionButton.text
    finish(section)
    assert (ui.runLabel.text, ui.runLabel.toolTip) == ("", "")
    assert "resection cavity" in ui.sectionButton.text


@pytest.mark.parametrize("error", [InputError("the disk is gone"), KeyError("a fault")], ids=["expected", "unexpected"])
def test_a_result_that_cannot_be_used_is_told_in_its_step_and_in_no_message(
    panel, section, ui, case, slicerApplication, monkeypatch, error
):
    def refuse(*_arguments):
        raise error

    monkeypatch.setattr(section, "_use", refuse)
    ui.runButton.click()
    finish(section)
    assert slicerApplication.dialogs.messages == []
    assert str(error) in ui.runLabel.text
    assert ui.sectionButton.text == "4. Model uncertainty: failed"
    slicer.mrmlScene.Clear()
    assert ui.runLabel.text == ""
    assert "failed" not in ui.sectionButton.text


def test_closing_the_scene_ends_the_run(panel, section, ui, case, scene, slicerApplication):
    panel.parameters.samples = 500
    ui.runButton.click()
    job = section.bar.job
    waitFor(lambda: job.progress.done > 0)
    scene.Clear()
    assert not section.bar.isRunning
    assert job.state is JobState.CANCELLED
    assert ui.runButton.text == "Run the model"
    assert ui.runButton.isHidden()
    table = panel.jobList.ui.jobTable
    assert [table.item(row, 0).text() for row in range(table.rowCount)] == ["cancelled"]
    assert slicerApplication.dialogs.messages == []


def test_deleting_the_sequences_during_the_run_loses_no_result(panel, section, ui, case, slicerApplication):
    ui.runButton.click()
    for node in case.values():
        slicer.mrmlScene.RemoveNode(node)
    waitFor(lambda: ui.runButton.enabled)  # it cancels
    finish(section)
    assert slicerApplication.dialogs.messages == []
    (entropy,) = (
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if ROLE.of(node) == Role.PREDICTIVE_ENTROPY
    )
    assert arrayOfVolume(entropy).max() > 0
    # Whatever is chosen next need not be this patient's.
    assert panel.parameters.predictiveEntropy is None
    assert "Ann <1> segmentation (model)" in ui.runLabel.text
    assert ui.runButton.isHidden()


def test_a_run_that_keeps_running_outlives_the_panel(panel, section, ui, case):
    ui.keepRunningCheck.checked = True
    ui.runButton.click()
    folder = section.bar.job.job.folder
    panel.cleanup()
    (job,) = knownJobs()
    assert job.folder == folder
    assert job.wait(120) is JobState.DONE


def test_the_processor_is_told_of_and_the_time_left_only_once_a_part_was_measured(
    panel, section, ui, case, monkeypatch
):
    pretendDevices(monkeypatch, Device("cpu", "AMD"))
    panel.update()
    assert "No GPU was found" in ui.processorLabel.text
    assert not any(figure in ui.processorLabel.text for figure in "0123456789")
    assert ui.runButton.enabled  # a warning, no refusal
    pretendDevices(monkeypatch, Device("cpu", "AMD"), Device("cuda:0", "NVIDIA"))
    panel.update()
    assert "though a GPU was found" in ui.processorLabel.text
    panel.parameters.device = "auto"
    assert ui.processorLabel.isHidden()
    panel.parameters.device = "cpu"
    panel.parameters.samples = 400
    ui.runButton.click()
    told = []
    waitFor(lambda: told.append((section.bar.job.progress.done, ui.runLabel.text)) or "left" in ui.runLabel.text)
    assert all("left" not in text for done, text in told if done == 0)
    ui.runButton.click()
    finish(section)
