"""What went wrong in the application: Python errors, and error lines of its log."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import slicer

# What Slicer itself logs as an error, each line seen in an application without the module, with its reason.
EXCUSED = {
    "updateAllSegmentsFromMRML(vtkMRMLSegmentationNode*) : Unable to find subject hierarchy item": (
        "closing a scene in which any node refers to a segmentation: its hierarchy item goes before its display node"
    ),
    "GetSliceOrientationPreset: invalid orientation preset name: Reformat": "loading a scene with turned slice views",
    "ResolveUnresolvedItems: Failed to process": "loading a scene with two segmentations over another such scene",
    "ResolveSubjectHierarchy: Failed to merge subject hierarchy nodes": "the same: Slicer builds the hierarchy anew",
    "vtkSubjectHierarchyItem::DataNodeCache item was missing": "an item of a hierarchy that was built anew",
    "getOwnerPluginForSubjectHierarchyItem(vtkIdType) : Item": "a folder that is made in such a hierarchy",
    "GetReferenceImageGeometryString: Invalid segmentation": "loading a scene while the effect Smoothing is active",
    "Minimum 2 visible segments (or specification": "Slicer's effect Grow from seeds refuses one segment by an error",
    "Auto-complete operation skipped: at least": "the same, in the log",
    "SetSourceVolumeNode: need to set segment editor": (
        "deleting the volume that a segment editor had chosen before its segmentation was taken away"
    ),
    "ModuleWidget::enter() : Invalid subject hierarchy": "Slicer's Models module after a hierarchy was built anew",
    "ModuleWidget::exit() : Invalid subject hierarchy": "the same",
    "setDataNodeFromSubjectHierarchyItem(vtkIdType) : Invalid subject hierarchy": "the same in Slicer's Data module",
}

_LEVELS = ("Error", "Critical", "Fatal")
_LEVEL_COLUMN = 2
_TRACEBACK = "Traceback (most recent call last)"


class _Listener:
    """In place of `sys.stderr`: passes on what is written, and keeps it."""

    def __init__(self, stream) -> None:
        self.stream, self.text = stream, ""

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text: str) -> None:
        self.stream.write(text)
        self.text += text


class ErrorWatch:
    """Tells of each error once."""

    def __init__(self) -> None:
        self._model = slicer.app.errorLogModel()
        self._row, self._length = 0, 0
        self._listener = sys.stderr = _Listener(sys.stderr)

    def new(self, shown: Sequence[str] = ()) -> list[str]:
        """The errors since the last call, or since the application started.

        Args:
            shown: texts of boxes that were expected; Slicer logs what it shows as an error too.
        """
        slicer.app.processEvents()  # the log takes entries by events
        found = []
        written, self._listener.text = self._listener.text, ""
        for error in written.split(_TRACEBACK)[1:]:
            if not any(excused in error for excused in EXCUSED):
                found.append(_TRACEBACK + error.rstrip())
        for level, text in self._logged():
            if level in _LEVELS and text not in written:
                found.append(_unexcused(text, shown))
        return [text for text in found if text]

    def _logged(self) -> list[tuple[str, str]]:
        """Level and text of what was logged since; Slicer appends to its last entry what follows within a second."""
        model, entries = self._model, []
        count = model.logEntryCount()
        for row in range(max(0, self._row - 1), count):
            text = str(model.logEntryDescription(row))
            seen = self._length if row == self._row - 1 else 0
            if text[seen:].strip():
                entries.append((str(model.data(model.index(row, _LEVEL_COLUMN))), text[seen:].strip()))
            self._length = len(text)
        self._row = count
        return entries


def _unexcused(text: str, shown: Sequence[str]) -> str:
    """What is left of an entry without what was expected, and without lines of Slicer's own."""
    for expected in shown:
        text = text.replace(expected.strip(), "")
    lines = [line for line in text.splitlines() if not any(excused in line for excused in EXCUSED)]
    return "\n".join(dict.fromkeys(lines)).strip()  # some come a hundred times
