"""Step 4: the model runs on the case with Monte Carlo dropout, or another program's result is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import same_grid
from ObserverUncertaintyLib.jobs import Job
from ObserverUncertaintyLib.model.calibration import Calibration
from ObserverUncertaintySlicer.attributes import (
    MODEL,
    TOOL,
    TRAINED_ON_SIMULATION,
    UNLIKE_TRAINING,
    textsOf,
)
from ObserverUncertaintySlicer.backgroundJobs import SceneJob
from ObserverUncertaintySlicer.entropyOverImage import showEntropyOverImage
from ObserverUncertaintySlicer.hierarchy import placeBeside
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.outlines import hideSegmentation
from ObserverUncertaintySlicer.panel.context import Context
from ObserverUncertaintySlicer.panel.deviceChoice import DeviceChoice, DeviceProbe
from ObserverUncertaintySlicer.panel.headWarning import HeadWarning
from ObserverUncertaintySlicer.panel.importDialog import ImportChoice, chosenSamples
from ObserverUncertaintySlicer.panel.jobBar import JobBar
from ObserverUncertaintySlicer.panel.modelInUse import ModelInUse
from ObserverUncertaintySlicer.panel.resultTexts import asRichText, lineSample, textParagraphs
from ObserverUncertaintySlicer.panel.section import Section
from ObserverUncertaintySlicer.parameters import AUTOMATIC
from ObserverUncertaintySlicer.prediction import automaticSamples
from ObserverUncertaintySlicer.raterMasks import commonGrid, raterMasks, raterStatistics
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.volumes import gridOfVolume

RESULTS = ("probability", "segmentation", "predictiveEntropy", "expectedEntropy", "mutualInformation")


class UncertaintySection(Section):
    """Starts the prediction and says what came of it."""

    uiName = "Uncertainty"

    def __init__(self, context: Context, model: ModelInUse, probe: DeviceProbe, headWarning: HeadWarning) -> None:
        super().__init__(context)
        self._model, self._headWarning = model, headWarning
        self._jobWarnings: list[str] = []
        self._shown: tuple | None = None
        self._volumeText = ""
        self._case: list[str] = []
        self._whyNotOfPresentCase: Callable[[Mapping[str, Any]], str] = lambda _nodes: ""
        ui = self.ui
        ui.samplesSpin.connect("valueChanged(int)", context.keep("samples"))
        ui.balancedCheck.connect("toggled(bool)", context.keep("balancedMasks"))
        ui.calibratedCheck.connect("toggled(bool)", context.keep("calibrated"))
        ui.importButton.connect("clicked()", self.onImport)
        ui.seedSpin.connect("valueChanged(int)", context.keep("seed"))
        ui.keepRunningCheck.connect("toggled(bool)", context.keep("keepRunning"))
        self._devices = DeviceChoice(context, probe, ui.deviceCombo, ui.findButton)
        self.bar = JobBar(
            context, ui.runButton, ui.runProgress, ui.runLabel, self.startPrediction, self._showResult, self.updated
        )

    def update(self) -> None:
        """Show the parameters, what is missing and the result."""
        ui, parameters, isRunning = self.ui, self.parameters, self.bar.isRunning
        self._forgetOfAnotherCase()
        missing = self.missing()
        self.say(ui.missingLabel, "" if isRunning else missing)
        self.say(ui.headLabel, "" if isRunning or missing else self._headWarning.text())
        # While it runs too, so that the button stays where it is.
        isUsed = isRunning or not missing
        self.say(ui.samplingLabel, _("Run takes {samples}.").format(samples=self.samplingText()) if isUsed else "")
        self.say(ui.processorLabel, self._devices.warning() if isUsed else "")
        if not isRunning:
            ui.runButton.enabled = ui.runButton.visible = not missing
        ui.advancedButton.visible = not isRunning and not missing
        ui.samplesSpin.value = parameters.samples
        ui.balancedCheck.visible = parameters.samples != AUTOMATIC
        ui.balancedCheck.checked = parameters.balancedMasks
        ui.calibratedCheck.checked = parameters.calibrated
        calibration = self._calibration()
        ui.calibratedCheck.visible = calibration is not None
        ui.calibratedCheck.toolTip = "" if calibration is None else f"{calibration.summary}: {calibration.details}"
        ui.importButton.visible = parameters.reference is not None and not isRunning
        ui.seedSpin.value = parameters.seed
        self._devices.update()
        ui.keepRunningCheck.checked = parameters.keepRunning
        self._updateResult()

    def _forgetOfAnotherCase(self) -> None:
        """What was said of a run is said no longer once the case is another."""
        case = _identities(self.parameters.sequences)
        isAnother, self._case = case != self._case, case
        if isAnother and not self.bar.isRunning:
            self.bar.clear()

    def missing(self) -> str:
        """Why the model cannot run, and what to do; empty if it can."""
        if not self.parameters.sequences:
            return _("Needs a volume: load a case in step 1.")
        return self._model.missing() or self._model.missingSequencesText()

    def state(self) -> str:
        """The result in one line, whether it runs, or what is missing."""
        if self.bar.isRunning:
            return _("running")
        if self.bar.hasFailed:
            return _("failed")
        if self.parameters.predictiveEntropy is not None:
            return self._resultLine()
        if not self.parameters.sequences:
            return _("needs a case")
        return _("not ready") if self.missing() else _("ready")

    def sampling(self) -> tuple[int, bool]:
        """How many samples a run would take now, and whether they are balanced."""
        parameters = self.parameters
        if parameters.samples == AUTOMATIC:
            return automaticSamples(self._devices.isProcessor())
        return parameters.samples, parameters.balancedMasks

    def samplingText(self) -> str:
        """The same in words, and the device where it is known."""
        samples, isBalanced = self.sampling()
        text = _("{count} balanced samples") if isBalanced else _("{count} samples")
        device = self._devices.text()
        if device:
            text += _(" on {device}")
        if self._calibration() is not None:
            text += _(", calibrated to its experts") if self.parameters.calibrated else _(", not calibrated")
        return text.format(count=samples, device=device)

    def _calibration(self) -> Calibration | None:
        """That of the model in use; None if it has none."""
        return None if self._model.card is None else self._model.card.calibration

    def startPrediction(self) -> SceneJob:
        """Start the model on the case."""
        parameters = self.parameters
        samples, isBalanced = self.sampling()
        self._forPresentCase()
        with waitCursor():
            return self.logic.predict(
                parameters.sequences,
                self._model.folder,
                samples,
                parameters.device,
                wait=False,
                seed=parameters.seed,
                caseName=parameters.caseName,
                keepRunning=parameters.keepRunning,
                balancedMasks=isBalanced,
                calibrated=parameters.calibrated,
            )

    def onImport(self) -> None:
        """Load what another program predicted of the case."""
        with self.context.errorsShown():
            chosen = chosenSamples()
            if chosen is not None:
                self.importChosen(chosen)

    def importChosen(self, chosen: ImportChoice) -> None:
        """Start to load files as they were chosen."""
        parameters, card = self.parameters, self._model.card
        with waitCursor():
            job = self.logic.importSamples(
                chosen.files,
                parameters.reference,
                tool=chosen.tool,
                structure=card.description.label if card is not None else _("structure"),
                channel=chosen.channel,
                labelValue=chosen.labelValue,
                arrayAxes=chosen.arrayAxes,
                caseName=parameters.caseName,
                wait=False,
            )
        self._forPresentCase()
        self.bar.follow(job)

    def _forPresentCase(self) -> None:
        """The next result is of the volumes that the case has now."""
        self._jobWarnings, predicted = [], _identities(self.parameters.sequences)
        self._whyNotOfPresentCase = lambda _nodes: (
            ""
            if _identities(self.parameters.sequences) == predicted
            else _("its volumes are not those that the model ran on")
        )

    def updated(self, job: SceneJob) -> None:
        """Keep what the job warns of, such as too little memory for the usual batches."""
        self._jobWarnings = job.warnings

    def follow(self, job: SceneJob) -> None:
        """Show a prediction of another session that still runs; its results are the present case's if they fit it."""
        self._whyNotOfPresentCase = lambda nodes: self._whyOfAnotherCase(nodes, job.job.request.case_name)
        self.bar.follow(job)

    def useResult(self, nodes: Mapping[str, Any]) -> str:
        """Make the nodes of the job that ended the case's; the text says why where they are not."""
        return self._use(nodes, self._whyNotOfPresentCase(nodes))

    def _showResult(self, nodes: Mapping[str, Any]) -> str:
        text = self.useResult(nodes)
        # Another module's views, or those in which one is painting, stay as they are.
        if not text and self.context.isEntered and self.parameters.workingCopy is None:
            showEntropyOverImage(self.parameters.predictiveEntropy, self.parameters)
        return text

    def useFound(self, nodes: Mapping[str, Any], job: Job) -> str:
        """Make the nodes of a prediction of another session the case's; the text says why where they are not."""
        return self._use(nodes, self._whyOfAnotherCase(nodes, job.request.case_name))

    def letGo(self) -> None:
        """Let go of what was said about nodes."""
        self._jobWarnings, self._shown, self._volumeText = [], None, ""
        self.bar.clear()

    def _use(self, nodes: Mapping[str, Any], why: str) -> str:
        if why:
            hideSegmentation(nodes["segmentation"])
            return _("{name} (hidden) and its volumes are in the scene, but not the present case's: {why}.").format(
                name=nodes["segmentation"].GetName(), why=why
            )
        node = self.parameters.node
        wasModifying = node.StartModify()
        try:
            for key in RESULTS:
                setattr(self.parameters, key, nodes[key])
                placeBeside(nodes[key], self.parameters.reference)
        finally:
            node.EndModify(wasModifying)
        return ""

    def _whyOfAnotherCase(self, nodes: Mapping[str, Any], caseName: str) -> str:
        """Why nodes, of which nothing but the case's name is known, are not the present case's; empty if they are."""
        parameters, reference = self.parameters, self.parameters.reference
        if reference is None:
            return _("there is no volume in step 1. Load {case} there, then this result again").format(case=caseName)
        if parameters.caseName != caseName:
            return _("they are of {case}, and step 1 has {present}").format(case=caseName, present=parameters.caseName)
        if not same_grid(gridOfVolume(nodes["probability"]), gridOfVolume(reference)):
            return _("they do not lie on the grid of {reference}").format(reference=reference.GetName())
        return ""

    def _updateResult(self) -> None:
        segmentation = self.parameters.segmentation
        key = None
        if segmentation is not None:
            key = (segmentation.GetID(), segmentation.GetSegmentation().GetMTime(), tuple(self._jobWarnings))
        if key != self._shown:
            self._shown, self._volumeText = key, ""
            self.ui.resultLabel.text = "" if segmentation is None else self._resultText(segmentation)
        self.ui.resultLabel.visible = key is not None

    def _resultText(self, segmentation) -> str:
        notes, warnings = textsOf(segmentation)
        paragraphs = []
        try:
            raters = ratersOfNode(segmentation)[:1]
            volume = raterStatistics(raterMasks(raters, commonGrid(raters))).volumesMl[0]
            text = _("{name}: {volume:.2f} mL").format(name=escape(segmentation.GetName()), volume=volume)
            paragraphs.append(f"{lineSample(raters[0].color)} {text}")
            self._volumeText = _("{structure} {volume:.1f} mL").format(structure=raters[0].name, volume=volume)
        except InputError as error:  # the user emptied it
            paragraphs.append(escape(str(error)))
        if TRAINED_ON_SIMULATION.of(segmentation):
            paragraphs.append(_("<b>Simulated data, not for patients.</b> The model was trained on simulated cases."))
        unlike = UNLIKE_TRAINING.of(segmentation)
        warnings = [*warnings, *self._jobWarnings]
        if unlike is not None:  # the guide says it, above the steps
            warnings = [text for text in warnings if unlike not in text]
        paragraphs += textParagraphs(warnings, notes)
        paragraphs.append(_("<i>Research use only, not a medical device.</i>"))
        return asRichText(paragraphs)

    def _resultLine(self) -> str:
        segmentation = self.parameters.segmentation
        line = self._volumeText or _("results are there")
        card = self._model.card
        if segmentation is None:
            return line
        # The model comes last: a narrow panel cuts the end.
        if (tool := TOOL.of(segmentation)) is not None:
            return _("{result}, by {model}").format(result=line, model=tool)
        if TRAINED_ON_SIMULATION.of(segmentation):
            line = _("{result} (simulated data)").format(result=line)
        isOfModelInUse = card is not None and card.description.weights_digest == MODEL.of(segmentation)
        return _("{result}, by {model}").format(result=line, model=card.folder.name) if isOfModelInUse else line


def _identities(sequences: Mapping[str, Any]) -> list[str]:
    # Not the nodes themselves, which would keep a patient's voxels in memory.
    return [node.GetID() for node in sequences.values()]
