"""The training part of step 3: every control, and real trainings of small discs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
from opened_panel import DISCS, discImage, openPanel, pretendDevices, waitFor, writeDiscs

from ObserverUncertaintyLib.jobs import INPUTS_FOLDER, JobState
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintySlicer import host
from ObserverUncertaintySlicer.caseLoading import loadManifestCase
from ObserverUncertaintySlicer.devices import Device
from ObserverUncertaintySlicer.modelCards import readCard
from ObserverUncertaintySlicer.parameters import RaterChoice
from ObserverUncertaintySlicer.raters import Rater
from ObserverUncertaintySlicer.segments import addSegmentation
from ObserverUncertaintySlicer.volumes import addVolume


@pytest.fixture
def panel(workerPython, slicerApplication, moduleFile, monkeypatch, tmp_path):
    monkeypatch.setenv(host.PYTHON_VARIABLE, str(workerPython))
    panel = openPanel(slicerApplication, moduleFile, monkeypatch, tmp_path)
    panel.parameters.device = "cpu"
    return panel


@pytest.fixture
def ui(panel):
    return panel.model.ui


@pytest.fixture
def training(panel):
    return panel.model.training


@pytest.fixture
def discs(panel, ui, tmp_path):
    """Everything is set for a short training on the discs' manifest."""
    ui.manifestPath.currentPath = str(writeDiscs(tmp_path / "Kohorte ä"))
    ui.folderPath.currentPath = str(tmp_path / "model")
    ui.epochsSpin.value = 3
    return tmp_path / "model"


def finish(training):
    waitFor(lambda: not training.bar.isRunning)


def test_every_control_is_a_parameter_and_shows_it(panel, ui, tmp_path):
    import qt

    parameters = panel.parameters
    ui.sourceCombo.setCurrentIndex(1)
    assert parameters.trainingSource == "scene"
    ui.labelEdit.text = " cavity "
    ui.labelEdit.editingFinished.emit()
    assert parameters.trainingLabel == "cavity"
    ui.manifestPath.currentPath = str(tmp_path / "a.toml")
    assert parameters.trainingManifest == str(tmp_path / "a.toml")
    ui.folderPath.currentPath = str(tmp_path / "m")
    assert parameters.trainingFolder == str(tmp_path / "m")
    ui.fusionCombo.setCurrentIndex(list(FusionMethod).index(FusionMethod.STAPLE))
    assert parameters.trainingFusion is FusionMethod.STAPLE
    ui.presetCombo.setCurrentIndex(2)
    assert parameters.trainingPreset == "cavity"
    assert ui.epochsSpin.specialValueText == "the preset's 35"
    ui.epochsSpin.value = 12
    assert parameters.trainingEpochs == 12
    ui.keepTrainingCheck.checked = True
    assert parameters.keepRunning
    assert panel.uncertainty.ui.keepRunningCheck.checked
    parameters.trainingSource = "manifest"
    parameters.trainingLabel = "tumour"
    parameters.trainingManifest = "/b.toml"
    parameters.trainingFolder = "/m2"
    parameters.trainingFusion = FusionMethod.UNION
    parameters.trainingPreset = "shapes"
    parameters.trainingEpochs = 0
    parameters.keepRunning = False
    assert (ui.sourceCombo.currentIndex, ui.labelEdit.text) == (0, "tumour")
    assert (ui.manifestPath.currentPath, ui.folderPath.currentPath) == ("/b.toml", "/m2")
    assert ui.fusionCombo.currentText == "Union"
    assert ui.presetCombo.currentText == "paper, shapes"
    assert ui.presetCombo.itemData(1, qt.Qt.ToolTipRole) == "2 poolings, 16 filters"
    assert ui.epochsSpin.text == "the preset's 100"
    assert not ui.keepTrainingCheck.checked


def test_only_what_the_source_needs_is_shown(panel, ui):
    assert not ui.manifestPath.isHidden()
    assert ui.labelEdit.isHidden()
    panel.parameters.trainingSource = "scene"
    assert ui.manifestPath.isHidden()
    assert ui.manifestCaption.isHidden()
    assert not ui.labelEdit.isHidden()
    assert not ui.sceneLabel.isHidden()


