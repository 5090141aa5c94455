"""The dialog that asks which program finds the brain, and says how to get one."""

from __future__ import annotations

import qt
import slicer

from ObserverUncertaintySlicer.brainExtraction import COMMAND_SETTING, PROGRAMS, suggestedCommand, whyNotRun
from ObserverUncertaintySlicer.host import saveSetting
from ObserverUncertaintySlicer.host import tr as _

_MODULES = ("hdbrainextractiontool", "swissskullstripper")
"""Modules of Slicer's extensions that do it too, by their names in `slicer.modules`."""

_WIDTH = 520
"""Pixels of a text's lines."""


def chosenCommand(reference: str) -> str | None:
    """Ask for the command that finds the brain in the reference, and keep it; None where the user declines."""
    asked = BrainDialog(slicer.util.mainWindow(), reference)
    try:
        return asked.command() if asked.dialog.exec_() else None
    finally:
        asked.dialog.deleteLater()


class BrainDialog:
    """Shows the command, programs to choose from, and why it cannot be run.

    Attributes:
        dialog: the QDialog.
    """

    def __init__(self, parent, reference: str) -> None:
        self.dialog = qt.QDialog(parent)
        self.dialog.setWindowTitle(_("Extract the brain"))
        layout = qt.QFormLayout(self.dialog)
        layout.addRow(
            _wrapped(
                _(
                    "A program on this computer finds the brain in {reference}. Copies of all images, with 0 outside "
                    "it, take the originals' place in step 1; align the images first."
                ).format(reference=reference)
            )
        )
        self._programs = qt.QComboBox()
        self._programs.objectName = "programCombo"
        self._programs.addItem(_("Own command"))
        self._programs.addItems([program.title for program in PROGRAMS])
        self._programs.toolTip = _("Puts the program's usual command below, where it can be changed")
        self._programs.connect("activated(int)", self._onProgram)
        layout.addRow(_("&Program:"), self._programs)
        self._command = qt.QLineEdit(suggestedCommand())
        self._command.objectName = "commandEdit"
        self._command.placeholderText = PROGRAMS[0].command
        self._command.toolTip = _(
            "{input} is the image that the program reads, {output} the stripped image or {mask} the brain mask that it "
            "writes (.nii.gz); kept for the next time"
        )
        self._command.connect("textChanged(QString)", self._onText)
        layout.addRow(_("&Command:"), self._command)
        self._problem = _wrapped("")
        self._problem.objectName = "problemLabel"
        layout.addRow(self._problem)
        layout.addRow(
            _wrapped(
                _(
                    "SynthStrip comes with FreeSurfer, HD-BET with pip; both work offline once they are installed. "
                    "Slicer's extensions HDBrainExtraction and SwissSkullStripper do it too: add their result in step "
                    "1 in the image's place."
                )
            )
        )
        buttons = qt.QDialogButtonBox()
        self._extract = buttons.addButton(_("Extract"), qt.QDialogButtonBox.AcceptRole)
        self._extract.objectName = "extractButton"
        self._extract.default = True
        buttons.addButton(qt.QDialogButtonBox.Cancel)
        for module in filter(None, (getattr(slicer.modules, name, None) for name in _MODULES)):
            button = buttons.addButton(_("Open {module}").format(module=module.title), qt.QDialogButtonBox.ActionRole)
            button.connect("clicked()", lambda name=module.name: self._open(name))
        buttons.connect("accepted()", self.dialog.accept)
        buttons.connect("rejected()", self.dialog.reject)
        layout.addRow(buttons)
        self._onText(self._command.text)

    def command(self) -> str:
        """The command, which is kept for the next time."""
        command = self._command.text.strip()
        saveSetting(COMMAND_SETTING, command)
        return command

    def _onProgram(self, index: int) -> None:
        if index > 0:
            self._command.text = PROGRAMS[index - 1].command

    def _onText(self, text: str) -> None:
        command = text.strip()
        commands = [program.command for program in PROGRAMS]
        self._programs.setCurrentIndex(commands.index(command) + 1 if command in commands else 0)
        why = whyNotRun(command) if command else _("Choose a program, or type its command.")
        _say(self._problem, why)
        self._extract.enabled = not why
        self.dialog.adjustSize()

    def _open(self, module: str) -> None:
        self.dialog.reject()
        slicer.util.selectModule(module)


def _wrapped(text: str):
    label = qt.QLabel()
    label.wordWrap = True
    label.textFormat = qt.Qt.PlainText  # a sequence's name may look like markup
    label.minimumWidth = _WIDTH
    _say(label, text)
    return label


def _say(label, text: str) -> None:
    label.text = text
    label.visible = bool(text)
    label.minimumHeight = label.heightForWidth(_WIDTH)  # a form gives a wrapped text too little
