"""Step 1 of the panel: every control, against known volumes and overlaps, real files and real background jobs."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import slicer
from section_case import GRID, RATERS, addRaters, addSequence, box, cells, fill, head, settle, waitFor

from ObserverUncertaintyLib.formats import write_image
from ObserverUncertaintyLib.images.grid import same_grid
from ObserverUncertaintyLib.jobs import JobState
from ObserverUncertaintyLib.simulation.cavities import CavitySettings, simulate_cavity_case
from ObserverUncertaintySlicer import host, sampleData
from ObserverUncertaintySlicer.caseLoading import LoadedCase
from ObserverUncertaintySlicer.parameters import RaterChoice
from ObserverUncertaintySlicer.raters import Rater, ratersOfNode
from ObserverUncertaintySlicer.segments import addSegmentation, setSegment
from ObserverUncertaintySlicer.volumes import addVolume, arrayOfVolume, gridOfVolume


@pytest.fixture
def panel(slicerApplication, moduleFile, tmp_path, monkeypatch):
    monkeypatch.setenv(host.JOBS_VARIABLE, str(tmp_path / "jobs"))
    monkeypatch.delenv(host.PYTHON_VARIABLE, raising=False)  # step 1 must work without anything installed
    monkeypatch.setattr(sampleData, "dataFolder", lambda: tmp_path / "data")
    return slicerApplication.openModule(moduleFile).panel


@pytest.fixture
def section(panel):
    return panel.case


@pytest.fixture(scope="module")
def simulated():
    return simulate_cavity_case(0, 1, CavitySettings(in_plane_spacing_mm=2.5, slice_thickness_mm=5.0))


def add(section, volume, name=None):
    """Add a sequence as the user does."""
    section.ui.volumeSelector.setCurrentNode(volume)
    if name is not None:
        section.ui.nameCombo.setCurrentText(name)
    section.ui.addSequenceButton.click()


def addAllRaters(section, node):
    """Add raters as the user does."""
    section.ui.raterSelector.setCurrentNode(node)
    section.ui.addRatersButton.click()


def theMessage(application, *words):
    """The one message that was shown."""
    (message,) = application.dialogs.messages
    for word in words:
        assert word in message.text
    application.dialogs.messages.clear()


def writeCase(folder, names=("T1", "T2")):
    """A case folder as people have it."""
    folder.mkdir(parents=True)
    for name in names:
        write_image(folder / f"{name}.nrrd", head(), GRID)
    for name, mask in RATERS.items():
        write_image(folder / f"rater_{name}.nrrd", mask.astype(np.uint8), GRID)
    return folder


# The empty panel


def test_an_empty_panel_says_what_is_missing_and_why_buttons_are_off(section):
    ui = section.ui
    assert ui.sectionButton.text == "1. Case: no volume yet"
    for button, reason in (
        (ui.addSequenceButton, "Choose a volume first"),
        (ui.removeSequenceButton, "Select a sequence"),
        (ui.makeReferenceButton, "Select a sequence"),
        (ui.checkAlignmentButton, "two sequences"),
        (ui.alignButton, "two sequences"),
        (ui.addRatersButton, "Choose a segmentation"),
        (ui.removeRaterButton, "Select a rater"),
    ):
        assert not button.enabled
        assert reason in button.toolTip
    for button in (ui.loadFolderButton, ui.loadCohortButton, ui.loadSampleButton):
        assert button.enabled
    for hidden in (ui.sequencesTable, ui.ratersTable, ui.sampleBar, ui.alignBar, ui.loadedLabel, ui.ratersLabel):
        assert hidden.isHidden()
    assert ui.noticeLabel.text == "Research use only, not a medical device."


# Sequences


def test_volumes_become_sequences_under_the_name_that_theirs_suggests(section):
    t1, contrast = addSequence("case T1"), addSequence("case t1 post")
    section.ui.volumeSelector.setCurrentNode(t1)
    assert section.ui.addSequenceButton.enabled
    assert section.ui.addSequenceButton.toolTip == "Add the volume to the sequences"
    assert section.ui.nameCombo.currentText == "T1"
    section.ui.addSequenceButton.click()
    add(section, contrast)
    assert section.parameters.sequences == {"T1": t1, "T1c": contrast}
    assert section.parameters.reference is t1
    assert cells(section.ui.sequencesTable) == [["T1", "case T1 (reference)"], ["T1c", "case t1 post"]]
    assert section.state() == "2 volumes, no rater"


@pytest.mark.parametrize(
    ("volume", "name"),
    [("pat07 FLAIR axial", "FLAIR"), ("t1ce", "T1c"), ("T2w_TSE", "T2"), ("CT", "CT"), ("T1 to T2", "T1 to T2")],
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
    assert not section.ui.makeReferenceButton.enabled
    assert "already" in section.ui.makeReferenceButton.toolTip
    section.ui.sequencesTable.selectRow(2)
    assert section.ui.makeReferenceButton.enabled
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


# Raters


def test_added_raters_get_names_and_colours_of_their_own_and_are_outlined(section, scene):
    green = (0.5, 0.68, 0.5)  # what Slicer gives the first segment of every file
    nodes = [addRaters({"Segment_1": mask}, f"mask_{name}") for name, mask in RATERS.items()]
    for node in nodes:
        node.GetSegmentation().GetNthSegment(0).SetColor(green)
        node.GetDisplayNode().SetVisibility2DFill(True)
        addAllRaters(section, node)
    assert [row[1] for row in cells(section.ui.ratersTable)] == ["mask_anna", "mask_ben", "mask_cara"]
    colors = [rater.color for rater in section.parameters.raters]
    assert colors[0] == green
    assert len(set(colors)) == 3
    for node in nodes:
        assert node.GetDisplayNode().GetVisibility2DOutline()
        assert not node.GetDisplayNode().GetVisibility2DFill()
    assert section.ui.ratersTable.item(1, 1).toolTip() == "Segment_1 of mask_ben"


def test_an_added_labelmap_is_outlined_and_its_opaque_layer_taken_away(section, scene):
    image, other = addSequence("case T1"), slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "atlas")
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "mask")
    source = addVolume(RATERS["ben"], GRID, "source")
    slicer.modules.volumes.logic().CreateLabelVolumeFromVolume(scene, labels, source)
    red, green, yellow = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    for composite, layer in ((red, labels), (green, labels), (yellow, other)):
        composite.SetBackgroundVolumeID(image.GetID())
        composite.SetLabelVolumeID(layer.GetID())
    addAllRaters(section, labels)
    assert [composite.GetLabelVolumeID() for composite in (red, green, yellow)] == [None, None, other.GetID()]
    assert red.GetBackgroundVolumeID() == image.GetID()
    (display,) = slicer.util.getNodesByClass("vtkMRMLSegmentationDisplayNode")
    assert display.GetVisibility()
    assert display.GetDisplayableNode().GetSegmentation().GetNthSegment(0).GetName() == "mask"
    section.ui.ratersTable.selectRow(0)
    section.ui.removeRaterButton.click()
    assert not display.GetVisibility()


def test_raters_are_shown_with_volume_colour_and_pairwise_dice(slicerApplication, section):
    add(section, addSequence("case T1"))
    node = addRaters()
    addAllRaters(section, node)
    assert cells(section.ui.ratersTable) == [
        ["1", "anna", "10.00", "-", "0.80", "0.67"],
        ["2", "ben", "10.00", "0.80", "-", "0.40"],
        ["3", "cara", "5.00", "0.67", "0.40", "-"],
    ]
    mean = (0.8 + 2 / 3 + 0.4) / 3
    assert section.ui.ratersLabel.text == f"Mean Dice of the raters that take part: {mean:.2f}"
    assert section.state() == "T1; 3 raters"
    import qt

    for row in range(3):
        shown = section.ui.ratersTable.item(row, 1).data(qt.Qt.DecorationRole)
        expected = node.GetSegmentation().GetNthSegment(row).GetColor()
        np.testing.assert_allclose((shown.redF(), shown.greenF(), shown.blueF()), expected, atol=1 / 255)
    header = section.ui.ratersTable.horizontalHeaderItem(4)
    assert header.text() == "2"
    assert header.toolTip() == "Dice with ben"


def test_a_rater_is_switched_off_and_on_without_computing_again(panel, section, monkeypatch):
    from ObserverUncertaintySlicer.panel import raterTable

    fill(panel)
    computed = []
    statistics = raterTable.raterStatistics
    monkeypatch.setattr(raterTable, "raterStatistics", lambda masks: computed.append(1) or statistics(masks))
    import qt

    section.ui.ratersTable.item(2, 0).setCheckState(qt.Qt.Unchecked)
    assert [choice.enabled for choice in section.parameters.raterChoices] == [True, True, False]
    assert [rater.name for rater in section.parameters.raters] == ["anna", "ben"]
    assert section.ui.ratersLabel.text.endswith("0.80")
    assert section.state() == "T1; 2 raters"
    section.ui.ratersTable.item(2, 0).setCheckState(qt.Qt.Checked)
    assert len(section.parameters.raters) == 3
    assert not computed


def test_the_selected_rater_is_removed_and_stays_in_the_scene(panel, section):
    node = fill(panel)
    section.ui.ratersTable.selectRow(1)
    assert section.ui.removeRaterButton.enabled
    section.ui.removeRaterButton.click()
    assert [choice.rater.name for choice in section.parameters.raterChoices] == ["anna", "cara"]
    assert cells(section.ui.ratersTable) == [["1", "anna", "10.00", "-", "0.67"], ["2", "cara", "5.00", "0.67", "-"]]
    assert node.GetSegmentation().GetNumberOfSegments() == 3


def test_a_labelmap_on_another_grid_is_a_rater_and_resampling_is_told(panel, section):
    fill(panel)
    half = replace(GRID, size=(64, 30, 20), spacing=(1.0, 2.0, 2.5), origin=(-31.5, -29.0, -24.0))
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "fine")
    source = addVolume(np.repeat(RATERS["ben"], 2, axis=2), half, "source")
    slicer.modules.volumes.logic().CreateLabelVolumeFromVolume(slicer.mrmlScene, labels, source)
    addAllRaters(section, labels)
    rows = cells(section.ui.ratersTable)
    assert rows[3] == ["4", "fine", "10.00", "0.80", "1.00", "0.40", "-"]
    assert "fine was resampled to the nearest voxel from 64 x 30 x 20 voxels of 1 x 2 x 2.5 mm" in (
        section.ui.ratersLabel.text
    )


def test_an_empty_rater_is_warned_about_and_has_no_dice_with_another_empty_one(section):
    addAllRaters(section, addRaters({"one": box(0, 0), "two": box(0, 0), "three": box(3, 5)}))
    rows = cells(section.ui.ratersTable)
    assert rows[0] == ["1", "one", "0.00", "-", "-", "0.00"]
    assert "neither" in section.ui.ratersTable.item(0, 4).toolTip()
    assert "one drew nothing" in section.ui.ratersLabel.text
    assert section.state() == "no volume yet; 3 raters"


def test_what_is_no_rater_is_refused_with_one_message(slicerApplication, panel, section):
    node = fill(panel)
    addAllRaters(section, node)
    theMessage(slicerApplication, "case raters", "already")
    two = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "two labels")
    slicer.util.updateVolumeFromArray(two, np.arange(8, dtype=np.uint8).reshape(2, 2, 2) % 3)
    addAllRaters(section, two)
    theMessage(slicerApplication, "two labels", "2 labels")
    settle(slicerApplication, panel.disagreement)
    addAllRaters(section, panel.parameters.fusedSegmentation)
    theMessage(slicerApplication, "fusion")
    assert len(section.parameters.raterChoices) == 3


def test_raters_that_cannot_be_compared_show_why_instead_of_figures(panel, section):
    fill(panel)
    two = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "two labels")
    slicer.util.updateVolumeFromArray(two, np.arange(8, dtype=np.uint8).reshape(2, 2, 2) % 3)
    panel.parameters.raterChoices = [*panel.parameters.raterChoices, RaterChoice(Rater(two))]
    assert "two labels" in section.ui.ratersLabel.text
    assert cells(section.ui.ratersTable)[0][2] == ""


def test_figures_follow_the_brush_names_and_colours(slicerApplication, panel, section):
    node = fill(panel)
    segmentID = ratersOfNode(node)[2].segmentID
    setSegment(node, segmentID, RATERS["anna"], GRID)
    node.GetSegmentation().GetSegment(segmentID).SetName("dora")
    settle(slicerApplication, section)
    assert cells(section.ui.ratersTable)[2] == ["3", "dora", "10.00", "1.00", "0.80", "-"]
    node.GetSegmentation().RemoveSegment(segmentID)
    settle(slicerApplication, section)
    assert len(section.parameters.raterChoices) == 2
    assert cells(section.ui.ratersTable) == [["1", "anna", "10.00", "-", "0.80"], ["2", "ben", "10.00", "0.80", "-"]]


def test_figures_are_computed_only_where_somebody_sees_them(slicerApplication, panel, section):
    section.ui.sectionButton.collapsed = True
    fill(panel)
    assert cells(section.ui.ratersTable)[0][2] == ""
    section.ui.sectionButton.collapsed = False
    assert cells(section.ui.ratersTable)[0][2] == "10.00"
    slicerApplication.leave()
    panel.parameters.raterChoices = panel.parameters.raterChoices[1:]
    assert cells(section.ui.ratersTable)[0][:3] == ["1", "ben", ""]
    slicerApplication.enter("ObserverUncertainty")
    assert cells(section.ui.ratersTable)[0][:3] == ["1", "ben", "10.00"]


def test_nodes_deleted_in_use_are_gone_from_the_panel(panel, section):
    node = fill(panel)
    panel.parameters.sequences = {**panel.parameters.sequences, "T2": addSequence("case T2")}
    slicer.mrmlScene.RemoveNode(panel.parameters.reference)
    assert cells(section.ui.sequencesTable) == [["T2", "case T2 (reference)"]]
    slicer.mrmlScene.RemoveNode(node)
    assert section.ui.ratersTable.rowCount == 0
    assert section.state() == "1 volume, no rater"


# Cases from files


def test_a_case_folder_fills_the_panel_and_the_slice_views(slicerApplication, panel, section, tmp_path):
    slicerApplication.dialogs.answer("getExistingDirectory", str(writeCase(tmp_path / "pat ü 07")))
    section.ui.loadFolderButton.click()
    assert section.parameters.caseName == section.ui.caseNameEdit.text == "pat ü 07"
    assert list(section.parameters.sequences) == ["T1", "T2"]
    np.testing.assert_allclose(arrayOfVolume(section.parameters.sequences["T2"]), head())
    assert [row[2] for row in cells(section.ui.ratersTable)] == ["10.00", "10.00", "5.00"]
    assert section.state() == "T1, T2; 3 raters"
    assert section.ui.alignmentLabel.text == "All sequences overlap T1."
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert {node.GetBackgroundVolumeID() for node in composites} == {section.parameters.reference.GetID()}


def test_what_was_left_out_of_a_folder_is_said(slicerApplication, section, tmp_path):
    folder = writeCase(tmp_path / "case")
    (folder / "report.txt").write_text("all well", encoding="utf-8")
    slicerApplication.dialogs.answer("getExistingDirectory", str(folder))
    section.ui.loadFolderButton.click()
    assert "report.txt" in section.ui.loadedLabel.text
    assert not section.ui.loadedLabel.isHidden()


def test_a_folder_that_cannot_be_used_is_told_once_and_changes_nothing(slicerApplication, panel, section, tmp_path):
    fill(panel)
    (tmp_path / "empty").mkdir()
    slicerApplication.dialogs.answer("getExistingDirectory", str(tmp_path / "empty"))
    section.ui.loadFolderButton.click()
    theMessage(slicerApplication, "no image file")
    assert section.state() == "T1; 3 raters"
    slicerApplication.dialogs.answer("getExistingDirectory", "")
    section.ui.loadFolderButton.click()
    assert section.state() == "T1; 3 raters"


def manifest(folder, cases, write=True):
    """A cohort with these cases, which are written unless they are there."""
    for case in cases if write else ():
        writeCase(folder / case)
    path = folder / "cohort.toml"
    text = "\n".join(
        [
            "[cohort]",
            'name = "a cohort"',
            "cases = [" + ", ".join(f'"{case}"' for case in cases) + "]",
            "[images]",
            'T1 = "{case}/T1.nrrd"',
            'T2 = "{case}/T2.nrrd"',
            "[raters]",
            *(f'{name} = "{{case}}/rater_{name}.nrrd"' for name in RATERS),
        ]
    )
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_cohort_of_one_case_is_loaded_without_a_question(slicerApplication, section, tmp_path):
    slicerApplication.dialogs.answer("getOpenFileName", manifest(tmp_path, ["only"]))
    section.ui.loadCohortButton.click()
    assert section.parameters.caseName == "only"
    assert section.state() == "T1, T2; 3 raters"
    assert [name for name, *_ in slicerApplication.dialogs.asked] == ["getOpenFileName"]


def test_of_a_cohort_of_several_the_chosen_case_is_loaded_or_none(slicerApplication, section, tmp_path):
    import qt

    path = manifest(tmp_path, ["one", "two"])
    slicerApplication.dialogs.answer("getOpenFileName", path)

    def chooseSecond(dialog):
        entries, load = dialog.findChild(qt.QListWidget, "caseList"), dialog.findChild(qt.QPushButton, "loadButton")
        assert [entries.item(row).text() for row in range(entries.count)] == ["one", "two"]
        assert dialog.findChild(qt.QLineEdit, "filterEdit").isHidden()
        assert not load.enabled
        entries.setCurrentRow(1)
        assert load.enabled
        assert "cohort.toml" in dialog.findChildren(qt.QLabel)[0].text
        return qt.QDialog.Accepted

    slicerApplication.dialogs.answer("dialog", chooseSecond)
    section.ui.loadCohortButton.click()
    assert section.parameters.caseName == "two"
    slicerApplication.dialogs.answer("getOpenFileName", path)
    slicerApplication.dialogs.answer("dialog", qt.QDialog.Rejected)
    section.ui.loadCohortButton.click()
    assert section.parameters.caseName == "two"
    slicerApplication.dialogs.answer("getOpenFileName", "")
    section.ui.loadCohortButton.click()
    (tmp_path / "wrong.toml").write_text("cases = 3", encoding="utf-8")
    slicerApplication.dialogs.answer("getOpenFileName", str(tmp_path / "wrong.toml"))
    section.ui.loadCohortButton.click()
    theMessage(slicerApplication, "wrong.toml")
    assert section.parameters.caseName == "two"


def test_of_a_cohort_with_an_incomplete_case_the_others_are_loaded(slicerApplication, section, tmp_path):
    import qt

    path = manifest(tmp_path, ["one", "two"])
    (tmp_path / "two" / "T1.nrrd").unlink()
    slicerApplication.dialogs.answer("getOpenFileName", path)

    def tryBoth(dialog):
        entries, load = dialog.findChild(qt.QListWidget, "caseList"), dialog.findChild(qt.QPushButton, "loadButton")
        problem = dialog.findChild(qt.QPlainTextEdit, "problemView")
        assert [entries.item(row).text() for row in range(entries.count)] == ["one", "two  (no image T1)"]
        assert problem.isHidden()
        entries.setCurrentRow(1)
        assert not load.enabled
        assert "case two has no image T1" in problem.toPlainText()
        assert not problem.isHidden()
        entries.itemDoubleClicked.emit(entries.item(1))
        assert dialog.result() != qt.QDialog.Accepted
        entries.setCurrentRow(0)
        assert load.enabled
        assert problem.isHidden()
        entries.itemDoubleClicked.emit(entries.item(0))
        return dialog.result()

    slicerApplication.dialogs.answer("dialog", tryBoth)
    section.ui.loadCohortButton.click()
    assert section.parameters.caseName == "one"


def test_an_incomplete_case_that_is_a_cohorts_only_one_is_refused_with_what_is_missing(
    slicerApplication, section, tmp_path
):
    path = manifest(tmp_path, ["only"])
    (tmp_path / "only" / "T1.nrrd").unlink()
    slicerApplication.dialogs.answer("getOpenFileName", path)
    section.ui.loadCohortButton.click()
    theMessage(slicerApplication, "case only has no image T1")


def test_many_cases_are_searched_by_typing_and_nothing_out_of_sight_is_loaded(slicerApplication, section, tmp_path):
    import qt

    names = [f"patient {number:02d}" for number in range(1, 13)]
    folder = writeCase(tmp_path / names[0])
    for name in names[1:]:
        shutil.copytree(folder, tmp_path / name)
    slicerApplication.dialogs.answer("getOpenFileName", manifest(tmp_path, names, write=False))

    def search(dialog):
        entries, load = dialog.findChild(qt.QListWidget, "caseList"), dialog.findChild(qt.QPushButton, "loadButton")
        edit = dialog.findChild(qt.QLineEdit, "filterEdit")
        assert not edit.isHidden()
        entries.setCurrentRow(0)
        edit.text = "nobody"
        assert all(entries.item(row).isHidden() for row in range(entries.count))
        assert not load.enabled
        edit.text = ""
        assert not any(entries.item(row).isHidden() for row in range(entries.count))
        assert not load.enabled
        edit.text = "T 1"
        assert [entries.item(row).text() for row in range(12) if not entries.item(row).isHidden()] == names[9:]
        assert load.enabled
        load.click()
        return dialog.result()

    slicerApplication.dialogs.answer("dialog", search)
    section.ui.loadCohortButton.click()
    assert section.parameters.caseName == "patient 10"


def test_dialogs_belong_to_the_main_window_and_begin_where_the_last_case_was(slicerApplication, section, tmp_path):
    first = writeCase(tmp_path / "first" / "case")
    slicerApplication.dialogs.answer("getExistingDirectory", str(first))
    section.ui.loadFolderButton.click()
    path = manifest(tmp_path / "second", ["only"])
    for answer in (path, ""):
        slicerApplication.dialogs.answer("getOpenFileName", answer)
        section.ui.loadCohortButton.click()
    slicerApplication.dialogs.answer("getExistingDirectory", "")
    section.ui.loadFolderButton.click()
    asked = slicerApplication.dialogs.asked
    assert [start for _kind, _parent, _title, start, *_more in asked] == [
        "",
        str(tmp_path / "first"),
        str(tmp_path / "second"),
        str(tmp_path / "second"),
    ]
    assert all(parent is slicer.util.mainWindow() for _kind, parent, *_more in asked)


def test_a_new_case_lets_go_of_the_results_of_the_one_before(slicerApplication, panel, section):
    fill(panel)
    settle(slicerApplication, panel.disagreement)
    panel.disagreement.ui.expertEntropyButton.click()
    fused, volume = panel.parameters.fusedSegmentation, panel.parameters.expertEntropy
    other = addRaters({"x": box(1, 4), "y": box(2, 4)}, "other raters")
    section.loading.apply(LoadedCase("other", {"T1": addSequence("other T1")}, ratersOfNode(other)))
    assert panel.parameters.expertEntropy is None
    settle(slicerApplication, panel.disagreement)
    assert panel.parameters.fusedSegmentation is not fused
    assert slicer.mrmlScene.IsNodePresent(fused)
    assert slicer.mrmlScene.IsNodePresent(volume)


def visibleSegmentations():
    """Names of the segmentations that are drawn anywhere."""
    displays = slicer.util.getNodesByClass("vtkMRMLSegmentationDisplayNode")
    return {display.GetDisplayableNode().GetName() for display in displays if display.GetVisibility()}


def otherCase(name="other"):
    node = addRaters({"x": box(1, 4), "y": box(2, 4)}, f"{name} raters")
    return LoadedCase(name, {"T1": addSequence(f"{name} T1")}, ratersOfNode(node))


def test_a_new_case_hides_every_contour_of_the_one_before_and_says_so(slicerApplication, panel, section):
    section.loading.apply(otherCase("Anna"))
    settle(slicerApplication, panel.disagreement)
    panel.correct.ui.startButton.click()
    fused = panel.parameters.fusedSegmentation.GetName()
    copy = panel.parameters.workingCopy.GetName()
    assert visibleSegmentations() == {"Anna raters", fused, copy}
    section.loading.apply(otherCase("Ben"))
    assert visibleSegmentations() == {"Ben raters"}
    text = section.ui.loadedLabel.text
    assert text.startswith("Hidden, since they may be another patient's: ")
    assert set(text.partition(": ")[2].split(", ")) == {"Anna raters", fused, copy}
    assert "start" not in text
    settle(slicerApplication, panel.disagreement)
    assert visibleSegmentations() == {"Ben raters", panel.parameters.fusedSegmentation.GetName()}
    assert panel.parameters.fusedSegmentation.GetName() == "Ben Majority vote of 2 raters"


def test_a_case_loaded_again_is_drawn_again_over_nothing_else(panel, section):
    anna, ben = otherCase("Anna"), otherCase("Ben")
    for case in (anna, ben, anna):
        section.loading.apply(case)
        assert visibleSegmentations() == {case.raters[0].node.GetName()}
    assert section.ui.loadedLabel.text == "Hidden, since they may be another patient's: Ben raters"


def test_a_sample_case_that_comes_when_another_case_is_there_is_hidden_and_left_aside(panel, section):
    section.loading._before = section.loading._present()  # as a click on its button leaves it
    section.loading.apply(otherCase("Anna"))
    section.loading.bar.finished(otherCase("sample"))
    panel.update()
    assert panel.parameters.caseName == "Anna"
    assert visibleSegmentations() == {"Anna raters"}
    assert "The sample case is there, hidden" in section.ui.sampleLabel.text
    assert not section.ui.sampleLabel.isHidden()


def test_a_sample_case_that_comes_to_the_case_that_it_was_asked_for_takes_its_place(panel, section):
    section.loading.apply(otherCase("Anna"))
    section.loading._before = section.loading._present()
    section.loading.bar.finished(otherCase("sample"))
    assert panel.parameters.caseName == "sample"
    assert visibleSegmentations() == {"sample raters"}
    assert section.ui.sampleLabel.text == ""


@pytest.fixture
def predicted(slicerApplication, panel, section):
    """Two sequences, raters of both kinds and a model's results of the first sequence."""
    section.loading.apply(otherCase("Anna"))
    parameters = panel.parameters
    parameters.sequences = {**parameters.sequences, "T2": addSequence("Anna T2")}
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "mask")
    source = addVolume(box(2, 6), GRID, "source")
    slicer.modules.volumes.logic().CreateLabelVolumeFromVolume(slicer.mrmlScene, labels, source)
    addAllRaters(section, labels)
    parameters.segmentation = addSegmentation(box(1, 5), GRID, "model", "cavity", (0, 0, 1))
    parameters.predictiveEntropy = addVolume(np.zeros(GRID.shape, np.float32), GRID, "entropy")
    settle(slicerApplication, panel.disagreement)
    panel.disagreement.ui.expertEntropyButton.click()
    return parameters


