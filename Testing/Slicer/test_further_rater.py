"""A further rater draws from nothing and sees nothing of the others; the contour is a rater of the case then."""

from __future__ import annotations

import json

import numpy as np
import pytest
import slicer
import slicer.util
from correct_step import edit, readyToCorrect
from correct_step import start as startCorrecting
from opened_panel import isOffered, waitFor
from section_case import GRID, RATERS, VOXEL_ML, box, cells, segmentOf

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.formats import read_mask
from ObserverUncertaintySlicer import attributes
from ObserverUncertaintySlicer.attributes import Role
from ObserverUncertaintySlicer.caseLoading import LoadedCase
from ObserverUncertaintySlicer.compareViews import presentViews
from ObserverUncertaintySlicer.furtherRater import finishFurtherRater, hideOthers, startFurtherRater
from ObserverUncertaintySlicer.outlines import showRaterOutlines
from ObserverUncertaintySlicer.raters import Rater, raterNames
from ObserverUncertaintySlicer.sceneCases import SceneCase, exportSceneCohort, markCase, sceneCases
from ObserverUncertaintySlicer.sliceViews import compositeNodeOf, showOverImage
from ObserverUncertaintySlicer.volumes import addVolume

DRAWN = box(11, 19)


@pytest.fixture
def ready(panel):
    """The raters, their fused contour and the model's segmentation are on the screen."""
    section = readyToCorrect(panel)
    attributes.ROLE.set(panel.parameters.predictiveEntropy, Role.PREDICTIVE_ENTROPY)
    showRaterOutlines(panel.parameters.raters)
    markCase(SceneCase("case", panel.parameters.sequences, panel.parameters.raters))
    section.open()
    waitFor(lambda: panel.parameters.fusedSegmentation is not None)
    return section


def start(section, name="Dora"):
    """Start drawing by the panel's button; returns the working copy's node."""
    section.ui.furtherNameEdit.text = name
    section.ui.furtherStartButton.click()
    return section.parameters.workingCopy


def draw(section, mask=DRAWN):
    edit(section.parameters.workingCopy, mask)
    waitFor(lambda: not section._live.active)


def shownContours():
    """Names of the segmentations that some view shows."""
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    return {
        node.GetName()
        for node in nodes
        for number in range(node.GetNumberOfDisplayNodes())
        if node.GetNthDisplayNode(number) is not None and node.GetNthDisplayNode(number).GetVisibility()
    }


def overlays():
    """What lies over the image in the slice views."""
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return {composite.GetForegroundVolumeID() for composite in composites} - {None}


def shownLegends():
    nodes = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    return [node.GetDisplayableNode().GetName() for node in nodes if node.GetVisibility()]


def test_only_the_contour_that_is_drawn_is_seen(ready, panel):
    panel.disagreement.ui.expertEntropyButton.click()
    startCorrecting(ready)
    ready.ui.confidenceCheck.checked = True
    assert {"case raters", "place to review", "where the model is confident"} <= shownContours()
    assert overlays()
    assert shownLegends()
    assert isOffered(ready.ui.furtherRaterButton)
    copy = start(ready)
    assert copy.GetName() == "Dora on case T1 (drawing)"
    assert not segmentOf(copy).any()
    assert shownContours() == {copy.GetName()}
    assert not overlays()
    assert not shownLegends()
    ui = ready.ui
    told = (ui.placesTable, ui.acceptButton, ui.nextButton, ui.carryBox, ui.levelBox, ui.confidenceCheck, ui.rankCombo)
    assert not [widget.objectName for widget in told if not widget.isHidden() and widget.visible]
    assert all(widget.isHidden() for widget in (ui.advancedButton, ui.startBox, ui.furtherRaterButton, ui.casesButton))
    assert all(widget.isHidden() for widget in (ui.saveButton, ui.exportButton, ui.authorEdit))
    assert "Dora" in ui.legendLabel.text
    assert not any(rater in ui.legendLabel.text for rater in RATERS)
    assert ready.state() == "Dora draws"
    draw(ready)
    assert ui.liveLabel.text == f"{np.count_nonzero(DRAWN) * VOXEL_ML:.2f} mL drawn"
    assert ui.sliceLabel.text == ""


def test_at_first_too_there_are_no_places_and_the_line_above_says_what_is_next(ready, panel):
    start(ready)
    assert ready.ui.placesTable.isHidden()
    assert ready.ui.acceptButton.isHidden()
    assert panel.guide.ui.nextLabel.text.endswith("Next: draw the contour, then finish.")


