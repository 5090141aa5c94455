"""What must hold whatever a user does; the random walk looks after each action, `checks/inspection.py` proves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import qt
import slicer
from desktop import MODULE, Desktop

_WIDTH_TOLERANCE = 8
_OWN_RESULTS = ("fusedSegmentation", "segmentation", "workingCopy", "lastCorrection")
_ROLE = "ObserverUncertainty.Role"


@dataclass(frozen=True)
class Fault:
    """Something that must not be.

    Attributes:
        kind: one of error, box, rater, width, window, editor, display, modal, cursor.
        text: what was found.
    """

    kind: str
    text: str


class Inspection:
    """Looks for faults, and tells of each when it comes, not again as long as it stays.

    Attributes:
        acting: whether an action is being done: a box that appears then is its answer, another one came by itself.
        panelWidth: as the user set it.
    """

    def __init__(self, desktop: Desktop) -> None:
        self.desktop = desktop
        self.acting = False
        self.panelWidth = desktop.panelWidth
        self._boxes: list[Fault] = []
        self._standing: set[str] = set()
        self._own: set[str] = set()
        self._raters: dict[str, tuple[Any, object, dict]] = {}

    def box(self, dialog, text: str) -> None:
        """Note a box that the application shows; Slicer logs the text of an error box as an error too."""
        isError = dialog.inherits("QMessageBox") and dialog.icon in (qt.QMessageBox.Critical, qt.QMessageBox.Warning)
        if isError and not self.acting:
            self._boxes.append(Fault("box", f"an error box came by itself: {text}\n{dialog.detailedText}".rstrip()))

    def new(self) -> list[Fault]:
        """The faults that came since the last look."""
        desktop = self.desktop
        boxes, self._boxes = self._boxes, []
        errors = dict.fromkeys(desktop.errors())
        faults = [Fault("error", text) for text in errors] + boxes
        faults += [Fault("display", text) for text in desktop.removedDisplayNodes()]
        faults += self._changedRaters()
        modal = slicer.app.activeModalWidget()
        for kind, text in (
            ("modal", f"a {modal.className()} is open: {modal.windowTitle}" if modal is not None else ""),
            ("cursor", "the wait cursor stays" if slicer.app.overrideCursor() is not None else ""),
            ("width", self._width()),
            ("window", self._window()),
            ("editor", self._editor()),
        ):
            if text and kind not in self._standing:
                faults.append(Fault(kind, text))
            (self._standing.add if text else self._standing.discard)(kind)
        return faults

    def raters(self) -> list:
        """The segmentations of the case's raters, without what the module itself made and changes."""
        parameters = self.desktop.panel.parameters
        self._own |= {node.GetID() for name in _OWN_RESULTS if (node := getattr(parameters, name)) is not None}
        listed = dict.fromkeys(choice.rater.node for choice in parameters.raterChoices if choice.rater.segmentID)
        return [node for node in listed if node.GetID() not in self._own and not node.GetAttribute(_ROLE)]

    def _changedRaters(self) -> list[Fault]:
        faults = []
        for node in self.raters():
            self._raters.setdefault(node.GetID(), (node, None, {}))
        for identity, (node, stamp, before) in list(self._raters.items()):
            if not slicer.mrmlScene.IsNodePresent(node):
                del self._raters[identity]
                continue
            now = _stamp(node)
            if now == stamp:
                continue
            voxels = self.desktop.voxels(node)
            if stamp is not None and voxels != before:
                counts = [{key: count for key, (count, _hash) in found.items()} for found in (before, voxels)]
                faults.append(Fault("rater", f"{node.GetName()} had {counts[0]} voxels, and has {counts[1]}"))
            self._raters[identity] = (node, now, voxels)
        return faults

    def _width(self) -> str:
        window, width = self.desktop.window, self.desktop.panelWidth
        # Slicer's own data probe lies in the same dock, and has the scene file's whole name as its title.
        probe = slicer.util.findChild(window, "DataProbeCollapsibleWidget")
        expected = max(self.panelWidth, probe.minimumSizeHint.width())
        if slicer.util.selectedModule() != MODULE or abs(width - expected) <= _WIDTH_TOLERANCE:
            return ""
        views = window.centralWidget()
        if width < expected and views.width <= views.minimumSizeHint.width():
            return ""  # the views' own minimum leaves no more room on this screen
        return f"the panel is {width} pixels wide; the user made it {self.panelWidth}"

    def _window(self) -> str:
        window = self.desktop.window
        frame, screen = window.frameGeometry, window.screen().geometry
        if frame.width() <= screen.width() and frame.height() <= screen.height():
            return ""
        return f"the window ({frame.width()} x {frame.height()}) is larger than the screen"

    def _editor(self) -> str:
        panel = self.desktop.panel
        editor, copy = panel.correct.ui.editor, panel.parameters.workingCopy
        node = editor.mrmlSegmentEditorNode()
        edited = node.GetSegmentationNode() if node is not None else None
        if slicer.util.selectedModule() != MODULE:
            return ""
        if edited is not None and edited is not copy:
            return f"the editor works on {edited.GetName()}, the working copy is {copy and copy.GetName()}"
        if copy is not None and not (editor.enabled and edited is copy):
            return f"there is the working copy {copy.GetName()}, and the editor cannot edit it"
        return ""


def _stamp(node) -> list:
    """What changes with a segment's voxels, and is fast to ask for."""
    segmentation = node.GetSegmentation()
    found = []
    for segmentID in segmentation.GetSegmentIDs():
        image = segmentation.GetSegment(segmentID).GetRepresentation("Binary labelmap")
        found.append((segmentID, image.GetMTime() if image is not None else 0))
    return found
