"""Step 6 as a review: places and what was found there, propagation and its undo, levels, and the record that stays."""

from __future__ import annotations

import json

import numpy as np
import pytest
import slicer
import slicer.util
from correct_step import LOWER, UPPER, edit, modelsProbability, readyToCorrect, start
from opened_panel import waitFor
from section_case import GRID, VOXEL_ML, cells, segmentOf

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.review.propagation import propagate
from ObserverUncertaintySlicer import attributes
from ObserverUncertaintySlicer.attributes import Role
from ObserverUncertaintySlicer.correction import workingCopyOf
from ObserverUncertaintySlicer.places import placesToReview
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.volumes import addVolume


@pytest.fixture
def ready(panel):
    section = readyToCorrect(panel)
    section.open()
    return section


def segmented():
    return modelsProbability() > 0.5


def with_stroke(mask=None, where=np.s_[5, 10:20, 10:15]):
    """The model's contour without the half of a slice that the model is unsure of."""
    changed = segmented() if mask is None else mask.copy()
    changed[where] = False
    return changed


def draw(section, mask):
    """Make the copy this mask, as the brush does, and wait until the step has followed."""
    edit(section.parameters.workingCopy, mask)
    waitFor(lambda: not section._live.active)


def found(section):
    return [row[4] for row in cells(section.ui.placesTable)]


def viewCentre(name="Red"):
    matrix = slicer.util.getNode(f"vtkMRMLSliceNode{name}").GetSliceToRAS()
    return [matrix.GetElement(row, 3) for row in range(3)]


def outlined():
    (node,) = [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        if attributes.ROLE.of(node) == Role.PLACE and node.GetDisplayNode().GetVisibility()
    ]
    return segmentOf(node)


def test_the_table_has_the_places_with_what_is_expected_to_be_wrong(ready):
    start(ready)
    assert cells(ready.ui.placesTable) == [
        ["1", "0.80 mL", "57%", "25%", ""],
        ["2", "0.60 mL", "43%", "25%", ""],
    ]
    assert "Slices 5 to 6, 2.0 mL in doubt, mean entropy 0.97 bits" in ready.ui.placesTable.item(0, 0).toolTip()
    assert ready.ui.sliceLabel.text == "Place 1. Reviewed: 0 of 2 places, 0% of the expected error"


def test_a_click_shows_the_place_in_every_view_and_outlines_it(ready):
    start(ready)
    expected = placesToReview(ready.parameters.probability)
    for row, where in ((1, UPPER), (0, LOWER)):
        ready.ui.placesTable.setCurrentCell(row, 2)
        for view in ("Red", "Yellow", "Green"):
            np.testing.assert_allclose(viewCentre(view), expected.positions[row], atol=1e-6)
        inside = np.zeros(GRID.shape, bool)
        inside[where] = True
        np.testing.assert_array_equal(outlined(), inside)


def test_accept_and_skip_are_kept_and_an_edit_counts_more_until_it_is_undone(ready):
    start(ready)
    ready.ui.acceptButton.click()
    assert found(ready) == ["accepted", ""]
    ready.ui.nextButton.click()
    assert found(ready) == ["accepted", "skipped"]
    ready.ui.nextButton.click()  # back at the first one: it was accepted
    assert found(ready) == ["accepted", "skipped"]
    draw(ready, with_stroke(where=np.s_[6, 10:20, 10:12]))
    assert found(ready) == ["edited", "skipped"]
    draw(ready, segmented())
    assert found(ready) == ["accepted", "skipped"]
    ready.places.tell()
    assert ready.ui.sliceLabel.text == "Place 2. Reviewed: 1 of 2 places, 57% of the expected error"


