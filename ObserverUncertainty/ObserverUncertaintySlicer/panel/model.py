"""Step 3: which model is used, what it says about itself, and whether the packages that it needs are there."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

import slicer

from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintySlicer import dependencies
from ObserverUncertaintySlicer.devices import knownDevices
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.knownModels import knownModels
from ObserverUncertaintySlicer.panel.context import Context
from ObserverUncertaintySlicer.panel.deviceChoice import DeviceProbe
from ObserverUncertaintySlicer.panel.modelInUse import ModelInUse, missingPackages
from ObserverUncertaintySlicer.panel.pathField import PathField
from ObserverUncertaintySlicer.panel.section import Section
from ObserverUncertaintySlicer.panel.textDialog import showText
from ObserverUncertaintySlicer.panel.trainingControls import TrainingControls


class ModelSection(Section):
    """The model and its card; the training of another one is in `TrainingControls`."""

    uiName = "Model"

    def __init__(self, context: Context, model: ModelInUse, probe: DeviceProbe) -> None:
        super().__init__(context)
        self.probe = probe
        self._model = model
        self._models: list[Path] = []
        self._usualToolTip = self.ui.modelCombo.toolTip
        ui = self.ui
        ui.modelCombo.connect("currentIndexChanged(int)", self.onModelChosen)
        self._folder = PathField(ui.modelPath, self.onPathChanged)
        ui.installButton.connect("clicked()", self.onInstall)
        ui.offlineButton.connect("clicked()", self.onOffline)
        ui.lookButton.connect("clicked()", self.onLookAgain)
        # One at a time, so that the step needs no scrolling.
        for opened, other in ((ui.advancedButton, ui.trainingButton), (ui.trainingButton, ui.advancedButton)):
            opened.connect("contentsCollapsed(bool)", _closes(other))
        self.training = TrainingControls(self, model, probe)

    def update(self) -> None:
        """Show the model, its card, how it fits the case, and the packages that are missing."""
        ui = self.ui
        self._updateModels()
        card, problem = self._model.card, self._model.problem
        self.say(ui.problemLabel, problem)
        ui.problemLabel.toolTip = problem
        ui.noticeLabel.visible = card is not None and card.isSimulated
        self.say(ui.summaryLabel, card.summary() if card is not None else "")
        self.say(ui.sequencesLabel, self._sequencesText())
        self.say(ui.cardLabel, _asTable(card.lines()) if card is not None else "")
        self._updatePackages()
        ui.trainingButton.visible = self.training.bar.isRunning or not missingPackages()
        self.training.update()

    def state(self) -> str:
        """Which model is in use, or what is missing."""
        if self.training.bar.isRunning:
            return _("training")
        if self.training.bar.hasFailed:
            return _("training failed")
        card = self._model.card
        if card is None:
            return _("no usable model")
        packages = dependencies.missingPackages()
        if packages:
            return _("needs {packages}").format(packages=", ".join(packages))
        if missingPackages():
            return _("the packages cannot be used")
        name, sequences = card.folder.name, self._model.missingSequences()
        if self.parameters.sequences and sequences:
            return _("{model} needs {sequences}").format(model=name, sequences=", ".join(sequences))
        return _("{model} (simulated data)").format(model=name) if card.isSimulated else name

    def onModelChosen(self, index: int) -> None:
        """Use one of the known models."""
        if not self.context.isUpdating and 0 <= index < len(self._models):
            self._model.choose(self._models[index])

    def onPathChanged(self, path: str) -> None:
        """Use the model of another folder, or none."""
        if path:
            self._model.choose(Path(path))
        else:
            self._model.isCleared = True
            self.context.update()

    def onInstall(self) -> None:
        """Install the missing packages, after asking."""
        # Without a wait cursor: questions are asked.
        with self.context.errorsShown():
            if dependencies.install(slicer.util.confirmOkCancelDisplay):
                self.probe.start(again=True)
        self.context.update()

    def onOffline(self) -> None:
        """Show what to do on a computer without internet."""
        showText(self.widget, _("Installing without internet"), dependencies.offlineInstructions())

    def onLookAgain(self) -> None:
        """Look for packages and devices again, such as after an installation by hand."""
        self.probe.start(again=True)

    def enter(self) -> None:
        """The user comes to the module: devices are looked for once a session."""
        self.probe.start()

    def letGo(self) -> None:
        """Another scene names its own model."""
        self._model.isCleared = False

    def _updateModels(self) -> None:
        ui, folder, isCleared = self.ui, self._model.folder, self._model.isCleared
        models = knownModels()
        if folder not in models:
            models.append(folder)
        if models != self._models:
            self._models = models
            ui.modelCombo.clear()
            ui.modelCombo.addItems(list(map(_titleOf, models)))
        ui.modelCombo.setCurrentIndex(-1 if isCleared else models.index(folder))
        ui.modelCombo.toolTip = f"{folder}\n{self._usualToolTip}"
        self._folder.show("" if isCleared else str(folder))

    def _sequencesText(self) -> str:
        card = self._model.card
        if card is None:
            return ""
        if not self.parameters.sequences:
            return _("The case has no volume yet (step 1).")
        missing = self._model.missingSequencesText()
        if missing:
            return missing
        unused = [name for name in self.parameters.sequences if name not in card.sequences]
        lacking = self._model.lackingSequences()
        text = _("The case has all sequences that the model needs.")
        if lacking:
            text = _("The case has no {names}. The model was trained to do without, but it sees less then.").format(
                names=", ".join(lacking)
            )
        return text if not unused else text + _(" Not used: {names}.").format(names=", ".join(unused))

    def _updatePackages(self) -> None:
        ui, report = self.ui, knownDevices()
        missing, text = dependencies.missingPackages(), ""
        if missing:
            text = _("Missing packages: {packages}. No model runs without them; steps 1, 2 and 6 work.").format(
                packages=", ".join(missing)
            )
        elif self.probe.isRunning:
            text = _("Looking for packages and devices…")
        elif report is not None:
            text = " ".join(report.problems)
        else:
            text = self.probe.problem
        self.say(ui.packagesLabel, text)
        ui.packagesLabel.toolTip = text
        ui.installButton.visible = ui.offlineButton.visible = bool(missing)
        # The text with what to install there comes at the click.
        ui.installButton.text = dependencies.installTitle()
        ui.lookButton.visible = bool(missing) or (bool(text) and not self.probe.isRunning)
        ui.lookButton.enabled = not self.probe.isRunning
        isThere = report is not None and report.torch
        self.say(ui.torchLabel, _("Computes with torch {version}.").format(version=report.torch) if isThere else "")


def _closes(button) -> Callable[[bool], None]:
    """A slot for another collapsible button: this one closes when that one opens."""

    def close(isCollapsed: bool) -> None:
        if not isCollapsed:
            button.collapsed = True

    return close


def _titleOf(folder: Path) -> str:
    return _("{name} (ships with the module)").format(name=folder.name) if folder == shipped_model() else folder.name


def _asTable(lines: list[tuple[str, str]]) -> str:
    rows = "".join(
        f'<tr><td style="padding-right: 8px"><b>{escape(heading)}</b></td><td>{escape(text)}</td></tr>'
        for heading, text in lines
    )
    return f"<table>{rows}</table>"
