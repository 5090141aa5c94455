"""Step 1 of the panel: what it offers, its sequences, and what it lets go of."""

from __future__ import annotations

import pytest
import slicer
from first_step import add, openPanel, theMessage
from opened_panel import isOffered
from section_case import addRaters, addSequence, cells, fill, settle


@pytest.fixture
def panel(slicerApplication, moduleFile, tmp_path, monkeypatch):
    return openPanel(slicerApplication, moduleFile, tmp_path, monkeypatch)


@pytest.fixture
def section(panel):
    return panel.case


# The empty panel


def test_an_empty_panel_offers_to_load_a_case_and_nothing_else(section):
    ui = section.ui
    assert ui.sectionButton.text == "1. Case: no image yet"
    for button in (ui.loadFolderButton, ui.loadCohortButton, ui.loadSampleButton):
        assert isOffered(button)
    for hidden in (
        *(ui.sequencesTable, ui.ratersTable, ui.sampleBar, ui.sampleLabel, ui.loadedLabel, ui.ratersLabel),
        *(ui.showButton, ui.useLabel, ui.showBar, ui.showLabel, ui.advancedButton),
    ):
        assert hidden.isHidden(), hidden.objectName
    assert "RT structures" in ui.hintLabel.text
    assert "Load folder" in ui.hintLabel.text
    assert ui.noticeLabel.text == "Research use only, not a medical device."


def test_what_is_loaded_in_slicer_can_be_chosen_at_once(slicerApplication, section):
    ui = section.ui
    addSequence("case T1")
    settle(slicerApplication, section)
    assert isOffered(ui.advancedButton)
    assert ui.advancedButton.text == "Choose from the scene"
    assert not ui.advancedButton.collapsed
    assert isOffered(ui.volumeSelector)
    assert ui.raterSelector.isHidden(), "there is no contour in the scene"
    assert ui.addSequenceButton.isHidden(), "no volume is chosen yet"
    addRaters()
    settle(slicerApplication, section)
    assert isOffered(ui.raterSelector)
    add(section, addSequence("case T2"))
    assert not ui.advancedButton.collapsed, "there may be more to choose"


def test_a_whole_case_is_changed_only_when_asked(slicerApplication, panel, section):
    fill(panel)
    settle(slicerApplication, section)
    ui = section.ui
    assert ui.advancedButton.collapsed
    assert ui.advancedButton.text == "Change the case"
    assert ui.hintLabel.isHidden()
    ui.advancedButton.collapsed = False
    addSequence("another")
    settle(slicerApplication, section)
    assert not ui.advancedButton.collapsed, "it stays as the user left it"
    for button in (ui.checkAlignmentButton, ui.alignButton):
        assert button.isHidden(), "there is one sequence"
    for button in (ui.removeSequenceButton, ui.makeReferenceButton, ui.removeRaterButton):
        assert button.isHidden(), "nothing is selected"
    ui.ratersTable.selectRow(0)
    assert isOffered(ui.removeRaterButton)


# Sequences


def test_volumes_become_sequences_under_the_name_that_theirs_suggests(section):
    t1, contrast = addSequence("case T1"), addSequence("case t1 post")
    section.ui.volumeSelector.setCurrentNode(t1)
    assert isOffered(section.ui.addSequenceButton)
    assert section.ui.nameCombo.currentText == "T1"
    section.ui.addSequenceButton.click()
    add(section, contrast)
    assert section.parameters.sequences == {"T1": t1, "T1c": contrast}
    assert section.parameters.reference is t1
    assert cells(section.ui.sequencesTable) == [["T1", "case T1 (reference)"], ["T1c", "case t1 post"]]
    assert section.state() == "2 volumes, no rater"


@pytest.mark.parametrize(
    ("volume", "name"),
    [
        *(("pat07 FLAIR axial", "FLAIR"), ("t1ce", "T1c"), ("T2w_TSE", "T2"), ("CT", "CT"), ("T1 to T2", "T1 to T2")),
        *(("3: T1 MPRAGE post", "T1c"), ("5: t2_tirm_tra_dark-fluid", "FLAIR"), ("7: ADC T2", "7: ADC T2")),
    ],
)
def test_a_sequence_name_is_guessed_or_the_volumes_own_kept(slicerApplication, volume, name):
    from ObserverUncertaintySlicer.panel.sequenceTable import guessedSequenceName

    assert guessedSequenceName(volume) == name
    assert guessedSequenceName(volume, taken=[name]) == volume


