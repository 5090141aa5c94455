"""Step 6: only the working copy is edited, the views go where it matters, and nothing gets in the way of the brush."""

from __future__ import annotations

import math
import subprocess

import numpy as np
import qt
import slicer
import vtk


def check_nothing_but_the_copy_can_be_chosen(desktop):
    desktop.loadCase("case01")
    correct = desktop.panel.correct
    correct.open()
    correct.ui.startButton.click()
    desktop.settle()
    editor = correct.ui.editor
    for combo in editor.findChildren(slicer.qMRMLNodeComboBox):
        assert not combo.visible, f"{combo.objectName} lets another node be chosen"
    unused = ("AddSegmentButton", "RemoveSegmentButton", "SwitchToSegmentationsButton")
    for name in (*unused, "SegmentsTableResizableFrame", "MaskingGroupBox", "Show3DButton", "SpecifyGeometryButton"):
        (part,) = [child for child in editor.findChildren(qt.QWidget) if child.objectName == name]
        assert not part.visible, name
    for name, isThere in (("Paint", True), ("Smoothing", True), ("Threshold", False), ("Grow from seeds", False)):
        (tool,) = [child for child in editor.findChildren(qt.QToolButton) if child.objectName == name]
        assert tool.visible == isThere, name
    assert editor.segmentationNode() is desktop.panel.parameters.workingCopy
    desktop.shot("editor")


def check_paint_undo_and_the_figures_follow(desktop):
    desktop.loadCase("case01")
    desktop.panel.disagreement.ui.expertEntropyButton.click()
    correct, parameters = desktop.panel.correct, desktop.panel.parameters
    correct.ui.startButton.click()
    copy, raters = parameters.workingCopy, parameters.raters[0].node
    before, ratersBefore = desktop.voxels(copy), desktop.voxels(raters)
    correct.ui.editor.setActiveEffectByName("Paint")
    desktop.mouse("Red", [(0.4, 0.3), (0.5, 0.3)])
    painted = desktop.voxels(copy)
    assert painted != before
    desktop.wait(lambda: " 0.00 mL changed" not in str(correct.ui.liveLabel.text), "the figures")
    desktop.shot("painted")
    correct.ui.editor.undo()
    assert desktop.voxels(copy) == before
    correct.ui.editor.redo()
    assert desktop.voxels(copy) == painted
    correct.ui.authorEdit.text = "Anna Süß"
    correct.ui.saveButton.click()
    saved = parameters.lastCorrection
    assert not saved.GetDisplayNode().GetVisibility(), "the saved correction covers the copy"
    assert desktop.voxels(raters) == ratersBefore


def check_next_moves_every_view_also_on_a_tilted_image(desktop):
    for degrees in (0, 8):
        slicer.mrmlScene.Clear(0)
        desktop.loadCase("case01")
        if degrees:
            _tilt(desktop, degrees)
        desktop.panel.disagreement.ui.expertEntropyButton.click()
        entropy = desktop.panel.parameters.expertEntropy
        desktop.panel.correct.ui.startButton.click()
        for rotate in (False, True):
            if rotate:
                for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
                    node.RotateToVolumePlane(entropy)
            _requireStepping(desktop, entropy, f"tilted by {degrees} degrees, views turned: {rotate}")


def check_n_and_p_go_through_the_places_while_the_hand_is_on_the_brush(desktop):
    desktop.loadCase("case01")
    desktop.panel.disagreement.ui.expertEntropyButton.click()
    correct = desktop.panel.correct
    correct.open()
    correct.ui.startButton.click()
    correct.ui.editor.setActiveEffectByName("Paint")
    label = correct.ui.sliceLabel
    assert str(label.text).startswith("Place 1."), label.text
    desktop.mouse("Red", [(0.5, 0.5)])
    for letter, number in (("n", 2), ("n", 3), ("p", 2)):
        _type(desktop, letter)
        desktop.wait(lambda number=number: str(label.text).startswith(f"Place {number}."), f"place {number}")
    correct.ui.authorEdit.text = ""
    _focus(desktop, correct.ui.authorEdit)
    _type(desktop, "n")
    assert str(correct.ui.authorEdit.text) == "n", "a letter that is typed is a letter"
    assert str(label.text).startswith("Place 2.")


def check_next_says_so_where_no_view_can_move(desktop):
    desktop.loadCase("case01")
    desktop.panel.disagreement.ui.expertEntropyButton.click()
    desktop.panel.correct.ui.startButton.click()
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUp3DView)
    desktop.settle()
    desktop.panel.correct.ui.nextButton.click()
    assert "No view moved" in str(desktop.panel.correct.ui.sliceLabel.text)


