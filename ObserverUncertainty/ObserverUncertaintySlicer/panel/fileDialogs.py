"""The dialogs that ask for a case, a cohort, one of its cases, or a file to write; they remember where they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import qt
import slicer

from ObserverUncertaintyLib.formats.references import EXTENSIONS
from ObserverUncertaintySlicer.caseLoading import ManifestCase
from ObserverUncertaintySlicer.host import saveSetting, setting
from ObserverUncertaintySlicer.host import tr as _

MANY_CASES = 10
"""From here on the list of cases can be filtered."""

DICOM_ENDING = ".dicom"
"""Of a folder with exported DICOM files."""

_PROBLEM_HEIGHT = 110
_CASES_FOLDER, _EXPORT_FOLDER, _LEARNING_FOLDER = "CasesFolder", "ExportFolder", "LearningFolder"


def chosenCaseFolder() -> str:
    """The folder of a case; "" if none is chosen."""
    return _chosenFolder(_("Folder with the images and masks of a case"), _CASES_FOLDER)


def chosenLearningFolder() -> str:
    """The folder for a model that learns; "" if none is chosen."""
    return _chosenFolder(_("New folder for the model that learns, and its cohort"), _LEARNING_FOLDER)


def _chosenFolder(title: str, beside: str) -> str:
    folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, setting(beside))
    if folder:
        saveSetting(beside, str(Path(folder).parent))  # the next one probably lies beside it
    return folder


def chosenManifest() -> str:
    """The manifest of a cohort; "" if none is chosen."""
    manifest = qt.QFileDialog.getOpenFileName(
        slicer.util.mainWindow(),
        _("Manifest of a cohort"),
        setting(_CASES_FOLDER),
        _("Cohort manifest (*.toml)"),
    )
    if manifest:
        saveSetting(_CASES_FOLDER, str(Path(manifest).parent))
    return manifest


def chosenContours() -> str:
    """The file of contours; "" if none is chosen."""
    endings = " ".join(f"*{ending}" for ending in (".dcm", *EXTENSIONS))
    file = qt.QFileDialog.getOpenFileName(
        slicer.util.mainWindow(),
        _("What experts drew on this case: RTSTRUCT, SEG, or a mask"),
        setting(_CASES_FOLDER),
        _("Contours and masks ({endings});;All files (*)").format(endings=endings),
    )
    if file:
        saveSetting(_CASES_FOLDER, str(Path(file).parent))
    return file


def chosenExportFile(title: str, name: str, kinds: Mapping[str, str]) -> str:
    """The file to write; the user agreed to replace it where it exists.

    Args:
        title: of the dialog.
        name: the proposed name, without ending.
        kinds: kind of file, in words, to its ending; the first is proposed.

    Returns:
        The path with an ending, "" if none is chosen: the ending that was typed, else that of the chosen kind.
    """
    while True:
        typed, chosen = _askedForFile(title, name, kinds)
        if not typed:
            return ""
        path = _withEnding(typed, chosen)
        # The dialog itself asked about the name as it was typed.
        if path == typed or not Path(path).exists() or _mayReplace(path):
            saveSetting(_EXPORT_FOLDER, str(Path(path).parent))
            return path
        name = typed


def _askedForFile(title: str, name: str, kinds: Mapping[str, str]) -> tuple[str, str]:
    """The path as it was typed, and the ending of the chosen kind; "" for both if none is chosen."""
    dialog = qt.QFileDialog(slicer.util.mainWindow(), title, setting(_EXPORT_FOLDER))
    dialog.setAcceptMode(qt.QFileDialog.AcceptSave)
    dialog.setFileMode(qt.QFileDialog.AnyFile)
    # Given "*.nii.gz", Qt's own dialog would put "gz" for what follows the last dot of the name, and macOS' append it.
    dialog.setOption(qt.QFileDialog.HideNameFilterDetails, True)
    titles = {f"{kind}, {ending}": ending for kind, ending in kinds.items()}
    dialog.setNameFilters([f"{shown} ({ending.replace('.', '*')})" for shown, ending in titles.items()])
    dialog.selectFile(name)
    try:
        if not dialog.exec_():
            return "", ""
        (typed,) = dialog.selectedFiles()
        return typed, next(ending for shown, ending in titles.items() if dialog.selectedNameFilter().startswith(shown))
    finally:
        dialog.deleteLater()


def chosenCase(cohort: str, cases: Sequence[ManifestCase]) -> str | None:
    """The name of the case that the user chooses of a cohort's, or its only one; None if none is chosen.

    Args:
        cohort: what the list is headed with.
        cases: those that cannot be loaded are shown with the reason and not chosen.
    """
    if len(cases) < 2:
        return cases[0].name if cases else None
    chooser = CaseChooser(slicer.util.mainWindow(), cohort, cases)
    try:
        return chooser.chosen.name if chooser.dialog.exec_() else None
    finally:
        chooser.dialog.deleteLater()


class CaseChooser:
    """A list of cases, with a filter where there are many.

    Attributes:
        dialog: the QDialog.
    """

    def __init__(self, parent, cohort: str, cases: Sequence[ManifestCase]) -> None:
        self._cases = list(cases)
        self.dialog = qt.QDialog(parent)
        self.dialog.setWindowTitle(_("Load from cohort"))
        layout = qt.QVBoxLayout(self.dialog)
        label = qt.QLabel(_("&Cases of {cohort}:").format(cohort=cohort.replace("&", "&&")))
        layout.addWidget(label)
        self._filter = qt.QLineEdit()
        self._filter.objectName = "filterEdit"
        self._filter.placeholderText = _("Part of a name")
        self._filter.toolTip = _("Show only cases whose names have this part")
        self._filter.visible = len(cases) >= MANY_CASES
        layout.addWidget(self._filter)
        self._list = qt.QListWidget()
        self._list.objectName = "caseList"
        self._list.addItems([f"{case.name}  ({case.lacks})" if case.lacks else case.name for case in self._cases])
        label.setBuddy(self._list)
        layout.addWidget(self._list)
        # No label: those break lines at blanks only, and a long path would widen the dialog.
        self._problem = qt.QPlainTextEdit()
        self._problem.objectName = "problemView"
        self._problem.readOnly = True
        self._problem.focusPolicy = qt.Qt.ClickFocus
        self._problem.maximumHeight = _PROBLEM_HEIGHT
        self._problem.visible = False
        layout.addWidget(self._problem)
        buttons = qt.QDialogButtonBox()
        self._load = buttons.addButton(_("Load"), qt.QDialogButtonBox.AcceptRole)
        self._load.objectName = "loadButton"
        self._load.enabled = False
        self._load.default = True
        buttons.addButton(qt.QDialogButtonBox.Cancel)
        layout.addWidget(buttons)
        buttons.connect("accepted()", self.dialog.accept)
        buttons.connect("rejected()", self.dialog.reject)
        self._filter.connect("textChanged(QString)", self._onFiltered)
        self._list.connect("itemSelectionChanged()", self._onSelected)
        self._list.connect("itemDoubleClicked(QListWidgetItem*)", self._onDoubleClicked)
        # From the filter into the list, as in every list with a search field.
        self._down = qt.QShortcut(qt.QKeySequence("Down"), self._filter)
        self._down.setContext(qt.Qt.WidgetShortcut)
        self._down.connect("activated()", self._onDown)
        (self._list if self._filter.isHidden() else self._filter).setFocus()
        self.dialog.resize(480, 420)

    @property
    def chosen(self) -> ManifestCase | None:
        """The selected case, if it can be loaded."""
        case = self._selected
        return None if case is None or case.problem else case

    @property
    def _selected(self) -> ManifestCase | None:
        items = self._list.selectedItems()
        return self._cases[self._list.row(items[0])] if items else None

    def _onSelected(self) -> None:
        selected = self._selected
        self._load.enabled = self.chosen is not None
        problem = selected.problem if selected is not None else ""
        self._problem.setPlainText(problem)
        self._problem.visible = bool(problem)

    def _onFiltered(self, text: str) -> None:
        part = text.strip().lower()
        shown = [part in case.name.lower() for case in self._cases]
        for row, isShown in enumerate(shown):
            self._list.item(row).setHidden(not isShown)
        # Enter loads what is left of a search, and nothing that is out of sight.
        if part and any(shown):
            self._list.setCurrentRow(shown.index(True))
        else:
            self._list.clearSelection()

    def _onDown(self) -> None:
        self._list.setFocus()
        first = self._cases.index(self._selected) + 1 if self._selected is not None else 0
        below = [row for row in range(first, len(self._cases)) if not self._list.item(row).isHidden()]
        if below:
            self._list.setCurrentRow(below[0])

    def _onDoubleClicked(self, _item) -> None:
        if self.chosen is not None:
            self.dialog.accept()


def _withEnding(path: str, ending: str) -> str:
    """The path with an ending; one that was typed, of this or another image format, stays, in small letters."""
    typed = next((known for known in (".seg.nrrd", DICOM_ENDING, *EXTENSIONS) if path.lower().endswith(known)), "")
    return path[: len(path) - len(typed)] + typed if typed else path + ending


def _mayReplace(path: str) -> bool:
    question = _("{path} exists already. Replace it?").format(path=path)
    return bool(slicer.util.confirmOkCancelDisplay(question))
