"""The model in use: its folder, its card, and why it cannot be used."""

from __future__ import annotations

from pathlib import Path

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.model.calibration import CALIBRATION_FILE
from ObserverUncertaintyLib.model.description import DESCRIPTION_FILE
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintySlicer import dependencies
from ObserverUncertaintySlicer.devices import knownDevices
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.knownModels import rememberModel
from ObserverUncertaintySlicer.modelCards import ModelCard, readCard
from ObserverUncertaintySlicer.panel.context import Context

_FILES = (DESCRIPTION_FILE, CALIBRATION_FILE)
"""What a card says comes from these files of the model's folder."""


class ModelInUse:
    """Reads the card again where the folder or its file changed.

    Attributes:
        isCleared: whether the user emptied the folder's field; then there is no model.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.isCleared = False
        self._readFrom: tuple | None = None
        self._card: ModelCard | None = None
        self._problem = ""

    @property
    def folder(self) -> Path:
        """The model's folder; the shipped one until another is chosen, wherever Slicer is installed."""
        chosen = self._context.parameters.modelFolder
        return Path(chosen) if chosen else shipped_model()

    @property
    def card(self) -> ModelCard | None:
        """What the model says about itself; None if it is unusable."""
        self._read()
        return self._card

    @property
    def problem(self) -> str:
        """Why the model itself is unusable; empty if it is not."""
        self._read()
        return self._problem

    def choose(self, folder: Path) -> None:
        """Use a model from now on, and offer it later."""
        self.isCleared = False
        self._context.parameters.modelFolder = "" if folder == shipped_model() else str(folder)
        if self.card is not None:
            rememberModel(folder)
        self._context.update()

    def missing(self) -> str:
        """Why the model cannot be used; empty if it can, apart from the case's sequences."""
        return self.problem or missingPackages()

    def missingSequences(self) -> list[str]:
        """The sequences that the case lacks and the model needs."""
        return [name for name in self.lackingSequences() if self.card is not None and name in self.card.needed]

    def lackingSequences(self) -> list[str]:
        """The model's sequences that the case lacks, also those that may be missing."""
        present = self._context.parameters.sequences
        return [name for name in self.card.sequences if name not in present] if self.card is not None else []

    def missingSequencesText(self) -> str:
        """Which sequences the case lacks for the model, and what to do; empty if none."""
        names = self.missingSequences()
        if not names:
            return ""
        text = _(
            "Needs the sequence {names}: add its volume in step 1 under this name, or choose another model in step 3."
        )
        if len(names) > 1:
            text = _(
                "Needs the sequences {names}: add their volumes in step 1 under these names, or choose another model "
                "in step 3."
            )
        return text.format(names=", ".join(names))

    def _read(self) -> None:
        key = (self.isCleared, self.folder, *(_written(self.folder / name) for name in _FILES))
        if key == self._readFrom:
            return
        self._readFrom, self._card, self._problem = key, None, ""
        if self.isCleared:
            self._problem = _("Choose a model in step 3, or its folder under Advanced there.")
            return
        try:
            card = readCard(self.folder)
            card.lines()
        except InputError as error:
            self._problem = str(error)
        except (KeyError, TypeError, ValueError) as error:  # such as a description without its training
            self._problem = _("{file} lacks what a card needs ({error!r}); expected a trained model.").format(
                file=self.folder / DESCRIPTION_FILE, error=error
            )
        else:
            self._card = card


def _written(file: Path) -> int | None:
    """When a file was written; the error's number for one that is not there, or not to be looked at."""
    try:
        return file.stat().st_mtime_ns
    except OSError as error:
        return error.errno


def missingPackages() -> str:
    """Which packages are missing and how to get them, or cannot be used; empty if all is there, or not known yet."""
    missing = dependencies.missingPackages()
    if missing:
        return _("Needs {packages}: click {button} in step 3.").format(
            packages=", ".join(missing), button=dependencies.installTitle()
        )
    report = knownDevices()
    return " ".join(report.problems) if report is not None else ""