def test_what_was_found_and_drawn_comes_back_with_the_scene(ready, panel, tmp_path):
    copy = start(ready)
    ready.ui.acceptButton.click()
    drawn = with_stroke(where=np.s_[15:17, 10:20, 10:15])
    drawn[np.s_[15, 10:20, 10:15]] = True
    draw(ready, drawn)
    assert found(ready) == ["accepted", "edited"]
    name, before = copy.GetName(), ready.tools.review.drawn
    path = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path))
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.ReadFromMRB(str(path))
    assert panel.parameters.workingCopy.GetName() == name
    assert found(panel.correct) == ["accepted", "edited"]
    for axis, mask in before.items():
        np.testing.assert_array_equal(panel.correct.tools.review.drawn[axis], mask)
    (outline,) = [
        node for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if node.GetName() == "place to review"
    ]
    assert outline.GetHideFromEditors()
    assert not outline.GetDisplayNode().GetVisibility(), "the user has not gone to a place yet"


def test_propagate_gives_what_the_library_gives_and_undo_and_redo_are_exact(ready):
    copy = start(ready)
    drawn = with_stroke()
    draw(ready, drawn)
    (axis,) = ready.tools.review.drawn
    expected = propagate(
        modelsProbability(),
        segmented(),
        drawn,
        ready.tools.review.drawn,
        GRID,
        slicer.util.arrayFromVolume(ready.parameters.reference),
    )
    assert axis == 0
    assert expected.followed.any()
    ready.ui.propagateButton.click()
    np.testing.assert_array_equal(segmentOf(copy), expected.contour)
    followed = np.count_nonzero(expected.followed) * VOXEL_ML
    assert ready.ui.sliceLabel.text == f"{followed:.2f} mL followed what you drew."
    ready.ui.editor.undo()
    np.testing.assert_array_equal(segmentOf(copy), drawn)
    waitFor(lambda: not ready._live.active)
    ready.ui.propagateButton.click()
    np.testing.assert_array_equal(segmentOf(copy), expected.contour)


def test_propagate_before_anything_was_drawn_says_so_and_changes_nothing(ready):
    copy = start(ready)
    ready.ui.propagateButton.click()
    assert ready.ui.sliceLabel.text == "Nothing was drawn yet that could be carried on."
    np.testing.assert_array_equal(segmentOf(copy), segmented())


def test_at_once_a_stroke_is_carried_on_and_its_undo_is_not(ready):
    copy = start(ready)
    ready.ui.propagateAtOnceCheck.checked = True
    drawn = with_stroke()
    draw(ready, drawn)
    waitFor(lambda: not ready._live.active)
    carried = segmentOf(copy)
    assert (carried != drawn).any()
    ready.ui.editor.undo()
    waitFor(lambda: not ready._live.active)
    np.testing.assert_array_equal(segmentOf(copy), drawn)


def test_a_slice_that_is_right_decides_all_of_it_and_leads_to_the_next(ready):
    start(ready)
    index = 5
    place = GRID.index_to_physical() @ [15, 15, index, 1]
    ready.places.goTo(0)
    for name in ("Red", "Yellow", "Green"):
        slicer.util.getNode(f"vtkMRMLSliceNode{name}").JumpSliceByCentering(-place[0], -place[1], place[2])
    draw(ready, with_stroke())
    ready.ui.sliceRightButton.click()
    decided = np.zeros(GRID.shape, bool)
    decided[index] = True
    np.testing.assert_array_equal(ready.tools.review.drawn[0], decided)
    k = (np.linalg.inv(GRID.index_to_physical()) @ [-viewCentre()[0], -viewCentre()[1], viewCentre()[2], 1])[2]
    assert round(k) in (15, 16), "what is left in doubt far from the slice helps most"


