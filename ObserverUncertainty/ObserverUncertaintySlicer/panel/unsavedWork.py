"""The part of step 6 that keeps unsaved work on the disk, and offers what an earlier session left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.attributes import FURTHER_RATER
from ObserverUncertaintySlicer.correction import WorkingCopy
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.panel.contents import Key, gridKey
from ObserverUncertaintySlicer.panel.leaving import mayLeaveWorkingCopy
from ObserverUncertaintySlicer.panel.section import Section, singleShot
from ObserverUncertaintySlicer.unsavedWork import (
    UnsavedWork,
    discardUnsaved,
    dropUnsaved,
    handOver,
    keepUnsaved,
    restoreUnsaved,
    takeUpUnsaved,
    unsavedWork,
)
from ObserverUncertaintySlicer.volumes import gridOfVolume

KEEP_MILLISECONDS = 3000
"""Work is written so long after a change, unless more changes follow."""
LONGEST_MILLISECONDS = 20000
"""Whoever draws without a pause has it written all the same."""


class UnsavedWorkPart:
    """Writes the working copy a few seconds after each change, and offers unsaved work on the case.

    Args:
        section: the step's, with the widgets.
        begin: makes a restored working copy the panel's.
    """

    def __init__(self, section: Section, begin: Callable[[WorkingCopy], None]) -> None:
        self._section, self._begin, ui = section, begin, section.ui
        self._ui = ui
        self._node: Any = None
        self._pending: tuple[WorkingCopy, str, Any, str] | None = None
        self._onDisk: Any = None
        self._timer = singleShot(KEEP_MILLISECONDS, self.keepNow)
        self._latest = singleShot(LONGEST_MILLISECONDS, self.keepNow)
        self._key: Key = ()
        self._found: list[UnsavedWork] = []
        self._problems: list[str] = []
        self._problem = ""
        ui.restoreButton.connect("clicked()", self.onRestore)
        ui.discardButton.connect("clicked()", self.onDiscard)
        slicer.app.connect("aboutToQuit()", self.keepNow)

    def update(self, copy: WorkingCopy | None) -> None:
        """Follow another working copy, and look for unsaved work where the case is another."""
        parameters = self._section.parameters
        node = None if copy is None else copy.node
        if node is not self._node:
            self.keepNow()  # of the one before, which may soon leave the scene
            self._node = node
            if copy is not None:
                takeUpUnsaved(copy)
        reference = parameters.reference
        key = () if reference is None else (parameters.caseName, *gridKey(reference))
        if key != self._key:
            self._key = key
            self._look(copy)
        # A further rater is not to be led away, and beside Advanced there is no room.
        isDrawing = copy is not None and FURTHER_RATER.of(copy.node) is not None
        isRoom = copy is None or self._ui.advancedButton.collapsed
        self._show(canRestore=isRoom and not isDrawing)

    def changed(self, copy: WorkingCopy) -> None:
        """Something was drawn or found in a working copy: it is written once the user pauses."""
        if self._pending is not None and self._pending[0].node is not copy.node:
            self.keepNow()
        parameters = self._section.parameters
        self._pending = (copy, parameters.caseName, self._onDisk, self._ui.commentEdit.text)
        self._timer.start()
        if not self._latest.isActive():
            self._latest.start()

    def keepNow(self) -> None:
        """Write what has changed since it was written last."""
        pending, self._pending = self._pending, None
        self._timer.stop()
        self._latest.stop()
        if pending is None or not slicer.mrmlScene.IsNodePresent(pending[0].node):
            return
        self._try(lambda: keepUnsaved(*pending))

    def forget(self, copy: WorkingCopy, saved: Any = None) -> None:
        """A working copy is in a file, as the correction `saved`, or not wanted any more."""
        self._onDisk = saved
        if self._pending is not None and self._pending[0].node is copy.node:
            self._pending = None
        self._try(lambda: dropUnsaved(copy.node))

    def handOver(self, copy: WorkingCopy, rater: Any) -> None:
        """A further rater's node takes the working copy's place, and only the scene has it so far."""
        self.changed(copy)
        self.keepNow()
        handOver(copy, rater)

    def isExported(self, rater: Any) -> None:
        """A further rater's contour is in a file."""
        self._try(lambda: dropUnsaved(rater))

    def onRestore(self) -> None:
        """Make the unsaved work that is offered the working copy."""
        section = self._section
        with section.context.errorsShown():
            if not mayLeaveWorkingCopy(section.parameters):
                return
            with waitCursor():
                work = self._found[0]
                copy = restoreUnsaved(work, section.parameters.reference)
                self._begin(copy)
                self._ui.commentEdit.text = work.record.comment
            self._look(copy)
            section.context.update()

    def onDiscard(self) -> None:
        """Delete the unsaved work that is offered, after a question."""
        section = self._section
        with section.context.errorsShown():
            work = self._found[0]
            if slicer.util.confirmOkCancelDisplay(_("Delete this for good?\n\n{work}").format(work=_described(work))):
                discardUnsaved(work)
                self._found.remove(work)
            section.context.update()

    def letGo(self) -> None:
        """The scene is about to be closed, or the panel goes away."""
        self.keepNow()
        self._node, self._key, self._found, self._problems, self._problem = None, (), [], [], ""
        self._onDisk = None

    def cleanup(self) -> None:
        """The panel goes away."""
        slicer.app.disconnect("aboutToQuit()", self.keepNow)

    def _try(self, work: Callable[[], None]) -> None:
        # Told beside the contour: a message out of a timer would be in the way of the brush.
        self._problem = ""
        try:
            work()
        except InputError as error:
            self._problem = _("What you draw is not kept against a crash. {error}").format(error=error)
        self._show(canRestore=not self._ui.restoreButton.isHidden())

    def _look(self, copy: WorkingCopy | None) -> None:
        self._found, self._problems = [], []
        reference = self._section.parameters.reference
        if reference is not None:
            with suppress(InputError):  # an image that cannot be drawn on, as a click tells
                grid = gridOfVolume(reference)
                self._found, self._problems = unsavedWork(self._section.parameters.caseName, grid, copy)

    def _show(self, canRestore: bool) -> None:
        ui, isOffered = self._ui, bool(self._found) and canRestore
        texts = [self._problem, *self._problems]
        if isOffered:
            texts.append(_described(self._found[0]))
        if isOffered and len(self._found) > 1:
            texts.append(_("There is more: {count} in all.").format(count=len(self._found)))
        self._section.say(ui.unsavedLabel, "\n".join(filter(None, texts)))
        ui.restoreButton.visible = ui.discardButton.visible = isOffered
        ui.unsavedBox.visible = bool(ui.unsavedLabel.text)


def _described(work: UnsavedWork) -> str:
    record, written = work.record, work.written
    text = _("Unsaved work on {case} of {time}, {volume} changed")
    if record.furtherRater:
        text = _("Unsaved contour of rater {rater} on {case} of {time}, {volume} drawn")
    if not record.process.isHere:
        text += _(", by Slicer on {host}")
    isToday = written.date() == datetime.now().date()
    return text.format(
        case=record.case,
        rater=record.furtherRater,
        time=f"{written:%H:%M}" if isToday else f"{written:%Y-%m-%d %H:%M}",
        volume=_("an unknown volume") if record.changedMl is None else _("{ml:.1f} mL").format(ml=record.changedMl),
        host=record.process.host,
    )
