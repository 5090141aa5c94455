"""The part of step 6 that keeps a working copy as reviewed: in the scene, beside the predictions, and as a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer import correction
from ObserverUncertaintySlicer.attributes import FURTHER_RATER
from ObserverUncertaintySlicer.correction import WorkingCopy
from ObserverUncertaintySlicer.dicomExport import MAPS
from ObserverUncertaintySlicer.dicomSources import seriesOf
from ObserverUncertaintySlicer.host import asFileName, saveSetting, setting, waitCursor
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.panel.caseList import CaseListControls
from ObserverUncertaintySlicer.panel.dicomDialog import chosenDicom
from ObserverUncertaintySlicer.panel.fileDialogs import DICOM_ENDING, chosenExportFile
from ObserverUncertaintySlicer.panel.section import Section
from ObserverUncertaintySlicer.panel.textField import TextField
from ObserverUncertaintySlicer.panel.unsavedWork import UnsavedWorkPart


class Saving:
    """Saves and exports, each where there is something to save or to export.

    Args:
        section: the step's, with the widgets.
        copy: gives the working copy; None if there is none.
        takeUp: takes up what was drawn last.
        cases: writes what is of the list beside its predictions.
        unsaved: keeps what no file holds yet.
    """

    def __init__(
        self,
        section: Section,
        copy: Callable[[], WorkingCopy | None],
        takeUp: Callable[[], None],
        cases: CaseListControls,
        unsaved: UnsavedWorkPart,
    ) -> None:
        self._section, self._copy, self._takeUp, ui = section, copy, takeUp, section.ui
        self._cases, self._unsaved, self._ui = cases, unsaved, ui
        self._hasChanges = True
        self._author = TextField(ui.authorEdit, self.onAuthorChanged)
        ui.authorEdit.connect("textEdited(QString)", self._onRecordEdited)
        ui.commentEdit.connect("textEdited(QString)", self._onRecordEdited)
        ui.saveButton.connect("clicked()", self.onSave)
        ui.exportButton.connect("clicked()", lambda: self.export(ui.savedLabel))
        ui.furtherExportButton.connect("clicked()", lambda: self.export(ui.furtherSavedLabel))

    def update(self, isDrawing: bool) -> None:
        """Offer to save what has changes, or another comment, and else to export.

        Args:
            isDrawing: whether a further rater draws, whose contour is finished and not saved.
        """
        ui, parameters = self._ui, self._section.parameters
        isSaved = parameters.lastCorrection is not None and not self._hasChanges
        ui.saveButton.visible = not isSaved and not isDrawing
        ui.exportButton.visible = isSaved and not isDrawing
        ui.authorEdit.visible = not isDrawing
        if parameters.lastCorrection is None:
            self._section.say(ui.savedLabel, "")
        self._author.show(parameters.correctionAuthor or setting("Author"))

    def begin(self) -> None:
        """Another working copy is there, or none: what was typed for the one before is not said of it."""
        self._ui.commentEdit.text = ""
        self._hasChanges = True

    def follow(self, copy: WorkingCopy) -> None:
        """The contour may have changed."""
        self._hasChanges = not correction.isSavedAs(copy, self._section.parameters.lastCorrection)

    def onAuthorChanged(self, name: str) -> None:
        """Remember the author, in the scene and for the next one."""
        self._section.parameters.correctionAuthor = name
        saveSetting("Author", name)

    def onSave(self) -> None:
        """Keep the working copy as reviewed."""
        ui, section = self._ui, self._section
        if not self._author.text:
            section.say(ui.savedLabel, _("Give your name first: a review says who made it."))
            ui.authorEdit.setFocus()
            return
        with section.context.errorsShown(), waitCursor():
            self._author.take()
            copy = self._copy()
            if copy is None:
                raise InputError(_("There is no working copy to save. Start one first."))
            self._takeUp()
            saved = section.logic.saveAsReviewed(copy, self._author.text, ui.commentEdit.text)
            section.parameters.lastCorrection = saved
            written = self._cases.keep(copy, saved)
            if written is not None:
                self._unsaved.forget(copy, saved)
            else:  # so far the scene alone has it
                self._unsaved.changed(copy)
                self._unsaved.keepNow()
            self._hasChanges = False
            section.context.update()
            text = _("Saved in the scene as {name}. Export… writes a file.").format(name=saved.GetName())
            if written is not None:
                text = _("Saved in the scene as {name}, and in the folder {folder} beside the predictions.").format(
                    name=saved.GetName(), folder=self._cases.reviews.name
                )
            section.say(ui.savedLabel, text)
            ui.savedLabel.toolTip = "" if written is None else str(written)

    def export(self, label: Any) -> None:
        """Write the last correction to a file or as DICOM, and say so in a label."""
        node = self._section.parameters.lastCorrection
        title = _("Export {name}").format(name=node.GetName())
        kinds = {
            _("Segmentation"): ".seg.nrrd",
            _("NRRD"): ".nrrd",
            _("NIfTI"): ".nii.gz",
            _("DICOM (a folder with SEG, RTSTRUCT and maps)"): DICOM_ENDING,
        }
        path = chosenExportFile(title, asFileName(node.GetName()), kinds)
        if not path:
            return
        with self._section.context.errorsShown():
            if path.endswith(DICOM_ENDING):
                if not self._exportDicom(node, path):
                    return
            else:
                self._section.logic.exportReviewed(node, path, overwrite=True)
            self._section.say(label, _("Written to {path}").format(path=path))
            self._unsaved.isExported(node)
            if (copy := self._copy()) is not None and correction.isSavedAs(copy, node):
                self._unsaved.forget(copy, node)

    def _exportDicom(self, node: Any, path: str) -> bool:
        """Ask for what DICOM needs beside, and write it; false if the user thinks otherwise."""
        parameters = self._section.parameters
        maps = {key: getattr(parameters, key) for key in MAPS if getattr(parameters, key) is not None}
        if FURTHER_RATER.of(node) is not None:
            maps = {}  # who draws for himself is not to see the model's
        chosen = chosenDicom(seriesOf(parameters.reference), bool(maps))
        if chosen is None:
            return False
        with waitCursor():
            self._section.logic.exportDicom(
                node,
                path,
                chosen.series,
                maps=maps if chosen.withMaps else {},
                marginMm=chosen.marginMm,
                overwrite=True,
            )
        return True

    def _onRecordEdited(self, _text: str) -> None:
        self._hasChanges = True
        if (copy := self._copy()) is not None:
            self._unsaved.changed(copy)
        self._section.context.update()
