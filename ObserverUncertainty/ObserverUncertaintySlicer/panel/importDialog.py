"""The dialog that asks for another program's result: its files, and how they are to be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import qt
import slicer

from ObserverUncertaintyLib.formats.arrays import ARRAY_EXTENSIONS, is_array_file
from ObserverUncertaintyLib.formats.references import EXTENSIONS
from ObserverUncertaintyLib.prediction.imported import ArrayAxes
from ObserverUncertaintySlicer.host import saveSetting, setting
from ObserverUncertaintySlicer.host import tr as _

_FOLDER, _TOOL = "ImportFolder", "ImportTool"
_NONE = -1
"""What the numbers show as their special text."""


@dataclass(frozen=True)
class ImportChoice:
    """What is to be loaded, as `importSamples` takes it."""

    files: tuple[str, ...]
    tool: str
    channel: int | None
    labelValue: int | None
    arrayAxes: ArrayAxes


def chosenSamples() -> ImportChoice | None:
    """Ask for the files of another program, and then how to read them; None if nothing is chosen."""
    endings = " ".join(f"*{ending}" for ending in (*EXTENSIONS, *ARRAY_EXTENSIONS))
    files = qt.QFileDialog.getOpenFileNames(
        slicer.util.mainWindow(),
        _("Probabilities or masks of this case: one file, or one for each sample"),
        setting(_FOLDER),
        _("Images and arrays ({endings})").format(endings=endings),
    )
    if not files:
        return None
    saveSetting(_FOLDER, str(Path(files[0]).parent))
    asked = ImportDialog(slicer.util.mainWindow(), tuple(files))
    try:
        return asked.choice() if asked.dialog.exec_() else None
    finally:
        asked.dialog.deleteLater()


class ImportDialog:
    """How files of samples are to be read.

    Attributes:
        dialog: the QDialog.
    """

    def __init__(self, parent, files: tuple[str, ...]) -> None:
        self._files = files
        self.dialog = qt.QDialog(parent)
        self.dialog.setWindowTitle(_("Load another program's result"))
        layout = qt.QFormLayout(self.dialog)
        text = Path(files[0]).name
        if len(files) > 1:
            text = _("{first} and {more} more: each is a sample").format(first=text, more=len(files) - 1)
        shown = qt.QLabel(text)
        shown.toolTip = "\n".join(files)
        layout.addRow(_("Files:"), shown)
        self._tool = qt.QLineEdit(setting(_TOOL))
        self._tool.objectName = "toolEdit"
        self._tool.placeholderText = _("Its name, such as nnU-Net")
        self._tool.toolTip = _("Stands with the result, so that nobody takes it for the model of step 3")
        layout.addRow(_("&Program:"), self._tool)
        self._channel = self._number(
            "channelSpin",
            _("single map, or samples"),
            _("Where a file has a probability for each class: the foreground's number. Background is usually 0"),
        )
        layout.addRow(_("Foreground &channel:"), self._channel)
        self._label = self._number(
            "labelSpin",
            _("any but 0"),
            _("Where a file is a map of several labels: the label of the structure"),
        )
        layout.addRow(_("Foreground &label:"), self._label)
        self._axes = qt.QComboBox()
        self._axes.objectName = "axesCombo"
        self._axes.addItems([_("slices first (SimpleITK, nnU-Net)"), _("slices last (nibabel, MONAI)")])
        self._axes.toolTip = _("In which order an array has the axes of the image")
        if any(map(is_array_file, files)):  # of other files the order is known
            layout.addRow(_("&Axes of arrays:"), self._axes)
        buttons = qt.QDialogButtonBox()
        load = buttons.addButton(_("Load"), qt.QDialogButtonBox.AcceptRole)
        load.objectName = "loadButton"
        load.default = True
        buttons.addButton(qt.QDialogButtonBox.Cancel)
        buttons.connect("accepted()", self.dialog.accept)
        buttons.connect("rejected()", self.dialog.reject)
        layout.addRow(buttons)

    def choice(self) -> ImportChoice:
        """What was chosen."""
        tool = self._tool.text.strip()
        saveSetting(_TOOL, tool)
        channel, label = self._channel.value, self._label.value
        return ImportChoice(
            self._files,
            tool or _("another program"),
            None if channel == _NONE else channel,
            None if label == _NONE else label,
            list(ArrayAxes)[self._axes.currentIndex],
        )

    def _number(self, name: str, special: str, toolTip: str):
        spin = qt.QSpinBox()
        spin.objectName = name
        spin.minimum, spin.maximum, spin.value = _NONE, 65535, _NONE
        spin.specialValueText = special
        spin.toolTip = toolTip
        return spin
