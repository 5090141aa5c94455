"""The part of step 1 that lets another program find the brain, and puts the stripped images in the originals' place."""

from __future__ import annotations

import slicer

from ObserverUncertaintySlicer.backgroundJobs import SceneJob
from ObserverUncertaintySlicer.brainExtraction import ExtractedBrain
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.panel.alignmentCheck import AlignmentCheck
from ObserverUncertaintySlicer.panel.brainDialog import chosenCommand
from ObserverUncertaintySlicer.panel.caseLoading import CaseLoading
from ObserverUncertaintySlicer.panel.headWarning import HeadWarning
from ObserverUncertaintySlicer.panel.jobBar import JobBar
from ObserverUncertaintySlicer.panel.leaving import hasUnsavedWork
from ObserverUncertaintySlicer.panel.section import Section
from ObserverUncertaintySlicer.sliceViews import showInPlaceOf


class BrainExtraction:
    """Two buttons for one job: one where the step warns of a head, one beside the alignment for who looks for it.

    Args:
        section: the step's, with the widgets.
        loading: makes other sequences the case's.
        alignment: is told of the new sequences.
        warning: says whether the case shows a head.

    Attributes:
        bar: the job's.
    """

    def __init__(self, section: Section, loading: CaseLoading, alignment: AlignmentCheck, warning: HeadWarning) -> None:
        self._section, self._loading = section, loading
        self._alignment, self._warning = alignment, warning
        self._exported: dict[str, str] = {}
        ui = section.ui
        self.bar = JobBar(section.context, ui.headButton, ui.headBar, ui.headProgressLabel, self._start, self._use)
        self.bar.showAlso(ui.extractButton, ui.headBar, ui.headProgressLabel, self._start, self._use)

    def update(self) -> None:
        """Warn of a head, with the button to do something about it."""
        ui, text = self._section.ui, "" if self.bar.isRunning else self._warning.text()
        self._section.say(ui.headLabel, text)
        ui.headButton.visible = bool(text) or self.bar.isRunning
        ui.extractButton.visible = bool(self._section.parameters.sequences)

    def _start(self) -> SceneJob | None:
        sequences = self._section.parameters.sequences
        command = chosenCommand(next(iter(sequences), ""))
        if command is None:
            return None
        # Not the nodes themselves, which would keep a patient's voxels in memory.
        self._exported = {name: node.GetID() for name, node in sequences.items()}
        with waitCursor():
            return self._section.logic.extractBrain(sequences, command, wait=False)

    def _use(self, found: ExtractedBrain) -> str:
        """Put the new volumes in the place of those that were exported; says what was found."""
        parameters, text = self._section.parameters, "\n".join(found.notes)
        replacements = {self._exported[name]: node for name, node in found.sequences.items()}
        present = parameters.sequences
        sequences = {name: replacements.get(node.GetID(), node) for name, node in present.items()}
        if hasUnsavedWork(parameters) or not replacements.keys() & {node.GetID() for node in present.values()}:
            names = ", ".join(node.GetName() for node in replacements.values())
            return _("{text}\nIn the scene only, since the case is another or is being corrected: {names}").format(
                text=text, names=names
            )
        self._loading.replaceSequences(sequences)
        self._alignment.checkIfQuick(sequences)
        for original, node in replacements.items():
            showInPlaceOf(slicer.mrmlScene.GetNodeByID(original), node)
        return _("{text}\nLook at the brain in the slice views before the model runs.").format(text=text)