def test_results_of_a_reference_that_leaves_the_case_are_let_go_of_and_hidden(
    slicerApplication, panel, section, predicted
):
    model, fused, expert = predicted.segmentation, predicted.fusedSegmentation, predicted.expertEntropy
    assert visibleSegmentations() == {"Anna raters", "mask outline", "model", fused.GetName()}
    section.ui.sequencesTable.selectRow(0)
    section.ui.removeSequenceButton.click()
    assert list(predicted.sequences) == ["T2"]
    assert (predicted.segmentation, predicted.predictiveEntropy) == (None, None)
    # What the raters drew, and what was made of that alone, is the case's still.
    assert (predicted.fusedSegmentation, predicted.expertEntropy) == (fused, expert)
    assert visibleSegmentations() == {"Anna raters", "mask outline", fused.GetName()}
    assert "its reference is another. Hidden: model" in section.ui.loadedLabel.text
    settle(slicerApplication, panel.disagreement)
    assert slicer.mrmlScene.IsNodePresent(model)
    assert slicerApplication.dialogs.messages == []


def test_results_stay_where_another_sequence_leaves_or_becomes_the_reference(section, predicted):
    section.ui.sequencesTable.selectRow(1)
    section.ui.makeReferenceButton.click()
    assert list(predicted.sequences) == ["T2", "T1"]
    assert predicted.segmentation.GetName() == "model"
    section.ui.sequencesTable.selectRow(1)
    section.ui.removeSequenceButton.click()
    assert list(predicted.sequences) == ["T2"]
    assert predicted.segmentation.GetName() == "model"


