"""The line above the steps: which case it is, what comes next, and the button that opens the step for it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import NamedTuple

import qt
import slicer

from ObserverUncertaintySlicer.attributes import FURTHER_RATER, UNLIKE_TRAINING
from ObserverUncertaintySlicer.compareViews import presentViews
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.listedNodes import listedCase
from ObserverUncertaintySlicer.panel.context import Context
from ObserverUncertaintySlicer.panel.section import uiPath
from ObserverUncertaintySlicer.panel.widths import letShrink
from ObserverUncertaintySlicer.parameters import Parameters

CASE, UNCERTAINTY, COMPARE, CORRECT = 1, 4, 5, 6
"""Numbers of the steps that may come next; the others are for who wants to choose."""


class Next(NamedTuple):
    """What comes next.

    Attributes:
        step: the number of the step that has the button for it.
        text: what to do there.
    """

    step: int
    text: str


class Guide:
    """Says what comes next.

    Args:
        context: the panel's.
        openStep: opens the step with a number from 1 on.

    Attributes:
        widget: lies above the steps.
    """

    def __init__(self, context: Context, openStep: Callable[[int], None]) -> None:
        self._context, self._openStep = context, openStep
        self._step = CASE
        self.widget = slicer.util.loadUI(uiPath("Guide"))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        letShrink(self.widget)
        self.ui.nextLabel.textFormat = qt.Qt.PlainText  # a case's name may look like markup
        self.ui.goButton.connect("clicked()", self.openNext)

    def openNext(self) -> None:
        """Open the step that comes next."""
        self._openStep(self._step)

    def show(self, openStep: int | None, isComputing: bool, canShow: bool, canRun: bool) -> None:
        """Show what comes next.

        Args:
            openStep: the number of the open step; None if none is open.
            isComputing: whether the model is at work.
            canShow: whether there is any uncertainty that can be computed.
            canRun: whether the model can run on the case.
        """
        parameters = self._context.parameters
        following = nextStep(parameters, isComputing, canShow, canRun)
        self._step = following.step
        name = parameters.givenCaseName
        text = _("Next: {text}").format(text=following.text)
        unlike = _unlikeTraining(parameters)
        self.ui.unlikeLabel.text = _(
            "<b>Careful:</b> this case is unlike the images that the model was trained on: {reason}. The model's "
            "contour and its colours may mean nothing here."
        ).format(reason=escape(unlike or ""))
        self.ui.unlikeLabel.visible = unlike is not None
        self.ui.nextLabel.text = f"{name}. {text}" if name else text
        self.ui.goButton.visible = following.step != openStep and not isComputing
        self.ui.goButton.text = _("Go to step {number}").format(number=following.step)


def _unlikeTraining(parameters: Parameters) -> str | None:
    """In what the case is unlike the training images of the model whose result is there."""
    results = (parameters.segmentation, parameters.predictiveEntropy)
    return next((UNLIKE_TRAINING.of(node) for node in results if node is not None and UNLIKE_TRAINING.of(node)), None)


def nextStep(parameters: Parameters, isComputing: bool = False, canShow: bool = True, canRun: bool = True) -> Next:
    """What a clinician does next with a case, told from what is there."""
    if parameters.reference is None:
        if parameters.raterChoices:
            return Next(CASE, _("add the image that the contours were drawn on."))
        return Next(CASE, _("load a case, or the sample case."))
    if isComputing:
        return Next(CASE, _("wait for the model, or look around meanwhile."))
    if parameters.workingCopy is not None:
        if FURTHER_RATER.of(parameters.workingCopy):
            return Next(CORRECT, _("draw the contour, then finish."))
        if parameters.lastCorrection is None:
            return Next(CORRECT, _("correct the contour, then save."))
        if listedCase(parameters):
            return Next(CORRECT, _("go on with the next case of the list."))
        return Next(CORRECT, _("export the correction, or load the next case in step 1."))
    model, experts = parameters.predictiveEntropy is not None, parameters.expertEntropy is not None
    if not model and not experts and not canShow:
        return Next(CASE, _("add what is missing, or correct in step 6."))
    if not model and not experts:
        return Next(CASE, _("show the uncertainty."))
    if model and experts and presentViews() is None:
        return Next(COMPARE, _("show both side by side, or correct in step 6."))
    if not model and canRun:
        return Next(UNCERTAINTY, _("run the model, or correct in step 6."))
    return Next(CORRECT, _("correct where it matters."))
