"""Results belong to the case that they were computed from, whatever is loaded meanwhile and in later sessions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import slicer
from opened_panel import openPanel, simulatedSequences, waitFor

from ObserverUncertaintyLib.jobs import JobState
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintySlicer import host
from ObserverUncertaintySlicer.attributes import ROLE
from ObserverUncertaintySlicer.caseLoading import LoadedCase
from ObserverUncertaintySlicer.hierarchy import addFolder, itemOf, placeUnder
from ObserverUncertaintySlicer.prediction import predictCase
from ObserverUncertaintySlicer.volumes import addVolume, arrayOfVolume, gridOfVolume


@pytest.fixture
def panel(workerPython, slicerApplication, moduleFile, monkeypatch, tmp_path):
    monkeypatch.setenv(host.PYTHON_VARIABLE, str(workerPython))
    panel = openPanel(slicerApplication, moduleFile, monkeypatch, tmp_path)
    panel.parameters.device = "cpu"
    panel.parameters.samples = 2
    return panel


def loadCase(panel, name):
    """A case in a folder of its own, as loading makes it; returns the folder's item."""
    sequences = simulatedSequences(name)
    folder = addFolder(name)
    for node in sequences.values():
        placeUnder(node, folder)
    panel.case.loading.apply(LoadedCase(name, sequences, []))
    return folder


def resultsIn(folder):
    """How many results of a prediction stand in a folder of the subject hierarchy."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    nodes = [*slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
    nodes += slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    return sum(ROLE.of(node) is not None and hierarchy.GetItemParent(itemOf(node)) == folder for node in nodes)


def results(panel):
    names = ("probability", "segmentation", "predictiveEntropy", "expectedEntropy", "mutualInformation")
    return [getattr(panel.parameters, name) for name in names]


def run(panel):
    panel.uncertainty.ui.runButton.click()


def finish(panel):
    waitFor(lambda: not panel.uncertainty.bar.isRunning)


def predicted(name, samples=2):
    """A prediction of an earlier session."""
    return predictCase(simulatedSequences("earlier"), shipped_model(), samples, "cpu", caseName=name, keepRunning=True)


def choose(panel):
    panel.jobList.refresh()
    panel.jobList.ui.jobTable.selectRow(0)
    return panel.jobList.ui


def test_results_that_come_after_another_case_was_loaded_stay_with_their_own(panel, slicerApplication):
    anna = loadCase(panel, "Anna")
    run(panel)
    ben = loadCase(panel, "Ben")
    finish(panel)
    assert results(panel) == [None] * 5
    assert (resultsIn(anna), resultsIn(ben)) == (5, 0)
    assert "Anna segmentation (model)" in panel.uncertainty.ui.runLabel.text
    assert "not the present case's" in panel.uncertainty.ui.runLabel.text
    assert "mL" not in panel.uncertainty.ui.sectionButton.text
    assert not slicer.util.getNode("Anna segmentation (model)").GetDisplayNode().GetVisibility()
    assert slicerApplication.dialogs.messages == []


def test_results_come_to_their_case_when_it_only_got_another_name(panel):
    loadCase(panel, "Anna")
    run(panel)
    panel.parameters.caseName = "Anna Süß"
    finish(panel)
    assert None not in results(panel)
    assert panel.uncertainty.ui.runLabel.text == ""


def test_a_loaded_result_of_another_name_or_grid_is_not_the_present_cases(panel, slicerApplication):
    assert predicted("Anna").wait(120) is JobState.DONE
    ui = choose(panel)
    ui.loadButton.click()
    assert results(panel) == [None] * 5
    assert "no volume" in ui.loadedLabel.text
    ben = loadCase(panel, "Ben")
    ui.loadButton.click()
    assert results(panel) == [None] * 5
    assert resultsIn(ben) == 0
    assert "Anna" in ui.loadedLabel.text
    assert "Ben" in ui.loadedLabel.text
    voxels, grid = arrayOfVolume(panel.parameters.reference), gridOfVolume(panel.parameters.reference)
    shorter = replace(grid, size=(*grid.size[:2], grid.size[2] - 1))
    panel.case.loading.apply(LoadedCase("Anna", {"T1": addVolume(voxels[:-1], shorter, "cut T1")}, []))
    ui.loadButton.click()
    assert results(panel) == [None] * 5
    assert "grid of cut T1" in ui.loadedLabel.text
    assert slicerApplication.dialogs.messages == []


def test_a_loaded_result_of_the_same_name_and_grid_is_the_cases_and_lies_beside_it(panel):
    assert predicted("Anna").wait(120) is JobState.DONE
    anna = loadCase(panel, "Anna")
    ui = choose(panel)
    ui.loadButton.click()
    assert None not in results(panel)
    assert resultsIn(anna) == 5
    assert ui.loadedLabel.isHidden()


def test_a_followed_prediction_of_another_case_leaves_the_present_one_without_results(panel):
    predicted("Anna", samples=40)
    ben = loadCase(panel, "Ben")
    choose(panel).followButton.click()
    assert panel.uncertainty.bar.isRunning
    finish(panel)
    assert results(panel) == [None] * 5
    assert resultsIn(ben) == 0
    assert "Anna segmentation (model)" in panel.uncertainty.ui.runLabel.text
