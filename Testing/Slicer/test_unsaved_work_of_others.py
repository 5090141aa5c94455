"""Unsaved work of other Slicers, other computers and loaded scenes: nobody takes it from its owner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import slicer
import slicer.util
from correct_step import edit, start
from section_case import GRID, box
from unsaved_step import CHANGED, ENDED, correctAnna, exported, folders, kept, loadAgain, openCase01, writtenBy

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_mask
from ObserverUncertaintyLib.jobs.process_identity import identity
from ObserverUncertaintySlicer.correction import workingCopyOf
from ObserverUncertaintySlicer.unsavedWork import (
    Process,
    discardUnsaved,
    keepUnsaved,
    restoreUnsaved,
    unsavedWork,
)


@pytest.fixture
def ready(panel):
    return openCase01(panel)


@pytest.fixture
def anotherAlive():
    """A process of this computer that runs."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield {"pid": process.pid, "identity": identity(process.pid)}
    process.communicate()


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


def test_a_process_is_told_from_a_later_one_with_its_id(anotherAlive):
    own = Process.own()
    assert own.isOwn
    assert own.isHere
    assert not own.isAnotherAlive
    assert replace(own, **anotherAlive).isAnotherAlive
    assert not replace(own, pid=anotherAlive["pid"], identity="earlier").isAnotherAlive
    assert not replace(own, host="ward-7", **anotherAlive).isAnotherAlive


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