def test_nothing_comes_back_by_itself(ready, panel):
    panel.disagreement.ui.expertEntropyButton.click()
    copy = start(ready)
    draw(ready)
    parameters = panel.parameters
    showRaterOutlines(parameters.raters)  # as a rater's switch in step 1 does
    parameters.raterChoices = parameters.raterChoices[:2]
    assert shownContours() == {copy.GetName()}
    panel.disagreement.onFuse()
    assert parameters.fusedSegmentation.GetName() not in shownContours()
    panel.disagreement.ui.expertEntropyButton.click()
    assert not overlays()
    panel.compare.ui.compareButton.click()
    assert presentViews() is None
    another = addVolume(slicer.util.arrayFromVolume(parameters.predictiveEntropy) / 2, GRID, "another run")
    attributes.ROLE.set(another, Role.PREDICTIVE_ENTROPY)
    parameters.predictiveEntropy = another
    showOverImage(another, 0.5)
    panel.exit()
    panel.enter()
    assert not overlays()
    draw(ready, box(11, 18))
    assert attributes.DRAWN_BLIND.of(copy), "whatever came was gone before the next stroke"


def test_a_stroke_over_what_the_user_brought_back_is_told_and_no_blind_one(ready, panel):
    copy = start(ready)
    draw(ready)
    assert "not count as drawn blind" not in ready.ui.drawingLabel.text
    panel.parameters.raters[0].node.GetDisplayNode().SetVisibility(True)  # as the eye in the module Data does
    draw(ready, box(11, 18))
    assert shownContours() == {copy.GetName()}
    assert "not count as drawn blind" in ready.ui.drawingLabel.text
    ready.ui.finishButton.click()
    assert attributes.DRAWN_BLIND.of(panel.parameters.raters[-1].node) is None


def test_finished_it_is_a_rater_of_the_case_and_the_others_are_seen_again(ready, panel, tmp_path):
    panel.disagreement.ui.expertEntropyButton.click()
    raters = panel.parameters.raterChoices[0].rater.node
    panel.parameters.segmentation.GetDisplayNode().SetVisibility(False)  # the user does not want to see it
    before = {name: segmentOf(raters) for name in ("first",)}
    seen, shown, legends = shownContours(), overlays(), shownLegends()
    copy = start(ready, "  Dora Ö. ")
    ready._time._clock = iter([100.0, *[130.0] * 50]).__next__
    ready._time._last = None
    ready._noteTime()
    spent = attributes.SECONDS.of(copy) or 0.0
    draw(ready)
    started = attributes.STARTED.of(copy)
    ready.ui.finishButton.click()
    parameters = panel.parameters
    assert raterNames(parameters.raters) == ["anna", "ben", "cara", "Dora Ö."]
    node = parameters.raters[-1].node
    np.testing.assert_array_equal(segmentOf(node), DRAWN)
    assert node.GetName() == "Dora Ö."
    assert attributes.AUTHOR.of(node) == "Dora Ö."
    assert attributes.STARTED.of(node) == started
    assert attributes.FINISHED.of(node) >= started
    assert attributes.SECONDS.of(node) == pytest.approx(spent + 30.0)
    assert attributes.DRAWN_BLIND.of(node)
    assert attributes.CASE.of(node) == "case"
    np.testing.assert_array_equal(segmentOf(raters), before["first"])
    colors = [rater.color for rater in parameters.raters]
    assert min(np.linalg.norm(np.subtract(colors[-1], other)) for other in colors[:-1]) > 0.25
    assert shownContours() == {*seen, "Dora Ö."}
    assert overlays() == shown
    assert shownLegends() == legends
    assert parameters.workingCopy is None
    assert not [each for each in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if "drawing" in each.GetName()]
    assert len(cells(panel.case.ui.ratersTable)) == 4
    path = ready.logic.exportReviewed(parameters.lastCorrection, tmp_path / "dora.nrrd")
    np.testing.assert_array_equal(read_mask(path).array, DRAWN)
    record = json.loads(path.with_name("dora.nrrd.json").read_text(encoding="utf-8"))
    assert (record["Author"], record["DrawnBlind"]) == ("Dora Ö.", "true")


def test_the_export_button_writes_the_finished_contour(ready, slicerApplication, tmp_path):
    start(ready)
    draw(ready)
    ready.ui.finishButton.click()
    assert isOffered(ready.ui.furtherExportButton)

    def choose(dialog):
        dialog.selectFile(str(tmp_path / "dora.seg.nrrd"))
        return dialog.DialogCode.Accepted

    slicerApplication.dialogs.answer("dialog", choose)
    ready.ui.furtherExportButton.click()
    assert (tmp_path / "dora.seg.nrrd.json").exists()
    assert "dora.seg.nrrd" in ready.ui.furtherSavedLabel.text


def test_training_on_the_scene_has_the_further_rater(ready, panel, tmp_path):
    start(ready)
    draw(ready)
    ready.ui.finishButton.click()
    present = SceneCase("case", panel.parameters.sequences, panel.parameters.raters)
    for number, cases in enumerate((sceneCases(), sceneCases(present))):
        cohort = exportSceneCohort(tmp_path / str(number), "scene", "cavity", cases)
        (case,) = Cohort.open(cohort.manifest).load_all()
        assert case.rater_names == (*RATERS, "Dora")
        np.testing.assert_array_equal(case.raters, [*RATERS.values(), DRAWN])