def test_a_line_says_what_is_missing_in_place_of_the_button(panel, ui, tmp_path):
    assert ui.trainButton.isHidden()
    assert "manifest" in ui.trainingMissingLabel.text
    ui.manifestPath.currentPath = str(writeDiscs(tmp_path))
    assert "folder" in ui.trainingMissingLabel.text
    ui.folderPath.currentPath = str(tmp_path / "m")
    assert ui.trainingMissingLabel.isHidden()
    assert not ui.trainButton.isHidden()
    assert ui.trainButton.enabled
    panel.parameters.trainingManifest = ""
    panel.parameters.trainingSource = "scene"
    assert ui.trainButton.enabled


def test_a_training_fills_the_loss_curve_and_its_model_is_used(panel, ui, training, discs):
    ui.fusionCombo.setCurrentIndex(list(FusionMethod).index(FusionMethod.MAJORITY))
    assert ui.lossButton.isHidden()
    ui.trainButton.click()
    assert ui.trainButton.text == "Cancel"
    assert not ui.trainProgress.isHidden()
    assert ui.sectionButton.text.endswith("training")
    assert ui.trainingSettings.isHidden()
    job = training.bar.job
    finish(training)
    assert ui.trainButton.text == "Train"
    assert ui.trainButton.enabled
    assert ui.trainProgress.isHidden()
    assert not ui.trainingSettings.isHidden()
    assert panel.parameters.modelFolder == str(discs)
    assert str(discs) in ui.trainLabel.text
    card = readCard(discs)
    assert card.description.training["fusion"] == "majority"
    assert card.description.label == "disc"
    assert card.description.architecture.filters == 14
    chart = panel.parameters.lossChart
    table = chart.GetNthPlotSeriesNode(0).GetTableNode()
    losses = slicer.util.arrayFromTableColumn(table, "Loss")
    np.testing.assert_allclose(losses, card.description.training["losses"])
    assert len(losses) == 3 == len(job.job.losses)
    assert not ui.noticeLabel.isHidden()  # the manifest says that the discs are simulated


@pytest.mark.usefixtures("discs")
def test_the_loss_curve_is_shown_on_a_click_and_outlives_its_deletion(panel, ui, training, slicerApplication):
    ui.epochsSpin.value = 400
    ui.trainButton.click()
    waitFor(lambda: panel.parameters.lossChart is not None)
    slicer.mrmlScene.RemoveNode(panel.parameters.lossChart)
    assert ui.lossButton.isHidden()
    waitFor(lambda: panel.parameters.lossChart is not None)
    assert not ui.lossButton.isHidden()
    ui.lossButton.click()
    shown = [node.GetPlotChartNode() for node in slicer.util.getNodesByClass("vtkMRMLPlotViewNode")]
    assert panel.parameters.lossChart in shown
    ui.trainButton.click()
    finish(training)
    assert slicerApplication.dialogs.messages == []


def test_validation_losses_are_drawn_where_they_are_told(training, panel):
    class Losses:
        losses = [3.0, 2.0, 1.0]  # noqa: RUF012
        validation_losses = [4.0, 5.0]  # noqa: RUF012

    training.updated(type("Job", (), {"job": Losses, "warnings": [], "notes": ()})())
    chart = panel.parameters.lossChart
    validation = slicer.util.arrayFromTableColumn(chart.GetNthPlotSeriesNode(1).GetTableNode(), "Loss")
    np.testing.assert_array_equal(validation, [4.0, 5.0])


