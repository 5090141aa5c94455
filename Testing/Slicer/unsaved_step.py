"""Unsaved work of step 6, for the tests of its parts."""

from __future__ import annotations

import json

import numpy as np
from correct_step import edit, readyToCorrect, start
from opened_panel import waitFor
from section_case import GRID, box

from ObserverUncertaintySlicer.caseLoading import LoadedCase
from ObserverUncertaintySlicer.unsavedWork import (
    unsavedFolder,
)
from ObserverUncertaintySlicer.volumes import addVolume

CHANGED = box(10, 15)

ENDED = {"pid": 2**22 + 1, "identity": "ended"}
"""A process of this computer that is no more."""


def openCase01(panel):
    """Step 6, open on a case that can be corrected."""
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