def check_a_segment_that_was_removed_is_told_beside_the_figures(desktop):
    desktop.loadCase("case01")
    desktop.panel.correct.ui.startButton.click()
    copy = desktop.panel.parameters.workingCopy
    copy.GetSegmentation().RemoveSegment(copy.GetSegmentation().GetNthSegmentID(0))
    label = desktop.panel.correct.ui.liveLabel
    desktop.wait(lambda: "does not have the segment" in str(label.text), "the text")
    desktop.settle(1.0)  # a modal box would be a problem of this check


def check_keys_of_the_editor_do_not_act_where_one_types_into_another_step(desktop):
    desktop.loadCase("case01")
    none = _shortcuts(desktop)
    desktop.panel.correct.open()
    desktop.panel.correct.ui.startButton.click()
    desktop.wait(lambda: _shortcuts(desktop) > none, "the editor's keys")
    desktop.panel.disagreement.open()
    _focus(desktop, desktop.panel.disagreement.ui.methodCombo)
    # Otherwise Space on a control would start an effect.
    desktop.wait(lambda: _shortcuts(desktop) == none, "the keys to be given back to another step")
    desktop.panel.correct.open()
    _focus(desktop, desktop.panel.correct.ui.authorEdit)
    desktop.wait(lambda: _shortcuts(desktop) > none, "the editor's keys again")
    slicer.util.selectModule("Data")
    desktop.wait(lambda: _shortcuts(desktop) == none, "the keys to be given back to another module")
    slicer.util.selectModule("ObserverUncertainty")


def check_leaving_for_another_module_and_back_keeps_the_copy(desktop):
    desktop.loadCase("case01")
    desktop.panel.correct.ui.startButton.click()
    desktop.panel.correct.ui.editor.setActiveEffectByName("Paint")
    slicer.util.selectModule("SegmentEditor")
    desktop.settle()
    assert desktop.panel.correct.ui.editor.activeEffect() is None
    slicer.util.selectModule("ObserverUncertainty")
    desktop.settle()
    editor = desktop.panel.correct.ui.editor
    assert editor.segmentationNode() is desktop.panel.parameters.workingCopy
    assert editor.mrmlSegmentEditorNode().GetSegmentationNode() is desktop.panel.parameters.workingCopy


def _requireStepping(desktop, entropy, when):
    """Each click shows, in every view, a place that is uncertain and was not shown before."""
    from ObserverUncertaintySlicer.volumes import arrayOfVolume, gridOfVolume, matrixOfGrid

    values, toIndex = arrayOfVolume(entropy), np.linalg.inv(matrixOfGrid(gridOfVolume(entropy)))
    places = []
    for _click in range(3):
        desktop.panel.correct.ui.nextButton.click()
        desktop.settle(0.1)
        middles = [_middle(node) for node in slicer.util.getNodesByClass("vtkMRMLSliceNode") if node.IsMappedInLayout()]
        assert len(middles) == 3
        for middle in middles:
            np.testing.assert_allclose(middle, middles[0], atol=0.1, err_msg=when)
        i, j, k = np.rint((toIndex @ [*middles[0], 1])[:3]).astype(int)
        assert values[k, j, i] > 0.05, f"not an uncertain place, {when}"
        places.append(tuple(middles[0]))
    assert len(set(places)) == 3, f"{places}, {when}"
    text = str(desktop.panel.correct.ui.sliceLabel.text)
    assert "of the expected error" in text, text


def _middle(sliceNode):
    matrix = sliceNode.GetSliceToRAS()
    return [matrix.GetElement(row, 3) for row in range(3)]


def _tilt(desktop, degrees):
    """Turn the whole case in the scene about two axes, as a tilted scan lies."""
    transform = vtk.vtkTransform()
    transform.RotateX(degrees)
    transform.RotateZ(degrees / 2)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "tilt")
    node.SetMatrixTransformToParent(transform.GetMatrix())
    parameters = desktop.panel.parameters
    for moved in [*parameters.sequences.values(), parameters.raters[0].node]:
        moved.SetAndObserveTransformNodeID(node.GetID())
    assert math.degrees(math.acos(transform.GetMatrix().GetElement(2, 2))) > degrees / 2
    desktop.settle()


def _focus(desktop, widget):
    """Give a widget the keyboard, which without a window manager no window has by itself."""

    def hasFocus():
        slicer.app.setActiveWindow(desktop.window)
        widget.setFocus()
        slicer.app.processEvents()
        focused = slicer.app.focusWidget()
        return focused is not None and focused.objectName == widget.objectName

    desktop.wait(hasFocus, f"the focus of {widget.objectName}")


def _shortcuts(desktop):
    """How many keys step 6 has taken over in the whole window."""
    keys = desktop.window.findChildren(qt.QShortcut)
    return len([key for key in keys if key.parent() is desktop.window and key.enabled])


def _type(desktop, letter):
    """A key as a keyboard sends it: to the window that has the focus, first as a shortcut."""
    subprocess.run(["xdotool", "key", letter], check=True)
    desktop.settle(0.1)