def test_a_reference_is_not_removed_over_changes_that_the_user_wants_to_keep(
    slicerApplication, panel, section, predicted
):
    import qt

    panel.correct.ui.startButton.click()
    copy = predicted.workingCopy
    setSegment(copy, copy.GetSegmentation().GetNthSegmentID(0), box(3, 9), GRID)
    section.ui.sequencesTable.selectRow(0)
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Cancel)
    section.ui.removeSequenceButton.click()
    assert list(predicted.sequences) == ["T1", "T2"]
    assert predicted.workingCopy is copy
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Ok)
    section.ui.removeSequenceButton.click()
    assert list(predicted.sequences) == ["T2"]
    assert predicted.workingCopy is None
    assert "model" not in visibleSegmentations()


# Alignment and the sample case: real jobs in another process


def test_sequences_that_hardly_overlap_are_pointed_out_until_something_changes(panel, section):
    far = addSequence("case T2", shift=(5, 9, 9))
    panel.parameters.sequences = {"T1": addSequence("case T1"), "T2": far}
    assert section.ui.alignmentLabel.text == "Alignment is not checked yet."
    section.ui.checkAlignmentButton.click()
    assert "T2 hardly overlaps T1 (Dice 0." in section.ui.alignmentLabel.text
    slicer.util.updateVolumeFromArray(far, head())
    panel.update()
    assert section.ui.alignmentLabel.text == "Alignment is not checked yet."
    section.ui.checkAlignmentButton.click()
    assert section.ui.alignmentLabel.text == "All sequences overlap T1."


