"""Step 1 of the panel: cases from real files, and what a new case does with the one before."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import slicer
from first_step import addAllRaters, openPanel, theMessage
from section_case import GRID, RATERS, addRaters, addSequence, box, cells, fill, head, settle

from ObserverUncertaintyLib.formats import write_image
from ObserverUncertaintySlicer.caseLoading import LoadedCase
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.segments import addSegmentation, setSegment
from ObserverUncertaintySlicer.volumes import addVolume, arrayOfVolume


@pytest.fixture
def panel(slicerApplication, moduleFile, tmp_path, monkeypatch):
    return openPanel(slicerApplication, moduleFile, tmp_path, monkeypatch)


@pytest.fixture
def section(panel):
    return panel.case


def writeCase(folder, names=("T1", "T2")):
    """A case folder as people have it."""
    folder.mkdir(parents=True)
    for name in names:
        write_image(folder / f"{name}.nrrd", head(), GRID)
    for name, mask in RATERS.items():
        write_image(folder / f"rater_{name}.nrrd", mask.astype(np.uint8), GRID)
    return folder


def test_a_case_folder_fills_the_panel_and_the_slice_views(slicerApplication, panel, section, tmp_path):
    slicerApplication.dialogs.answer("getExistingDirectory", str(writeCase(tmp_path / "pat ü 07")))
    section.ui.loadFolderButton.click()
    assert section.parameters.caseName == section.ui.caseNameEdit.text == "pat ü 07"
    assert list(section.parameters.sequences) == ["T1", "T2"]
    np.testing.assert_allclose(arrayOfVolume(section.parameters.sequences["T2"]), head())
    assert [row[2] for row in cells(section.ui.ratersTable)] == ["10.00", "10.00", "5.00"]
    assert section.state() == "T1, T2; 3 raters, mean Dice 0.62"
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
    assert section.state() == "T1; 3 raters, mean Dice 0.62"
    slicerApplication.dialogs.answer("getExistingDirectory", "")
    section.ui.loadFolderButton.click()
    assert section.state() == "T1; 3 raters, mean Dice 0.62"


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
    assert section.state() == "T1, T2; 3 raters, mean Dice 0.62"
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
    copy = panel.parameters.workingCopy.GetName()
    assert visibleSegmentations() == {"Anna raters", copy}
    section.loading.apply(otherCase("Ben"))
    assert visibleSegmentations() == {"Ben raters"}
    text = section.ui.loadedLabel.text
    assert text.startswith("Hidden, since they may be another patient's: ")
    assert set(text.partition(": ")[2].split(", ")) == {"Anna raters", copy}
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
    section.loading.bar.finish(otherCase("sample"))
    panel.update()
    assert panel.parameters.caseName == "Anna"
    assert visibleSegmentations() == {"Anna raters"}
    assert "The sample case is there, hidden" in section.ui.sampleLabel.text
    assert not section.ui.sampleLabel.isHidden()


def test_a_sample_case_that_comes_to_the_case_that_it_was_asked_for_takes_its_place(panel, section):
    section.loading.apply(otherCase("Anna"))
    section.loading._before = section.loading._present()
    section.loading.bar.finish(otherCase("sample"))
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
