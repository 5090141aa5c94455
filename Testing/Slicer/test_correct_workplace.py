"""Step 6 as a workplace: what is shown while one corrects, what is hidden, the keys, and the tools."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from correct_step import readyToCorrect
from imitation.segment_editor import editorState
from opened_panel import isOffered
from section_case import GRID, RATERS

from ObserverUncertaintySlicer.places import placesToReview
from ObserverUncertaintySlicer.segments import addSegmentation
from ObserverUncertaintySlicer.volumes import addVolume


@pytest.fixture
def ready(panel):
    """With the raters' fusion too, and the step open."""
    section = readyToCorrect(panel)
    panel.parameters.fusedSegmentation = panel.context.logic.fuseRaters(panel.parameters.raters, "majority")
    section.open()
    return section


def isShown(node):
    return any(node.GetNthDisplayNode(n).GetVisibility() for n in range(node.GetNumberOfDisplayNodes()))


def shortcuts():
    import qt

    window = slicer.util.mainWindow()
    return {
        key.key.toString(): key for key in window.findChildren(qt.QShortcut) if key.parent() is window and key.enabled
    }


def ranks(section):
    combo = section.ui.rankCombo
    return [combo.itemText(n) for n in range(combo.count)]


def test_copy_and_raters_are_shown_and_what_would_hide_them_is_not(ready, panel):
    parameters = panel.parameters
    ready.ui.startButton.click()
    first = parameters.workingCopy
    assert isShown(first)
    assert isShown(parameters.raters[0].node)
    for hidden in (parameters.segmentation, parameters.fusedSegmentation):
        assert not isShown(hidden), hidden.GetName()
    ready.ui.authorEdit.text = "Anna"
    ready.ui.saveButton.click()
    ready.ui.startButton.click()
    assert not isShown(first), "an earlier copy"
    assert not isShown(parameters.lastCorrection)
    assert isShown(parameters.workingCopy)


def test_a_fusion_that_follows_the_raters_stays_hidden(ready, panel):
    ready.ui.startButton.click()
    fused = panel.parameters.fusedSegmentation
    panel.context.logic.fuseRaters(panel.parameters.raters, "union", output=fused)
    assert not isShown(fused)


def test_correcting_starts_at_the_most_uncertain_place_in_ordinary_views(ready, panel):
    panel.parameters.expertEntropy = addVolume(np.full(GRID.shape, 0.1, np.float32), GRID, "expert")
    panel.compare.ui.compareButton.click()
    assert panel.compare.views is not None
    ready.ui.startButton.click()
    assert panel.compare.views is None, "the comparison's views are small"
    place = placesToReview(panel.parameters.probability).positions[0]
    for view in ("Red", "Yellow", "Green"):
        matrix = slicer.mrmlScene.GetSingletonNode(view, "vtkMRMLSliceNode").GetSliceToRAS()
        np.testing.assert_allclose([matrix.GetElement(row, 3) for row in range(3)], place, atol=0.1)
    assert ready.ui.sliceLabel.text == "Place 1. Reviewed: 0 of 2 places, 0% of the expected error"


def test_what_can_be_ranked_by_is_what_is_there_and_a_choice_stays(ready, panel):
    assert ranks(ready) == ["model uncertainty"]
    panel.parameters.expertEntropy = addVolume(np.full(GRID.shape, 0.2, np.float32), GRID, "expert")
    assert ranks(ready) == ["model uncertainty", "expert disagreement"]
    assert ready.ui.rankCombo.currentText == "model uncertainty"
    ready.ui.rankCombo.currentIndex = 1
    panel.parameters.predictiveEntropy = addVolume(np.full(GRID.shape, 0.3, np.float32), GRID, "another")
    assert ready.ui.rankCombo.currentText == "expert disagreement"
    panel.parameters.predictiveEntropy = None
    assert ranks(ready) == ["expert disagreement"]
    panel.parameters.expertEntropy = None
    assert ranks(ready) == []


def test_experts_that_come_first_do_not_keep_the_model_from_ranking(ready, panel):
    model, panel.parameters.predictiveEntropy = panel.parameters.predictiveEntropy, None
    panel.parameters.expertEntropy = addVolume(np.full(GRID.shape, 0.2, np.float32), GRID, "expert")
    assert ranks(ready) == ["expert disagreement"]
    panel.parameters.predictiveEntropy = model
    assert ready.ui.rankCombo.currentText == "model uncertainty"


def test_without_an_uncertainty_there_is_no_place_to_go_to(ready, panel):
    panel.parameters.predictiveEntropy = panel.parameters.probability = None
    ready.ui.startButton.click()
    assert ready.ui.nextButton.isHidden()
    assert ready.ui.acceptButton.isHidden()
    assert isOffered(ready.ui.saveButton)


def test_keys_go_through_the_places_while_one_corrects(ready, panel):
    assert shortcuts() == {}
    ready.ui.startButton.click()
    assert set(shortcuts()) == {"N", "P", "A", "S"}
    shortcuts()["N"].activated.emit()
    assert ready.ui.sliceLabel.text.startswith("Place 2.")
    shortcuts()["P"].activated.emit()
    assert ready.ui.sliceLabel.text.startswith("Place 1.")
    shortcuts()["A"].activated.emit()
    assert ready.ui.sliceLabel.text == "Place 2. Reviewed: 1 of 2 places, 57% of the expected error"
    slicer.util.selectModule("Data")
    slicer.app.processEvents()
    assert shortcuts() == {}
    assert not editorState(ready.ui.editor).shortcuts