def test_alignment_replaces_the_moved_sequences_and_says_how_far(slicerApplication, panel, section, simulated):
    shift = np.array([6.0, -4.0, 3.0])
    away = replace(simulated.grid, origin=tuple(np.add(simulated.grid.origin, shift).tolist()))
    t1 = addVolume(simulated.image("T1"), simulated.grid, "case T1")
    t2 = addVolume(simulated.image("T2"), away, "case T2")
    panel.parameters.sequences = {"T1": t1, "T2": t2}
    section.ui.alignButton.click()
    assert section.ui.alignButton.text == "Cancel"
    assert not section.ui.alignBar.isHidden()
    panel.update()
    assert section.ui.alignButton.enabled
    waitFor(slicerApplication, lambda: not section._align.isRunning, 120)
    assert section.ui.alignButton.text == "Align to the reference"
    assert section.ui.alignBar.isHidden()
    aligned = section.parameters.sequences
    assert aligned["T1"] is t1
    assert aligned["T2"] is not t2
    assert same_grid(gridOfVolume(aligned["T2"]), gridOfVolume(t1))
    assert slicer.mrmlScene.IsNodePresent(t2)
    text = section.ui.alignmentLabel.text
    assert "already" not in text
    found = float(text.split("shift ")[1].split(" mm")[0])
    assert found == pytest.approx(np.linalg.norm(shift), abs=1.5)
    assert "T2 was aligned: rotation" in text
    assert "All sequences overlap T1." in text


