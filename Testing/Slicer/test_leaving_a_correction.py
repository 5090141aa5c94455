"""A working copy with changes is not left behind unasked, and nothing of one correction goes on to the next case."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
from correct_step import edit, readyToCorrect, start
from section_case import GRID, box

from ObserverUncertaintyLib.formats import write_image
from ObserverUncertaintySlicer.caseLoading import LoadedCase
from ObserverUncertaintySlicer.volumes import addVolume


@pytest.fixture
def ready(panel):
    return readyToCorrect(panel)


def test_a_second_copy_asks_before_it_leaves_changes_behind(ready, slicerApplication):
    copy = start(ready)
    edit(copy, box(10, 15))
    import qt

    slicerApplication.dialogs.answer("message", qt.QMessageBox.Cancel)
    ready.ui.startButton.click()
    assert ready.parameters.workingCopy is copy


def folderOfAnotherCase(slicerApplication, tmp_path):
    """What the user chooses at Load folder."""
    write_image(tmp_path / "Ben" / "T1.nrrd", np.ones(GRID.shape, np.float32), GRID)
    slicerApplication.dialogs.answer("getExistingDirectory", str(tmp_path / "Ben"))


def test_loading_a_case_asks_before_it_leaves_changes_behind(ready, panel, slicerApplication, tmp_path):
    import qt

    copy = start(ready)
    edit(copy, box(10, 15))
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    folderOfAnotherCase(slicerApplication, tmp_path)
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Cancel)
    panel.case.ui.loadFolderButton.click()
    assert panel.parameters.workingCopy is copy
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    assert copy.GetName() in slicerApplication.dialogs.messages[-1].text
    folderOfAnotherCase(slicerApplication, tmp_path)
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Ok)
    panel.case.ui.loadFolderButton.click()
    assert panel.parameters.caseName == "Ben"
    assert panel.parameters.workingCopy is None
    assert slicer.mrmlScene.IsNodePresent(copy)
    # Disabled alone it would go on drawing into the views.
    assert ready.ui.editor.segmentationNode() is None


def test_changes_that_were_saved_as_corrected_are_left_without_a_question(ready, panel, slicerApplication, tmp_path):
    copy = start(ready)
    edit(copy, box(10, 15))
    ready.ui.authorEdit.text = "Anna"
    ready.ui.saveButton.click()
    ready.ui.startButton.click()
    second = panel.parameters.workingCopy
    assert second is not copy
    folderOfAnotherCase(slicerApplication, tmp_path)
    panel.case.ui.loadFolderButton.click()
    assert panel.parameters.caseName == "Ben"
    assert slicerApplication.dialogs.messages == []


def test_a_sample_case_that_comes_while_correcting_asks_nothing_and_takes_nothings_place(
    ready, panel, slicerApplication
):
    panel.case.loading._before = panel.case.loading._present()  # as a click on its button leaves it
    copy = start(ready)
    edit(copy, box(10, 15))
    reference = panel.parameters.reference
    panel.case.loading.bar.finish(LoadedCase("sample", {"T1": addVolume(np.ones(GRID.shape), GRID, "sample T1")}, []))
    assert panel.parameters.workingCopy is copy
    assert panel.parameters.reference is reference
    assert ready.ui.editor.segmentationNode() is copy
    assert slicerApplication.dialogs.messages == []
    assert "hidden" in panel.case.ui.sampleLabel.text


def test_another_case_starts_without_the_correction_of_the_one_before(ready, panel):
    start(ready)
    ready.ui.authorEdit.text = "Anna"
    ready.ui.saveButton.click()
    saved = ready.parameters.node.GetNodeReference("LastCorrection")
    panel.case.loading.apply(LoadedCase("Ben", {"T1": addVolume(np.ones(GRID.shape), GRID, "Ben T1")}, []))
    assert ready.parameters.node.GetNodeReference("LastCorrection") is None
    assert ready.ui.exportButton.isHidden()
    assert ready.ui.savedLabel.text == ""
    assert slicer.mrmlScene.IsNodePresent(saved)


def test_a_comment_is_on_its_own_copy_and_on_no_other(ready, panel, slicerApplication):
    import qt

    start(ready)
    ready.ui.commentEdit.text = "left border moved"
    panel.update()
    assert ready.ui.commentEdit.text == "left border moved"
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Ok)
    edit(panel.parameters.workingCopy, box(10, 15))
    start(ready)
    assert ready.ui.commentEdit.text == ""
    ready.ui.commentEdit.text = "another"
    panel.case.loading.apply(LoadedCase("Ben", {"T1": addVolume(np.ones(GRID.shape), GRID, "Ben T1")}, []))
    assert ready.ui.commentEdit.text == ""
