"""Step 6: a working copy in the segment editor, over the entropy, and the places where it is worth a look."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from typing import Any

import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer import correction
from ObserverUncertaintySlicer.attributes import MODEL, REVIEW_MODEL, ROLE, Role
from ObserverUncertaintySlicer.caseLoading import LoadedCase
from ObserverUncertaintySlicer.compareViews import presentViews
from ObserverUncertaintySlicer.correction import WorkingCopy
from ObserverUncertaintySlicer.entropyOverImage import isSomethingElseShown, showEntropyOverImage
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.outlines import hideSegmentation
from ObserverUncertaintySlicer.panel.caseList import CaseListControls
from ObserverUncertaintySlicer.panel.contents import Key
from ObserverUncertaintySlicer.panel.context import Context
from ObserverUncertaintySlicer.panel.contourTools import ContourTools, startLevel
from ObserverUncertaintySlicer.panel.copyEditor import CopyEditor
from ObserverUncertaintySlicer.panel.doubtChoice import DoubtChoice
from ObserverUncertaintySlicer.panel.furtherRater import FurtherRaterPart
from ObserverUncertaintySlicer.panel.learning import Learning
from ObserverUncertaintySlicer.panel.leaving import mayLeaveWorkingCopy
from ObserverUncertaintySlicer.panel.modelInUse import ModelInUse
from ObserverUncertaintySlicer.panel.placesTable import PlacesTable
from ObserverUncertaintySlicer.panel.queue import PredictionQueue
from ObserverUncertaintySlicer.panel.resultTexts import lineSample
from ObserverUncertaintySlicer.panel.saving import Saving
from ObserverUncertaintySlicer.panel.section import Section, singleShot
from ObserverUncertaintySlicer.panel.unsavedWork import UnsavedWorkPart
from ObserverUncertaintySlicer.raters import Rater, raterNames
from ObserverUncertaintySlicer.timeSpent import TimeSpent

LIVE_MILLISECONDS = 300


@dataclass(frozen=True)
class _Source:
    """A contour that a working copy can start from: its title, and the segmentation node or the rater."""

    title: str
    contour: Any

    @property
    def key(self) -> Key:
        """Says which contour it is, whatever it is called."""
        isRater = isinstance(self.contour, Rater)
        return (self.contour.node.GetID(), self.contour.segmentID) if isRater else (self.contour.GetID(),)


class CorrectSection(Section):
    """Correct a copy, place by place, the most uncertain first; keep it as reviewed.

    Args:
        context: the panel's.
        applyCase: makes a loaded case the panel's.
        model: the model in use.
        sampling: how many samples a run of step 4 takes now, and whether they are balanced.
        samplingText: the same in words.
    """

    uiName = "Correct"

    def __init__(
        self,
        context: Context,
        applyCase: Callable[[LoadedCase], None],
        model: ModelInUse,
        sampling: Callable[[], tuple[int, bool]],
        samplingText: Callable[[], str],
    ) -> None:
        super().__init__(context)
        self._sources: list[_Source] = []
        self._chosenSource: Key | None = None
        self._observed: Any = None
        self._placesOf: tuple[Any, ...] | None = None
        self._time: TimeSpent | None = None
        self._shownWith: tuple[Any, Any] = (None, None)
        ui = self.ui
        ui.sourceCombo.connect("activated(int)", self.onSourceChosen)
        ui.startButton.connect("clicked()", self.onStart)
        ui.advancedButton.connect("contentsCollapsed(bool)", lambda _collapsed: context.update())
        self.doubt = DoubtChoice(self, self._onDoubtChosen)
        self.places = PlacesTable(self, self._onGoing)
        keys = {
            "N": self._unlessDrawing(self.places.onNext),
            "P": self._unlessDrawing(self.places.onPrevious),
            "A": self._unlessDrawing(self.places.onAccept),
            "S": self._onSliceKey,
        }
        self._editor = CopyEditor(ui.editor, self.widget, keys)
        self.tools = ContourTools(self, self._editor, self.showFigures)
        self.cases = CaseListControls(self, applyCase, self._start)
        self.queue = PredictionQueue(self, model, sampling, samplingText, self.cases)
        self.learning = Learning(self, model, lambda: self.cases.cases)
        self.unsaved = UnsavedWorkPart(self, self._beginRestored)
        self.further = FurtherRaterPart(self, self._takeUp, self.unsaved)
        self.saving = Saving(self, lambda: self.workingCopy, self._takeUp, self.cases, self.unsaved)
        # Figures follow the brush, but not each of its moves.
        self._live = singleShot(LIVE_MILLISECONDS, self._takeUp)

    @property
    def workingCopy(self) -> WorkingCopy | None:
        """The copy that is being corrected; None if there is none, or its node was deleted."""
        node = self.parameters.workingCopy
        return None if node is None else correction.workingCopyOf(node)

    def update(self) -> None:
        """Show what can be corrected, and follow the working copy."""
        ui, parameters = self.ui, self.parameters
        self._updateSources()
        self.doubt.update()
        self.further.update()
        hasCopy, isDrawing = parameters.workingCopy is not None, bool(self.further.name)
        canStart = bool(self._sources) and parameters.reference is not None
        missing = _("Needs an image, and a rater or the model's segmentation: load a case in step 1.")
        self.say(ui.missingLabel, "" if canStart or hasCopy else missing)
        # With a copy there it is seldom wanted.
        ui.startBox.visible = canStart and not isDrawing and not (hasCopy and ui.advancedButton.collapsed)
        ui.startButton.text = _("Start another copy") if hasCopy else _("Start correcting")
        ui.workplace.visible = hasCopy
        ui.advancedButton.visible = hasCopy and not isDrawing
        if isDrawing:
            self.say(ui.sliceLabel, "")
        self.saving.update(isDrawing)
        self.say(ui.legendLabel, self._legend() if hasCopy else "")
        if not hasCopy and self._editor.isOpen:
            # Disabled it would go on drawing into a copy that was let go of.
            self._editor.close()
        elif hasCopy and self.context.isEntered:
            self._openEditor()
        ui.editor.enabled = hasCopy and self._editor.isOn(parameters.workingCopy)
        self.unsaved.update(self.workingCopy)
        self._follow(parameters.workingCopy)
        # Places and levels would tell a further rater what others drew.
        self.tools.follow(None if isDrawing else self.workingCopy)
        self._findPlaces()
        self._showNewUncertainty()
        self.cases.update()
        self.learning.update()
        self.queue.update()

    def state(self) -> str:
        """Whether a copy is being corrected."""
        parameters = self.parameters
        if self.further.name:
            return _("{rater} draws").format(rater=self.further.name)
        if parameters.workingCopy is not None:
            return _("correcting {name}").format(name=parameters.workingCopy.GetName())
        if parameters.lastCorrection is not None:
            return _("saved {name}").format(name=parameters.lastCorrection.GetName())
        return _("ready") if self._sources else _("nothing to correct yet")

    def onSourceChosen(self, _index: int) -> None:
        """The user's choice stays when further contours come; else the first one, the model's, is offered."""
        self._chosenSource = self._sources[self.ui.sourceCombo.currentIndex].key

    def onStart(self) -> None:
        """Start a working copy, after asking where one with changes would be left behind."""
        isByKeyboard = self.ui.startButton.focus  # the mouse leaves the focus, and with it the editor's keys, in a view
        with self.context.errorsShown():
            if not mayLeaveWorkingCopy(self.parameters):
                return
            self._start(self._sources[self.ui.sourceCombo.currentIndex].contour)
            if isByKeyboard:
                self.ui.nextButton.setFocus()  # the button that had it is gone

    def _start(self, source: Any) -> None:
        """Start a working copy of a contour, and show its first place."""
        with waitCursor():
            copy = self.logic.startCorrection(source, self.parameters.reference, self.doubt.entropy)
            probability = self.parameters.probability
            startLevel(copy, source is not None and source is self.parameters.segmentation, probability)
            if probability is not None:
                REVIEW_MODEL.set(copy.node, MODEL.of(probability))
            self._begin(copy)

    def _onDoubtChosen(self) -> None:
        """Another uncertainty has other places, and lies behind the contour."""
        self._findPlaces()
        if self.parameters.workingCopy is not None:
            with self.context.errorsShown():
                showEntropyOverImage(self.doubt.entropy, self.parameters)

    def showFigures(self) -> None:
        """Volume and Dice against the start."""
        copy = self.workingCopy
        if copy is None:
            self.say(self.ui.liveLabel, "")
            return
        try:
            state = correction.correctionState(copy)
        except InputError as error:  # beside the figures: they follow by a timer, while the user may be painting
            self.say(self.ui.liveLabel, str(error))
        else:
            figures = _("{volume:.2f} mL (start {start:.2f}), {changed:.2f} mL changed, Dice {dice:.3f}")
            if self.further.name:
                figures = _("{volume:.2f} mL drawn")
            figures = figures.format(
                volume=state.volumeMl, start=state.startVolumeMl, changed=state.changedMl, dice=state.dice
            )
            self.say(self.ui.liveLabel, "\n".join(filter(None, (figures, self.tools.boundsText, copy.note))))

    def exit(self) -> None:
        """The user leaves the module: no effect stays active, no shortcut and no view observation is left."""
        self._editor.leave()
        self.unsaved.keepNow()
        if self._time is not None:
            self._time.pause()

    def letGo(self) -> None:
        """Let go of the working copy; no effect and no observation of it stays."""
        self.unsaved.letGo()
        self.further.letGo()
        self._live.stop()
        self._editor.close()
        self._follow(None)
        self.places.show(None, None)
        self.tools.letGo()
        self.cases.letGo()
        self._placesOf, self._time = (), None
        self.doubt.letGo()
        self._shownWith = (None, None)
        for label in (self.ui.sliceLabel, self.ui.liveLabel, self.ui.savedLabel):
            self.say(label, "")

    def cleanup(self) -> None:
        """Let go of the editor too."""
        super().cleanup()
        self._editor.cleanup()
        self.unsaved.cleanup()

    def _updateSources(self) -> None:
        parameters, sources = self.parameters, []
        for title, node in (
            (_("model's segmentation"), parameters.segmentation),
            (_("fused contour"), parameters.fusedSegmentation),
        ):
            if node is not None:
                sources.append(_Source(_("{title}: {name}").format(title=title, name=node.GetName()), node))
        raters = parameters.raters
        for rater, name in zip(raters, raterNames(raters), strict=True):
            sources.append(_Source(_("rater {name}").format(name=name), rater))
        if sources != self._sources:
            self._sources = sources
            keys = [source.key for source in sources]
            self.ui.sourceCombo.clear()
            self.ui.sourceCombo.addItems([source.title for source in sources])
            if sources:
                self.ui.sourceCombo.currentIndex = keys.index(self._chosenSource) if self._chosenSource in keys else 0

    def _showNewUncertainty(self) -> None:
        """Show another uncertainty that came while one corrects, by which the places are ranked from now on."""
        copy, entropy = self.parameters.workingCopy, self.doubt.entropy
        before, self._shownWith = self._shownWith, (copy, entropy)
        if self.further.name:
            return
        if copy is not None and before[0] is copy and before[1] is not entropy and self.context.isEntered:
            with suppress(InputError):  # a click will tell why
                self._makeRoom(copy)
            self.say(self.ui.sliceLabel, _("Another uncertainty is there now; the places are found anew."))

    def _legend(self) -> str:
        """Which colour in the slice views is what; on black, as there."""
        copy, raters = self.workingCopy, [] if self.further.name else self.parameters.raters
        segment = None if copy is None else copy.node.GetSegmentation().GetSegment(copy.segmentID)
        entries = [] if segment is None else [(segment.GetColor(), self.further.name or _("working copy"))]
        return " ".join(
            lineSample(color) + "&nbsp;" + escape(name).replace(" ", "&nbsp;")
            for color, name in [*entries, *zip([rater.color for rater in raters], raterNames(raters), strict=True)]
        )

    def _findPlaces(self) -> None:
        """Find the places of the doubt that was chosen, if they are not those that are shown already."""
        copy = None if self.further.name else self.workingCopy
        wanted = () if copy is None else (copy.node, *self.doubt.key)
        if wanted == self._placesOf:
            return
        self._placesOf = wanted
        found = None
        try:
            with waitCursor():
                found = self.doubt.places() if copy is not None else None
        except InputError as error:
            self.say(self.ui.sliceLabel, str(error))
        self.places.show(None if copy is None else copy.node, found)
        if self.tools.review is not None:
            self.places.follow(self.tools.review.editedVoxels())

    def _onGoing(self) -> None:
        """The user goes to a place: the uncertainty is there to see, and the time counts."""
        entropy = self.doubt.entropy
        if entropy is not None and isSomethingElseShown(self.parameters, but=entropy):
            showEntropyOverImage(entropy, self.parameters)
        self._noteTime()

    def _onSliceKey(self) -> None:
        if not self.ui.carryBox.isHidden():
            self.tools.onSliceRight()

    def _noteTime(self) -> None:
        copy = self.parameters.workingCopy
        if copy is not None and self._time is not None:
            self._time.somethingWasDone()
        self._keepUnsaved()

    def _takeUp(self) -> None:
        """Take up what was drawn, and show what came of it."""
        with suppress(InputError):  # the figures tell of it: this follows by a timer, while the user may be painting
            self.tools.takeUp()
            if self.tools.review is not None:
                self.places.follow(self.tools.review.editedVoxels())
            if self.tools.review is not None or self.further.name:
                self._noteTime()
        self.further.tell()
        copy = self.workingCopy
        if copy is not None:
            self.saving.follow(copy)
            self.saving.update(bool(self.further.name))
        self.showFigures()

    def _openEditor(self) -> None:
        copy = self.workingCopy
        if copy is not None and not self._editor.isOn(copy.node):
            self._editor.open(copy, self.parameters.reference)

    def _begin(self, copy: WorkingCopy) -> None:
        """Make a working copy the panel's, show it with its doubt, and go to its first place."""
        self.parameters.workingCopy = copy.node
        views = presentViews()
        if views is not None:
            views.restoreLayout()  # its views are small
        if not self.further.name:
            self._makeRoom(copy.node)
        self._openEditor()
        self.context.update()
        if not self.places.isEmpty:
            self.places.goTo(0)

    def _beginRestored(self, copy: WorkingCopy) -> None:
        """The same with one that was kept from an earlier session: what differs from its start was drawn."""
        self._begin(copy)
        review = self.tools.review
        if review is not None:
            with suppress(InputError):  # without its start that is not known, as Propagate would say
                review.drawnSinceStart()
            self.places.follow(review.editedVoxels())

    def _makeRoom(self, copy) -> None:
        """Show the copy and the raters over the entropy, and nothing that hides either of them."""
        parameters = self.parameters
        for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
            isOther = ROLE.of(node) in (Role.WORKING_COPY, Role.CORRECTION) and node is not copy
            if isOther or node in (parameters.segmentation, parameters.fusedSegmentation):
                hideSegmentation(node)
        entropy = self.doubt.entropy
        if entropy is not None:
            showEntropyOverImage(entropy, parameters)

    def _follow(self, node) -> None:
        """Observe the content of the working copy, and no other's any more."""
        segmentation = None if node is None else node.GetSegmentation()
        if segmentation is self._observed:
            return
        self.saving.begin()
        events = (
            slicer.vtkSegmentation.SourceRepresentationModified,
            slicer.vtkSegmentation.SegmentModified,
            slicer.vtkSegmentation.SegmentRemoved,
        )
        if self._observed is not None:
            for event in events:
                self.removeObserver(self._observed, event, self._onEdited)
        self._observed = segmentation
        self._time = None if node is None else TimeSpent(node)
        self._noteTime()
        if segmentation is not None:
            for event in events:
                self.addObserver(segmentation, event, self._onEdited)
        self.showFigures()

    def _onEdited(self, caller=None, event=None) -> None:
        self.further.edited()
        self._live.start()
        self._keepUnsaved()

    def _keepUnsaved(self) -> None:
        copy = self.workingCopy
        if copy is not None:
            self.unsaved.changed(copy)

    def _unlessDrawing(self, call: Callable[[], None]) -> Callable[[], None]:
        """What a key does, but not while a further rater draws, who sees no places."""
        return lambda: None if self.further.name else call()
