"""*Show uncertainty* in step 1: what it says before, what it does, and what it leaves out."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from correct_step import edit
from opened_panel import isOffered, openPanel, simulatedSequences, waitFor
from section_case import addSequence, fill

from ObserverUncertaintySlicer.parameters import RaterChoice
from ObserverUncertaintySlicer.places import mostUncertainPoint
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.segments import addSegmentation
from ObserverUncertaintySlicer.volumes import gridOfVolume


@pytest.fixture
def panel(slicerApplication, moduleFile, monkeypatch, tmp_path, workerPython):
    return openPanel(slicerApplication, moduleFile, monkeypatch, tmp_path)


@pytest.fixture
def ui(panel):
    return panel.case.ui


def fillSimulated(panel, raters=2):
    """A simulated case, and raters that disagree."""
    panel.parameters.caseName = "Anna"
    panel.parameters.sequences = simulatedSequences("Anna")
    grid = gridOfVolume(panel.parameters.reference)
    for number in range(raters):
        mask = np.zeros(grid.shape, bool)
        mask[2:5, 10 : 20 + 2 * number, 10:20] = True
        node = addSegmentation(mask, grid, f"rater {number}", "cavity", (0, 1, number))
        panel.parameters.raterChoices = [*panel.parameters.raterChoices, *map(RaterChoice, ratersOfNode(node))]


def test_without_an_image_there_is_nothing_to_show(ui):
    assert ui.showButton.isHidden()
    assert ui.useLabel.isHidden()


def test_it_says_before_what_it_will_use(panel, ui):
    fillSimulated(panel)
    assert isOffered(ui.showButton)
    model, experts = ui.useLabel.text.splitlines()
    assert model == (
        "Model: SimulatedCavity, on T1, T1c, T2, FLAIR. It learned from simulated cases: not for patients."
    )
    assert experts == "Experts: 2 raters."
    assert panel.uncertainty.samplingText() in ui.useLabel.toolTip
    assert panel.uncertainty.sampling() == (5, True), "the default on a processor"


def test_a_sequence_that_may_be_missing_is_said_to_be_and_the_model_runs_without(panel, ui):
    fillSimulated(panel)
    panel.parameters.sequences = {"T1c": panel.parameters.sequences["T1c"]}
    assert ui.useLabel.text.startswith(
        "Model: SimulatedCavity, on T1c. The case has no T1, T2, FLAIR: the model sees less. It learned from "
    )
    assert "The model was trained to do without" in panel.model.ui.sequencesLabel.text
    assert panel.model.ui.sectionButton.text == "3. Model: SimulatedCavity (simulated data)"
    ui.showButton.click()
    waitFor(lambda: not panel.uncertainty.bar.isRunning)
    assert panel.parameters.predictiveEntropy is not None, ui.showLabel.text
    assert "has no T1, T2, FLAIR" in panel.uncertainty.ui.resultLabel.text

    panel.parameters.sequences = {"T1": simulatedSequences("Ben")["T1"]}
    assert "Needs the sequence T1c" in ui.useLabel.text
    assert panel.model.ui.sectionButton.text == "3. Model: SimulatedCavity needs T1c"


def test_one_click_does_steps_2_4_and_5_and_leads_to_step_6(panel, ui):
    fillSimulated(panel)
    ui.showButton.click()
    assert panel.parameters.expertEntropy is not None
    assert panel.parameters.fusedSegmentation is not None
    for button, bar in (
        (ui.showButton, ui.showBar),
        (panel.uncertainty.ui.runButton, panel.uncertainty.ui.runProgress),
    ):
        assert button.text == "Cancel"
        assert not bar.isHidden()
    assert ui.useLabel.isHidden()
    waitFor(lambda: not panel.uncertainty.bar.isRunning)
    assert panel.parameters.predictiveEntropy is not None, ui.showLabel.text
    assert panel.compare.views is not None
    assert panel.correct.isOpen
    assert ui.showButton.text == "Show uncertainty"
    assert ui.showLabel.text == ""
    assert ui.showBar.isHidden()
    place = mostUncertainPoint(panel.parameters.predictiveEntropy)
    np.testing.assert_allclose(panel.compare.views.place, place, atol=0.1)


def test_it_is_cancelled_by_the_same_button_and_what_was_computed_stays(panel, ui):
    fillSimulated(panel)
    ui.showButton.click()
    ui.showButton.click()
    assert ui.showButton.text == "Cancel", "a double click starts and does not cancel"
    waitFor(lambda: ui.showButton.enabled)
    ui.showButton.click()
    assert ui.showButton.text == "Cancelling…"
    waitFor(lambda: not panel.uncertainty.bar.isRunning)
    assert "Cancelled" in ui.showLabel.text
    assert not ui.showLabel.isHidden()
    assert panel.parameters.expertEntropy is not None
    assert panel.parameters.predictiveEntropy is None
    assert panel.case.isOpen
    panel.case.ui.newCaseButton.click()
    assert ui.showLabel.isHidden(), "it was said of the case before"


def test_a_patient_without_raters_has_the_models_uncertainty(panel, ui):
    fillSimulated(panel, raters=0)
    assert "Without the experts' disagreement" in ui.useLabel.text
    ui.showButton.click()
    waitFor(lambda: not panel.uncertainty.bar.isRunning)
    shown = slicer.mrmlScene.GetNodeByID(_foreground("Red"))
    assert shown is panel.parameters.predictiveEntropy
    assert panel.compare.views is None
    assert panel.correct.isOpen


def test_what_is_left_out_is_not_shown_from_before(panel, ui):
    fillSimulated(panel)
    panel.disagreement.computeAll()
    panel.parameters.raterChoices = panel.parameters.raterChoices[:1]
    assert panel.parameters.expertEntropy is not None
    assert "Without the experts' disagreement" in ui.useLabel.text
    ui.showButton.click()
    waitFor(lambda: not panel.uncertainty.bar.isRunning)
    assert panel.compare.views is None
    assert slicer.mrmlScene.GetNodeByID(_foreground("Red")) is panel.parameters.predictiveEntropy


def test_experts_disagree_without_a_model_that_fits(panel, ui):
    fill(panel)  # T1 alone; the model needs T1c
    model, experts = ui.useLabel.text.splitlines()
    assert model.startswith("Without the model's uncertainty.")
    assert "Needs the sequence T1c" in model
    assert experts == "Experts: 3 raters."
    ui.showButton.click()
    assert not panel.uncertainty.bar.isRunning
    assert slicer.mrmlScene.GetNodeByID(_foreground("Red")) is panel.parameters.expertEntropy
    assert panel.correct.isOpen


def test_where_nothing_can_be_shown_there_is_no_button_but_the_reasons(panel, ui):
    panel.parameters.sequences = {"T1": addSequence("T1")}
    assert ui.showButton.isHidden()
    assert "Needs the sequence T1c" in ui.useLabel.text
    assert "Without the experts' disagreement" in ui.useLabel.text


def test_views_in_which_one_corrects_are_left_alone(panel, ui):
    fillSimulated(panel)
    ui.showButton.click()
    panel.correct.ui.startButton.click()
    edit(panel.parameters.workingCopy, np.zeros(gridOfVolume(panel.parameters.reference).shape, bool))
    waitFor(lambda: not panel.uncertainty.bar.isRunning)
    assert panel.parameters.predictiveEntropy is not None
    assert panel.compare.views is None
    assert "step 5" in ui.showLabel.text


def test_a_rater_that_cannot_be_used_is_told_and_no_job_starts(panel, ui, slicerApplication):
    fillSimulated(panel)
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "empty node")
    panel.parameters.raterChoices = [*panel.parameters.raterChoices, *map(RaterChoice, ratersOfNode(labels))]
    ui.showButton.click()
    assert not panel.uncertainty.bar.isRunning
    (message,) = slicerApplication.dialogs.messages
    assert "empty node" in message.text
    slicerApplication.dialogs.messages.clear()


def _foreground(view):
    node = slicer.mrmlScene.GetSingletonNode(view, "vtkMRMLSliceCompositeNode")
    return node.GetForegroundVolumeID() or ""
