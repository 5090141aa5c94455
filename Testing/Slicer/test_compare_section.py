"""Step 5 of the panel: every control, with the values of the nodes it shows."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from opened_panel import waitFor
from section_case import GRID, RATERS, addRaters, addSequence, fill

from ObserverUncertaintyLib.scores.entropy import expert_entropy
from ObserverUncertaintyLib.scores.metrics import weighted_mean_entropy
from ObserverUncertaintySlicer.caseLoading import LoadedCase
from ObserverUncertaintySlicer.compareViews import compare, presentViews
from ObserverUncertaintySlicer.parameters import RaterChoice
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.segments import addSegmentation
from ObserverUncertaintySlicer.volumes import addVolume, arrayOfVolume

EXPERT = expert_entropy(np.stack(list(RATERS.values())))
PREDICTIVE = (EXPERT * 0.5).astype(np.float32)


@pytest.fixture
def section(panel):
    return panel.compare


@pytest.fixture
def ready(panel, section):
    """A case with both entropies and the model's segmentation."""
    fill(panel)
    parameters = panel.parameters
    parameters.expertEntropy = panel.context.logic.expertEntropy(parameters.raters, parameters.reference)
    parameters.predictiveEntropy = addVolume(PREDICTIVE, GRID, "case predictive entropy")
    parameters.segmentation = addSegmentation(RATERS["anna"], GRID, "model", "cavity", (0, 0, 1))
    return section


def composites(section):
    return [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
        if node.GetLayoutName() in {view.GetLayoutName() for view in section.views.sliceNodes}
    ]


def usable(section):
    """The names of the controls that a user can see in the open step, with those under Advanced."""
    names = (
        *("compareButton", "backButton", "mostUncertainButton", "mostDisputedButton", "metricsButton", "metricsView"),
        *("explanationLabel", "scoresLabel", "differenceCheck", "opacitySlider", "thresholdSlider", "allScoresCheck"),
        *("cohortScoresPath", "cohortChartButton", "missingLabel"),
    )
    return {name for name in names if not getattr(section.ui, name).isHidden()}


def test_each_missing_thing_is_named_with_how_to_get_it(panel, section):
    def said():
        return section.state(), section.ui.missingLabel.text

    assert said() == ("needs a case", "Needs a case: load one in step 1.")
    parameters = panel.parameters
    fill(panel)
    state, text = said()
    assert state == "nothing to compare yet"
    assert text.startswith("Needs the model's uncertainty and the experts' disagreement: click Show uncertainty")
    assert usable(section) == {"missingLabel", "cohortScoresPath"}
    parameters.predictiveEntropy = addVolume(PREDICTIVE, GRID, "predictive")
    wanted = "Needs the experts' disagreement: click Show expert disagreement in step 2."
    assert said() == ("needs the experts' disagreement", wanted)
    parameters.expertEntropy = panel.context.logic.expertEntropy(parameters.raters, parameters.reference)
    assert said() == ("ready", "")
    assert usable(section) == {"compareButton", "differenceCheck", "cohortScoresPath"}
    parameters.predictiveEntropy = None
    wanted = "Needs the model's uncertainty: click Show uncertainty in step 1, or Run the model in step 4."
    assert said() == ("needs the model's uncertainty", wanted)


def test_one_expert_is_too_few_to_compare_with(panel, section):
    fill(panel)
    panel.parameters.raterChoices = panel.parameters.raterChoices[:1]
    assert (
        section.ui.missingLabel.text
        == "Needs the contours of at least two experts: add them in step 1, or tick more of them there."
    )


def test_only_what_can_be_used_is_there(ready):
    always = {"metricsButton", "differenceCheck", "cohortScoresPath"}
    assert usable(ready) == always | {"compareButton"}
    ready.ui.compareButton.click()
    comparing = {"backButton", "mostUncertainButton", "mostDisputedButton", "opacitySlider", "thresholdSlider"}
    assert usable(ready) == always | comparing
    ready.ui.backButton.click()
    ready.ui.metricsButton.click()
    scores = {"metricsView", "explanationLabel", "allScoresCheck"}
    assert usable(ready) == always | scores | {"compareButton"}


def test_compare_shows_both_entropies_over_the_same_image_and_back_returns(ready):
    layoutNode = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    before = layoutNode.GetViewArrangement() if layoutNode else None
    ready.ui.compareButton.click()
    parameters = ready.parameters
    assert ready.state() == "shown"
    assert len(ready.views.sliceNodes) == 6
    shown = composites(ready)
    assert {node.GetBackgroundVolumeID() for node in shown} == {parameters.reference.GetID()}
    assert {node.GetForegroundVolumeID() for node in shown} == {
        parameters.predictiveEntropy.GetID(),
        parameters.expertEntropy.GetID(),
    }
    assert {round(node.GetForegroundOpacity(), 3) for node in shown} == {0.7}
    ready.ui.backButton.click()
    assert ready.views is None
    if before is not None:
        assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode").GetViewArrangement() == before