@pytest.mark.parametrize("name", ["", "  ", "ben", "BEN"])
def test_a_name_that_is_missing_or_taken_is_refused(ready, slicerApplication, name):
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    assert start(ready, name) is None
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    text = slicerApplication.dialogs.messages[-1].text
    assert "has a rater" in text if name.strip() else "name is missing" in text


def test_finish_waits_for_a_stroke_and_asks_about_nothing(ready, panel, slicerApplication):
    import qt

    start(ready)
    assert not ready.ui.finishButton.enabled
    draw(ready)
    assert ready.ui.finishButton.enabled
    draw(ready, np.zeros(GRID.shape, bool))
    assert ready.ui.finishButton.enabled
    slicerApplication.dialogs.answer("message", qt.QMessageBox.No)
    ready.ui.finishButton.click()
    assert len(panel.parameters.raters) == 3
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Yes)
    ready.ui.finishButton.click()
    assert len(panel.parameters.raters) == 4
    assert not segmentOf(panel.parameters.raters[-1].node).any()


def test_discard_asks_and_takes_the_drawing_away(ready, panel, slicerApplication):
    import qt

    seen, nodes = shownContours(), slicer.mrmlScene.GetNumberOfNodes()
    copy = start(ready)
    draw(ready)
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Cancel)
    ready.ui.discardDrawingButton.click()
    assert panel.parameters.workingCopy is copy
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Ok)
    ready.ui.discardDrawingButton.click()
    assert panel.parameters.workingCopy is None
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    assert len(panel.parameters.raters) == 3
    assert shownContours() == seen


def test_it_goes_on_blind_after_the_scene_was_saved_and_loaded(ready, panel, tmp_path):
    panel.disagreement.ui.expertEntropyButton.click()
    seen, entropy = shownContours(), panel.parameters.expertEntropy.GetName()
    copy = start(ready)
    draw(ready)
    name = copy.GetName()
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    assert panel.parameters.workingCopy is None
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    assert panel.parameters.workingCopy.GetName() == name
    assert shownContours() == {name}
    assert not overlays()
    assert panel.correct.state() == "Dora draws"
    panel.correct.ui.finishButton.click()
    np.testing.assert_array_equal(segmentOf(panel.parameters.raters[-1].node), DRAWN)
    assert shownContours() == {*seen, "Dora"}
    assert {slicer.mrmlScene.GetNodeByID(each).GetName() for each in overlays()} == {entropy}


def test_another_case_shows_nothing_of_the_one_before(ready, panel, slicerApplication):
    import qt

    start(ready)
    draw(ready)
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Cancel)
    panel.case.ui.newCaseButton.click()
    assert "not finished" in slicerApplication.dialogs.messages[-1].text
    panel.case.loading.apply(LoadedCase("Ben", {"T1": addVolume(np.ones(GRID.shape), GRID, "Ben T1")}, []))
    assert shownContours() == set()
    start(ready, "Ed")
    draw(ready)
    ready.ui.finishButton.click()
    assert shownContours() == {"Ed"}


def test_the_user_deletes_the_drawing(ready, panel):
    seen = shownContours()
    slicer.mrmlScene.RemoveNode(start(ready))
    assert panel.parameters.workingCopy is None
    assert ready.ui.drawingBox.isHidden()
    assert shownContours() == seen


def test_scripts_draw_as_a_further_rater_too(scene, moduleFile):
    logic = moduleFile.ObserverUncertaintyLogic()
    image = addVolume(np.ones(GRID.shape), GRID, "T1")
    with pytest.raises(InputError, match="name is missing"):
        logic.startFurtherRater(" ", image)
    copy = logic.startFurtherRater("Dora", image)
    edit(copy.node, DRAWN)
    rater = logic.finishFurtherRater(copy, image)
    np.testing.assert_array_equal(segmentOf(rater.node), DRAWN)
    with pytest.raises(InputError, match="has a rater Dora already"):
        finishFurtherRater(copy, image, [rater])
    correction = logic.startCorrection(rater, image)
    with pytest.raises(InputError, match="a correction, not a further rater"):
        finishFurtherRater(correction, image)


def test_a_labelmap_rater_is_hidden_too(scene):
    image = addVolume(np.ones(GRID.shape), GRID, "T1")
    labelmap = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "ben")
    slicer.util.updateVolumeFromArray(labelmap, RATERS["ben"].astype(np.uint8))
    view = scene.AddNewNodeByClass("vtkMRMLSliceNode", "Red")
    view.SetLayoutName("Red")
    composite = compositeNodeOf(view)
    composite.SetBackgroundVolumeID(image.GetID())
    composite.SetLabelVolumeID(labelmap.GetID())
    showRaterOutlines([Rater(labelmap)])
    copy = startFurtherRater("Dora", image, [Rater(labelmap)])
    assert hideOthers(copy)
    assert not composite.GetLabelVolumeID()
    assert composite.GetBackgroundVolumeID() == image.GetID()
    assert shownContours() == {copy.node.GetName()}
    assert not hideOthers(copy), "there is nothing left to hide"