def test_a_training_can_be_cancelled_and_gone_on_with(panel, ui, training, discs):
    ui.epochsSpin.value = 400
    ui.trainButton.click()
    waitFor(lambda: len(training.bar.job.job.losses) >= 2)
    ui.trainButton.click()
    assert ui.trainButton.text == "Cancelling…"
    assert not ui.trainButton.enabled
    job = training.bar.job
    finish(training)
    assert job.state is JobState.CANCELLED
    done = len(job.job.losses)
    # There, and not in the job's folder, is what can be gone on with.
    assert ui.trainLabel.text == f"Cancelled. What was complete is kept in {discs}"
    assert panel.parameters.modelFolder == ""
    # What was begun is gone on with, unless asked otherwise.
    assert not ui.existingCombo.isHidden()
    assert ui.existingCombo.currentIndex == 0
    ui.trainButton.click()
    waitFor(lambda: len(training.bar.job.job.losses) > done)
    assert training.bar.job.job.losses[:done] == pytest.approx(job.job.losses)
    ui.trainButton.click()
    finish(training)


def test_beginning_again_asks_first(panel, ui, training, discs, slicerApplication):
    import qt

    ui.trainButton.click()
    finish(training)
    before = (discs / "weights.safetensors").stat().st_mtime_ns
    ui.existingCombo.setCurrentIndex(1)
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Cancel)
    ui.trainButton.click()
    assert not training.bar.isRunning
    assert (discs / "weights.safetensors").stat().st_mtime_ns == before
    assert str(discs) in slicerApplication.dialogs.messages[-1].text
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Ok)
    ui.trainButton.click()
    finish(training)
    assert (discs / "weights.safetensors").stat().st_mtime_ns > before


def test_what_the_fields_show_is_in_force_also_when_it_is_empty_or_impossible(panel, ui, discs, tmp_path):
    manifest = ui.manifestPath.currentPath
    (tmp_path / "a file").write_text("", encoding="utf-8")
    for path, why in (
        ("", "Choose the cohort"),
        (str(tmp_path / "t1.nrrd"), ".toml"),
        (str(tmp_path / "no.toml"), "no file"),
    ):
        ui.manifestPath.currentPath = path
        assert panel.parameters.trainingManifest == path
        assert ui.manifestPath.currentPath == path
        assert ui.trainButton.isHidden()
        assert why in ui.trainingMissingLabel.text
    ui.manifestPath.currentPath = manifest
    for path, why in (
        ("", "Choose a folder"),
        ("models/new", "no whole path"),
        (str(tmp_path / "a file"), "is a file"),
    ):
        ui.folderPath.currentPath = path
        assert panel.parameters.trainingFolder == path
        assert ui.trainButton.isHidden()
        assert why in ui.trainingMissingLabel.text
    ui.folderPath.currentPath = str(discs)
    assert ui.trainButton.enabled


def test_a_path_is_taken_when_it_is_typed_to_its_end_and_not_overwritten_meanwhile(panel, ui, discs):
    edit = ui.folderPath.comboBox().lineEdit()
    edit.setText("/somewhere/e")
    edit.modified = True  # as keys do
    panel.parameters.trainingFolder = "/elsewhere"
    assert ui.folderPath.currentPath == "/somewhere/e"
    edit.setText("/somewhere/else")
    edit.modified = True
    edit.editingFinished.emit()
    assert panel.parameters.trainingFolder == "/somewhere/else"
    panel.parameters.trainingFolder = "/elsewhere"
    assert ui.folderPath.currentPath == "/elsewhere"


def test_what_is_typed_counts_at_the_click_where_buttons_take_no_focus(ui, training, discs):
    other = discs.parent / "other"
    edit = ui.folderPath.comboBox().lineEdit()
    edit.blockSignals(True)  # it still has the focus
    edit.setText(str(other))
    edit.modified = True
    edit.blockSignals(False)
    ui.epochsSpin.value = 1
    ui.trainButton.click()
    assert training.bar.job.job.request.model == str(other)
    finish(training)


