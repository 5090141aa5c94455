"""The part of step 1 that loads a case, from files or the sample, and makes it the panel's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ObserverUncertaintySlicer.backgroundJobs import SceneJob
from ObserverUncertaintySlicer.caseDisplay import showCase
from ObserverUncertaintySlicer.caseLoading import LoadedCase, manifestCases
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.outlines import hideAllSegmentations, hideSegmentation
from ObserverUncertaintySlicer.panel.alignmentCheck import AlignmentCheck
from ObserverUncertaintySlicer.panel.fileDialogs import chosenCase, chosenCaseFolder, chosenManifest
from ObserverUncertaintySlicer.panel.jobBar import JobBar
from ObserverUncertaintySlicer.panel.leaving import hasUnsavedWork, mayLeaveWorkingCopy
from ObserverUncertaintySlicer.panel.section import Section
from ObserverUncertaintySlicer.parameters import RaterChoice
from ObserverUncertaintySlicer.sampleData import keptSampleCase

_OF_RATERS = ("fusedSegmentation", "expertEntropy")
_OF_IMAGES = (
    "probability",
    "segmentation",
    "predictiveEntropy",
    "expectedEntropy",
    "mutualInformation",
    "difference",
    "metricsTable",
    "workingCopy",
    "lastCorrection",
)


class CaseLoading:
    """Loads cases; what belonged to the case before stays in the scene, but in the panel no longer.

    Args:
        section: the step's, with the widgets.
        alignment: is told of the loaded case's sequences.
        loaded: is called when another case was loaded.

    Attributes:
        bar: of the sample case, which takes a while to make.
        text: what the last loaded case's files were in for.
    """

    def __init__(self, section: Section, alignment: AlignmentCheck, loaded: Callable[[], None]) -> None:
        self.context, self.logic, self.ui = section.context, section.logic, section.ui
        self._alignment, self._loaded = alignment, loaded
        self.text = ""
        self._before: list[str] = []
        ui = section.ui
        self.bar = JobBar(
            self.context, ui.loadSampleButton, ui.sampleBar, ui.sampleLabel, self._startSample, self._useSample
        )
        ui.loadFolderButton.connect("clicked()", self.onLoadFolder)
        ui.loadCohortButton.connect("clicked()", self.onLoadCohort)

    def apply(self, case: LoadedCase) -> None:
        """Make a loaded case the panel's; what is there of the one before stays in the scene, hidden."""
        parameters = self.context.parameters
        wasModifying = parameters.node.StartModify()
        try:
            parameters.caseName = case.name
            parameters.sequences = dict(case.sequences)
            parameters.raterChoices = [RaterChoice(rater) for rater in case.raters]
            for name in (*_OF_RATERS, *_OF_IMAGES):
                setattr(parameters, name, None)
        finally:
            parameters.node.EndModify(wasModifying)
        lines = [*case.warnings, *case.notes]
        self._alignment.checkIfQuick(case.sequences)
        hidden = showCase(case)
        if hidden:
            lines.append(_("Hidden, since they may be another patient's: {names}").format(names=", ".join(hidden)))
        self.text = "\n".join(lines)
        self._loaded()
        self.context.update()

    def replaceSequences(self, sequences: dict[str, Any]) -> None:
        """Make these the case's sequences; without the reference so far, what was made of it is the case's no longer.

        It may be another patient's. It stays in the scene, hidden.
        """
        parameters = self.context.parameters
        belongs = parameters.reference in sequences.values()
        results = [] if belongs else [name for name in _OF_IMAGES if getattr(parameters, name) is not None]
        if results and not mayLeaveWorkingCopy(parameters):
            return
        wasModifying = parameters.node.StartModify()
        try:
            parameters.sequences = sequences
            for name in results:
                setattr(parameters, name, None)
        finally:
            parameters.node.EndModify(wasModifying)
        if results:
            fused = parameters.fusedSegmentation
            own = [choice.rater.node for choice in parameters.raterChoices] + ([] if fused is None else [fused])
            hidden = hideAllSegmentations(but=own)
            text = _("The results so far are in the scene, and no longer this case's: its reference is another.")
            self.text = " ".join([text, _("Hidden: {names}").format(names=", ".join(hidden))] if hidden else [text])
            self.context.update()

    def onLoadFolder(self) -> None:
        """Load a folder of images and masks."""
        folder = chosenCaseFolder()
        if not folder:
            return
        with self.context.errorsShown():
            if mayLeaveWorkingCopy(self.context.parameters):
                with waitCursor():
                    self.apply(self.logic.loadCaseFolder(folder))

    def onLoadCohort(self) -> None:
        """Load one case of a cohort's manifest."""
        manifest = chosenManifest()
        if not manifest:
            return
        with self.context.errorsShown():
            with waitCursor():
                cases = manifestCases(manifest)
            name = chosenCase(Path(manifest).name, cases)
            if name is not None and mayLeaveWorkingCopy(self.context.parameters):
                with waitCursor():
                    self.apply(self.logic.loadManifestCase(manifest, name))

    def _startSample(self) -> SceneJob | None:
        if not mayLeaveWorkingCopy(self.context.parameters):
            return None
        with waitCursor():
            kept = keptSampleCase()
            if kept is not None:
                self.apply(kept)
                return None
        self._before = self._present()
        return self.logic.loadSampleCase(wait=False)

    def _useSample(self, case: LoadedCase) -> str | None:
        # Making the case takes a while, in which the user may have gone on with another patient, or corrected.
        if self._present() == self._before and not hasUnsavedWork(self.context.parameters):
            self.apply(case)
            return None
        for node in {rater.node for rater in case.raters}:
            hideSegmentation(node)
        return _(
            "The sample case is there, hidden, and the panel stays with its own case. Click again to change to it."
        )

    def _present(self) -> list[str]:
        # Not the nodes themselves, which would keep a patient's voxels in memory.
        return [node.GetID() for node in self.context.parameters.sequences.values()]
