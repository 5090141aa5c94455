"""Step 6 of the panel: every control, on a working copy of a known contour."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
from correct_step import choose, edit, readyToCorrect, start
from imitation.segment_editor import editorState
from opened_panel import waitFor
from section_case import GRID, RATERS, VOXEL_ML, addRaters, box, segmentOf

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintySlicer.correction import workingCopyOf
from ObserverUncertaintySlicer.parameters import RaterChoice
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.segments import addSegment, addSegmentation


@pytest.fixture
def section(panel):
    return panel.correct


@pytest.fixture
def ready(panel):
    return readyToCorrect(panel)


def sliceView(name):
    return slicer.util.getNode(f"vtkMRMLSliceNode{name}")


def settleLive(application, section):
    """Wait until the figures are those of the last edit."""
    waitFor(lambda: not section._live.active)


def test_without_a_contour_there_is_nothing_to_correct(section):
    assert section.state() == "nothing to correct yet"
    ui = section.ui
    assert "step 1" in ui.missingLabel.text
    assert all(part.isHidden() for part in (ui.startBox, ui.workplace, ui.advancedButton))
    assert not ui.editor.enabled


def test_every_contour_is_offered_and_the_chosen_one_copied(ready):
    titles = [ready.ui.sourceCombo.itemText(n) for n in range(ready.ui.sourceCombo.count)]
    assert titles[0] == "model's segmentation: model"
    assert titles[-3:] == ["rater anna", "rater ben", "rater cara"]
    copy = start(ready, "rater cara")
    np.testing.assert_array_equal(segmentOf(copy), RATERS["cara"])
    assert ready.state() == f"correcting {copy.GetName()}"


def test_the_models_contour_is_offered_first_unless_the_user_chose_another(ready, panel):
    assert ready.ui.sourceCombo.currentText == "model's segmentation: model"
    ready.ui.sourceCombo.currentIndex = 2
    ready.ui.sourceCombo.activated.emit(2)
    panel.parameters.fusedSegmentation = panel.context.logic.fuseRaters(panel.parameters.raters, "union")
    assert ready.ui.sourceCombo.currentText == "rater ben"


def threeOfOneName(panel):
    """Three raters as three masks come in that were loaded as segmentations: of one name in nodes of one name."""
    nodes = [addRaters({"Segment_1": mask}, "mask") for mask in RATERS.values()]
    panel.parameters.raterChoices = [RaterChoice(ratersOfNode(node)[0]) for node in nodes]
    return nodes


def test_a_rater_is_held_by_its_node_and_segment_and_never_by_its_name(ready, panel):
    threeOfOneName(panel)
    titles = [ready.ui.sourceCombo.itemText(n) for n in range(ready.ui.sourceCombo.count)]
    assert titles[1:] == ["rater mask", "rater mask (2)", "rater mask (3)"]
    choose(ready, 3)
    # Whatever rebuilds the list: a fusion, a new prediction, a renamed one, a rater fewer.
    panel.parameters.fusedSegmentation = panel.context.logic.fuseRaters(panel.parameters.raters, "union")
    panel.parameters.segmentation = addSegmentation(RATERS["ben"], GRID, "model", "cavity", (0, 0, 1))
    panel.parameters.fusedSegmentation.SetName("renamed")
    panel.update()
    assert ready.ui.sourceCombo.currentText == "rater mask (3)"
    panel.parameters.raterChoices = panel.parameters.raterChoices[1:]
    assert ready.ui.sourceCombo.currentText == "rater mask (2)"
    ready.ui.startButton.click()
    np.testing.assert_array_equal(segmentOf(panel.parameters.workingCopy), RATERS["cara"])


def test_a_copy_of_an_unnamed_rater_says_whose_it_is(ready, panel):
    addRaters({"Segment_1": RATERS["ben"]}, "dr_b")
    panel.parameters.raterChoices = [RaterChoice(ratersOfNode(slicer.util.getNode("dr_b"))[0])]
    choose(ready, 1)
    ready.ui.startButton.click()
    assert panel.parameters.workingCopy.GetName() == "dr_b (working copy)"


def test_the_editor_is_on_the_copy_over_the_image_and_offers_nothing_else(ready):
    copy = start(ready)
    editor = ready.ui.editor
    assert editor.enabled
    assert editor.segmentationNode() is copy
    assert editor.sourceVolumeNode() is ready.parameters.reference
    for part in (
        "segmentationNodeSelectorVisible",
        "sourceVolumeNodeSelectorVisible",
        "switchToSegmentationsButtonVisible",
        "addRemoveSegmentButtonsVisible",
        "autoShowSourceVolumeNode",
    ):
        assert not getattr(editor, part)


def test_a_copy_is_an_outline_and_what_would_cover_the_entropy_is_none(ready, panel):
    copy = start(ready)
    display = copy.GetDisplayNode()
    assert display.GetVisibility2DOutline()
    assert not display.GetVisibility2DFill()
    assert display.GetSliceIntersectionThickness() == 3
    ready.ui.authorEdit.text = "Anna"
    ready.ui.saveButton.click()
    assert not panel.parameters.lastCorrection.GetDisplayNode().GetVisibility()


def test_the_entropy_behind_the_copy_has_its_legend(ready, panel):
    entropy = panel.parameters.predictiveEntropy
    start(ready)
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert {node.GetForegroundVolumeID() for node in composites} == {entropy.GetID()}
    assert {node.GetBackgroundVolumeID() for node in composites} == {panel.parameters.reference.GetID()}
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(entropy)
    assert legend.GetVisibility()
    assert legend.GetTitleText() == "Model\nuncertainty\n(bits)"
    assert {sliceView(name).GetID() for name in ("Red", "Yellow", "Green")} <= set(legend.GetViewNodeIDs())


def test_the_keys_of_the_editor_do_not_hold_while_another_step_is_typed_into(ready, panel):
    start(ready)
    assert editorState(ready.ui.editor).shortcuts
    slicer.app.focusChanged.emit(None, panel.case.ui.caseNameEdit)
    assert not editorState(ready.ui.editor).shortcuts
    slicer.app.focusChanged.emit(panel.case.ui.caseNameEdit, ready.ui.saveButton)
    assert not editorState(ready.ui.editor).shortcuts, "Space presses the button"
    slicer.app.focusChanged.emit(ready.ui.saveButton, ready.ui.editor)
    assert editorState(ready.ui.editor).shortcuts
    panel.exit()
    slicer.app.focusChanged.emit(None, ready.ui.editor)
    assert not editorState(ready.ui.editor).shortcuts


def test_the_figures_follow_the_edit(ready, slicerApplication):
    copy = start(ready)
    edit(copy, box(10, 15))
    waitFor(lambda: "Dice 0.667" in ready.ui.liveLabel.text)
    assert f"{500 * VOXEL_ML:.2f} mL (start {1000 * VOXEL_ML:.2f})" in ready.ui.liveLabel.text


def test_figures_that_cannot_be_computed_are_told_beside_the_figures_and_in_no_box(ready, slicerApplication):
    copy = start(ready)
    segmentID = copy.GetSegmentation().GetNthSegmentID(0)
    copy.GetSegmentation().RemoveSegment(segmentID)
    waitFor(lambda: "Undo its deletion" in ready.ui.liveLabel.text)
    for _ in range(3):
        ready.context.update()
        settleLive(slicerApplication, ready)
    assert slicerApplication.dialogs.messages == []
    assert copy.GetName() in ready.ui.liveLabel.text
    addSegment(copy, "x", (1, 0, 0))
    settleLive(slicerApplication, ready)
    assert slicerApplication.dialogs.messages == []


def test_what_was_done_to_the_source_stands_below_the_figures(ready, panel):
    start(ready)
    assert "resampled" not in ready.ui.liveLabel.text
    coarser = Grid(
        size=(16, 15, 20), spacing=(4.0, 4.0, 2.5), origin=(-30.0, -28.0, -24.0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)
    )
    panel.parameters.segmentation = addSegmentation(RATERS["anna"][:, ::2, ::2], coarser, "coarse", "c", (0, 0, 1))
    start(ready)
    assert "resampled" in ready.ui.liveLabel.text.splitlines()[1]


def test_saving_keeps_who_and_the_raters(ready):
    copy = start(ready, "rater anna")
    edit(copy, box(10, 15))
    ready.ui.authorEdit.text = "Dr. Ä"
    ready.ui.commentEdit.text = "air, not cavity"
    ready.ui.saveButton.click()
    saved = ready.parameters.node.GetNodeReference("LastCorrection")
    assert saved.GetAttribute("ObserverUncertainty.Author") == "Dr. Ä"
    assert saved.GetAttribute("ObserverUncertainty.Comment") == "air, not cavity"
    np.testing.assert_array_equal(segmentOf(saved), box(10, 15))
    assert ready.ui.savedLabel.text == f"Saved in the scene as {saved.GetName()}. Export… writes a file."
    assert ready.parameters.correctionAuthor == "Dr. Ä"


def test_leaving_the_module_stops_the_effect_and_coming_back_goes_on(ready, panel):
    copy = start(ready)
    ready.ui.editor.setActiveEffectByName("Paint")
    assert ready.ui.editor.activeEffect().name == "Paint"
    panel.exit()
    assert ready.ui.editor.activeEffect() is None
    assert not editorState(ready.ui.editor).viewObservations
    panel.enter()
    assert ready.ui.editor.segmentationNode() is copy
    assert editorState(ready.ui.editor).viewObservations


def test_a_deleted_working_copy_is_simply_gone(ready):
    copy = start(ready)
    slicer.mrmlScene.RemoveNode(copy)
    assert ready.parameters.workingCopy is None
    assert ready.state() == "ready"
    assert ready.ui.workplace.isHidden()
    assert ready.ui.liveLabel.text == ""


def test_closing_the_scene_lets_go_of_everything(ready):
    start(ready)
    slicer.mrmlScene.Clear()
    assert ready.ui.editor.segmentationNode() is None
    assert ready.state() == "nothing to correct yet"


def test_a_copy_is_told_from_its_source(ready):
    copy = start(ready)
    assert workingCopyOf(copy) is not None
    assert workingCopyOf(ready.parameters.segmentation) is None
