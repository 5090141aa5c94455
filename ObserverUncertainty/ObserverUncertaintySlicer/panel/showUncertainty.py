"""The button of step 1 that does steps 2, 4 and 5 with what is chosen there, and leads to step 6."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.backgroundJobs import SceneJob
from ObserverUncertaintySlicer.entropyOverImage import showEntropyOverImage
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.panel.compare import CompareSection
from ObserverUncertaintySlicer.panel.context import Context
from ObserverUncertaintySlicer.panel.correct import CorrectSection
from ObserverUncertaintySlicer.panel.disagreement import DisagreementSection
from ObserverUncertaintySlicer.panel.modelInUse import ModelInUse
from ObserverUncertaintySlicer.panel.uncertainty import UncertaintySection
from ObserverUncertaintySlicer.places import mostUncertainPoint
from ObserverUncertaintySlicer.sliceViews import jumpAllViews


class ShowUncertainty:
    """Knows the steps whose work it does; the model's job is step 4's, shown in both places.

    What a case lacks is left out and said before: a patient without raters has a model's uncertainty all the same,
    and experts disagree without a model.
    """

    def __init__(
        self,
        context: Context,
        ui,
        model: ModelInUse,
        disagreement: DisagreementSection,
        uncertainty: UncertaintySection,
        compare: CompareSection,
        correct: CorrectSection,
    ) -> None:
        self.context, self.ui = context, ui
        self._model, self._correct = model, correct
        self._disagreement, self._uncertainty, self._compare = disagreement, uncertainty, compare
        uncertainty.bar.showAlso(ui.showButton, ui.showBar, ui.showLabel, self._start, self._finish)

    @property
    def isPossible(self) -> bool:
        """Whether there is any uncertainty to show: the model's or the experts'."""
        hasImage = self.context.parameters.reference is not None
        return hasImage and not (self._disagreement.missing() and self._uncertainty.missing())

    def update(self) -> None:
        """Say what a click will use and what it will leave out, and why."""
        ui, hasImage = self.ui, self.context.parameters.reference is not None
        running = self._uncertainty.bar.isRunning
        ui.showButton.visible = running or self.isPossible
        ui.useLabel.visible = hasImage and not running
        if hasImage:
            ui.useLabel.toolTip = self._uncertainty.samplingText()
            ui.useLabel.text = "\n".join([self._modelText(), self._expertsText()])

    def _modelText(self) -> str:
        missing, card = self._uncertainty.missing(), self._model.card
        if missing or card is None:
            return _("Without the model's uncertainty. {why}").format(why=missing)
        lacking = self._model.lackingSequences()
        text = _("Model: {name}, on {sequences}.").format(
            name=self._model.folder.name, sequences=", ".join(name for name in card.sequences if name not in lacking)
        )
        if lacking:
            text += _(" The case has no {names}: the model sees less.").format(names=", ".join(lacking))
        return text + _(" It learned from simulated cases: not for patients.") if card.isSimulated else text

    def _expertsText(self) -> str:
        missing = self._disagreement.missing()
        if missing:
            return _("Without the experts' disagreement. {why}").format(why=missing)
        return _("Experts: {count} raters.").format(count=len(self.context.parameters.raters))

    def _start(self) -> SceneJob | None:
        if not self._disagreement.missing():
            with waitCursor():
                self._disagreement.computeAll()
        if not self._uncertainty.missing():
            return self._uncertainty.startPrediction()
        self._lead()
        return None

    def _finish(self, nodes: Mapping[str, Any]) -> str | None:
        text = self._uncertainty.useResult(nodes)
        if text:
            return text
        if not self.context.isEntered or self.context.parameters.workingCopy is not None:
            # Another module's views, or those in which one is painting, stay as they are.
            return _("The results are there: step 5 shows them side by side.")
        self._lead()
        return None

    def _lead(self) -> None:
        """Show what was not left out, at its most uncertain place, and open step 6."""
        parameters = self.context.parameters
        model = None if self._uncertainty.missing() else parameters.predictiveEntropy
        experts = None if self._disagreement.missing() else parameters.expertEntropy
        with waitCursor():
            if model is not None and experts is not None:
                self._compare.show()
            elif model is not None:
                showEntropyOverImage(model, parameters)
            else:
                showEntropyOverImage(experts, parameters)
            with suppress(InputError):  # it is 0 everywhere, which the picture shows
                jumpAllViews(mostUncertainPoint(experts if model is None else model), centred=False)
        self._correct.open()
