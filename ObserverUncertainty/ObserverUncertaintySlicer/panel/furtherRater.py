"""The part of step 6 in which a further rater draws, without seeing what the others and the model drew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.attributes import DRAWN_BLIND, FURTHER_RATER, ROLE, Role
from ObserverUncertaintySlicer.correction import WorkingCopy, removeWorkingCopy, workingCopyOf
from ObserverUncertaintySlicer.furtherRater import forgetOthers, hideOthers, showOthers
from ObserverUncertaintySlicer.host import showStatus, waitCursor
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.outlines import showRaterOutlines
from ObserverUncertaintySlicer.panel.leaving import mayLeaveWorkingCopy
from ObserverUncertaintySlicer.panel.section import Section
from ObserverUncertaintySlicer.panel.unsavedWork import UnsavedWorkPart
from ObserverUncertaintySlicer.parameters import RaterChoice
from ObserverUncertaintySlicer.raters import Rater
from ObserverUncertaintySlicer.segments import keptGrid, segmentVoxels


class FurtherRaterPart:
    """Starts the drawing, keeps the others hidden meanwhile, and makes the contour a rater of the case.

    Args:
        section: the step's, with the widgets.
        takeUp: takes up what was drawn last, and the time.
        unsaved: keeps what no file holds yet.
    """

    def __init__(self, section: Section, takeUp: Callable[[], None], unsaved: UnsavedWorkPart) -> None:
        self._section, self._takeUp, self._unsaved, ui = section, takeUp, unsaved, section.ui
        self._ui = ui
        self._reference: Any = None
        self._drawnIn: Any = None
        ui.furtherStartButton.connect("clicked()", self.onStart)
        ui.furtherNameEdit.connect("returnPressed()", self.onStart)
        ui.finishButton.connect("clicked()", self.onFinish)
        ui.discardDrawingButton.connect("clicked()", self.onDiscard)

    @property
    def name(self) -> str:
        """The further rater who draws; empty if none does."""
        node = self._section.parameters.workingCopy
        return "" if node is None else FURTHER_RATER.of(node, "")

    def update(self) -> None:
        """Keep the others hidden while a further rater draws; show them again afterwards, if the case is the same."""
        section, ui, parameters = self._section, self._ui, self._section.parameters
        copy = self._copy()
        if copy is not None:
            self._reference = parameters.reference
            if hideOthers(copy):
                showStatus(_("Hidden until {rater} has finished: see step 6.").format(rater=self.name))
        elif self._reference is not None:
            (showOthers if self._reference is parameters.reference else forgetOthers)()
            self._reference = None
        ui.drawingBox.visible = copy is not None
        ui.casesButton.visible = copy is None  # it tells the model's volumes
        hasCopy = parameters.workingCopy is not None
        # Not beside all that Advanced has.
        isRoom = not hasCopy or ui.advancedButton.collapsed
        ui.furtherRaterButton.visible = parameters.reference is not None and copy is None and isRoom
        isFinished = parameters.lastCorrection is not None and ROLE.of(parameters.lastCorrection) == Role.RATER
        ui.furtherExportButton.visible = isFinished
        if not isFinished:
            section.say(ui.furtherSavedLabel, "")
        self.tell()

    def tell(self) -> None:
        """Say who draws, and whether it can be finished."""
        ui, section, copy = self._ui, self._section, self._copy()
        if copy is None:
            return
        text = _("{rater} draws. The other contours and the model's result are hidden until it is finished.")
        if not DRAWN_BLIND.of(copy.node):
            text += _(" They were shown while something was drawn, so the contour does not count as drawn blind.")
        section.say(ui.drawingLabel, text.format(rater=self.name))
        if self._drawnIn is not copy.node and _isAnythingDrawn(copy):
            self._drawnIn = copy.node
        reason = _("Nothing is drawn yet. To say that there is nothing, draw something and undo it.")
        section.enable(ui.finishButton, "" if self._drawnIn is copy.node else reason)

    def edited(self) -> None:
        """The contour is changing: where the user brought anything else into the views, it is no blind one any more."""
        copy = self._copy()
        if copy is not None and hideOthers(copy):
            DRAWN_BLIND.set(copy.node, None)

    def onStart(self) -> None:
        """Start drawing, after asking where a working copy with changes would be left behind."""
        section, ui, parameters = self._section, self._ui, self._section.parameters
        with section.context.errorsShown():
            if not mayLeaveWorkingCopy(parameters):
                return
            with waitCursor():
                raters = [choice.rater for choice in parameters.raterChoices]
                copy = section.logic.startFurtherRater(ui.furtherNameEdit.text, parameters.reference, raters)
                ui.furtherNameEdit.text = ""
                ui.furtherRaterButton.collapsed = True
                parameters.workingCopy = copy.node
            section.context.update()

    def onFinish(self) -> None:
        """Make the contour a rater of the case, and show it with the others."""
        section, parameters = self._section, self._section.parameters
        with section.context.errorsShown():
            self._takeUp()
            copy = self._required()
            question = _("Nothing is drawn. Is this what {rater} found: no such structure?").format(rater=self.name)
            if not _isAnythingDrawn(copy) and not slicer.util.confirmYesNoDisplay(question):
                return
            with waitCursor():
                choices = parameters.raterChoices
                rater = section.logic.finishFurtherRater(
                    copy, parameters.reference, [choice.rater for choice in choices]
                )
                self._unsaved.handOver(copy, rater.node)
                wasModifying = parameters.node.StartModify()
                try:
                    parameters.raterChoices = [*choices, RaterChoice(rater)]
                    parameters.lastCorrection = rater.node
                    parameters.workingCopy = None
                finally:
                    parameters.node.EndModify(wasModifying)
                removeWorkingCopy(copy)
                showRaterOutlines([rater])
            section.say(
                self._ui.furtherSavedLabel,
                _("{rater} is a rater of the case now, step 1 lists it. Export… writes a file.").format(
                    rater=rater.name
                ),
            )
            self._ui.furtherRaterButton.collapsed = False
            section.context.update()

    def onDiscard(self) -> None:
        """Throw the drawing away, after a question."""
        with self._section.context.errorsShown():
            copy = self._required()
            question = _("Throw away what {rater} drew?").format(rater=self.name)
            if slicer.util.confirmOkCancelDisplay(question):
                self._section.parameters.workingCopy = None
                self._unsaved.forget(copy)
                removeWorkingCopy(copy)
                self._section.context.update()

    def letGo(self) -> None:
        """The scene is about to be closed, or the panel goes away; in the scene the others stay hidden."""
        self._reference = self._drawnIn = None
        self._section.say(self._ui.furtherSavedLabel, "")

    def _copy(self) -> WorkingCopy | None:
        node = self._section.parameters.workingCopy
        return workingCopyOf(node) if self.name else None

    def _required(self) -> WorkingCopy:
        copy = self._copy()
        if copy is None:
            raise InputError(_("There is no drawing to finish. Start one first."))
        return copy


def _isAnythingDrawn(copy: WorkingCopy) -> bool:
    grid = keptGrid(copy.node)
    if grid is None or not Rater(copy.node, copy.segmentID).isAlive:  # as the figures say
        return False
    return bool(segmentVoxels(copy.node, copy.segmentID, grid)[0].any())
