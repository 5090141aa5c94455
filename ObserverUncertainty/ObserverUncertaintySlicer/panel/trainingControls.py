"""The part of step 3 that trains a model: on a cohort's manifest, or on the cases of the scene."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import qt
import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.jobs import Job
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintySlicer.backgroundJobs import SceneJob
from ObserverUncertaintySlicer.charts import lossPlot, showPlotLayout
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.panel.deviceChoice import DeviceChoice, DeviceProbe
from ObserverUncertaintySlicer.panel.jobBar import JobBar
from ObserverUncertaintySlicer.panel.modelInUse import ModelInUse, missingPackages
from ObserverUncertaintySlicer.panel.pathField import PathField, whyNotFile, whyNotNewFolder
from ObserverUncertaintySlicer.panel.resultTexts import asRichText, textParagraphs
from ObserverUncertaintySlicer.panel.section import Section
from ObserverUncertaintySlicer.panel.textField import TextField
from ObserverUncertaintySlicer.parameters import Parameters
from ObserverUncertaintySlicer.sceneCases import SceneCase, requireCohort, sceneCases
from ObserverUncertaintySlicer.training import PRESETS, trainOnScene

MANIFEST, SCENE = "manifest", "scene"
_SOURCES = (MANIFEST, SCENE)
_RESUME, _OVERWRITE = 0, 1


class TrainingControls:
    """What to train on and how; nothing starts without a click, and nothing is overwritten without a question."""

    def __init__(self, section: Section, model: ModelInUse, probe: DeviceProbe) -> None:
        self.context, self.ui, self.section = section.context, section.ui, section
        self._model = model
        self._fusions = list(FusionMethod)
        self._presets = list(PRESETS)
        context, ui = self.context, self.ui
        ui.sourceCombo.addItems([_("a cohort's manifest"), _("the cases of the scene")])
        ui.existingCombo.addItems([_("go on with its training"), _("begin again")])
        ui.fusionCombo.addItems([_(method.title) for method in self._fusions])
        ui.presetCombo.addItems([_presetTitle(name) for name in self._presets])
        for number, name in enumerate(self._presets):
            ui.presetCombo.setItemData(number, _presetToolTip(name), qt.Qt.ToolTipRole)
        ui.sourceCombo.connect("currentIndexChanged(int)", context.keep("trainingSource", _SOURCES.__getitem__))
        self._label = TextField(ui.labelEdit, self.onLabelChanged)
        # Asked for anew at every training, so that it is not kept.
        ui.existingCombo.connect("currentIndexChanged(int)", lambda _index: context.update())
        ui.fusionCombo.connect("currentIndexChanged(int)", context.keep("trainingFusion", self._fusions.__getitem__))
        ui.presetCombo.connect("currentIndexChanged(int)", context.keep("trainingPreset", self._presets.__getitem__))
        ui.epochsSpin.connect("valueChanged(int)", context.keep("trainingEpochs"))  # 0 is the preset's
        ui.keepTrainingCheck.connect("toggled(bool)", context.keep("keepRunning"))
        ui.lossButton.connect("clicked()", self.onShowLoss)
        self._manifest = PathField(ui.manifestPath, context.keep("trainingManifest"))
        self._folder = PathField(ui.folderPath, self.onFolderChanged)
        self._devices = DeviceChoice(context, probe, ui.trainingDeviceCombo, ui.trainingFindButton)
        # A training does not need the scene that it was started from.
        self.bar = JobBar(
            context,
            ui.trainButton,
            ui.trainProgress,
            ui.trainLabel,
            self.startTraining,
            self.finished,
            self.updated,
            endsWithScene=False,
        )
        self._plotted = 0
        self.section.say(self.ui.trainTextLabel, "")

    @property
    def parameters(self) -> Parameters:
        """The panel's parameters."""
        return self.context.parameters

    def update(self) -> None:
        """Show the parameters."""
        ui, parameters = self.ui, self.parameters
        fromScene = parameters.trainingSource == SCENE
        ui.sourceCombo.setCurrentIndex(_SOURCES.index(parameters.trainingSource))
        for widget in (ui.manifestCaption, ui.manifestPath):
            widget.visible = not fromScene
        for widget in (ui.labelCaption, ui.labelEdit, ui.sceneLabel):
            widget.visible = fromScene
        self._manifest.show(parameters.trainingManifest)
        self._folder.show(parameters.trainingFolder)
        self._label.show(parameters.trainingLabel)
        filled = self._folderIsFilled()
        ui.existingCaption.visible = ui.existingCombo.visible = filled
        ui.fusionCombo.setCurrentIndex(self._fusions.index(parameters.trainingFusion))
        ui.presetCombo.setCurrentIndex(self._presets.index(parameters.trainingPreset))
        ui.epochsSpin.value = parameters.trainingEpochs
        ui.epochsSpin.specialValueText = _("the preset's {epochs}").format(
            epochs=PRESETS[parameters.trainingPreset].epochs
        )
        ui.keepTrainingCheck.checked = parameters.keepRunning
        self._devices.update()
        ui.lossButton.visible = parameters.lossChart is not None
        if fromScene:
            ui.sceneLabel.text = self._sceneText()
        isRunning = self.bar.isRunning
        missing = "" if isRunning else self.missing()
        self.section.say(ui.trainingMissingLabel, missing)
        if not isRunning:
            ui.trainButton.enabled = ui.trainButton.visible = not missing
        ui.trainingSettings.visible = not isRunning
        self.section.say(ui.trainingWarningLabel, self._devices.warning())

    def missing(self) -> str:
        """Why training cannot start; empty if it can."""
        parameters = self.parameters
        missing = missingPackages()
        if missing:
            return missing
        if parameters.trainingSource == MANIFEST:
            missing = whyNotFile(parameters.trainingManifest, ".toml", _("Choose the cohort's manifest."))
        return missing or whyNotNewFolder(parameters.trainingFolder, _("Choose a folder for the model."))

    def presentCase(self) -> SceneCase:
        """The case that the user works on, with the raters that take part."""
        parameters = self.parameters
        return SceneCase(parameters.caseName, parameters.sequences, parameters.raters)

    def startTraining(self) -> SceneJob | None:
        """Start what the widgets show; None if the user does not want the folder's model replaced."""
        for field in (self._manifest, self._folder, self._label):
            field.take()
        missing = self.missing()
        if missing:
            raise InputError(missing)
        parameters = self.parameters
        folder = Path(parameters.trainingFolder)
        filled = self._folderIsFilled()
        overwrite = filled and self.ui.existingCombo.currentIndex == _OVERWRITE
        question = _("The model and the training in {folder} will be replaced. Begin again?").format(folder=folder)
        if overwrite and not slicer.util.confirmOkCancelDisplay(question):
            return None
        options: dict[str, Any] = {
            "fusion": parameters.trainingFusion,
            "preset": parameters.trainingPreset,
            "device": parameters.device,
            "keepRunning": parameters.keepRunning,
            "resume": filled and not overwrite,
            "overwrite": overwrite,
        }
        if parameters.trainingEpochs:
            options["epochs"] = parameters.trainingEpochs
        self._plotted = 0
        self.section.say(self.ui.trainTextLabel, "")
        with waitCursor():
            if parameters.trainingSource == MANIFEST:
                return self.section.logic.train(parameters.trainingManifest, folder, wait=False, **options)
            cases = sceneCases(self.presentCase())
            return trainOnScene(folder, label=parameters.trainingLabel, sceneCases=cases, **options)

    def updated(self, job: SceneJob) -> None:
        """Draw the loss curve on after an epoch, and say what was done to the data and what the job warns of."""
        self.section.say(self.ui.trainTextLabel, asRichText(textParagraphs(job.warnings, job.notes)))
        losses, validation = job.job.losses, job.job.validation_losses
        if len(losses) == self._plotted:
            return
        self._plotted = len(losses)
        if validation:
            # The two losses of an epoch are told one after the other.
            validation = [*validation, *([math.nan] * len(losses))][: len(losses)]
        self.parameters.lossChart = lossPlot(losses, validation or None, self.parameters.lossChart)

    def follow(self, job: SceneJob) -> None:
        """Show a training of another session that still runs."""
        self._plotted = 0
        self.bar.follow(job)

    def useFound(self, folder: Path, _job: Job) -> str:
        """Use the model that a training of another session made."""
        self._model.choose(folder)
        return ""

    def finished(self, folder: Path) -> str:
        """Use the new model, and say so."""
        self._model.choose(folder)
        return _("Trained: {folder}. It is the model in use now.").format(folder=folder)

    def onLabelChanged(self, label: str) -> None:
        """Another name of the structure."""
        self.parameters.trainingLabel = label or "structure"

    def onFolderChanged(self, path: str) -> None:
        """Another folder for the model."""
        if not self.context.isUpdating:
            self.parameters.trainingFolder = path
            self.ui.existingCombo.setCurrentIndex(_RESUME)

    def onShowLoss(self) -> None:
        """Show the loss curve."""
        with self.context.errorsShown():
            showPlotLayout(self.parameters.lossChart)

    def _folderIsFilled(self) -> bool:
        folder = Path(self.parameters.trainingFolder) if self.parameters.trainingFolder else None
        try:
            return folder is not None and folder.is_dir() and any(folder.iterdir())
        except OSError:  # a folder that may not be looked into; training says so
            return False

    def _sceneText(self) -> str:
        cases = sceneCases(self.presentCase())
        try:
            requireCohort(cases)
        except InputError as error:
            return str(error)
        text = _("1 case: {names}") if len(cases) == 1 else _("{count} cases: {names}")
        return text.format(count=len(cases), names=", ".join(case.name for case in cases))


def _presetTitle(name: str) -> str:
    titles = {
        "small": _("small, no GPU"),
        "shapes": _("paper, shapes"),
        "cavity": _("paper, cavities"),
    }
    return titles[name]


def _presetToolTip(name: str) -> str:
    network = PRESETS[name].network
    return _("{depth} poolings, {filters} filters").format(depth=network.depth, filters=network.filters)
