"""Unsaved work of a working copy is on the disk as long as no file holds it."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import slicer
import slicer.util
from correct_step import edit, start
from opened_panel import waitFor
from section_case import GRID, VOXEL_ML, box
from unsaved_step import CHANGED, correctAnna, folders, kept, loadAgain, openCase01

from ObserverUncertaintyLib.formats import read_mask
from ObserverUncertaintySlicer import attributes, host
from ObserverUncertaintySlicer import unsavedWork as unsaved
from ObserverUncertaintySlicer.unsavedWork import (
    unsavedFolder,
)


@pytest.fixture
def ready(panel):
    return openCase01(panel)


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


def test_who_draws_without_a_pause_has_it_written_all_the_same(ready):
    copy = start(ready, "rater anna")
    ready.unsaved._latest.stop()
    ready.unsaved._latest.setInterval(1)
    edit(copy, CHANGED)
    waitFor(lambda: bool(folders()))


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


def test_a_segment_that_was_deleted_by_mistake_keeps_what_was_written(ready):
    copy = correctAnna(ready)
    folder = kept(ready)
    copy.GetSegmentation().RemoveAllSegments()
    ready.unsaved.keepNow()
    assert folders() == [folder]