def test_what_other_steps_show_leaves_the_rows_of_the_comparison_as_they_are_labelled(ready, panel):
    ready.ui.compareButton.click()
    parameters = panel.parameters
    panel.disagreement.ui.expertEntropyButton.click()

    def shown(row):
        nodes = [ready.views.sliceNode(row, orientation) for orientation in ("Axial", "Sagittal", "Coronal")]
        return {slicer.vtkMRMLSliceLogic.GetSliceCompositeNode(node).GetForegroundVolumeID() for node in nodes}

    assert shown("Predictive") == {parameters.predictiveEntropy.GetID()}
    assert shown("Expert") == {parameters.expertEntropy.GetID()}
    comparing = composites(ready)
    ordinary = [node for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode") if node not in comparing]
    assert {node.GetForegroundVolumeID() for node in ordinary} == {parameters.expertEntropy.GetID()}
    # Correcting has views of its own.
    panel.correct.ui.startButton.click()
    assert ready.views is None
    assert {node.GetForegroundVolumeID() for node in ordinary} == {parameters.predictiveEntropy.GetID()}
    assert {node.GetBackgroundVolumeID() for node in ordinary} == {parameters.reference.GetID()}


def test_after_another_layout_was_chosen_the_views_are_shown_no_longer(ready):
    ready.ui.compareButton.click()
    assert not ready.ui.backButton.isHidden()
    layoutNode = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layoutNode.SetViewArrangement(layoutNode.SlicerLayoutConventionalView)
    assert ready.state() == "ready"
    assert "ready" in ready.ui.sectionButton.text
    assert ready.ui.backButton.isHidden()
    assert ready.ui.mostUncertainButton.isHidden()
    ready.ui.compareButton.click()
    assert ready.state() == "shown"


def test_opacity_and_threshold_reach_the_views_and_the_parameters(ready):
    ready.ui.compareButton.click()
    ready.ui.opacitySlider.value = 0.4
    ready.ui.thresholdSlider.value = 0.3
    assert {round(node.GetForegroundOpacity(), 3) for node in composites(ready)} == {0.4}
    display = ready.parameters.predictiveEntropy.GetDisplayNode()
    assert display.GetLowerThreshold() == pytest.approx(0.3)
    assert (ready.parameters.opacity, ready.parameters.threshold) == (0.4, 0.3)


def test_the_difference_row_is_predictive_minus_expert(ready):
    ready.ui.differenceCheck.checked = True
    ready.ui.compareButton.click()
    assert len(ready.views.sliceNodes) == 9
    difference = ready.parameters.difference
    np.testing.assert_allclose(arrayOfVolume(difference), PREDICTIVE - EXPERT, atol=1e-6)
    ready.ui.differenceCheck.checked = False
    assert len(ready.views.sliceNodes) == 6


def shownScores(section):
    """The lines of the panel's table that are seen: measure and value."""
    view, model = section.ui.metricsView, section.ui.metricsView.model()
    rows = [row for row in range(model.rowCount()) if not view.isRowHidden(row)]
    return {model.index(row, 0).data(): model.index(row, 1).data() for row in rows}


def test_scores_that_matter_first_are_seen_and_all_if_wanted(ready):
    ready.ui.metricsButton.click()
    table = ready.parameters.metricsTable
    names = [table.GetCellText(row, 4) for row in range(table.GetNumberOfRows())]
    wme = weighted_mean_entropy(EXPERT, PREDICTIVE)
    assert float(table.GetCellText(names.index("wme"), 5)) == pytest.approx(wme, rel=1e-6)
    first = shownScores(ready)
    assert list(first)[:2] == ["Dice with the raters' majority", "Volume, model"]
    assert first["Uncertainty weighted by disagreement"] == f"{wme:.3f}"
    assert "Research use only" in first
    assert "WME as printed" not in first
    # Measure, value and unit; what explains them is below, and what scripts read is in the scene.
    view = ready.ui.metricsView
    assert [view.isColumnHidden(column) for column in range(6)] == [False] * 3 + [True] * 3
    ready.ui.allScoresCheck.checked = True
    assert list(shownScores(ready)) == [table.GetCellText(row, 0) for row in range(table.GetNumberOfRows())]
    assert "WME as printed" in shownScores(ready)
    assert view.height > sum(view.rowHeight(row) for row in range(table.GetNumberOfRows()))
    ready.ui.metricsButton.click()
    assert ready.parameters.metricsTable is table
    assert "WME as printed" in shownScores(ready)
    ready.ui.allScoresCheck.checked = False
    assert shownScores(ready) == first


def test_a_chosen_line_of_the_scores_is_explained(ready):
    ready.ui.metricsButton.click()
    assert ready.ui.explanationLabel.text == "Choose a line to read what it means."
    ready.ui.metricsView.selectRow(0)
    assert ready.ui.explanationLabel.text.startswith("Overlap of the model's contour with the raters' majority vote")


def test_notes_on_the_scores_stay_visible(ready, panel):
    empty = addRaters({"dora": np.zeros_like(RATERS["ben"])}, "an empty one")
    panel.parameters.raterChoices = [*panel.parameters.raterChoices, RaterChoice(ratersOfNode(empty)[0])]
    ready.ui.metricsButton.click()
    assert "dora" in ready.ui.scoresLabel.text
    assert "drew nothing" in ready.ui.scoresLabel.text
    assert "Note" not in shownScores(ready)


def test_scores_of_what_was_there_before_say_so(ready, panel):
    ready.ui.metricsButton.click()
    dice = shownScores(ready)["Dice with the raters' majority"]
    assert ready.state() == f"ready, Dice {dice}"
    assert ready.ui.scoresLabel.text == ""
    panel.parameters.predictiveEntropy = addVolume(PREDICTIVE * 0.5, GRID, "predicted again")
    assert ready.ui.scoresLabel.text == "The contours or the model's result changed since: click Scores again."
    assert ready.state() == "ready"
    ready.ui.metricsButton.click()
    assert ready.ui.scoresLabel.text == ""
    panel.parameters.raterChoices = panel.parameters.raterChoices[:2]
    assert "changed since" in ready.ui.scoresLabel.text


def test_scores_of_an_earlier_version_are_all_shown(ready):
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "earlier scores")
    for title, cell in (("Measure", "WME"), ("Value", "0.25"), ("Unit", "bits"), ("Explanation", "Weighted")):
        column = vtk.vtkStringArray()
        column.SetName(title)
        column.InsertNextValue(cell)
        table.AddColumn(column)
    table.SetUseColumnTitleAsColumnHeader(True)
    ready.parameters.metricsTable = table
    assert shownScores(ready) == {"WME": "0.25"}
    assert ready.state() == "ready"