def test_other_settings_than_the_trainings_in_the_folder_are_told_before_a_worker_starts(
    panel, ui, training, discs, slicerApplication
):
    ui.trainButton.click()
    finish(training)
    ui.epochsSpin.value = 4
    ui.presetCombo.setCurrentIndex(1)
    ui.fusionCombo.setCurrentIndex(list(FusionMethod).index(FusionMethod.UNION))
    ui.trainButton.click()
    (message,) = slicerApplication.dialogs.messages
    for part in (str(discs), "Epochs: 3, now 4", "Fusion: none, now union", "Filters of the preset: 14, now 16"):
        assert part in message.text
    assert '"begin again"' in message.text
    assert "--" not in message.text
    assert not training.bar.isRunning
    assert panel.jobList.ui.jobTable.rowCount == 1
    ui.epochsSpin.value = 3
    ui.presetCombo.setCurrentIndex(0)
    ui.fusionCombo.setCurrentIndex(list(FusionMethod).index(FusionMethod.NONE))
    (discs.parent / "Kohorte ä" / "p2").rename(discs.parent / "Kohorte ä" / "2")
    ui.trainButton.click()
    assert "Number of cases: 2, now 1" in slicerApplication.dialogs.messages[-1].text
    assert not training.bar.isRunning


def test_another_folder_is_not_begun_again_unasked(ui, discs):
    ui.existingCombo.setCurrentIndex(1)
    ui.folderPath.currentPath = str(discs.parent / "other")
    assert ui.existingCombo.currentIndex == 0


def test_a_manifest_that_cannot_be_used_is_told_once_and_starts_nothing(
    ui, training, discs, slicerApplication, tmp_path
):
    (tmp_path / "no.toml").write_text("", encoding="utf-8")
    ui.manifestPath.currentPath = str(tmp_path / "no.toml")
    (tmp_path / "no.toml").unlink()
    ui.trainButton.click()
    (message,) = slicerApplication.dialogs.messages
    assert "no.toml" in message.text
    assert not training.bar.isRunning


def test_a_failed_training_is_told_in_its_step_with_its_log_and_in_no_message(
    panel, ui, training, discs, slicerApplication
):
    (discs.parent / "Kohorte ä" / "p2" / "ben.nrrd").write_bytes(b"no mask")
    ui.trainButton.click()
    finish(training)
    assert slicerApplication.dialogs.messages == []
    assert ui.trainLabel.text.startswith("Failed: ")
    assert "ben.nrrd" in ui.trainLabel.text
    assert "log.txt" in ui.trainLabel.toolTip
    assert ui.sectionButton.text == "3. Model: training failed"
    assert panel.parameters.modelFolder == ""


def test_the_cases_of_the_scene_are_trained_on_and_their_copies_deleted(
    panel, ui, training, tmp_path, slicerApplication
):
    manifest = writeDiscs(tmp_path / "cohort")
    loadManifestCase(manifest, "p1")
    image, distance = discImage(2)
    present = addSegmentation(distance < 6, DISCS, "present raters", "cara", (1.0, 0.0, 0.0))
    panel.parameters.caseName = "present"
    panel.parameters.sequences = {"T1": addVolume(image, DISCS, "present T1")}
    panel.parameters.raterChoices = [RaterChoice(Rater(present, present.GetSegmentation().GetNthSegmentID(0)))]
    ui.sourceCombo.setCurrentIndex(1)
    assert ui.sceneLabel.text == "2 cases: p1, present"
    ui.labelEdit.text = "disc"
    ui.labelEdit.editingFinished.emit()
    ui.folderPath.currentPath = str(tmp_path / "model")
    ui.epochsSpin.value = 1
    ui.trainButton.click()
    job = training.bar.job
    assert (job.job.folder / INPUTS_FOLDER / "cohort" / "cohort.toml").is_file()
    finish(training)
    assert slicerApplication.dialogs.messages == []
    card = readCard(tmp_path / "model")
    assert set(card.description.training["raters"]) == {"anna", "ben", "cara"}
    assert len(card.description.training["cases"]) == 2
    assert card.description.label == "disc"
    assert card.isSimulated
    assert not (job.job.folder / INPUTS_FOLDER).exists()