def test_the_slider_moves_the_contour_and_leaves_what_was_drawn(ready):
    copy = start(ready)
    assert ready.ui.levelSlider.value == 0.5
    stroke = np.s_[6, 10:20, 10:12]
    draw(ready, with_stroke(where=stroke))
    ready.ui.levelSlider.value = 0.2
    expected = modelsProbability() > 0.2
    expected[stroke] = False
    np.testing.assert_array_equal(segmentOf(copy), expected)
    ready.ui.levelSlider.value = 0.7
    expected = modelsProbability() > 0.7
    expected[stroke] = False
    np.testing.assert_array_equal(segmentOf(copy), expected)
    ready.ui.editor.undo()
    waitFor(lambda: not ready._live.active)
    np.testing.assert_array_equal(segmentOf(copy), with_stroke(where=stroke))
    assert ready.ui.levelSlider.value == 0.5, "the moves of a slider are undone in one go, and it shows it"


def test_an_alternative_is_a_level_and_is_named(ready):
    copy = start(ready)
    combo = ready.ui.alternativeCombo
    texts = [combo.itemText(n) for n in range(combo.count)]
    assert texts[0] == f"choose one of {len(texts) - 1}"
    assert texts[1].startswith("the narrowest of")
    combo.activated.emit(1)
    assert ready.ui.levelSlider.value > 0.5
    np.testing.assert_array_equal(segmentOf(copy), modelsProbability() > ready.ui.levelSlider.value)
    assert combo.currentIndex == 1
    ready.ui.levelSlider.value = 0.45
    assert combo.currentIndex == 0


def test_only_where_the_model_is_unsure_is_told_to_the_editor_and_taken_back(ready):
    start(ready)
    editor, node = ready.ui.editor, ready.ui.editor.mrmlSegmentEditorNode()
    ready.ui.onlyUnsureCheck.checked = True
    assert node.GetSourceVolumeIntensityMask()
    assert editor.sourceVolumeNode() is ready.parameters.probability
    assert list(node.GetSourceVolumeIntensityMaskRange()) == pytest.approx([0.01, 0.99])
    ready.ui.onlyUnsureCheck.checked = False
    assert not node.GetSourceVolumeIntensityMask()
    assert editor.sourceVolumeNode() is ready.parameters.reference


def test_inner_and_outer_contour_are_shown_and_go_with_the_copy(ready):
    def shown():
        return [
            node
            for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
            if attributes.ROLE.of(node) == Role.CONFIDENCE
        ]

    start(ready)
    ready.ui.confidenceCheck.checked = True
    (node,) = shown()
    inner, outer = (rater for rater in ratersOfNode(node))
    assert (inner.name, outer.name) == ("inner contour", "outer contour")
    from ObserverUncertaintySlicer.raterMasks import raterMask

    np.testing.assert_array_equal(raterMask(inner, GRID)[0], modelsProbability() > 0.9)
    np.testing.assert_array_equal(raterMask(outer, GRID)[0], modelsProbability() > 0.1)
    assert "inner contour 8.00 mL, outer contour 12.00 mL" in ready.ui.liveLabel.text
    ready.ui.confidenceCheck.checked = False
    assert "inner contour" not in ready.ui.liveLabel.text
    ready.ui.confidenceCheck.checked = True
    ready.parameters.workingCopy = None
    assert shown() == []


def test_without_a_model_there_are_the_experts_places_and_nothing_to_carry_on(ready, panel):
    parameters = panel.parameters
    for name in ("probability", "predictiveEntropy", "expectedEntropy", "segmentation"):
        setattr(parameters, name, None)
    panel.disagreement.ui.expertEntropyButton.click()
    start(ready, "rater anna")
    assert len(cells(ready.ui.placesTable)) == 2
    assert ready.ui.carryBox.isHidden()
    assert ready.ui.levelBox.isHidden()
    assert "cara" not in ready.ui.sliceLabel.text
    assert [row[3] for row in cells(ready.ui.placesTable)] == ["", ""]


def test_a_probability_on_another_grid_is_told_and_hinders_nothing(ready, panel):
    from ObserverUncertaintyLib.images.grid import Grid

    other = Grid((16, 15, 10), (4.0, 4.0, 5.0), GRID.origin, GRID.direction)
    panel.parameters.probability = addVolume(np.full(other.shape, 0.3, np.float32), other, "coarse")
    start(ready)
    assert ready.tools.review is None
    assert ready.ui.carryBox.isHidden()
    assert "coarse" in ready.ui.sliceLabel.text or len(cells(ready.ui.placesTable))


