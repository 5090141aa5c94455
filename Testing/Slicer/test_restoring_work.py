"""Unsaved work comes back from the disk, where it is of the case and can be read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
import slicer
import slicer.util
from correct_step import edit, readyToCorrect, start
from opened_panel import isOffered, waitFor
from section_case import GRID, box, cells, segmentOf
from unsaved_step import CHANGED, ENDED, correctAnna, exported, folders, kept, loadAgain, openCase01, writtenBy

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintySlicer import attributes
from ObserverUncertaintySlicer.correction import startCorrection, workingCopyOf
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.unsavedWork import (
    keepUnsaved,
    restoreUnsaved,
    unsavedWork,
)
from ObserverUncertaintySlicer.volumes import addVolume


@pytest.fixture
def ready(panel):
    return openCase01(panel)


def test_no_offer_leads_a_further_rater_away_or_stands_beside_advanced(ready, panel):
    correctAnna(ready)
    kept(ready)
    loadAgain(panel)
    assert isOffered(ready.ui.restoreButton)
    ready.ui.furtherNameEdit.text = "Dora"
    ready.ui.furtherStartButton.click()
    assert ready.ui.unsavedBox.isHidden()
    panel.parameters.workingCopy = None
    assert isOffered(ready.ui.discardButton)
    image = panel.parameters.reference
    rater = ratersOfNode(slicer.util.getNode("case raters"))[1]
    panel.parameters.workingCopy = startCorrection(rater, image).node
    assert isOffered(ready.ui.restoreButton)
    ready.ui.advancedButton.collapsed = False
    assert ready.ui.unsavedBox.isHidden()


def test_restored_it_goes_on_where_it_was(ready, panel):
    copy = start(ready)
    contour = segmentOf(copy)
    ready.ui.nextButton.click()
    ready.ui.acceptButton.click()
    contour[5, 10:20, 10:15] = False
    edit(copy, contour)
    waitFor(lambda: not ready._live.active)
    attributes.SECONDS.set(copy, 61.5)
    ready.ui.commentEdit.text = "left border"
    ready._noteTime()
    seconds, found = attributes.SECONDS.of(copy), [row[4] for row in cells(ready.ui.placesTable)]
    assert found == ["edited", "accepted"]
    started, drawn = attributes.STARTED.of(copy), ready.tools.review.drawn
    slicer.mrmlScene.Clear(0)
    readyToCorrect(panel)
    panel.parameters.caseName = "case01"
    assert isOffered(ready.ui.restoreButton)
    text = ready.ui.unsavedLabel.text
    assert text == f"Unsaved work on case01 of {datetime.now():%H:%M}, 0.5 mL changed" or "23:59" in text
    ready.ui.restoreButton.click()
    copy = panel.parameters.workingCopy
    np.testing.assert_array_equal(segmentOf(copy), contour)
    assert attributes.STARTED.of(copy) == started
    assert attributes.SECONDS.of(copy) == pytest.approx(seconds, abs=1.0)
    assert [row[4] for row in cells(ready.ui.placesTable)] == found
    assert ready.ui.commentEdit.text == "left border"
    for axis, mask in drawn.items():
        np.testing.assert_array_equal(ready.tools.review.drawn[axis], mask)
    assert "0.50 mL changed" in ready.ui.liveLabel.text
    assert ready.ui.unsavedBox.isHidden()
    assert len(folders()) == 1, "until a file holds it"
    ready.ui.authorEdit.text = "Anna"
    ready.ui.saveButton.click()
    exported(ready)
    assert folders() == []
    assert attributes.CHANGED_VOXELS.of(panel.parameters.lastCorrection) == 50


def test_a_further_raters_contour_comes_back_blind(ready, panel):
    ready.ui.furtherNameEdit.text = "Dora"
    ready.ui.furtherStartButton.click()
    edit(panel.parameters.workingCopy, CHANGED)
    slicer.mrmlScene.Clear(0)
    readyToCorrect(panel)
    panel.parameters.caseName = "case01"
    assert ready.ui.unsavedLabel.text.startswith("Unsaved contour of rater Dora on case01 of ")
    ready.ui.restoreButton.click()
    assert ready.state() == "Dora draws"
    assert ready.ui.placesTable.isHidden()
    ready.ui.finishButton.click()
    np.testing.assert_array_equal(segmentOf(panel.parameters.raters[-1].node), CHANGED)


def test_a_finished_contour_that_only_the_scene_has_comes_back_until_it_is_exported(
    ready, panel, slicerApplication, tmp_path
):
    ready.ui.furtherNameEdit.text = "Dora"
    ready.ui.furtherStartButton.click()
    edit(panel.parameters.workingCopy, CHANGED)
    waitFor(lambda: not ready._live.active)
    ready.ui.finishButton.click()
    (folder,) = folders()
    loadAgain(panel, "another")
    loadAgain(panel)
    assert ready.ui.restoreButton.isHidden(), "Dora is there already"
    slicer.mrmlScene.Clear(0)  # or Slicer crashed
    readyToCorrect(panel)
    panel.parameters.caseName = "case01"
    assert ready.ui.unsavedLabel.text.startswith("Unsaved contour of rater Dora on case01 of ")
    ready.ui.restoreButton.click()
    ready.ui.finishButton.click()
    np.testing.assert_array_equal(segmentOf(panel.parameters.raters[-1].node), CHANGED)
    assert folders() == [folder]

    def choose(dialog):
        dialog.selectFile(str(tmp_path / "dora.nrrd"))
        return dialog.DialogCode.Accepted

    slicerApplication.dialogs.answer("dialog", choose)
    ready.ui.furtherExportButton.click()
    assert (tmp_path / "dora.nrrd").exists()
    assert folders() == []


def test_discarded_after_a_question_it_is_gone_and_the_next_one_is_offered(ready, panel, slicerApplication):
    import qt

    made = []
    for high in (14, 15):
        correctAnna(ready, box(10, high))
        ready.unsaved.keepNow()
        made += [folder for folder in folders() if folder not in made]
        writtenBy(made[-1], **ENDED)
        panel.parameters.workingCopy = None
    first, second = made
    content = json.loads((first / "record.json").read_text(encoding="utf-8"))
    (first / "record.json").write_text(json.dumps({**content, "written": "2026-01-02T03:04:05+00:00"}))
    loadAgain(panel)
    ui = ready.ui
    assert "5.0 mL changed" in ui.unsavedLabel.text
    assert "There is more: 2 in all." in ui.unsavedLabel.text
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Cancel)
    ui.discardButton.click()
    assert set(folders()) == {first, second}
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Ok)
    ui.discardButton.click()
    assert folders() == [first]
    assert "of 2026-01-02" in ui.unsavedLabel.text
    assert "6.0 mL changed" in ui.unsavedLabel.text


@pytest.mark.parametrize(("name", "grid"), [("case02", GRID), ("case01", replace(GRID, spacing=(2.0, 2.0, 3.0)))])
def test_work_on_another_case_or_grid_is_not_offered(ready, panel, name, grid):
    correctAnna(ready)
    loadAgain(panel, name, grid)
    assert len(folders()) == 1
    assert ready.ui.unsavedBox.isHidden()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "observer-uncertainty unsaved work"}'])
def test_a_record_that_cannot_be_read_is_told_and_left(ready, panel, content):
    correctAnna(ready)
    folder = kept(ready)
    (folder / "record.json").write_text(content, encoding="utf-8")
    loadAgain(panel)
    assert str(folder / "record.json") in ready.ui.unsavedLabel.text
    assert "cannot be read" in ready.ui.unsavedLabel.text
    assert not isOffered(ready.ui.restoreButton)
    assert (folder / "contour.nrrd").exists()


def test_a_contour_that_cannot_be_read_is_told_and_left(ready, panel, slicerApplication):
    correctAnna(ready)
    folder = kept(ready)
    whole = (folder / "contour.nrrd").read_bytes()
    (folder / "contour.nrrd").write_bytes(whole[:-20])
    loadAgain(panel)
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    ready.ui.restoreButton.click()
    assert "contour.nrrd" in slicerApplication.dialogs.messages[-1].text
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    assert len(folders()) == 1
    (folder / "contour.nrrd").write_bytes(whole)
    ready.ui.restoreButton.click()
    np.testing.assert_array_equal(segmentOf(panel.parameters.workingCopy), CHANGED)


def test_a_start_that_was_deleted_is_unknown_in_what_is_restored(ready, panel):
    copy = correctAnna(ready)
    slicer.mrmlScene.RemoveNode(attributes.START.of(copy))
    ready.unsaved.changed(workingCopyOf(copy))
    ready.unsaved.keepNow()
    loadAgain(panel)
    assert "an unknown volume changed" in ready.ui.unsavedLabel.text
    ready.ui.restoreButton.click()
    restored = workingCopyOf(panel.parameters.workingCopy)
    np.testing.assert_array_equal(segmentOf(restored.node), CHANGED)
    assert restored.startNode is None


def test_changes_in_the_present_copy_are_asked_about_before_another_is_restored(ready, panel, slicerApplication):
    import qt

    correctAnna(ready)
    kept(ready)
    loadAgain(panel)
    image = panel.parameters.reference
    copy = startCorrection(ratersOfNode(slicer.util.getNode("case raters"))[1], image).node
    panel.parameters.workingCopy = copy
    edit(copy, box(12, 13))
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Cancel)
    ready.ui.restoreButton.click()
    assert panel.parameters.workingCopy is copy
    slicerApplication.dialogs.answer("message", qt.QMessageBox.Ok)
    ready.ui.restoreButton.click()
    np.testing.assert_array_equal(segmentOf(panel.parameters.workingCopy), CHANGED)
    assert len(folders()) == 2, "of the copy that was left too"


def test_a_tilted_grid_comes_back_voxel_by_voxel(scene, slicerApplication):
    angle = np.deg2rad(20)
    cosine, sine = np.cos(angle), np.sin(angle)
    grid = Grid(GRID.size, GRID.spacing, GRID.origin, (1, 0, 0, 0, cosine, -sine, 0, sine, cosine))
    image = addVolume(np.ones(grid.shape, np.float32), grid, "T1")
    from ObserverUncertaintySlicer.segments import addSegmentation, setSegment

    source = addSegmentation(box(10, 20), grid, "source", "cavity", (1, 0, 0))
    copy = startCorrection(source, image)
    setSegment(copy.node, copy.segmentID, CHANGED, grid)
    keepUnsaved(copy, "case01")
    ((work,), _problems) = unsavedWork("case01", grid)
    from ObserverUncertaintySlicer.correction import contentsOf

    restored = restoreUnsaved(work, image)
    np.testing.assert_array_equal(contentsOf(restored)[1], CHANGED)
