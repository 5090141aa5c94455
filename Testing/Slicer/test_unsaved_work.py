"""Unsaved work of a working copy is on the disk, and comes back from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
import slicer
import slicer.util
from correct_step import edit, readyToCorrect, start
from opened_panel import isOffered, waitFor
from section_case import GRID, VOXEL_ML, box, cells, segmentOf

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_mask
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.jobs.process_identity import identity
from ObserverUncertaintySlicer import attributes, host
from ObserverUncertaintySlicer import unsavedWork as unsaved
from ObserverUncertaintySlicer.caseLoading import LoadedCase
from ObserverUncertaintySlicer.correction import startCorrection, workingCopyOf
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.unsavedWork import (
    Process,
    discardUnsaved,
    keepUnsaved,
    restoreUnsaved,
    unsavedFolder,
    unsavedWork,
)
from ObserverUncertaintySlicer.volumes import addVolume

CHANGED = box(10, 15)


@pytest.fixture
def panel(slicerApplication, moduleFile):
    return slicerApplication.openModule(moduleFile).panel


@pytest.fixture
def ready(panel):
    section = readyToCorrect(panel)
    panel.parameters.caseName = "case01"
    section.open()
    return section


def exported(section):
    """A file holds what was saved, and the step knows it."""
    section.unsaved.forget(section.workingCopy, section.parameters.lastCorrection)


def folders():
    """The folders of unsaved work that are whole."""
    return sorted(path.parent for path in unsavedFolder().glob("*/record.json"))


def kept(section):
    """Wait until what was changed is written; returns its only folder."""
    section.unsaved._timer.setInterval(1)
    section.unsaved._timer.start()
    waitFor(lambda: section.unsaved._pending is None)
    (folder,) = folders()
    return folder


def correctAnna(section, mask=CHANGED):
    """Start from the first rater's contour and change it; returns the working copy's node."""
    copy = start(section, "rater anna")
    edit(copy, mask)
    waitFor(lambda: not section._live.active)
    return copy


def loadAgain(panel, name="case01", grid=GRID):
    """The same case again, as from its files: other nodes of the same name and grid."""
    image = addVolume(np.ones(grid.shape, np.float32), grid, f"{name} T1")
    panel.case.loading.apply(LoadedCase(name, {"T1": image}, []))


def writtenBy(folder, **changes):
    """Let a record be another process's."""
    path = folder / "record.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["process"].update(changes)
    path.write_text(json.dumps(content), encoding="utf-8")


ENDED = {"pid": 2**22 + 1, "identity": "ended"}
"""A process of this computer that is no more."""


