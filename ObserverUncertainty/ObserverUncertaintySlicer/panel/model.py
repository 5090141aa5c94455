"""Step 3: which model is used, what it says about itself, and whether the packages that it needs are there."""

from __future__ import annotations

from html import escape
from pathlib import Path

import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.model.description import DESCRIPTION_FILE
from ObserverUncertaintySlicer import dependencies
from ObserverUncertaintySlicer.devices import knownDevices
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.knownModels import knownModels, rememberModel
from ObserverUncertaintySlicer.modelCards import ModelCard, readCard, shippedModel
from ObserverUncertaintySlicer.panel.deviceChoice import DeviceProbe
from ObserverUncertaintySlicer.panel.pathField import PathField
from ObserverUncertaintySlicer.panel.section import Section
from ObserverUncertaintySlicer.panel.textDialog import showText
from ObserverUncertaintySlicer.panel.trainingControls import TrainingControls


class ModelSection(Section):
    """The model and its card; the training of another one is in `TrainingControls`."""

    uiName = "Model"

    def __init__(self, panel) -> None:
        super().__init__(panel)
        self.probe = DeviceProbe(panel)
        self.training: TrainingControls | None = None
        self._isCleared = False
        self._models: list[Path] = []
        self._usualToolTip = self.ui.modelCombo.toolTip
        self._readFrom: tuple | None = None
        self._card: ModelCard | None = None
        self._problem = ""

    def connect(self) -> None:
        """Connect the widgets' signals."""
        ui = self.ui
        ui.modelCombo.connect("currentIndexChanged(int)", self.onModelChosen)
        self._folder = PathField(ui.modelPath, self.onPathChanged)
        ui.installButton.connect("clicked()", self.onInstall)
        ui.offlineButton.connect("clicked()", self.onOffline)
        self.training = TrainingControls(self)

    @property
    def modelFolder(self) -> Path:
        """The model in use; the shipped one until another is chosen, wherever Slicer is installed."""
        chosen = self.parameters.modelFolder
        return Path(chosen) if chosen else shippedModel()

    @property
    def card(self) -> ModelCard | None:
        """The card of the model in use; None if there is no usable model."""
        self._read()
        return self._card

    def missing(self) -> str:
        """Why the model cannot be used; empty if it can, apart from the case's sequences."""
        self._read()
        return self._problem or self.missingPackages()

    def missingPackages(self) -> str:
        """Which packages are missing, or cannot be used; empty if all is there, or not known yet."""
        missing = dependencies.missingPackages()
        if missing:
            return _("Needs {packages} (step 3).").format(packages=", ".join(missing))
        report = knownDevices()
        return " ".join(report.problems) if report is not None else ""

    def missingSequences(self) -> list[str]:
        """The model's sequences that the case lacks."""
        present = self.parameters.sequences
        return [name for name in self.card.sequences if name not in present] if self.card is not None else []

    def update(self) -> None:
        """Show the model, its card, how it fits the case, and the packages."""
        ui = self.ui
        self._updateModels()
        card = self.card
        ui.problemLabel.text = ui.problemLabel.toolTip = self._problem
        ui.problemLabel.visible = bool(self._problem)
        ui.noticeLabel.visible = card is not None and card.isSimulated
        ui.cardLabel.text = _asTable(card.lines()) if card is not None else ""
        ui.cardLabel.visible = card is not None
        ui.sequencesLabel.text = self._sequencesText()
        self._updatePackages()
        self.training.update()

    def state(self) -> str:
        """What is missing, or which model is in use."""
        if self.training.bar.isRunning:
            return _("training")
        if self.training.bar.hasFailed:
            return _("training failed")
        missing = self.missing()
        if missing:
            return _("no usable model") if self._problem else missing
        return _titleOf(self.modelFolder)

    def chooseModel(self, folder: Path) -> None:
        """Use a model from now on, and offer it later."""
        self._isCleared = False
        self.parameters.modelFolder = "" if folder == shippedModel() else str(folder)
        if self.card is not None:
            rememberModel(folder)
        self.panel.update()

    def onModelChosen(self, index: int) -> None:
        """Use one of the known models."""
        if not self.panel.isUpdating and 0 <= index < len(self._models):
            self.chooseModel(self._models[index])

    def onPathChanged(self, path: str) -> None:
        """Use the model of another folder, or none."""
        if path:
            self.chooseModel(Path(path))
        else:
            self._isCleared = True
            self.panel.update()

    def onInstall(self) -> None:
        """Install the missing packages, after asking."""
        # Without a wait cursor: questions are asked.
        with self.panel.errorsShown():
            if dependencies.install(slicer.util.confirmOkCancelDisplay):
                self.probe.start(again=True)
        self.panel.update()

    def onOffline(self) -> None:
        """Show what to do on a computer without internet."""
        showText(self.widget, _("Installing without internet"), dependencies.offlineInstructions())

    def enter(self) -> None:
        """The user comes to the module: devices are looked for once a session."""
        self.probe.start()

    def letGo(self) -> None:
        """Another scene names its own model."""
        self._isCleared = False

    def cleanup(self) -> None:
        """The panel goes away."""
        self.probe.abandon()
        super().cleanup()

    def _read(self) -> None:
        """Read the card again where the folder or its file changed."""
        folder = self.modelFolder
        file = folder / DESCRIPTION_FILE
        try:
            written = file.stat().st_mtime_ns
        except OSError as error:  # not there, or not to be looked at, as reading it says
            written = error.errno
        key = (self._isCleared, folder, written)
        if key == self._readFrom:
            return
        self._readFrom, self._card, self._problem = key, None, ""
        if self._isCleared:
            self._problem = _("Choose the folder of a trained model.")
            return
        try:
            card = readCard(folder)
            card.lines()
        except InputError as error:
            self._problem = str(error)
        except (KeyError, TypeError, ValueError) as error:  # such as a description without its training
            self._problem = _("{file} lacks what a card needs ({error!r}); expected a trained model.").format(
                file=file, error=error
            )
        else:
            self._card = card

    def _updateModels(self) -> None:
        ui = self.ui
        models = knownModels()
        if self.modelFolder not in models:
            models.append(self.modelFolder)
        if models != self._models:
            self._models = models
            ui.modelCombo.clear()
            ui.modelCombo.addItems([_titleOf(folder) for folder in models])
        ui.modelCombo.setCurrentIndex(-1 if self._isCleared else models.index(self.modelFolder))
        ui.modelCombo.toolTip = f"{self.modelFolder}\n{self._usualToolTip}"
        self._folder.show("" if self._isCleared else str(self.modelFolder))

    def _sequencesText(self) -> str:
        if self.card is None:
            return ""
        if not self.parameters.sequences:
            return _("The case has no sequence yet (step 1).")
        missing = self.missingSequences()
        if missing:
            return _("The case has {found}; the model also needs {missing} (step 1).").format(
                found=", ".join(self.parameters.sequences), missing=", ".join(missing)
            )
        unused = [name for name in self.parameters.sequences if name not in self.card.sequences]
        text = _("The case has all sequences that the model needs.")
        return text if not unused else text + _(" Not used: {names}.").format(names=", ".join(unused))

    def _updatePackages(self) -> None:
        ui, report = self.ui, knownDevices()
        missing = dependencies.missingPackages()
        if missing:
            text = _("Missing packages: {packages}. Steps 1, 2 and 6 work without them.").format(
                packages=", ".join(missing)
            )
        elif report is not None and report.problems:
            text = " ".join(report.problems)
        elif self.probe.problem:
            text = self.probe.problem
        elif missing is None or report is None:
            text = (
                _("Looking for packages and devices…") if self.probe.isRunning else _("Packages: not looked for yet.")
            )
        else:
            text = _("Packages are there: torch {version}.").format(version=report.torch)
        ui.packagesLabel.text = ui.packagesLabel.toolTip = text
        ui.installButton.visible = ui.offlineButton.visible = bool(missing)
        # The text with what to install there comes at the click.
        ui.installButton.text = _("How to install…") if dependencies.usesOtherPython() else _("Install…")


def _titleOf(folder: Path) -> str:
    return _("{name} (ships with the module)").format(name=folder.name) if folder == shippedModel() else folder.name


def _asTable(lines: list[tuple[str, str]]) -> str:
    rows = "".join(
        f'<tr><td style="padding-right: 8px"><b>{escape(heading)}</b></td><td>{escape(text)}</td></tr>'
        for heading, text in lines
    )
    return f"<table>{rows}</table>"