def test_what_is_aligned_already_stays_and_this_is_said(slicerApplication, panel, section, simulated):
    names = ("T1", "T2")
    sequences = {name: addVolume(simulated.image(name), simulated.grid, name) for name in names}
    panel.parameters.sequences = sequences
    section.ui.alignButton.click()
    waitFor(slicerApplication, lambda: not section._align.isRunning, 120)
    assert section.parameters.sequences == sequences
    assert slicer.mrmlScene.GetFirstNodeByName("T2 aligned") is None
    line = section.ui.alignmentLabel.text.splitlines()[0]
    assert line.startswith("T2 was aligned already and stays as it is (moved by 0.")
    section.ui.sequencesTable.selectRow(1)
    section.ui.makeReferenceButton.click()
    assert "already" not in section.ui.alignmentLabel.text


def test_alignment_that_ends_after_another_case_was_loaded_leaves_that_case_alone(
    slicerApplication, panel, section, simulated
):
    names = ("T1", "T2")
    away = replace(simulated.grid, origin=tuple(np.add(simulated.grid.origin, (6.0, -4.0, 3.0)).tolist()))
    panel.parameters.sequences = {
        name: addVolume(simulated.image(name), grid, name)
        for name, grid in zip(names, (simulated.grid, away), strict=True)
    }
    section.ui.alignButton.click()
    other = {name: addSequence(f"other {name}") for name in names}
    section.loading.apply(LoadedCase("other", other, []))
    waitFor(slicerApplication, lambda: not section._align.isRunning, 120)
    assert section.parameters.sequences == other
    assert slicer.mrmlScene.GetFirstNodeByName("T2 aligned") is not None
    assert "T2" in section.ui.alignProgressLabel.text
    assert not section.ui.alignProgressLabel.isHidden()


