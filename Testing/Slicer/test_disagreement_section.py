"""Step 2 of the panel: every control, and the live results against values computed here."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from section_case import GRID, RATERS, VOXEL_ML, addRaters, box, cells, fill, segmentOf, settle

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.raters.staple import staple
from ObserverUncertaintySlicer.parameters import RaterChoice
from ObserverUncertaintySlicer.raters import Rater, ratersOfNode
from ObserverUncertaintySlicer.segments import addSegmentation, setSegment
from ObserverUncertaintySlicer.volumes import arrayOfVolume

STACK = np.stack(list(RATERS.values()))
VOTES = STACK.sum(axis=0)
EXPECTED = {
    FusionMethod.MAJORITY: VOTES >= 2,
    FusionMethod.UNION: VOTES >= 1,
    FusionMethod.INTERSECTION: VOTES == 3,
    FusionMethod.MEAN: VOTES / 3 > 0.5,
}


@pytest.fixture
def section(panel):
    return panel.disagreement


def disputedMl():
    """Where some of the raters drew and others did not."""
    return np.count_nonzero((VOTES > 0) & (VOTES < 3)) * VOXEL_ML


def choose(section, method):
    section.ui.methodCombo.currentIndex = list(FusionMethod).index(method)


def test_without_two_raters_one_label_says_what_to_do_and_all_else_is_hidden(panel, section):
    ui = section.ui
    assert section.state() == "needs two raters"
    assert ui.sectionButton.text == "2. Expert disagreement: needs two raters"
    assert ui.contents.isHidden()
    assert "add the contours of at least two experts in step 1" in ui.missingLabel.text
    node = fill(panel)
    assert not ui.contents.isHidden()
    assert ui.missingLabel.isHidden()
    assert "bits" in ui.expertEntropyButton.toolTip
    choices = panel.parameters.raterChoices
    panel.parameters.raterChoices = [choices[0], *(RaterChoice(c.rater, enabled=False) for c in choices[1:])]
    assert ui.contents.isHidden()
    assert "tick more of them" in ui.missingLabel.text
    panel.parameters.raterChoices = choices
    slicer.mrmlScene.RemoveNode(node)
    assert ui.contents.isHidden()


def test_the_method_list_names_every_method_and_explains_the_chosen_one(section):
    ui = section.ui
    assert ui.methodCombo.count == len(FusionMethod)
    assert section.parameters.fusionMethod is FusionMethod.MAJORITY
    assert ui.methodCombo.currentText == "Majority vote"
    choose(section, FusionMethod.INTERSECTION)
    assert section.parameters.fusionMethod is FusionMethod.INTERSECTION
    assert ui.methodLabel.text == "Where every rater drew."
    section.parameters.fusionMethod = FusionMethod.UNION
    assert ui.methodCombo.currentText == "Union"
    assert section.parameters.trainingFusion is FusionMethod.NONE
    assert "training has its own choice" in ui.methodCombo.toolTip


def test_live_the_fusion_follows_method_raters_and_contours_in_one_node(slicerApplication, panel, section):
    raters = fill(panel)
    settle(slicerApplication, section)
    fused = section.parameters.fusedSegmentation
    np.testing.assert_array_equal(segmentOf(fused), EXPECTED[FusionMethod.MAJORITY])
    for method, expected in EXPECTED.items():
        choose(section, method)
        settle(slicerApplication, section)
        assert section.parameters.fusedSegmentation is fused
        np.testing.assert_array_equal(segmentOf(fused), expected)
        assert f"{expected.sum() * VOXEL_ML:.2f} mL" in section.ui.fusedLabel.text
    assert section.state() == "Mean of 3 raters"
    section.computeAll()
    assert section.state() == f"3 raters disagree in {disputedMl():.1f} mL; mean"

    # One rater less, then another contour.
    choose(section, FusionMethod.UNION)
    choices = section.parameters.raterChoices
    section.parameters.raterChoices = [*choices[:2], RaterChoice(choices[2].rater, enabled=False)]
    settle(slicerApplication, section)
    np.testing.assert_array_equal(segmentOf(fused), RATERS["anna"] | RATERS["ben"])
    setSegment(raters, choices[0].rater.segmentID, box(0, 3), GRID)
    settle(slicerApplication, section)
    np.testing.assert_array_equal(segmentOf(fused), box(0, 3) | RATERS["ben"])
    assert section.parameters.fusedSegmentation is fused
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 2


def test_a_burst_of_changes_is_computed_once(slicerApplication, panel, section, monkeypatch):
    calls = []
    fuse = section.logic.fuseRaters
    monkeypatch.setattr(section.logic, "fuseRaters", lambda *given: calls.append(given[1]) or fuse(*given))
    raters = fill(panel)
    for low in range(5):
        setSegment(raters, ratersOfNode(raters)[0].segmentID, box(low, 20), GRID)
        choose(section, FusionMethod.UNION if low % 2 else FusionMethod.INTERSECTION)
    settle(slicerApplication, section)
    assert calls == [FusionMethod.INTERSECTION]
    panel.update()
    settle(slicerApplication, section)
    assert len(calls) == 1


def test_without_fusion_nothing_is_removed_and_training_is_explained(slicerApplication, panel, section):
    fill(panel)
    settle(slicerApplication, section)
    fused = section.parameters.fusedSegmentation
    choose(section, FusionMethod.NONE)
    settle(slicerApplication, section)
    assert section.parameters.fusedSegmentation is fused
    np.testing.assert_array_equal(segmentOf(fused), EXPECTED[FusionMethod.MAJORITY])
    assert "one of them at random" in section.ui.methodLabel.text
    assert section.ui.fuseButton.isHidden()
    assert section.state() == "3 raters kept apart"
    choose(section, FusionMethod.UNION)
    assert not section.ui.fuseButton.isHidden()


def test_staple_shows_each_raters_sensitivity_and_specificity(slicerApplication, panel, section):
    fill(panel)
    choose(section, FusionMethod.STAPLE)
    settle(slicerApplication, section)
    bounds = np.argwhere(VOTES)
    low, high = bounds.min(axis=0), bounds.max(axis=0) + 1
    inBox = STACK[(slice(None), *map(slice, low, high))]
    expected = staple(inBox)
    rows = cells(section.ui.stapleTable)
    assert [row[0] for row in rows] == ["anna", "ben", "cara"]
    for row, sensitivity, specificity in zip(rows, expected.sensitivity, expected.specificity, strict=True):
        assert row[1] == f"{sensitivity:.3f}"
        assert row[2] == ("-" if np.isnan(specificity) else f"{specificity:.3f}")
    np.testing.assert_array_equal(
        segmentOf(section.parameters.fusedSegmentation)[tuple(map(slice, low, high))], expected.posterior > 0.5
    )
    assert not section.ui.stapleTable.isHidden()
    choose(section, FusionMethod.UNION)
    settle(slicerApplication, section)
    assert section.ui.stapleTable.isHidden()


def test_not_live_the_fusion_waits_for_the_button_and_says_that_it_is_behind(slicerApplication, panel, section):
    ui = section.ui
    ui.liveCheck.click()
    assert section.parameters.liveFusion is False
    fill(panel)
    settle(slicerApplication, section)
    assert section.parameters.fusedSegmentation is None
    assert ui.fusedLabel.text.startswith("Not fused yet")
    ui.fuseButton.click()
    fused = section.parameters.fusedSegmentation
    np.testing.assert_array_equal(segmentOf(fused), EXPECTED[FusionMethod.MAJORITY])
    assert "fuse again" not in ui.fusedLabel.text
    choose(section, FusionMethod.UNION)
    settle(slicerApplication, section)
    np.testing.assert_array_equal(segmentOf(fused), EXPECTED[FusionMethod.MAJORITY])
    assert "fuse again" in ui.fusedLabel.text
    ui.liveCheck.click()
    settle(slicerApplication, section)
    np.testing.assert_array_equal(segmentOf(fused), EXPECTED[FusionMethod.UNION])


def test_the_expert_entropy_is_computed_shown_and_then_follows(slicerApplication, panel, section):
    raters = fill(panel)
    settle(slicerApplication, section)
    assert section.parameters.expertEntropy is None
    section.ui.expertEntropyButton.click()
    volume = section.parameters.expertEntropy
    split = -(np.log2(1 / 3) / 3 + 2 * np.log2(2 / 3) / 3)  # one of three against two
    expected = np.where((VOTES == 1) | (VOTES == 2), split, 0)
    np.testing.assert_allclose(arrayOfVolume(volume), expected, atol=1e-6)
    assert np.count_nonzero(expected) * VOXEL_ML == pytest.approx(disputedMl())
    assert section.ui.entropyLabel.text.startswith(f"The experts disagree in {disputedMl():.2f} mL")
    assert "bits" not in section.ui.entropyLabel.text
    assert "up to 0.92 bits" in section.ui.entropyLabel.toolTip
    assert section.state() == f"3 raters disagree in {disputedMl():.1f} mL; majority vote"
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert composites
    assert {node.GetForegroundVolumeID() for node in composites} == {volume.GetID()}
    assert volume.GetDisplayNode().GetColorNode().GetName()
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(volume)
    assert legend.GetTitleText() == "Expert\ndisagreement\n(bits)"
    shown = {node.GetLayoutName() for node in slicer.util.getNodesByClass("vtkMRMLSliceNode")}
    assert {slicer.mrmlScene.GetNodeByID(viewID).GetLayoutName() for viewID in legend.GetViewNodeIDs()} == shown

    setSegment(raters, ratersOfNode(raters)[0].segmentID, RATERS["ben"], GRID)
    settle(slicerApplication, section)
    assert section.parameters.expertEntropy is volume
    votes = 2 * RATERS["ben"].astype(int) + RATERS["cara"]
    np.testing.assert_allclose(arrayOfVolume(volume), np.where((votes == 1) | (votes == 2), split, 0), atol=1e-6)

    section.ui.liveCheck.click()
    setSegment(raters, ratersOfNode(raters)[0].segmentID, box(0, 3), GRID)
    settle(slicerApplication, section)
    panel.update()
    assert "click again" in section.ui.entropyLabel.text
    assert section.state() == "the raters changed since"
    section.ui.expertEntropyButton.click()
    assert "click again" not in section.ui.entropyLabel.text


def test_raters_who_agree_everywhere_are_said_to(panel, section):
    panel.parameters.raterChoices = [
        RaterChoice(rater) for rater in ratersOfNode(addRaters({"anna": box(3, 9), "ben": box(3, 9)}))
    ]
    section.computeAll()
    assert section.ui.entropyLabel.text == "The experts agree everywhere."
    assert section.state() == "2 raters agree; majority vote"


def test_everything_is_computed_at_once_where_it_is_missing_or_behind_and_shown_only_if_wanted(
    slicerApplication, panel, section, monkeypatch
):
    calls = []
    fuse, entropy = section.logic.fuseRaters, section.logic.expertEntropy
    monkeypatch.setattr(section.logic, "fuseRaters", lambda *given: calls.append("fuse") or fuse(*given))
    monkeypatch.setattr(section.logic, "expertEntropy", lambda *given: calls.append("entropy") or entropy(*given))
    with pytest.raises(InputError, match="two raters"):
        section.computeAll()
    section.parameters.liveFusion = False
    raters = fill(panel)
    section.computeAll()
    assert calls == ["fuse", "entropy"]
    volume = section.parameters.expertEntropy
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert volume.GetID() not in {node.GetForegroundVolumeID() for node in composites}
    section.computeAll()
    assert calls == ["fuse", "entropy"]
    setSegment(raters, ratersOfNode(raters)[0].segmentID, box(0, 3), GRID)
    section.computeAll()
    assert calls == 2 * ["fuse", "entropy"]
    choose(section, FusionMethod.NONE)
    slicer.mrmlScene.RemoveNode(volume)
    section.computeAll()
    assert calls == [*(2 * ["fuse", "entropy"]), "entropy"]
    shown = section.parameters.expertEntropy.GetID()
    assert shown not in {node.GetForegroundVolumeID() for node in composites}


def test_what_cannot_be_computed_at_once_is_raised_and_not_taken_for_done(slicerApplication, panel, section):
    fill(panel)
    section.computeAll()
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "two labels")
    slicer.util.updateVolumeFromArray(labels, np.arange(8, dtype=np.uint8).reshape(2, 2, 2) % 3)
    good = section.parameters.raterChoices
    for method in (FusionMethod.MAJORITY, FusionMethod.NONE):
        section.parameters.raterChoices = [*good, RaterChoice(Rater(labels))]
        choose(section, method)
        settle(slicerApplication, section)  # the live results have failed
        for _time in range(2):
            with pytest.raises(InputError, match="two labels"):
                section.computeAll()
        section.parameters.raterChoices = good
        section.computeAll()
        panel.update()
        assert "two labels" not in section.ui.entropyLabel.text + section.ui.fusedLabel.text


def test_a_fusion_that_the_user_deleted_comes_back_with_the_next_change_only(slicerApplication, panel, section):
    fill(panel)
    settle(slicerApplication, section)
    # Kept, since the subject hierarchy without Qt takes a new node at a deleted one's address for the old one.
    deleted = [section.parameters.fusedSegmentation]
    slicer.mrmlScene.RemoveNode(deleted[-1])
    settle(slicerApplication, section)
    assert section.parameters.fusedSegmentation is None
    assert section.ui.fusedLabel.text.startswith("Not fused yet")
    choose(section, FusionMethod.UNION)
    settle(slicerApplication, section)
    deleted.append(section.parameters.fusedSegmentation)
    np.testing.assert_array_equal(segmentOf(deleted[-1]), EXPECTED[FusionMethod.UNION])
    slicer.mrmlScene.RemoveNode(deleted[-1])
    section.ui.liveCheck.click()
    section.ui.liveCheck.click()
    settle(slicerApplication, section)
    assert section.parameters.fusedSegmentation is not None


def test_a_rater_that_cannot_be_used_is_told_beside_the_result_when_live_and_once_after_a_click(
    slicerApplication, panel, section
):
    fill(panel)
    settle(slicerApplication, section)
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "two labels")
    slicer.util.updateVolumeFromArray(labels, np.arange(8, dtype=np.uint8).reshape(2, 2, 2) % 3)
    good = section.parameters.raterChoices
    section.parameters.raterChoices = [*good, RaterChoice(Rater(labels))]
    settle(slicerApplication, section)
    assert "two labels" in section.ui.fusedLabel.text
    assert slicerApplication.dialogs.messages == []
    section.ui.fuseButton.click()
    (message,) = slicerApplication.dialogs.messages
    assert "two labels" in message.text
    section.parameters.raterChoices = good
    settle(slicerApplication, section)
    assert "two labels" not in section.ui.fusedLabel.text


def test_what_was_done_to_a_rater_and_what_to_know_about_it_stand_below_the_result(slicerApplication, panel, section):
    fill(panel)
    settle(slicerApplication, section)
    assert section.ui.fusedLabel.text.count("\n") == 0
    finer = Grid(
        size=(64, 60, 20), spacing=(1.0, 1.0, 2.5), origin=(-31.5, -29.5, -24.0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)
    )
    dora = addSegmentation(np.repeat(np.repeat(RATERS["anna"], 2, 1), 2, 2), finer, "dora's", "dora", (1, 0, 0))
    empty = addSegmentation(np.zeros(GRID.shape, bool), GRID, "emil's", "emil", (0, 1, 0))
    added = [RaterChoice(rater) for node in (dora, empty) for rater in ratersOfNode(node)]
    section.parameters.raterChoices = [*section.parameters.raterChoices, *added]
    settle(slicerApplication, section)
    lines = section.ui.fusedLabel.text.splitlines()
    assert any("dora" in line and "resampled" in line for line in lines)
    assert any(line.startswith("Warning:") and "emil" in line for line in lines)


def test_a_fusion_that_is_itself_a_rater_is_not_overwritten(slicerApplication, panel, section):
    fill(panel)
    settle(slicerApplication, section)
    first = section.parameters.fusedSegmentation
    before = segmentOf(first)
    section.parameters.raterChoices = [*section.parameters.raterChoices, *map(RaterChoice, ratersOfNode(first))]
    choose(section, FusionMethod.UNION)
    settle(slicerApplication, section)
    assert section.parameters.fusedSegmentation is not first
    np.testing.assert_array_equal(segmentOf(first), before)


def test_results_that_came_with_the_panel_are_not_computed_again(slicerApplication, panel, section):
    fill(panel)
    settle(slicerApplication, section)
    section.ui.expertEntropyButton.click()
    fused, volume = section.parameters.fusedSegmentation, section.parameters.expertEntropy
    mark = (fused.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap").GetMTime(), volume.GetMTime())
    slicer.modules.ObserverUncertaintyWidget.onReload()
    again = slicer.modules.ObserverUncertaintyWidget.panel.disagreement
    assert again is not section
    settle(slicerApplication, again)
    assert again.parameters.fusedSegmentation is fused
    assert mark == (
        fused.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap").GetMTime(),
        volume.GetMTime(),
    )
    choose(again, FusionMethod.UNION)
    settle(slicerApplication, again)
    np.testing.assert_array_equal(segmentOf(fused), EXPECTED[FusionMethod.UNION])


def test_the_scene_may_close_while_a_result_is_due(slicerApplication, panel, section):
    fill(panel)
    assert section._timer.active
    slicer.mrmlScene.Clear()
    assert not section._timer.active
    assert section.state() == "needs two raters"
    node = addRaters()
    panel.parameters.raterChoices = [RaterChoice(rater) for rater in ratersOfNode(node)]
    settle(slicerApplication, section)
    # Without a reference volume the raters' own grid counts.
    np.testing.assert_array_equal(segmentOf(section.parameters.fusedSegmentation), EXPECTED[FusionMethod.MAJORITY])


def test_after_cleanup_nothing_follows_any_more(slicerApplication, panel, section):
    raters = fill(panel)
    settle(slicerApplication, section)
    fused = section.parameters.fusedSegmentation
    before = segmentOf(fused)
    slicer.modules.ObserverUncertaintyWidget.cleanup()
    setSegment(raters, ratersOfNode(raters)[1].segmentID, box(0, 3), GRID)
    settle(slicerApplication, section)
    np.testing.assert_array_equal(segmentOf(fused), before)
