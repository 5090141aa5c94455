"""The panel as a whole: with and without a window, reloaded, and while scenes are closed and loaded."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
from section_case import GRID, RATERS, box, fill, segmentOf

from ObserverUncertaintySlicer import host
from ObserverUncertaintySlicer.segments import addSegmentation, setSegment


@pytest.fixture
def correcting(panel):
    """A case with a working copy that was changed, and the file of its scene."""
    fill(panel)
    panel.parameters.caseName = "Anna"
    panel.correct.ui.startButton.click()
    copy = panel.parameters.workingCopy
    setSegment(copy, copy.GetSegmentation().GetNthSegmentID(0), box(10, 15), GRID)
    return panel


def thePanel():
    return slicer.modules.ObserverUncertaintyWidget.panel


def requireEditing(panel):
    editor, copy = panel.correct.ui.editor, panel.parameters.workingCopy
    assert copy is not None
    assert editor.enabled
    assert editor.segmentationNode() is copy
    assert editor.mrmlSegmentEditorNode().GetSegmentationNode() is copy
    assert editor.sourceVolumeNode() is panel.parameters.reference


def test_the_panel_opens_without_a_main_window_as_slicers_generic_test_does(slicerApplication, moduleFile):
    slicer.app.runWithoutMainWindow()
    module = slicerApplication.loadModule(moduleFile)
    assert module.panel is not None
    assert not module.panel.context.isEntered


def test_a_panel_made_by_a_reload_is_entered_and_edits_the_copy(correcting):
    copy = correcting.parameters.workingCopy
    slicer.util.reloadScriptedModule("ObserverUncertainty")
    assert thePanel() is not correcting
    assert thePanel().parameters.workingCopy is copy
    requireEditing(thePanel())
    assert correcting.correct.ui.editor.segmentationNode() is None
    # The panel of before shows nothing any more.
    correcting.update()
    slicer.mrmlScene.RemoveNode(copy)
    assert thePanel().parameters.workingCopy is None


@pytest.mark.parametrize("clear", [True, False], ids=["with closing", "into an empty scene"])
def test_a_scene_loaded_while_the_module_is_open_is_shown_and_edited_at_once(correcting, scene, tmp_path, clear):
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.Clear(0)
    # What the scene had before must not be taken for the copy by the editor's selector.
    other = addSegmentation(RATERS["anna"], GRID, "another patient's", "x", (1, 0, 0))
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), clear)
    assert scene.IsNodePresent(other) is not clear
    assert correcting.parameters.caseName == "Anna"
    assert correcting.case.ui.caseNameEdit.text == "Anna"
    assert correcting.case.ui.ratersTable.rowCount == 3
    np.testing.assert_array_equal(segmentOf(correcting.parameters.workingCopy), box(10, 15))
    requireEditing(correcting)


def test_the_editor_stays_on_the_copy_whatever_comes_and_goes(correcting, scene):
    scene.StartState(scene.BatchProcessState)
    more = addSegmentation(RATERS["anna"], GRID, "more", "x", (1, 0, 0))
    correcting.correct.ui.editor.setSegmentationNode(more)
    scene.EndState(scene.BatchProcessState)
    requireEditing(correcting)
    correcting.correct.ui.editor.setSegmentationNode(more)
    correcting.update()
    requireEditing(correcting)
    scene.RemoveNode(more)
    requireEditing(correcting)


def test_before_the_first_copy_the_editor_takes_nothing_of_the_scene_and_no_error_is_logged(
    slicerApplication, moduleFile, scene
):
    nodes = [addSegmentation(RATERS["anna"], GRID, name, "x", (1, 0, 0)) for name in ("first", "second")]
    editor = slicerApplication.openModule(moduleFile).panel.correct.ui.editor
    assert editor.segmentationNode() is None
    scene.RemoveNode(nodes[0])  # VTK's errors fail the test
    assert editor.segmentationNode() is None
    assert not editor.enabled


def test_a_removed_copy_does_not_leave_its_neighbour_in_the_editor(correcting, scene):
    editor = correcting.correct.ui.editor
    scene.RemoveNode(correcting.parameters.workingCopy)
    assert editor.segmentationNode() is None
    assert editor.mrmlSegmentEditorNode().GetSegmentationNode() is None
    assert not editor.enabled


def test_a_closed_scene_leaves_nothing_of_the_case(correcting, scene):
    correcting.correct.ui.commentEdit.text = "left border moved"
    scene.Clear(0)
    assert correcting.case.ui.caseNameEdit.text == ""
    assert correcting.case.ui.caseNameEdit.placeholderText == "case"
    assert correcting.case.ui.ratersTable.rowCount == 0
    assert correcting.correct.ui.editor.segmentationNode() is None
    assert correcting.correct.ui.commentEdit.text == ""


def test_a_path_that_no_system_can_look_at_is_told_and_everything_else_goes_on(panel):
    long = "/" + "x" * 300
    host.saveSetting("RecentModels", f'["{long}"]')
    ui, scores = panel.model.ui, panel.compare.ui
    ui.modelPath.currentPath, ui.folderPath.currentPath = long, long
    ui.manifestPath.currentPath, scores.cohortScoresPath.currentPath = f"{long}.toml", f"{long}.csv"
    assert "cannot be read" in ui.problemLabel.text
    assert "cannot be looked at" in scores.cohortChartButton.toolTip
    fill(panel)
    assert panel.case.ui.ratersTable.rowCount == 3
    assert panel.correct.state() == "ready"