def test_n_and_p_hold_on_the_steps_buttons_and_not_in_another_step(ready, panel):
    ready.ui.startButton.click()
    slicer.app.focusChanged.emit(None, ready.ui.saveButton)
    assert set(shortcuts()) == {"N", "P", "A", "S"}
    slicer.app.focusChanged.emit(ready.ui.saveButton, panel.case.ui.caseNameEdit)
    assert shortcuts() == {}


def test_a_click_of_the_mouse_leaves_the_keyboard_to_the_view(ready):
    import qt

    for name in ("startButton", "nextButton", "acceptButton", "saveButton", "exportButton"):
        assert getattr(ready.ui, name).focusPolicy == qt.Qt.TabFocus, name


def test_the_legend_names_the_copy_and_every_rater_by_its_colour(ready, panel):
    assert ready.ui.legendLabel.text == ""
    ready.ui.startButton.click()
    legend = ready.ui.legendLabel.text
    segment = panel.parameters.workingCopy.GetSegmentation().GetNthSegment(0)
    colors = [segment.GetColor(), *(rater.color for rater in panel.parameters.raters)]
    names = ["working&nbsp;copy", "anna", "ben", "cara"]
    entries = legend.split("<span")[1:]
    assert len(entries) == len(colors)
    for entry, color, name in zip(entries, colors, names, strict=True):
        assert "color:#" + "".join(f"{round(255 * part):02x}" for part in color) in entry
        assert entry.rstrip().endswith(name)


def test_a_raters_name_that_looks_like_markup_is_written_out(ready, panel):
    panel.parameters.raters[0].node.GetSegmentation().GetNthSegment(0).SetName("<b>x")
    ready.ui.startButton.click()
    assert "&lt;b&gt;x" in ready.ui.legendLabel.text


def test_only_the_tools_that_one_contour_needs_are_there(ready):
    from ObserverUncertaintySlicer.panel.copyEditor import EFFECTS

    editor = ready.ui.editor
    assert editor._effectNameOrder == list(EFFECTS)
    assert not editor.unorderedEffectsVisible
    for name in ("Threshold", "Grow from seeds", "Logical operators", "Mask volume"):
        assert name not in EFFECTS
    for part in ("maskingSectionVisible", "show3DButtonVisible", "specifyGeometryButtonVisible"):
        assert not getattr(editor, part)


def test_another_copy_is_started_from_advanced(ready):
    assert isOffered(ready.ui.startBox)
    assert ready.ui.startButton.text == "Start correcting"
    ready.ui.startButton.click()
    assert ready.ui.startBox.isHidden()
    ready.ui.advancedButton.collapsed = False
    assert isOffered(ready.ui.startBox)
    assert ready.ui.startButton.text == "Start another copy"


def background(view="Red"):
    return slicer.mrmlScene.GetSingletonNode(view, "vtkMRMLSliceCompositeNode").GetBackgroundVolumeID()


def foreground(view="Red"):
    return slicer.mrmlScene.GetSingletonNode(view, "vtkMRMLSliceCompositeNode").GetForegroundVolumeID()


def test_the_keys_without_an_uncertainty_say_so_and_raise_nothing(ready, panel, slicerApplication):
    panel.parameters.predictiveEntropy = panel.parameters.probability = None
    ready.ui.startButton.click()
    shortcuts()["N"].activated.emit()
    assert "no uncertainty yet" in ready.ui.sliceLabel.text
    assert slicerApplication.dialogs.messages == []


def test_another_patients_image_does_not_stay_under_the_copy(ready, panel):
    parameters = panel.parameters
    flair = addVolume(np.ones(GRID.shape, np.float32), GRID, "case FLAIR")
    parameters.sequences = {**parameters.sequences, "FLAIR": flair}
    ready.ui.startButton.click()
    other = addVolume(np.ones(GRID.shape, np.float32), GRID, "another patient's")
    red = slicer.mrmlScene.GetSingletonNode("Red", "vtkMRMLSliceCompositeNode")
    red.SetBackgroundVolumeID(other.GetID())
    ready.ui.nextButton.click()
    assert background() == parameters.reference.GetID()
    red.SetBackgroundVolumeID(flair.GetID())
    red.SetForegroundVolumeID(None)
    ready.ui.nextButton.click()
    assert background() == flair.GetID(), "another sequence of the case is the user's choice"
    assert foreground() is None


def test_a_result_that_comes_while_one_corrects_is_shown_and_told_and_its_contour_hidden(ready, panel):
    parameters = panel.parameters
    model, parameters.predictiveEntropy = parameters.predictiveEntropy, None
    parameters.expertEntropy = addVolume(np.full(GRID.shape, 0.2, np.float32), GRID, "expert")
    ready.ui.startButton.click()
    assert foreground() == parameters.expertEntropy.GetID()
    parameters.segmentation = addSegmentation(RATERS["ben"], GRID, "late model", "cavity", (0, 0, 1))
    parameters.predictiveEntropy = model
    assert foreground() == model.GetID()
    assert "found anew" in ready.ui.sliceLabel.text
    assert not isShown(parameters.segmentation)
    assert isShown(parameters.workingCopy)


def test_saving_without_a_name_asks_for_it_beside_the_field(ready, panel, slicerApplication):
    ready.ui.startButton.click()
    ready.ui.authorEdit.text = " "
    ready.ui.saveButton.click()
    assert "Give your name first" in ready.ui.savedLabel.text
    assert panel.parameters.lastCorrection is None
    assert slicerApplication.dialogs.messages == []
