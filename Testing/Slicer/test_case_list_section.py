"""Cases in step 6: the list, from one case to the next with nothing left of the last one, reviews on the disk."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import slicer
import slicer.util
from correct_step import edit
from first_step import theMessage
from listed_cohort import image, writeList, writePrediction
from opened_panel import isOffered
from section_case import GRID, box, cells, segmentOf, settle

from ObserverUncertaintyLib.cohort.reviews import read_reviews
from ObserverUncertaintyLib.formats import read_mask
from ObserverUncertaintySlicer import attributes, host
from ObserverUncertaintySlicer.attributes import Role
from ObserverUncertaintySlicer.caseLoading import LoadedCase
from ObserverUncertaintySlicer.volumes import addVolume, arrayOfVolume


@pytest.fixture
def panel(slicerApplication, moduleFile):
    panel = slicerApplication.openModule(moduleFile).panel
    panel.correct.open()
    return panel


@pytest.fixture
def cohort(tmp_path):
    return writeList(tmp_path)


@pytest.fixture
def listed(panel, slicerApplication, cohort):
    openList(panel, slicerApplication, cohort)
    return panel.correct


def openList(panel, slicerApplication, cohort):
    """Choose manifest and predictions as the user does."""
    slicerApplication.dialogs.answer("getOpenFileName", str(cohort[0]))
    slicerApplication.dialogs.answer("getExistingDirectory", str(cohort[1]))
    panel.correct.ui.openListButton.click()


def activate(section, row):
    """Open the case of a row by a double click, or by Enter."""
    section.ui.caseTable.cellActivated.emit(row, 0)


def save(section, author="Anna"):
    section.ui.authorEdit.text = author
    section.ui.saveButton.click()


def data():
    """Classes and names of what holds something in the scene, and classes of how it is shown."""
    kinds = ("vtkMRMLVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLTableNode", "vtkMRMLDisplayNode")
    return Counter(
        (node.GetClassName(), "" if node.IsA("vtkMRMLDisplayNode") else node.GetName())
        for kind in kinds
        for node in slicer.util.getNodesByClass(kind)
        if not node.IsA("vtkMRMLColorNode") and not node.IsA("vtkMRMLSliceDisplayNode")
    )


def parametersOf(panel):
    """What the parameter node says, with names in place of the IDs of nodes and segments."""
    node = panel.parameters.node
    roles: list[str] = []
    node.GetNodeReferenceRoles(roles)
    names = {name: node.GetParameter(name) for name in node.GetParameterNames() if name != "Raters"}
    names["Raters"] = str([(choice.rater.name, choice.enabled) for choice in panel.parameters.raterChoices])
    return names, {role: node.GetNodeReference(role).GetName() for role in roles if node.GetNodeReference(role)}


def test_the_list_shows_what_a_prediction_lets_one_expect(listed, cohort):
    assert cells(listed.ui.caseTable) == [
        ["case02", "0.70", "10.0 mL", "", ""],
        ["case03", "0.80", "10.0 mL", "", ""],
        ["case01", "0.90", "10.0 mL", "", ""],
    ]
    assert listed.ui.casesButton.text == "Cases: 0 of 3 reviewed"
    assert listed.ui.caseListLabel.isHidden()
    assert str(cohort[1]) + "-reviews" in listed.ui.caseListLabel.toolTip


def test_before_a_list_is_opened_there_is_nothing_but_the_button_for_it(panel):
    ui = panel.correct.ui
    assert (ui.caseTable.isHidden(), ui.nextCaseButton.isHidden()) == (True, True)
    assert isOffered(ui.openListButton)


def test_what_one_must_know_of_a_case_is_told_and_what_has_no_place_too(panel, slicerApplication, cohort):
    predictions = cohort[1]
    unlike = "its brain has 12 mL"
    warnings = ["case03 has thick slices", f"case03: {unlike}"]
    writePrediction(predictions / "case03", 2, 0.9, unlike_training=unlike, warnings=warnings)
    writePrediction(predictions / "case02", 1, None, warnings=["a", "b"])
    (predictions / "case01" / "probability.nii.gz").unlink()
    openList(panel, slicerApplication, cohort)
    ui = panel.correct.ui
    assert [row[:4] for row in cells(ui.caseTable)] == [
        ["case03", "0.90", "10.0 mL", "unlike, 1 warning"],
        ["case02", "nothing", "10.0 mL", "2 warnings"],
    ]
    assert f"Unlike the training images: {unlike}" in ui.caseTable.item(0, 1).toolTip()
    assert "case03 has thick slices" in ui.caseTable.item(0, 3).toolTip()
    assert ui.caseListLabel.text == "Without a place in the list: 1 (case01); the tooltip says why."
    assert "was not predicted" in ui.caseListLabel.toolTip


def test_a_list_that_cannot_be_opened_is_told_and_the_one_before_stays(listed, panel, slicerApplication, cohort):
    openList(panel, slicerApplication, (cohort[0], cohort[0].parent))
    theMessage(slicerApplication, "no prediction that can be listed")
    assert len(cells(listed.ui.caseTable)) == 3
    for manifest, folder in (("", None), (str(cohort[0]), "")):
        slicerApplication.dialogs.answer("getOpenFileName", manifest)
        if folder is not None:
            slicerApplication.dialogs.answer("getExistingDirectory", folder)
        listed.ui.openListButton.click()
    assert panel.parameters.listPredictions == str(cohort[1])


def test_the_first_case_is_the_worst_with_a_working_copy_at_its_first_place(listed, panel, cohort):
    listed.ui.nextCaseButton.click()
    parameters = panel.parameters
    assert (parameters.caseName, parameters.listedCase) == ("case02", "case02")
    np.testing.assert_array_equal(arrayOfVolume(parameters.sequences["T2"]), image(1, 1))
    assert [choice.rater.name for choice in parameters.raterChoices] == ["anna", "ben", "cara"]
    segmentation = read_mask(cohort[1] / "case02" / "segmentation.nii.gz").array
    np.testing.assert_array_equal(segmentOf(parameters.workingCopy), segmentation)
    assert attributes.LEVEL.of(parameters.workingCopy) == 0.5
    assert attributes.REVIEW_MODEL.of(parameters.workingCopy) == "712422b2"
    assert listed.ui.sliceLabel.text == "Place 1. Reviewed: 0 of 2 places, 0% of the expected error"
    assert listed.ui.editor.segmentationNode() is parameters.workingCopy
    assert isOffered(listed.ui.propagateButton)
    assert listed.ui.caseTable.currentRow() == 0
    assert [listed.ui.caseTable.item(row, 0).font().bold() for row in range(3)] == [True, False, False]


def test_nothing_of_the_last_case_is_left(listed, panel, slicerApplication, cohort):
    activate(listed, 2)
    settle(slicerApplication, panel.disagreement)
    alone, state = data(), parametersOf(panel)
    slicer.mrmlScene.Clear(0)
    openList(panel, slicerApplication, cohort)
    activate(listed, 0)
    settle(slicerApplication, panel.disagreement)
    panel.disagreement.ui.expertEntropyButton.click()
    panel.compare.ui.differenceCheck.checked = True
    panel.compare.ui.compareButton.click()
    panel.compare.ui.metricsButton.click()
    listed.ui.confidenceCheck.checked = True
    listed.ui.commentEdit.text = "left border"
    edit(panel.parameters.workingCopy, box(10, 15))
    listed._takeUp()
    save(listed)
    listed.ui.confidenceCheck.checked = False
    panel.compare.ui.differenceCheck.checked = False
    activate(listed, 2)
    settle(slicerApplication, panel.disagreement)
    assert data() - alone == alone - data() == Counter()
    names, references = parametersOf(panel)
    assert references == state[1]
    for name in ("CorrectionAuthor", "ShowDifference", "ShowConfidence"):  # the user's, not the case's
        names.pop(name, None)
    assert {name: text for name, text in names.items() if text} == {
        name: text for name, text in state[0].items() if text
    }
    assert listed.ui.commentEdit.text == ""
    assert panel.case.ui.loadedLabel.text == ""


def test_from_case_to_case_until_none_is_left_and_each_review_is_on_the_disk(listed, panel, cohort, slicerApplication):
    for case in ("case02", "case03", "case01"):
        listed.ui.nextCaseButton.click()
        assert panel.parameters.caseName == case
        save(listed, "Dr. Ö")
        assert "in the folder its predictions-reviews beside the predictions" in listed.ui.savedLabel.text
    assert [row[4] for row in cells(listed.ui.caseTable)] == ["Dr. Ö"] * 3
    assert listed.ui.casesButton.text == "Cases: 3 of 3 reviewed"
    listed.ui.nextCaseButton.click()
    assert listed.ui.caseListLabel.text == "No other case of the list is left to review."
    assert panel.parameters.caseName == "case01"
    found = read_reviews(f"{cohort[1]}-reviews").latest
    assert [(review.case, review.reviewer) for review in found] == [
        ("case01", "Dr. Ö"),
        ("case02", "Dr. Ö"),
        ("case03", "Dr. Ö"),
    ]
    assert listed.ui.savedLabel.toolTip == str(found[0].mask)
    listed.ui.authorEdit.text = "Ben"
    listed.ui.nextCaseButton.click()
    assert panel.parameters.caseName == "case02", "another reviewer has not seen it"
    assert slicerApplication.dialogs.messages == []


def test_after_a_case_of_the_list_the_next_one_of_it_comes(listed, panel):
    activate(listed, 0)
    assert panel.guide.ui.nextLabel.text == "case02. Next: correct the contour, then save."
    save(listed)
    assert panel.guide.ui.nextLabel.text == "case02. Next: go on with the next case of the list."


def test_a_further_rater_is_not_told_what_the_model_found(listed, panel):
    listed.ui.casesButton.collapsed = False
    activate(listed, 0)
    assert listed.ui.furtherRaterButton.isHidden(), "there is no room for both"
    listed.ui.casesButton.collapsed = True
    assert isOffered(listed.ui.furtherRaterButton)
    listed.ui.furtherNameEdit.text = "Dora"
    listed.ui.furtherStartButton.click()
    assert listed.further.name == "Dora"
    assert listed.ui.casesButton.isHidden()


def test_a_case_that_is_no_longer_the_lists_is_saved_in_the_scene_alone(listed, panel, cohort):
    activate(listed, 0)
    other = LoadedCase("Ben", {"T1": addVolume(image(0, 0), GRID, "Ben T1")}, panel.parameters.raters)
    panel.case.loading.apply(other)
    listed.ui.startButton.click()
    save(listed)
    assert listed.ui.savedLabel.text.endswith("Export… writes a file.")
    assert not (cohort[1].parent / "its predictions-reviews").exists()
    listed.ui.nextCaseButton.click()
    assert panel.parameters.caseName == "case03"
    left = {node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")}
    assert "Ben T1" in left
    assert not [name for name in left if name.startswith("case02")]


def test_another_list_does_not_take_the_reviews_of_a_case_of_the_first(
    listed, panel, slicerApplication, cohort, tmp_path
):
    activate(listed, 0)
    other = writeList(tmp_path / "other")
    openList(panel, slicerApplication, other)
    assert panel.parameters.caseName == "case02"
    save(listed)
    for predictions in (cohort[1], other[1]):
        assert not predictions.with_name("its predictions-reviews").exists()


def test_a_review_that_cannot_be_written_is_told_and_can_be_saved_again(listed, panel, slicerApplication, cohort):
    activate(listed, 0)
    blocking = cohort[1].with_name("its predictions-reviews")
    blocking.write_text("a file where the folder should be", encoding="utf-8")
    save(listed)
    theMessage(slicerApplication, "its predictions-reviews")
    assert isOffered(listed.ui.saveButton)
    assert cells(listed.ui.caseTable)[0][4] == ""
    saved = panel.parameters.lastCorrection
    activate(listed, 1)
    assert slicer.mrmlScene.IsNodePresent(saved), "it is nowhere else"
    blocking.unlink()
    save(listed)
    assert cells(listed.ui.caseTable)[1][4] == "Anna"


def test_changes_that_were_not_saved_are_asked_for_and_stay_in_the_scene(listed, panel, slicerApplication):
    import qt

    activate(listed, 0)
    copy = panel.parameters.workingCopy
    edit(copy, box(10, 15))
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Cancel)
    listed.ui.nextCaseButton.click()
    assert (panel.parameters.caseName, panel.parameters.workingCopy) == ("case02", copy)
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Ok)
    listed.ui.nextCaseButton.click()
    assert panel.parameters.caseName == "case03"
    np.testing.assert_array_equal(segmentOf(copy), box(10, 15))
    assert not copy.GetDisplayNode().GetVisibility()
    assert listed.ui.caseListLabel.text == f"Stays in the scene, since it was changed: {copy.GetName()}."
    slicerApplication.dialogs.messages.clear()


def test_places_that_were_accepted_and_not_saved_are_asked_for(listed, panel, slicerApplication):
    import qt

    activate(listed, 0)
    listed.ui.acceptButton.click()
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Cancel)
    listed.ui.nextCaseButton.click()
    assert panel.parameters.caseName == "case02"
    assert "1 of 2 places of case02 were accepted" in slicerApplication.dialogs.messages[-1].text
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Ok)
    listed.ui.nextCaseButton.click()
    assert panel.parameters.caseName == "case03"
    assert not [node for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if "case02" in node.GetName()]
    slicerApplication.dialogs.messages.clear()


def test_the_open_case_is_not_opened_over_its_own_working_copy(listed, panel):
    activate(listed, 0)
    copy = panel.parameters.workingCopy
    activate(listed, 0)
    assert panel.parameters.workingCopy is copy
    assert listed.ui.caseListLabel.text == "case02 is open already."


def test_a_case_that_cannot_be_opened_leaves_the_present_one(listed, panel, slicerApplication, cohort):
    activate(listed, 0)
    (cohort[1] / "case03" / "segmentation.nii.gz").unlink()
    before, state = data(), parametersOf(panel)
    listed.ui.nextCaseButton.click()
    theMessage(slicerApplication, "lacks segmentation.nii.gz")
    assert data() == before
    assert parametersOf(panel) == state
    assert panel.parameters.workingCopy.GetDisplayNode().GetVisibility()


def test_results_that_the_user_had_the_model_make_stay_hidden(listed, panel):
    activate(listed, 0)
    own = addVolume(np.zeros(GRID.shape, np.float32), GRID, "case02 model uncertainty of another run")
    panel.parameters.predictiveEntropy = own
    listed.ui.nextCaseButton.click()
    assert slicer.mrmlScene.IsNodePresent(own)
    assert panel.parameters.predictiveEntropy is not own


def test_a_loaded_scene_goes_on_with_the_list(listed, panel, slicerApplication, tmp_path, cohort):
    activate(listed, 0)
    settle(slicerApplication, panel.disagreement)
    path = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path))
    slicer.mrmlScene.Clear(0)
    assert listed.ui.caseTable.isHidden()
    assert slicer.mrmlScene.ReadFromMRB(str(path))
    assert len(cells(listed.ui.caseTable)) == 3
    assert listed.ui.caseTable.item(0, 0).font().bold()
    save(listed)
    assert cells(listed.ui.caseTable)[0][4] == "Anna"
    listed.ui.nextCaseButton.click()
    settle(slicerApplication, panel.disagreement)
    assert panel.parameters.caseName == "case03"
    assert not [name for _class, name in data() if name.startswith("case02")]
    assert len(read_reviews(f"{cohort[1]}-reviews").latest) == 1


def test_a_scene_whose_list_is_gone_says_so_without_a_message(listed, panel, slicerApplication, tmp_path, cohort):
    activate(listed, 0)
    path = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(path))
    slicer.mrmlScene.Clear(0)
    cohort[1].rename(cohort[1].with_name("elsewhere"))
    assert slicer.mrmlScene.ReadFromMRB(str(path))
    assert "its predictions is no folder" in listed.ui.caseListLabel.text
    assert slicerApplication.dialogs.messages == []
    assert panel.parameters.caseName == "case02"
    assert isOffered(listed.ui.openListButton)


def test_the_outline_of_a_place_is_the_present_cases(listed, panel, cohort):
    activate(listed, 0)
    activate(listed, 1)
    (outline,) = [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        if attributes.ROLE.of(node) == Role.PLACE
    ]
    unsure = np.roll(_lower(), 2, axis=1)
    np.testing.assert_array_equal(segmentOf(outline), unsure)


def _lower():
    from correct_step import LOWER

    mask = np.zeros(GRID.shape, bool)
    mask[LOWER] = True
    return mask


def test_dialogs_begin_where_the_last_ones_were(listed, panel, slicerApplication, cohort):
    assert host.setting("PredictionsFolder") == str(cohort[1].parent)
    slicerApplication.dialogs.answer("getOpenFileName", str(cohort[0]))
    slicerApplication.dialogs.answer("getExistingDirectory", "")
    listed.ui.openListButton.click()
    assert slicerApplication.dialogs.asked[-1][3] == str(cohort[1].parent)