@pytest.fixture
def anotherAlive():
    """A process of this computer that runs."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield {"pid": process.pid, "identity": identity(process.pid)}
    process.communicate()


def test_a_change_is_written_with_all_that_is_needed_to_go_on(ready):
    copy = correctAnna(ready)
    ready.ui.commentEdit.text = "left border"
    ready.ui.commentEdit.textEdited.emit("left border")
    folder = kept(ready)
    np.testing.assert_array_equal(read_mask(folder / "contour.nrrd").array, CHANGED)
    np.testing.assert_array_equal(read_mask(folder / "start.nrrd").array, box(10, 20))
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    assert (record["case"], record["comment"]) == ("case01", "left border")
    assert record["grid"]["size"] == list(GRID.size)
    assert record["changedMl"] == pytest.approx(np.count_nonzero(box(15, 20)) * VOXEL_ML)
    assert record["attributes"]["Source"] == attributes.SOURCE.of(copy)
    assert record["process"]["pid"] == os.getpid()
    if os.name == "posix":
        assert folder.parent.stat().st_mode & 0o077 == 0, "patient data is the user's alone"


def test_it_lies_beside_the_usual_jobs_and_in_a_chosen_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(unsaved, "dataFolder", lambda: tmp_path)
    monkeypatch.setenv(host.JOBS_VARIABLE, str(tmp_path / "Jobs"))
    assert unsavedFolder() == tmp_path / "Unsaved"
    monkeypatch.setenv(host.JOBS_VARIABLE, str(tmp_path / "mine" / "jobs"))
    assert unsavedFolder() == tmp_path / "mine" / "jobs" / "Unsaved"


def test_a_copy_without_changes_is_not_written_and_an_undo_takes_it_back(ready):
    copy = start(ready, "rater anna")
    ready.unsaved.keepNow()
    assert folders() == []
    edit(copy, CHANGED)
    ready.unsaved.keepNow()
    assert len(folders()) == 1
    edit(copy, box(10, 20))
    ready.unsaved.keepNow()
    assert folders() == []


def test_a_place_that_was_accepted_is_work_too(ready, panel):
    start(ready)
    ready.ui.acceptButton.click()
    ready.unsaved.keepNow()
    assert len(folders()) == 1


def test_a_review_that_a_file_holds_is_not_kept_any_more_until_the_next_change(ready, slicerApplication, tmp_path):
    copy = correctAnna(ready)
    kept(ready)
    ready.ui.authorEdit.text = "Anna"
    ready.ui.saveButton.click()
    ready.unsaved.keepNow()
    assert len(folders()) == 1, "the scene alone has the review, and a crash would take it"
    slicerApplication.dialogs.answer("dialog", lambda dialog: dialog.selectFile(str(tmp_path / "a.nrrd")) or 1)
    ready.ui.exportButton.click()
    assert (tmp_path / "a.nrrd").is_file()
    assert folders() == []
    ready.unsaved.keepNow()
    assert folders() == []
    edit(copy, box(10, 14))
    ready.unsaved.keepNow()
    assert len(folders()) == 1


@pytest.mark.parametrize("how", ["leave the module", "close the scene", "quit", "reload"])
def test_whoever_leaves_at_once_loses_nothing(ready, panel, slicerApplication, how):
    copy = start(ready, "rater anna")
    edit(copy, CHANGED)
    assert folders() == []
    if how == "leave the module":
        panel.exit()
    elif how == "close the scene":
        slicer.mrmlScene.Clear(0)
    elif how == "quit":
        slicer.app.aboutToQuit.emit()
    else:
        panel.cleanup()
    (folder,) = folders()
    np.testing.assert_array_equal(read_mask(folder / "contour.nrrd").array, CHANGED)


def test_another_case_does_not_take_the_name_or_the_last_strokes(ready, panel):
    edit(start(ready, "rater anna"), CHANGED)
    loadAgain(panel, "case02")
    (folder,) = folders()
    assert json.loads((folder / "record.json").read_text(encoding="utf-8"))["case"] == "case01"


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


def test_who_draws_without_a_pause_has_it_written_all_the_same(ready):
    copy = start(ready, "rater anna")
    ready.unsaved._latest.stop()
    ready.unsaved._latest.setInterval(1)
    edit(copy, CHANGED)
    waitFor(lambda: bool(folders()))


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
    assert ready.ui.unsavedLabel.text.startswith("Unfinished contour of rater Dora on case01 of ")
    ready.ui.restoreButton.click()
    assert ready.state() == "Dora draws"
    assert ready.ui.placesTable.isHidden()
    ready.ui.finishButton.click()
    np.testing.assert_array_equal(segmentOf(panel.parameters.raters[-1].node), CHANGED)
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


def test_a_full_disk_is_told_beside_the_contour_and_nothing_is_in_the_way(ready, panel, monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    jobs = str(host.jobsFolder())
    monkeypatch.setenv(host.JOBS_VARIABLE, str(blocked / "jobs"))
    copy = correctAnna(ready)
    ready.unsaved.keepNow()
    assert "not kept against a crash" in ready.ui.unsavedLabel.text
    monkeypatch.setenv(host.JOBS_VARIABLE, jobs)
    edit(copy, box(10, 14))
    ready.unsaved.keepNow()
    assert ready.ui.unsavedBox.isHidden()


def test_the_work_of_a_slicer_that_runs_is_left_alone(ready, panel, anotherAlive):
    copy = workingCopyOf(correctAnna(ready))
    folder = kept(ready)
    writtenBy(folder, **anotherAlive)
    panel.parameters.workingCopy = None
    assert unsavedWork("case01", GRID) == ([], [])
    writtenBy(folder, **ENDED)
    ((work,), _problems) = unsavedWork("case01", GRID)
    # Another Slicer takes it up before this one's user clicks.
    writtenBy(folder, **anotherAlive)
    for act in (discardUnsaved, lambda work: restoreUnsaved(work, panel.parameters.reference)):
        with pytest.raises(InputError, match="another Slicer"):
            act(work)
    assert folders() == [folder]
    # A copy of a scene that both have open gets a folder of its own.
    ready.unsaved.update(copy)
    edit(copy.node, box(10, 14))
    keepUnsaved(copy, "case01")
    assert len(folders()) == 2
    np.testing.assert_array_equal(read_mask(folder / "contour.nrrd").array, CHANGED)


def test_work_of_another_computer_is_offered_with_its_name_and_restored_as_a_copy(ready, panel):
    correctAnna(ready)
    folder = kept(ready)
    writtenBy(folder, host="ward-7")
    loadAgain(panel)
    assert "by Slicer on ward-7" in ready.ui.unsavedLabel.text
    ready.ui.restoreButton.click()
    edit(panel.parameters.workingCopy, box(10, 14))
    ready.unsaved.keepNow()
    assert len(folders()) == 2
    np.testing.assert_array_equal(read_mask(folder / "contour.nrrd").array, CHANGED)


def test_a_restored_one_is_this_slicers_from_then_on(ready, panel):
    correctAnna(ready)
    folder = kept(ready)
    writtenBy(folder, **ENDED)
    loadAgain(panel)
    ready.ui.restoreButton.click()
    assert json.loads((folder / "record.json").read_text(encoding="utf-8"))["process"]["pid"] == os.getpid()


def test_a_scene_that_was_saved_before_the_work_was_written_goes_on_with_it_too(ready, panel, tmp_path):
    edit(start(ready, "rater anna"), CHANGED)
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "scene.mrb"))
    assert folders() == []
    slicer.mrmlScene.Clear(0)
    assert len(folders()) == 1
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    assert ready.ui.unsavedBox.isHidden()
    ready.ui.authorEdit.text = "Anna"
    ready.ui.saveButton.click()
    exported(ready)
    assert folders() == []


def test_two_slicers_with_one_scene_write_to_two_folders(ready, anotherAlive):
    copy = correctAnna(ready)
    folder = kept(ready)
    writtenBy(folder, **anotherAlive)  # which had followed the copy before anything was drawn
    edit(copy, box(10, 14))
    ready.unsaved.keepNow()
    assert len(folders()) == 2
    np.testing.assert_array_equal(read_mask(folder / "contour.nrrd").array, CHANGED)
    ready.ui.authorEdit.text = "Anna"
    ready.ui.saveButton.click()
    exported(ready)
    assert folders() == [folder]


def test_a_loaded_scene_goes_on_with_its_folder_or_leaves_newer_work_alone(ready, panel, tmp_path):
    correctAnna(ready)
    folder = kept(ready)
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    assert ready.ui.unsavedBox.isHidden(), "the scene holds just this work"
    edit(panel.parameters.workingCopy, box(10, 14))
    assert kept(ready) == folder
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    assert "6.0 mL changed" in ready.ui.unsavedLabel.text, "the scene is older than what was drawn last"
    edit(panel.parameters.workingCopy, box(10, 13))
    ready.unsaved.keepNow()
    assert len(folders()) == 2
    np.testing.assert_array_equal(read_mask(folder / "contour.nrrd").array, box(10, 14))


def test_a_segment_that_was_deleted_by_mistake_keeps_what_was_written(ready):
    copy = correctAnna(ready)
    folder = kept(ready)
    copy.GetSegmentation().RemoveAllSegments()
    ready.unsaved.keepNow()
    assert folders() == [folder]


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


def test_a_process_is_told_from_a_later_one_with_its_id(anotherAlive):
    own = Process.own()
    assert own.isOwn
    assert own.isHere
    assert not own.isAnotherAlive
    assert replace(own, **anotherAlive).isAnotherAlive
    assert not replace(own, pid=anotherAlive["pid"], identity="earlier").isAnotherAlive
    assert not replace(own, host="ward-7", **anotherAlive).isAnotherAlive


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