def test_the_jump_buttons_go_to_the_place_of_most_uncertainty(ready):
    ready.ui.compareButton.click()
    ready.ui.mostDisputedButton.click()
    ready.ui.mostUncertainButton.click()
    axial = next(node for node in ready.views.sliceNodes if node.GetOrientation() == "Axial")
    offset = axial.GetSliceOffset()
    index = round((offset - GRID.origin[2]) / GRID.spacing[2])
    assert EXPERT[index].max() > 0.9


def layoutNode():
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")


def test_an_entropy_that_is_deleted_ends_the_comparison_and_the_panel_says_so(ready):
    before = layoutNode().GetViewArrangement()
    ready.ui.compareButton.click()
    slicer.mrmlScene.RemoveNode(ready.parameters.predictiveEntropy)
    assert ready.views is None
    assert ready.state() == "needs the model's uncertainty"
    assert layoutNode().GetViewArrangement() == before
    assert ready.ui.backButton.isHidden()


def test_closing_the_scene_ends_the_comparison_and_the_next_case_fills_ordinary_views(ready, panel):
    before = layoutNode().GetViewArrangement()
    ready.ui.compareButton.click()
    slicer.mrmlScene.Clear(0)
    assert ready.views is None
    assert ready.state() == "needs a case"
    assert layoutNode().GetViewArrangement() == before
    assert ready.ui.backButton.isHidden()
    panel.case.loading.apply(LoadedCase("Ben", {"T1": addSequence("Ben T1")}, []))
    assert layoutNode().GetViewArrangement() == before


def test_another_case_ends_the_comparison(ready, panel):
    before = layoutNode().GetViewArrangement()
    ready.ui.compareButton.click()
    panel.case.loading.apply(LoadedCase("Ben", {"T1": addSequence("Ben T1")}, []))
    assert ready.views is None
    assert presentViews() is None
    assert layoutNode().GetViewArrangement() == before
    assert ready.state() == "nothing to compare yet"