def test_a_sequence_that_was_renamed_during_its_alignment_is_replaced(panel, section):
    t1, t2, aligned = addSequence("a"), addSequence("b"), addSequence("b aligned")
    panel.parameters.sequences = {"T1": t1, "T2": t2}
    section._aligning = {"T1": t1.GetID(), "T2": t2.GetID()}
    panel.parameters.sequences = {"T1": t1, "FLAIR": t2}
    section._useAligned({"T1": t1, "T2": aligned})
    assert panel.parameters.sequences == {"T1": t1, "FLAIR": aligned}
    assert section.ui.alignProgressLabel.text == ""


def test_alignment_is_cancelled_by_the_same_button(slicerApplication, panel, section, simulated):
    names = ("T1", "T1c", "T2", "FLAIR")
    sequences = {name: addVolume(simulated.image(name), simulated.grid, name) for name in names}
    panel.parameters.sequences = sequences
    section.ui.alignButton.click()
    job = section._align.job
    section.ui.alignButton.click()
    waitFor(slicerApplication, lambda: not section._align.isRunning, 60)
    assert job.state is JobState.CANCELLED
    assert section.parameters.sequences == sequences
    assert section.ui.alignProgressLabel.text.startswith("Cancelled")
    assert section.ui.alignButton.enabled
    assert slicerApplication.dialogs.messages == []