def test_what_was_done_to_the_scenes_contours_and_what_the_job_warns_of_is_shown(panel, ui, training, tmp_path):
    image, distance = discImage(2)
    finer = replace(DISCS, size=(48, 24, 4), spacing=(1.0, 2.0, 4.0), origin=(-0.5, 0.0, 0.0))
    cara = addSegmentation(np.repeat(distance < 6, 2, axis=2), finer, "fine", "cara", (1.0, 0.0, 0.0))
    dora = addSegmentation(np.zeros(DISCS.shape, bool), DISCS, "nothing", "dora", (0.0, 1.0, 0.0))
    panel.parameters.caseName = "<present>"
    panel.parameters.sequences = {"T1": addVolume(image, DISCS, "present T1")}
    panel.parameters.raterChoices = [
        RaterChoice(Rater(node, node.GetSegmentation().GetNthSegmentID(0))) for node in (cara, dora)
    ]
    panel.parameters.trainingSource = "scene"
    assert ui.trainTextLabel.isHidden()
    ui.folderPath.currentPath = str(tmp_path / "model")
    ui.epochsSpin.value = 400
    ui.trainButton.click()
    training.bar.job.job.warnings.append("Out of memory: <tried> a smaller batch")
    waitFor(lambda: "Out of memory" in ui.trainTextLabel.text)
    assert not ui.trainTextLabel.isHidden()
    assert "<b>Warning:</b> Out of memory: &lt;tried&gt; a smaller batch" in ui.trainTextLabel.text
    assert "<b>Warning:</b> &lt;present&gt;: dora drew nothing" in ui.trainTextLabel.text
    assert "&lt;present&gt;: cara was resampled" in ui.trainTextLabel.text
    ui.trainButton.click()
    finish(training)
    assert "dora drew nothing" in ui.trainTextLabel.text
    (tmp_path / "no.toml").write_text("", encoding="utf-8")
    panel.parameters.trainingSource, panel.parameters.trainingManifest = "manifest", str(tmp_path / "no.toml")
    ui.trainButton.click()
    assert ui.trainTextLabel.isHidden()


def test_cases_that_do_not_fit_together_are_named_before_and_at_the_click(
    panel, ui, training, tmp_path, slicerApplication
):
    panel.parameters.trainingSource = "scene"
    assert "no case to train on" in ui.sceneLabel.text
    panel.parameters.caseName = "lonely"
    panel.parameters.sequences = {"T1": addVolume(discImage(1)[0], DISCS, "T1")}
    assert "lonely" in ui.sceneLabel.text
    ui.folderPath.currentPath = str(tmp_path / "model")
    ui.trainButton.click()
    (message,) = slicerApplication.dialogs.messages
    assert "lonely" in message.text
    assert not training.bar.isRunning
    jobs = tmp_path / "Müller jobs"
    assert not jobs.exists() or list(jobs.iterdir()) == []


def test_a_training_goes_on_when_the_scene_is_closed(panel, ui, training, discs, scene, slicerApplication):
    ui.trainButton.click()
    scene.Clear()
    assert training.bar.isRunning
    finish(training)
    assert panel.parameters.modelFolder == str(discs)
    assert slicerApplication.dialogs.messages == []


def test_closing_the_panel_ends_a_training(panel, ui, training, discs):
    ui.epochsSpin.value = 400
    ui.trainButton.click()
    job = training.bar.job
    waitFor(lambda: job.state is JobState.RUNNING)
    panel.cleanup()
    assert job.state is JobState.CANCELLED


def test_without_gpu_the_processor_is_told_of(panel, ui, discs, monkeypatch):
    pretendDevices(monkeypatch, Device("cpu", "AMD"))
    panel.parameters.device = "auto"
    assert "No GPU was found" in ui.trainingWarningLabel.text
    assert not ui.trainingWarningLabel.isHidden()
    pretendDevices(monkeypatch, Device("cpu", "AMD"), Device("cuda:0", "NVIDIA"))
    panel.update()
    assert ui.trainingWarningLabel.isHidden()
    panel.parameters.device = "cpu"
    assert "though a GPU was found" in ui.trainingWarningLabel.text
