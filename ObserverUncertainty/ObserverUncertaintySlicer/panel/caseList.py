"""The part of step 6 that leads from case to case: a cohort's predicted cases, the worst first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.attributes import FURTHER_RATER, LISTED_CASE, PLACES
from ObserverUncertaintySlicer.caseList import CaseList, reviewsFolder
from ObserverUncertaintySlicer.caseLoading import LoadedCase
from ObserverUncertaintySlicer.correction import WorkingCopy
from ObserverUncertaintySlicer.host import saveSetting, setting, waitCursor
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.listedNodes import hideContours, listedCase, listedNodes, markDerived, takeOut
from ObserverUncertaintySlicer.panel.caseRows import rowCells, rowToolTip
from ObserverUncertaintySlicer.panel.fileDialogs import chosenManifest
from ObserverUncertaintySlicer.panel.leaving import hasUnsavedWork, mayLeaveWorkingCopy
from ObserverUncertaintySlicer.panel.section import Section
from ObserverUncertaintySlicer.panel.tables import fitHeight, setCell, setHeaders, setUpTable
from ObserverUncertaintySlicer.places import removePlaceOutline
from ObserverUncertaintySlicer.placeStates import PlaceState
from ObserverUncertaintySlicer.predictionQueue import Queue

ROWS = 6
"""Rows that are seen at a time; the table scrolls to others."""
_WIDEST = 110
"""Of a column, in pixels: names of cases and of reviewers may have any length."""
_MOST_NAMED = 5
"""Cases without a place in the list that are named; the tooltip has all of them."""
_PREDICTIONS_FOLDER = "PredictionsFolder"


class CaseListControls:
    """Lists cases and opens them; of the case before nothing is left.

    Args:
        section: the step's, with the widgets.
        apply: makes a loaded case the panel's.
        start: starts a working copy of a contour and shows its first place.
    """

    def __init__(self, section: Section, apply: Callable[[LoadedCase], None], start: Callable[[Any], None]) -> None:
        self._section, self._apply, self._start = section, apply, start
        self._ui = ui = section.ui
        self._list: CaseList | None = None
        self._listOf: tuple[str, str] = ("", "")
        self._problem = ""
        self._said = ""
        self._queue: Queue | None = None
        self._shown: tuple[CaseList | None, str] = (None, "")
        self._title = ui.casesButton.text
        setUpTable(ui.caseTable, ["", "", "", "", ""], stretched=4)
        ui.caseTable.horizontalHeader().setMaximumSectionSize(_WIDEST)
        headers = {
            _("Case"): _("Cases unlike the training images come first, then the lowest expected Dice"),
            _("Dice"): _("The Dice that the prediction lets one expect with the raters' majority"),
            _("Volume"): _("Of the model's segmentation, in mL"),
            _("Note"): _("Whether the case is unlike the training images, and what the prediction warned of"),
            _("Reviewed by"): _("Whose reviews of the case are on the disk"),
        }
        setHeaders(ui.caseTable, list(headers), list(headers.values()))
        ui.casesButton.connect("contentsCollapsed(bool)", lambda _collapsed: section.context.update())
        ui.openListButton.connect("clicked()", self.onOpenList)
        ui.nextCaseButton.connect("clicked()", self.onNext)
        ui.caseTable.connect("cellActivated(int,int)", self.onActivated)  # a double click, or Enter

    @property
    def cases(self) -> CaseList | None:
        """The list that is shown; None if there is none."""
        return self._list

    @property
    def reviews(self) -> Path:
        """The folder that the list's reviews are written to."""
        return reviewsFolder(self._section.parameters.listPredictions)

    def update(self) -> None:
        """Show the list that the parameters name; it is read when it is another one."""
        parameters = self._section.parameters
        markDerived(parameters)
        copy = parameters.workingCopy
        # A further rater is not to know the model's volume.
        self._ui.casesButton.visible = copy is None or FURTHER_RATER.of(copy) is None
        key = (parameters.listManifest, parameters.listPredictions)
        if key != self._listOf:
            self._listOf, self._list, self._said = key, None, ""
            self._read()
        self._fill()
        if self._list is not None and not self._ui.casesButton.collapsed:
            self._ui.furtherRaterButton.visible = False  # the step has no room for both

    def onOpenList(self) -> None:
        """Choose a cohort's manifest and the folder of its predictions; the case in the panel stays there."""
        manifest = chosenManifest()
        folder = _chosenPredictions(manifest) if manifest else ""
        if not folder:
            return
        section = self._section
        with section.context.errorsShown():
            with waitCursor():
                found = section.logic.listCases(manifest, folder)
            self.show(manifest, folder, found)

    def show(self, manifest: str, folder: str, found: CaseList | None = None) -> None:
        """Show another list; the case in the panel stays there.

        Args:
            manifest: the cohort's manifest.
            folder: of the predictions, of which there may be none yet.
            found: the list, if it was read already.
        """
        section, parameters = self._section, self._section.parameters
        wasModifying = parameters.node.StartModify()
        try:
            parameters.listManifest, parameters.listPredictions = manifest, folder
            parameters.listedCase = ""
            self._listOf = (manifest, folder)
            if found is None:
                self._read()
            else:
                self._take(found)
        finally:
            parameters.node.EndModify(wasModifying)
        section.context.update()

    def isOf(self, queue: Queue | None) -> bool:
        """Whether the list is of the cases that a queue predicts."""
        folder = self._section.parameters.listPredictions
        return queue is not None and bool(folder) and Path(folder) == queue.folder

    def follow(self, queue: Queue) -> None:
        """Show what a queue has predicted by now; the case in the panel, and what is drawn, stay as they are."""
        self._queue = queue
        if self.isOf(queue):
            self._read()
            self.update()

    def onNext(self) -> None:
        """Open the next case down the list that the author has not reviewed yet."""
        with self._section.context.errorsShown():
            self._read()
            found, parameters = self._required(), self._section.parameters
            name = found.following(parameters.listedCase, self._ui.authorEdit.text)
            if name is None:
                self._tell(_("No other case of the list is left to review."))
            else:
                self._open(name)

    def onActivated(self, row: int, _column: int) -> None:
        """Open the case of a row."""
        with self._section.context.errorsShown():
            name = self._required().cases[row].name
            if name == listedCase(self._section.parameters):
                self._tell(_("{case} is open already.").format(case=name))
            else:
                self._open(name)

    def keep(self, copy: WorkingCopy, saved) -> Path | None:
        """Write what was saved in the scene of a case of the list to the disk too.

        Args:
            copy: the working copy.
            saved: the correction that was made of it.

        Returns:
            The file; None where the copy is of no case of the list that is shown.

        Raises:
            InputError: a file of this name is there already.
            UnwritableFileError: writing fails.
        """
        parameters = self._section.parameters
        name = listedCase(parameters)
        if not name or LISTED_CASE.of(copy.node) != name:
            return None
        path: Path = self._section.logic.keepReview(saved, parameters.listPredictions, name)
        self._read()
        self._tell("")
        return path

    def letGo(self) -> None:
        """Let go of the list: another scene names its own."""
        self._list, self._listOf, self._problem, self._said = None, ("", ""), "", ""
        self._shown = (None, "")

    def _open(self, name: str) -> None:
        """Bring a case into the scene and the panel, and take the one before out."""
        section, parameters = self._section, self._section.parameters
        if not self._mayLeave():
            return
        # The views are drawn once, when the next case is there, and not at each of the many steps to it.
        with waitCursor(), slicer.util.RenderBlocker():
            markDerived(parameters)
            before = listedNodes()
            opened = section.logic.openListedCase(parameters.listManifest, parameters.listPredictions, name)
            hideContours([*before, opened.results["segmentation"]])  # which a working copy takes the place of
            self._apply(opened.case)
            removePlaceOutline()
            wasModifying = parameters.node.StartModify()
            try:
                parameters.listedCase = name
                for key, node in opened.results.items():
                    setattr(parameters, key, node)
            finally:
                parameters.node.EndModify(wasModifying)
            self._start(parameters.segmentation)
            stay = takeOut(before)  # now that the editor has let go of them
        told = [*opened.case.warnings]
        if stay:
            told.append(_("Stays in the scene, since it was changed: {names}.").format(names=", ".join(stay)))
        self._tell("\n".join(told))

    def _mayLeave(self) -> bool:
        """Whether the present case may be left; the user is asked where something of it is not saved."""
        parameters = self._section.parameters
        copy = parameters.workingCopy
        if hasUnsavedWork(parameters) or copy is None or parameters.lastCorrection is not None:
            return mayLeaveWorkingCopy(parameters)
        places = PLACES.of(copy, [])
        done, count = sum(place["state"] == PlaceState.ACCEPTED for place in places), len(places)
        if not done or not listedCase(parameters):
            return True
        question = _("{done} of {count} places of {case} were accepted, and this was not saved as reviewed. Go on?")
        return bool(
            slicer.util.confirmOkCancelDisplay(question.format(done=done, count=count, case=parameters.listedCase))
        )

    def _required(self) -> CaseList:
        if self._list is None:
            raise InputError(self._problem or _("There is no list of cases. Open one first."))
        return self._list

    def _read(self) -> None:
        """Read the list again; why it cannot be read is told beside it, since a scene may name it."""
        parameters = self._section.parameters
        if not parameters.listManifest:
            self._list, self._problem = None, ""
            return
        try:
            with waitCursor():
                self._take(self._section.logic.listCases(parameters.listManifest, parameters.listPredictions))
        except InputError as error:
            self._list, self._problem = None, "" if self._isToCome() else str(error)

    def _isToCome(self) -> bool:
        """Whether the list is of a queue that has predicted no case yet."""
        queue = self._queue
        return queue is not None and self.isOf(queue) and queue.isRunning and not queue.complete

    def _take(self, found: CaseList) -> None:
        self._list, self._problem = found, ""

    def _tell(self, text: str) -> None:
        self._said = text
        self._section.context.update()

    def _fill(self) -> None:
        """Write the table and the lines below it."""
        ui, found, section = self._ui, self._list, self._section
        table, isThere = ui.caseTable, found is not None
        for widget in (table, ui.nextCaseButton):
            widget.visible = isThere
        ui.casesButton.text = self._title
        ui.caseListLabel.toolTip = self._problem
        if found is None:
            usual = _("A cohort's predicted cases, the worst first.")
            if self._isToCome():
                usual = _("The cases appear here as they are predicted, the worst first.")
            section.say(ui.caseListLabel, self._problem or usual)
            return
        ui.casesButton.text = _("{title}: {done} of {count} reviewed").format(
            title=self._title, done=found.reviewed, count=len(found.cases)
        )
        present = listedCase(section.parameters)
        if self._shown != (found, present):  # the panel shows its state often, and a list may be long
            self._shown = (found, present)
            self._fillTable(found, present)
        self._showLines(found)

    def _fillTable(self, found: CaseList, present: str) -> None:
        """Write the table, the present case in bold and selected."""
        table = self._ui.caseTable
        table.setRowCount(len(found.cases))
        for row, case in enumerate(found.cases):
            toolTip, isPresent = rowToolTip(case), case.name == present
            for column, text in enumerate(rowCells(case)):
                item = setCell(table, row, column, text, toolTip)
                font = item.font()
                font.setBold(isPresent)
                item.setFont(font)
            if isPresent:
                table.setCurrentCell(row, 0)
        fitHeight(table, ROWS, len(found.cases) + len(found.leftOut) if self.isOf(self._queue) else 0)

    def _showLines(self, found: CaseList) -> None:
        lines, toolTips = [self._said] if self._said else [], []
        if found.problem:
            lines.append(_("The reviews cannot be read; the tooltip says why."))
            toolTips.append(found.problem)
        queue = self._queue
        leftOut = queue.withReasons(found.leftOut) if queue is not None and self.isOf(queue) else found.leftOut
        if leftOut:
            names = list(leftOut)
            shown = ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")
            lines.append(
                _("Without a place in the list: {count} ({names}); the tooltip says why.").format(
                    count=len(names), names=shown
                )
            )
            toolTips += [f"{name}: {reason}" for name, reason in leftOut.items()]
        toolTips.append(_("Predictions: {folder}").format(folder=self._section.parameters.listPredictions))
        toolTips.append(_("Reviews: {folder}").format(folder=self.reviews))
        self._section.say(self._ui.caseListLabel, "\n".join(lines))
        self._ui.caseListLabel.toolTip = "\n".join(toolTips)


def _chosenPredictions(manifest: str) -> str:
    """The folder with a cohort's predictions; "" if none is chosen."""
    title = _("Folder with the predictions of this cohort")
    start = setting(_PREDICTIONS_FOLDER) or str(Path(manifest).parent)
    folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, start)
    if folder:
        saveSetting(_PREDICTIONS_FOLDER, str(Path(folder).parent))
    return folder