def test_the_scene_may_close_in_the_middle_of_the_alignment(slicerApplication, panel, section, simulated):
    names = ("T1", "T2")
    panel.parameters.sequences = {name: addVolume(simulated.image(name), simulated.grid, name) for name in names}
    section.ui.alignButton.click()
    job = section._align.job
    slicer.mrmlScene.Clear()
    assert not section._align.isRunning
    waitFor(slicerApplication, lambda: job.state.finished, 60)
    assert section.state() == "no volume yet"
    assert section.ui.sequencesTable.rowCount == 0
    add(section, addSequence("next T1"))
    assert list(section.parameters.sequences) == ["T1"]
    assert slicerApplication.dialogs.messages == []


def test_the_sample_case_is_made_once_in_the_background_and_then_kept(slicerApplication, panel, section):
    section.ui.loadSampleButton.click()
    assert section.loading.bar.isRunning
    assert section.ui.loadSampleButton.text == "Cancel"
    waitFor(slicerApplication, lambda: not section.loading.bar.isRunning, 180)
    assert slicerApplication.dialogs.messages == []
    assert section.state() == "T1, T1c, T2, FLAIR; 3 raters"
    assert all(float(row[2]) > 0 for row in cells(section.ui.ratersTable))
    slicer.mrmlScene.Clear()
    assert section.state() == "no volume yet"
    section.ui.loadSampleButton.click()
    assert not section.loading.bar.isRunning
    assert section.state() == "T1, T1c, T2, FLAIR; 3 raters"
