"""Deliberate faults: the inspection that the random walk makes after each action reports exactly the one planted."""

from __future__ import annotations

import logging

import dialogs
import qt
import slicer
from inspection import Inspection


def _looking(desktop) -> Inspection:
    """An inspection that has seen the scene as it is, and found nothing."""
    inspection = Inspection(desktop)

    def decide(dialog, text):
        inspection.box(dialog, text)
        dialogs.dismiss(dialog)

    desktop.dialogs.decide = decide
    _assertNothing(desktop, inspection)
    return inspection


def _assertNothing(desktop, inspection):
    desktop.settle()
    faults = inspection.new()
    assert not faults, faults


def _assertFound(desktop, inspection, kind, part, count=1):
    desktop.settle()
    faults = inspection.new()
    assert [fault.kind for fault in faults] == [kind] * count, faults
    assert all(part in fault.text for fault in faults), faults
    assert inspection.new() == [], "each fault is told once"


def check_error_in_a_timer_is_found(desktop):
    inspection = _looking(desktop)
    qt.QTimer.singleShot(0, lambda: {}["planted"])
    _assertFound(desktop, inspection, "error", "KeyError: 'planted'")


def check_error_in_a_vtk_observer_is_found(desktop):
    inspection = _looking(desktop)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    node.AddObserver("ModifiedEvent", lambda *_: {}["planted"])
    node.SetText("changed")
    _assertFound(desktop, inspection, "error", "KeyError: 'planted'")


def check_line_in_the_error_log_is_found(desktop):
    inspection = _looking(desktop)
    logging.error("a planted error")
    _assertFound(desktop, inspection, "error", "a planted error")
    slicer.mrmlScene.AddNewNodeByClass("noSuchClass")
    _assertFound(desktop, inspection, "error", "noSuchClass")


def check_line_of_slicers_own_is_excused_and_what_comes_with_it_is_not(desktop):
    inspection = _looking(desktop)
    logging.error("vtkSubjectHierarchyItem::DataNodeCache item was missing")
    _assertNothing(desktop, inspection)
    logging.error("vtkSubjectHierarchyItem::DataNodeCache item was missing\na planted line")
    _assertFound(desktop, inspection, "error", "a planted line")


def check_errors_that_follow_each_other_are_each_found(desktop):
    inspection = _looking(desktop)
    logging.error("the first planted error")
    _assertFound(desktop, inspection, "error", "the first planted error")
    logging.error("the second planted error")  # Slicer's log joins it to the first
    _assertFound(desktop, inspection, "error", "the second planted error")


def check_error_box_out_of_a_timer_is_found(desktop):
    inspection = _looking(desktop)
    qt.QTimer.singleShot(0, lambda: slicer.util.errorDisplay("a planted message"))
    _assertFound(desktop, inspection, "box", "a planted message")


def check_error_box_as_an_answer_is_no_fault(desktop):
    inspection = _looking(desktop)
    inspection.acting = True
    slicer.util.errorDisplay("a refusal")
    inspection.acting = False
    _assertNothing(desktop, inspection)


def check_changed_rater_is_found(desktop):
    desktop.loadCase("case01")
    inspection = _looking(desktop)
    rater = desktop.panel.parameters.raters[0]
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(rater.node, rater.segmentID).copy()
    voxels[0, 0, 0] = not voxels[0, 0, 0]
    slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, rater.node, rater.segmentID)
    _assertFound(desktop, inspection, "rater", rater.node.GetName())


def check_widened_panel_is_found(desktop):
    inspection = _looking(desktop)
    desktop.panelWidth += 80
    _assertFound(desktop, inspection, "width", "the user made it")
    desktop.panelWidth = inspection.panelWidth


def check_window_beyond_the_screen_is_found(desktop):
    inspection = _looking(desktop)
    screen = desktop.window.screen().geometry
    desktop.window.setMinimumWidth(screen.width() + 100)
    desktop.settle()
    faults = [fault for fault in inspection.new() if fault.kind != "width"]
    desktop.window.setMinimumWidth(0)
    assert [fault.kind for fault in faults] == ["window"], faults


def check_editor_on_a_rater_is_found(desktop):
    desktop.loadCase("case01")
    panel = desktop.panel
    panel.correct.ui.startButton.click()
    inspection = _looking(desktop)
    rater = panel.parameters.raters[0].node
    panel.correct.ui.editor.mrmlSegmentEditorNode().SetAndObserveSegmentationNode(rater)
    _assertFound(desktop, inspection, "editor", f"the editor works on {rater.GetName()}")


def check_editor_without_the_copy_is_found(desktop):
    desktop.loadCase("case01")
    panel = desktop.panel
    panel.correct.ui.startButton.click()
    inspection = _looking(desktop)
    panel.correct.ui.editor.enabled = False
    _assertFound(desktop, inspection, "editor", "cannot edit it")


def check_removed_display_node_is_found(desktop):
    desktop.loadCase("case01")
    rater = desktop.panel.parameters.raters[0].node
    display = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationDisplayNode", "planted")
    display.SetVisibility(False)
    inspection = _looking(desktop)
    rater.AddNodeReferenceID("display", display.GetID())
    slicer.mrmlScene.RemoveNode(display)
    _assertFound(desktop, inspection, "display", "planted")


def check_segmentation_removed_with_its_display_nodes_is_no_fault(desktop):
    desktop.loadCase("case01")
    rater = desktop.panel.parameters.raters[0].node
    inspection = _looking(desktop)
    slicer.mrmlScene.RemoveNode(rater)
    _assertNothing(desktop, inspection)


def check_dialog_that_stays_is_found(desktop):
    inspection = _looking(desktop)
    dialog = qt.QDialog(desktop.window)
    dialog.windowTitle = "planted"
    dialog.setProperty(dialogs.ANSWERED, 1)  # so that nobody closes it at once
    dialog.open()
    _assertFound(desktop, inspection, "modal", "planted")
    dialog.reject()


def check_question_within_a_file_dialog_is_answered(desktop):
    path = desktop.shared / "there.txt"
    path.write_text("there", encoding="utf-8")
    desktop.fileDialogs(path)
    desktop.answerBoxes(("already exists", "Yes"))
    assert qt.QFileDialog.getSaveFileName(desktop.window, "Write", "", "Text (*.txt)") == str(path)


def check_wait_cursor_that_stays_is_found(desktop):
    inspection = _looking(desktop)
    slicer.app.setOverrideCursor(qt.Qt.WaitCursor)
    _assertFound(desktop, inspection, "cursor", "the wait cursor stays")
    slicer.app.restoreOverrideCursor()