def test_the_same_volume_an_old_name_and_no_name_are_refused_with_one_message_each(slicerApplication, section):
    t1 = addSequence("case T1")
    add(section, t1)
    add(section, t1, "T2")
    theMessage(slicerApplication, "case T1", "already")
    add(section, addSequence("other"), "T1")
    theMessage(slicerApplication, "T1 already")
    add(section, addSequence("third"), "  ")
    theMessage(slicerApplication, "no name")
    add(section, slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "hollow"), "T2")
    theMessage(slicerApplication, "hollow", "no voxels")
    assert section.parameters.sequences == {"T1": t1}


def test_labelmaps_are_not_offered_as_sequences_and_images_not_as_raters(section):
    image, labels = addSequence("image"), slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    section.ui.volumeSelector.setCurrentNode(labels)
    assert section.ui.volumeSelector.currentNode() is None
    section.ui.raterSelector.setCurrentNode(image)
    assert section.ui.raterSelector.currentNode() is None
    section.ui.raterSelector.setCurrentNode(labels)
    assert section.ui.raterSelector.currentNode() is labels


def test_a_sequence_is_renamed_in_the_table_but_not_to_nothing_or_another_ones_name(slicerApplication, section):
    t1, t2 = addSequence("a"), addSequence("b")
    section.parameters.sequences = {"T1": t1, "T2": t2}
    section.ui.sequencesTable.item(0, 0).setText("T1c")
    assert section.parameters.sequences == {"T1c": t1, "T2": t2}
    for wrong in ("T2", " "):
        section.ui.sequencesTable.item(0, 0).setText(wrong)
        theMessage(slicerApplication)
        assert cells(section.ui.sequencesTable)[0][0] == "T1c"
    assert list(section.parameters.sequences) == ["T1c", "T2"]


def test_the_selected_sequence_is_made_reference_or_removed(section):
    t1, t2, flair = addSequence("a"), addSequence("b"), addSequence("c")
    section.parameters.sequences = {"T1": t1, "T2": t2, "FLAIR": flair}
    section.ui.sequencesTable.selectRow(0)
    assert section.ui.makeReferenceButton.isHidden(), "it is the reference already"
    section.ui.sequencesTable.selectRow(2)
    assert isOffered(section.ui.makeReferenceButton)
    section.ui.makeReferenceButton.click()
    assert list(section.parameters.sequences) == ["FLAIR", "T1", "T2"]
    assert section.parameters.reference is flair
    section.ui.sequencesTable.selectRow(1)
    section.ui.removeSequenceButton.click()
    assert section.parameters.sequences == {"FLAIR": flair, "T2": t2}
    assert slicer.mrmlScene.IsNodePresent(t1)


def test_the_case_name_is_the_one_that_was_typed_or_else_the_references_greyed(section):
    edit = section.ui.caseNameEdit
    assert (edit.text, edit.placeholderText) == ("", "case")
    add(section, addSequence("pat07 T1"))
    assert (edit.text, edit.placeholderText) == ("", "pat07 T1")
    edit.text = " pat 07 "
    edit.editingFinished.emit()
    assert section.parameters.caseName == edit.text == "pat 07"
    edit.text = ""
    edit.editingFinished.emit()
    assert section.parameters.caseName == "pat07 T1"
    assert (edit.text, edit.placeholderText) == ("", "pat07 T1")


# What is deleted, made or chosen elsewhere


def test_nodes_deleted_in_use_are_gone_from_the_panel(panel, section):
    node = fill(panel)
    panel.parameters.sequences = {**panel.parameters.sequences, "T2": addSequence("case T2")}
    slicer.mrmlScene.RemoveNode(panel.parameters.reference)
    assert cells(section.ui.sequencesTable) == [["T2", "case T2 (reference)"]]
    slicer.mrmlScene.RemoveNode(node)
    assert section.ui.ratersTable.rowCount == 0
    assert section.state() == "1 volume, no rater"


def test_a_result_is_no_image_of_the_case(slicerApplication, panel, section):
    fill(panel)
    panel.disagreement.ui.expertEntropyButton.click()
    add(section, panel.parameters.expertEntropy, "FLAIR")
    theMessage(slicerApplication, "expert disagreement", "not an image")
    assert list(panel.parameters.sequences) == ["T1"]


def test_another_case_is_chosen_from_the_scene_after_the_first_is_let_go_of(slicerApplication, panel, section):
    node = fill(panel)
    assert isOffered(section.ui.newCaseButton)
    section.ui.newCaseButton.click()
    assert panel.parameters.sequences == {}
    assert panel.parameters.raterChoices == []
    assert slicer.mrmlScene.IsNodePresent(node), "it stays in the scene"
    assert not node.GetDisplayNode().GetVisibility(), "and is not drawn over the next one"
    assert section.ui.newCaseButton.isHidden()
    assert not section.ui.advancedButton.collapsed
    add(section, addSequence("another T1"), "T1")
    assert section.state() == "1 volume, no rater"