def test_a_new_result_is_shown_in_the_place_of_the_one_before_at_the_same_place(ready, slicerApplication):
    ready.ui.compareButton.click()
    ready.views.jumpTo((3.0, 5.0, 7.0))
    again = addVolume(PREDICTIVE * 0.5, GRID, "predicted again")
    ready.parameters.predictiveEntropy = again
    waitFor(lambda: ready.views.volumes[1] is again)
    np.testing.assert_allclose(ready.views.place, (3.0, 5.0, 7.0), atol=1e-6)


def test_a_new_result_that_cannot_be_shown_ends_the_comparison_without_a_box(ready, slicerApplication):
    ready.ui.compareButton.click()
    ready.parameters.predictiveEntropy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    waitFor(lambda: ready.views is None)
    assert slicerApplication.dialogs.messages == []
    ready.ui.compareButton.click()
    assert "empty" in slicerApplication.dialogs.messages[0].text


def test_a_comparison_that_a_script_laid_out_is_left_alone_and_can_be_ended(ready, panel):
    other = addVolume(EXPERT, GRID, "a script's own")
    views = compare(panel.parameters.reference, other, panel.parameters.expertEntropy, [])
    panel.update()
    panel.parameters.predictiveEntropy = addVolume(PREDICTIVE, GRID, "predicted again")
    assert presentViews() is views
    assert not ready.ui.backButton.isHidden()
    ready.ui.backButton.click()
    assert not views.isOpen
    assert ready.state() == "ready"


def test_a_comparison_of_a_loaded_scene_is_complete_and_can_be_left(ready, panel, scene, tmp_path):
    before = layoutNode().GetViewArrangement()
    ready.ui.compareButton.click()
    assert scene.WriteToMRB(str(tmp_path / "comparing.mrb"))
    scene.Clear(0)
    assert layoutNode().GetViewArrangement() == before
    assert scene.ReadFromMRB(str(tmp_path / "comparing.mrb"), True)
    assert ready.state() == "shown"
    assert ready.views.volumes == [
        panel.parameters.reference,
        panel.parameters.predictiveEntropy,
        panel.parameters.expertEntropy,
    ]
    assert "".join(node.GetLayoutLabel() for node in ready.views.sliceNodes) == "MMMEEE"
    ready.ui.opacitySlider.value = 0.35
    assert {round(node.GetForegroundOpacity(), 3) for node in composites(ready)} == {0.35}
    ready.ui.backButton.click()
    assert layoutNode().GetViewArrangement() == before
    assert ready.state() == "ready"


def test_cohort_scores_become_a_chart(ready, tmp_path):
    from ObserverUncertaintySlicer.panel.compare import readScores

    file = tmp_path / "scores.csv"
    file.write_text("case,wme,dice_majority\na,0.6,0.8\nb,,0.7\nc,0.5,0.9\n", encoding="utf-8")
    assert ready.ui.cohortChartButton.isHidden()
    ready.ui.cohortScoresPath.currentPath = str(file)
    ready.ui.cohortChartButton.click()
    assert ready.parameters.cohortChart.IsA("vtkMRMLPlotChartNode")
    a, b, c = readScores(file)
    assert (a, c) == (("a", 0.6, 0.8), ("c", 0.5, 0.9))
    assert np.isnan(b[1])


def test_wrong_scores_are_told_once(ready, slicerApplication, tmp_path):
    file = tmp_path / "other.csv"
    file.write_text("name,value\na,1\n", encoding="utf-8")
    ready.ui.cohortScoresPath.currentPath = str(file)
    ready.ui.cohortChartButton.click()
    assert len(slicerApplication.dialogs.messages) == 1
    assert "no column case" in slicerApplication.dialogs.messages[0].text


def test_raters_of_another_node_are_outlined_too(ready, panel):
    other = addRaters({"dora": RATERS["ben"]}, "other raters")
    panel.parameters.raterChoices = [*panel.parameters.raterChoices, RaterChoice(ratersOfNode(other)[0])]
    ready.ui.compareButton.click()
    outlined = {
        display.GetDisplayableNode().GetName()
        for display in slicer.util.getNodesByClass("vtkMRMLSegmentationDisplayNode")
        if display.GetVisibility() and display.IsDisplayableInView(ready.views.sliceNodes[0].GetID())
    }
    assert outlined == {"case raters", "other raters"}


def test_the_working_copy_is_shown_in_the_comparison_and_other_segmentations_are_not(ready, panel):
    ready.ui.compareButton.click()
    panel.correct.ui.startButton.click()
    ready.ui.compareButton.click()
    view = ready.views.sliceNodes[0].GetID()
    assert panel.parameters.workingCopy.GetDisplayNode().IsDisplayableInView(view)
    assert not panel.parameters.segmentation.GetDisplayNode().IsDisplayableInView(view)
