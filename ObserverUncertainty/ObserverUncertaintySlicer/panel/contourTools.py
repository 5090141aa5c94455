"""The part of step 6 that lets one stroke do the work of many: propagation, levels, and what is protected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats.prediction_files import ONE_HALF
from ObserverUncertaintyLib.review.alternatives import alternatives
from ObserverUncertaintySlicer.attributes import LEVEL, SEGMENTATION_LEVEL
from ObserverUncertaintySlicer.confidence import showConfidence
from ObserverUncertaintySlicer.contourReview import ContourReview
from ObserverUncertaintySlicer.correction import WorkingCopy
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.panel.copyEditor import CopyEditor
from ObserverUncertaintySlicer.panel.section import Section, singleShot
from ObserverUncertaintySlicer.sliceViews import jumpAllViews, nearestView, sliceCentre
from ObserverUncertaintySlicer.volumes import contentTime

ONE_MOVE_MILLISECONDS = 1000
"""What a slider changes within this time of its move before is undone in one go."""


class ContourTools:
    """Changes the working copy where nobody drew, by what was drawn and by the model's probability.

    Args:
        section: the step's, with the widgets.
        editor: knows the undo.
        boundsChanged: is called when `boundsText` is another one.

    Attributes:
        review: of the working copy; None where there is none, or its segment was deleted.
    """

    def __init__(self, section: Section, editor: CopyEditor, boundsChanged: Callable[[], None]) -> None:
        self._section, self._editor, ui = section, editor, section.ui
        self._boundsChanged = boundsChanged
        self._ui = ui
        self.review: ContourReview | None = None
        self._reviewOf: tuple[Any, ...] = ()
        self._levels: list[float] = []
        self._confidenceOf: Any = None
        self._isOneMove = singleShot(ONE_MOVE_MILLISECONDS, lambda: None)
        ui.propagateButton.connect("clicked()", self.onPropagate)
        ui.sliceRightButton.connect("clicked()", self.onSliceRight)
        ui.propagateAtOnceCheck.connect("toggled(bool)", section.context.keep("propagateAtOnce"))
        ui.onlyUnsureCheck.connect("toggled(bool)", section.context.keep("onlyUnsure"))
        ui.confidenceCheck.connect("toggled(bool)", section.context.keep("showConfidence"))
        ui.levelSlider.connect("valueChanged(double)", self.onLevel)
        ui.alternativeCombo.connect("activated(int)", self.onAlternative)

    def follow(self, copy: WorkingCopy | None) -> None:
        """Follow another working copy, or another result of the model."""
        parameters, ui = self._section.parameters, self._ui
        probability = parameters.probability
        key = (
            ()
            if copy is None
            else (copy.node, copy.segmentID, probability, parameters.reference, contentTime(probability))
        )
        if key != self._reviewOf:
            self._reviewOf = key
            self.review = None if copy is None else self._open(copy, probability)
            self._offerAlternatives()
        canPropagate = self.review is not None and probability is not None
        ui.carryBox.visible = ui.levelBox.visible = canPropagate
        ui.propagateAtOnceCheck.checked = parameters.propagateAtOnce
        ui.onlyUnsureCheck.checked = parameters.onlyUnsure
        ui.confidenceCheck.checked = parameters.showConfidence
        ui.confidenceCheck.visible = canPropagate
        self._editor.protect(probability if canPropagate and parameters.onlyUnsure else None, parameters.reference)
        self._showConfidence(probability if canPropagate and parameters.showConfidence else None)
        self.showLevel()

    def takeUp(self) -> bool:
        """Take up what the user drew, and carry it on if that is wished at once; whether something was drawn."""
        if self.review is None:
            return False
        isDrawn = self.review.follow()
        if isDrawn and self._section.parameters.propagateAtOnce and self._section.parameters.probability is not None:
            self._tellFollowed(self.review.propagate(self._editor.saveState))
        self.showLevel()
        return isDrawn

    def onPropagate(self) -> None:
        """Carry what was drawn on to where nobody drew."""
        with self._section.context.errorsShown(), waitCursor():
            review = self._current()
            review.follow()
            if not review.drawn:
                self._section.say(self._ui.sliceLabel, _("Nothing was drawn yet that could be carried on."))
                return
            self._tellFollowed(review.propagate(self._editor.saveState))

    def onSliceRight(self) -> None:
        """Find the slice right that one draws in, carry it on, and go where an edit helps most."""
        with self._section.context.errorsShown(), waitCursor():
            review = self._current()
            review.follow()
            axis = review.lastAxis
            view = nearestView(review.normalOf(axis))
            if view is None:
                raise InputError(
                    _("No slice view lies in the direction that you draw in. Choose a layout that has one (Four-Up).")
                )
            review.decideSlice(sliceCentre(view), axis)
            self._tellFollowed(review.propagate(self._editor.saveState))
            place = review.nextSlice(axis)
            if place is not None:
                jumpAllViews(place)

    def onLevel(self, level: float) -> None:
        """Let the contour follow the slider."""
        if self._section.context.isUpdating or self.review is None:
            return
        with self._section.context.errorsShown():
            self.review.follow()
            isFirst = not self._isOneMove.isActive()
            self._isOneMove.start()
            self.review.setLevel(round(level, 2), self._editor.saveState if isFirst else lambda: None)
            self._showAlternative()

    def onAlternative(self, index: int) -> None:
        """Take one of the alternatives as the contour; the first entry says how many there are."""
        if index > 0:
            self._isOneMove.stop()
            self._ui.levelSlider.value = self._levels[index - 1]

    def showLevel(self) -> None:
        """Show the level that the contour has now, such as after an undo."""
        level = None if self.review is None else self.review.level
        slider = self._ui.levelSlider
        if level is not None and abs(slider.value - level) > 1e-6:
            wasBlocked = slider.blockSignals(True)
            slider.value = level
            slider.blockSignals(wasBlocked)
        self._showAlternative()

    @property
    def boundsText(self) -> str:
        """What the inner and the outer contour hold, where they are shown; else ""."""
        if self.review is None or self._confidenceOf is None:
            return ""
        bounds = self.review.interval()
        return _("inner contour {low:.2f} mL, outer contour {high:.2f} mL").format(
            low=bounds.low_ml, high=bounds.high_ml
        )

    def letGo(self) -> None:
        """Let go of the working copy."""
        self.review, self._reviewOf, self._levels = None, (), []
        self._showConfidence(None)

    def _open(self, copy: WorkingCopy, probability: Any) -> ContourReview | None:
        parameters = self._section.parameters
        try:
            return ContourReview(copy, probability, parameters.reference)
        except InputError as error:
            self._section.say(self._ui.sliceLabel, str(error))
            return None

    def _current(self) -> ContourReview:
        if self.review is None:
            raise InputError(_("There is no working copy. Start one first."))
        return self.review

    def _offerAlternatives(self) -> None:
        combo = self._ui.alternativeCombo
        combo.clear()
        self._levels = []
        if self.review is None or self._section.parameters.probability is None:
            return
        found = alternatives(self.review.probability, self.review.grid)
        self._levels = [round(each.level, 2) for each in found.contours]
        title = _("choose one of {count}").format(count=len(self._levels))
        combo.addItems([title, *(each.meaning for each in found.contours)])
        combo.toolTip = found.why_few or combo.toolTip
        self._showAlternative()

    def _showAlternative(self) -> None:
        level = None if self.review is None else self.review.level
        index = self._levels.index(level) + 1 if level in self._levels else 0
        if self._ui.alternativeCombo.currentIndex != index:
            self._ui.alternativeCombo.currentIndex = index

    def _showConfidence(self, probability: Any) -> None:
        if probability is not self._confidenceOf:
            self._confidenceOf = probability
            showConfidence(probability)
            self._boundsChanged()

    def _tellFollowed(self, changedMl: float) -> None:
        text = _("{volume:.2f} mL followed what you drew.").format(volume=changedMl)
        if not changedMl:
            text = _("Nothing followed: around what you drew the model is sure, or agrees with you.")
        self._section.say(self._ui.sliceLabel, text)


def startLevel(copy: WorkingCopy, isModels: bool, probability: Any) -> None:
    """Note that a copy starts from the model's segmentation, whose level the slider can change."""
    isKnown = isModels and probability is not None
    LEVEL.set(copy.node, SEGMENTATION_LEVEL.of(probability, ONE_HALF) if isKnown else None)