def test_the_record_says_who_which_model_how_long_and_what_was_seen(ready, tmp_path):
    attributes.MODEL.set(ready.parameters.probability, "712422b2")
    copy = start(ready)
    clock = iter([100.0, 130.0, 400.0, 410.0, 410.0, 410.0])
    ready._time._clock = lambda: next(clock, 410.0)
    ready._time._last = None
    attributes.SECONDS.set(copy, None)
    ready._noteTime()
    ready.ui.acceptButton.click()  # 30 s later
    draw(ready, with_stroke(where=np.s_[15, 0, 0]))
    draw(ready, with_stroke())  # a pause of 270 s counts as a minute
    ready.ui.authorEdit.text = "Dr. Ö"
    ready.ui.saveButton.click()
    saved = ready.parameters.lastCorrection
    assert " reviewed by Dr. Ö " in saved.GetName()
    assert attributes.SECONDS.of(saved) == pytest.approx(attributes.SECONDS.of(copy))
    assert attributes.SECONDS.of(saved) == pytest.approx(100.0)
    assert attributes.REVIEW_MODEL.of(saved) == "712422b2"
    assert attributes.CHANGED_VOXELS.of(saved) == 50
    assert attributes.CHANGED_ML.of(saved) == pytest.approx(0.5)
    assert [place["state"] for place in attributes.PLACES.of(saved)] == ["edited", "open"]
    path = ready.logic.exportReviewed(saved, tmp_path / "a.nrrd")
    record = json.loads(path.with_name(path.name + ".json").read_text(encoding="utf-8"))
    assert record["Author"] == "Dr. Ö"
    assert record["ReviewModel"] == "712422b2"
    assert json.loads(record["Places"])[0]["state"] == "edited"


def test_what_is_saved_can_be_exported_and_what_changed_since_can_be_saved(ready):
    start(ready)
    ui = ready.ui
    ui.authorEdit.text = "Dr. Ö"
    assert (ui.saveButton.isHidden(), ui.exportButton.isHidden()) == (False, True)
    ui.saveButton.click()
    assert (ui.saveButton.isHidden(), ui.exportButton.isHidden()) == (True, False)
    draw(ready, with_stroke())
    assert (ui.saveButton.isHidden(), ui.exportButton.isHidden()) == (False, True)
    draw(ready, segmented())
    assert (ui.saveButton.isHidden(), ui.exportButton.isHidden()) == (True, False)
    ui.commentEdit.textEdited.emit("too large")
    assert (ui.saveButton.isHidden(), ui.exportButton.isHidden()) == (False, True)


def test_a_script_propagates_what_it_drew_since_the_start(ready):
    parameters, drawn = ready.parameters, with_stroke()
    copy = ready.logic.startCorrection(parameters.segmentation, parameters.reference)
    edit(copy.node, drawn)
    changedMl = ready.logic.propagateCorrection(copy, parameters.probability, parameters.reference)
    image = slicer.util.arrayFromVolume(parameters.reference)
    stroke = {0: drawn ^ segmented()}
    expected = propagate(modelsProbability(), segmented(), drawn, stroke, GRID, image)
    np.testing.assert_array_equal(segmentOf(copy.node), expected.contour)
    assert changedMl == pytest.approx(np.count_nonzero(expected.followed) * VOXEL_ML)
    slicer.mrmlScene.RemoveNode(copy.startNode)
    again = ready.logic.startCorrection(parameters.segmentation, parameters.reference)
    slicer.mrmlScene.RemoveNode(again.startNode)
    with pytest.raises(InputError, match="has no start any more"):
        ready.logic.propagateCorrection(workingCopyOf(again.node), parameters.probability)
