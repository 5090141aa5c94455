"""The dialog that says how a cohort will be predicted, and asks for the folder of the predictions."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.predictionQueue import isBegunIn

_WIDTH = 520
_MOST_NAMED = 5


def chosenQueueFolder(manifest: str, model: str, sampling: str) -> str:
    """The folder for a cohort's predictions, once the user agreed to predict it; "" if not.

    Args:
        manifest: the cohort's.
        model: the model's name.
        sampling: how many samples are drawn and where, in words.

    Raises:
        InputError: the manifest cannot be used.
    """
    with waitCursor():
        cohort = Cohort.open(manifest, incomplete=True)
    asked = QueueDialog(slicer.util.mainWindow(), cohort, model, sampling)
    try:
        return asked.folder if asked.dialog.exec_() else ""
    finally:
        asked.dialog.deleteLater()


class QueueDialog:
    """What will happen, and where the predictions go.

    Attributes:
        dialog: the QDialog.
    """

    def __init__(self, parent, cohort: Cohort, model: str, sampling: str) -> None:
        self.dialog = qt.QDialog(parent)
        self.dialog.setWindowTitle(_("Predict cases"))
        layout = qt.QVBoxLayout(self.dialog)
        text = qt.QLabel("\n\n".join(_whatHappens(cohort, model, sampling)))
        text.textFormat = qt.Qt.PlainText
        text.wordWrap = True
        layout.addWidget(text)
        row = qt.QHBoxLayout()
        caption = qt.QLabel(_("&Predictions:"))
        row.addWidget(caption)
        manifest = cohort.manifest.path
        self._edit = qt.QLineEdit(str(manifest.with_name(f"{manifest.stem}-predictions")))
        self._edit.objectName = "folderEdit"
        self._edit.toolTip = _("A new folder, or one where these predictions were begun, which are gone on with")
        caption.setBuddy(self._edit)
        row.addWidget(self._edit)
        choose = qt.QPushButton(_("Choose…"))
        choose.objectName = "chooseButton"
        choose.autoDefault = False
        choose.connect("clicked()", self._onChoose)
        row.addWidget(choose)
        layout.addLayout(row)
        self._state = qt.QLabel()
        self._state.objectName = "stateLabel"
        self._state.textFormat = qt.Qt.PlainText
        self._state.wordWrap = True
        layout.addWidget(self._state)
        buttons = qt.QDialogButtonBox()
        self._start = buttons.addButton(_("Start"), qt.QDialogButtonBox.AcceptRole)
        self._start.objectName = "startQueueButton"
        self._start.default = True
        buttons.addButton(qt.QDialogButtonBox.Cancel)
        layout.addWidget(buttons)
        buttons.connect("accepted()", self.dialog.accept)
        buttons.connect("rejected()", self.dialog.reject)
        self._edit.connect("textChanged(QString)", lambda _text: self._showState())
        self._showState()
        self.dialog.resize(_WIDTH, self.dialog.sizeHint.height())

    @property
    def folder(self) -> str:
        """The folder that is shown, without blanks around it."""
        return str(self._edit.text).strip()

    def _onChoose(self) -> None:
        start = self.folder if Path(self.folder).is_dir() else str(Path(self.folder).parent)
        title = _("Folder for the predictions of this cohort")
        folder = qt.QFileDialog.getExistingDirectory(self.dialog, title, start)
        if folder:
            self._edit.text = folder

    def _showState(self) -> None:
        """Say what becomes of the folder, and let nothing start in one that cannot be used."""
        text, isUsable = _("The folder is made."), True
        if not Path(self.folder).is_absolute():
            text, isUsable = _("Give the whole path of a folder."), False
        else:
            try:
                if isBegunIn(self.folder):
                    text = _("Predictions were begun in this folder: complete ones stay, the others are gone on with.")
            except InputError as error:
                text, isUsable = str(error), False
        self._state.text = text
        self._start.enabled = isUsable


def _whatHappens(cohort: Cohort, model: str, sampling: str) -> list[str]:
    lacking = [name for name in cohort.case_names if name not in cohort.files_by_case]
    count = len(cohort.files_by_case)
    lines = [
        _(
            "{cohort}: {count} cases are predicted one after the other in the background, by {model} with {sampling}, "
            "as steps 3 and 4 are set."
        ).format(cohort=cohort.name, count=count, model=model, sampling=sampling),
        _(
            "It goes on when Slicer closes; the list of jobs then finds it again. Each case can be opened from the "
            "list as soon as it is done. Images on another grid than their case's first one are resampled onto it."
        ),
    ]
    if lacking:
        names = ", ".join(lacking[:_MOST_NAMED]) + (", …" if len(lacking) > _MOST_NAMED else "")
        lines.append(_("Left out, since files are missing: {names}.").format(names=names))
    return lines
