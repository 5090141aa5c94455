"""Step 5 of the panel: every control, with the values of the nodes it shows."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from section_case import GRID, RATERS, addRaters, addSequence, fill, waitFor

from ObserverUncertaintyLib.scores.entropy import expert_entropy
from ObserverUncertaintyLib.scores.metrics import weighted_mean_entropy
from ObserverUncertaintySlicer.caseLoading import LoadedCase
from ObserverUncertaintySlicer.compareViews import compare, presentViews
from ObserverUncertaintySlicer.segments import addSegmentation
from ObserverUncertaintySlicer.volumes import addVolume, arrayOfVolume

EXPERT = expert_entropy(np.stack(list(RATERS.values())))
PREDICTIVE = (EXPERT * 0.5).astype(np.float32)


@pytest.fixture
def panel(slicerApplication, moduleFile):
    return slicerApplication.openModule(moduleFile).panel


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


def test_each_missing_thing_is_named(panel, section):
    assert section.state() == "Needs a volume (step 1)."
    fill(panel)
    assert section.state() == "Needs the expert entropy (step 2)."
    parameters = panel.parameters
    parameters.expertEntropy = panel.context.logic.expertEntropy(parameters.raters, parameters.reference)
    assert section.state() == "Needs the model's entropy (step 4)."
    assert not section.ui.compareButton.enabled
    parameters.predictiveEntropy = addVolume(PREDICTIVE, GRID, "predictive")
    assert section.state() == "ready"
    assert section.ui.compareButton.enabled


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
    panel.correct.ui.startButton.click()

    def shown(row):
        nodes = [ready.views.sliceNode(row, orientation) for orientation in ("Axial", "Sagittal", "Coronal")]
        return {slicer.vtkMRMLSliceLogic.GetSliceCompositeNode(node).GetForegroundVolumeID() for node in nodes}

    assert shown("Predictive") == {parameters.predictiveEntropy.GetID()}
    assert shown("Expert") == {parameters.expertEntropy.GetID()}
    ordinary = [
        node for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode") if node not in composites(ready)
    ]
    assert {node.GetForegroundVolumeID() for node in ordinary} == {parameters.predictiveEntropy.GetID()}
    assert {node.GetBackgroundVolumeID() for node in ordinary} == {parameters.reference.GetID()}


def test_after_another_layout_was_chosen_the_views_are_shown_no_longer(ready):
    ready.ui.compareButton.click()
    assert ready.ui.backButton.enabled
    layoutNode = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layoutNode.SetViewArrangement(layoutNode.SlicerLayoutConventionalView)
    assert ready.state() == "ready"
    assert "ready" in ready.ui.sectionButton.text
    assert not ready.ui.backButton.enabled
    assert not ready.ui.mostUncertainButton.enabled
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


def test_the_scores_are_in_the_table(ready):
    ready.ui.metricsButton.click()
    table = ready.parameters.metricsTable
    rows = {table.GetCellText(n, 0): table.GetCellText(n, 1) for n in range(table.GetNumberOfRows())}
    assert float(rows["WME"]) == pytest.approx(weighted_mean_entropy(EXPERT, PREDICTIVE), abs=1e-3)
    ready.ui.metricsButton.click()
    assert ready.parameters.metricsTable is table


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
    assert ready.state() == "Needs the model's entropy (step 4)."
    assert layoutNode().GetViewArrangement() == before
    assert not ready.ui.backButton.enabled


def test_closing_the_scene_ends_the_comparison_and_the_next_case_fills_ordinary_views(ready, panel):
    before = layoutNode().GetViewArrangement()
    ready.ui.compareButton.click()
    slicer.mrmlScene.Clear(0)
    assert ready.views is None
    assert ready.state() == "Needs a volume (step 1)."
    assert layoutNode().GetViewArrangement() == before
    assert not ready.ui.backButton.enabled
    panel.case.loading.apply(LoadedCase("Ben", {"T1": addSequence("Ben T1")}, []))
    assert layoutNode().GetViewArrangement() == before


def test_another_case_ends_the_comparison(ready, panel):
    before = layoutNode().GetViewArrangement()
    ready.ui.compareButton.click()
    panel.case.loading.apply(LoadedCase("Ben", {"T1": addSequence("Ben T1")}, []))
    assert ready.views is None
    assert presentViews() is None
    assert layoutNode().GetViewArrangement() == before
    assert ready.state() == "Needs the expert entropy (step 2)."


def test_a_new_result_is_shown_in_the_place_of_the_one_before_at_the_same_place(ready, slicerApplication):
    ready.ui.compareButton.click()
    ready.views.jumpTo((3.0, 5.0, 7.0))
    again = addVolume(PREDICTIVE * 0.5, GRID, "predicted again")
    ready.parameters.predictiveEntropy = again
    waitFor(slicerApplication, lambda: ready.views.volumes[1] is again, 5)
    np.testing.assert_allclose(ready.views.place, (3.0, 5.0, 7.0), atol=1e-6)


def test_a_new_result_that_cannot_be_shown_ends_the_comparison_without_a_box(ready, slicerApplication):
    ready.ui.compareButton.click()
    ready.parameters.predictiveEntropy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    waitFor(slicerApplication, lambda: ready.views is None, 5)
    assert slicerApplication.dialogs.messages == []
    ready.ui.compareButton.click()
    assert "empty" in slicerApplication.dialogs.messages[0].text


def test_a_comparison_that_a_script_laid_out_is_left_alone_and_can_be_ended(ready, panel):
    other = addVolume(EXPERT, GRID, "a script's own")
    views = compare(panel.parameters.reference, other, panel.parameters.expertEntropy, [])
    panel.update()
    panel.parameters.predictiveEntropy = addVolume(PREDICTIVE, GRID, "predicted again")
    assert presentViews() is views
    assert ready.ui.backButton.enabled
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
    assert "".join(node.GetLayoutLabel() for node in ready.views.sliceNodes) == "PPPEEE"
    ready.ui.opacitySlider.value = 0.35
    assert {round(node.GetForegroundOpacity(), 3) for node in composites(ready)} == {0.35}
    ready.ui.backButton.click()
    assert layoutNode().GetViewArrangement() == before
    assert ready.state() == "ready"


def test_cohort_scores_become_a_chart(ready, tmp_path):
    from ObserverUncertaintySlicer.panel.compare import readScores

    file = tmp_path / "scores.csv"
    file.write_text("case,wme,dice_majority\na,0.6,0.8\nb,,0.7\nc,0.5,0.9\n", encoding="utf-8")
    assert not ready.ui.cohortChartButton.enabled
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
    from ObserverUncertaintySlicer.parameters import RaterChoice
    from ObserverUncertaintySlicer.raters import ratersOfNode

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
