"""Step 1: the case's sequences and raters, from files, from the sample case, or chosen among the scene's nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.backgroundJobs import SceneJob
from ObserverUncertaintySlicer.caseFolder import SEQUENCE_ORDER
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.outlines import showRaterOutlines
from ObserverUncertaintySlicer.panel.alignmentCheck import AlignmentCheck
from ObserverUncertaintySlicer.panel.caseLoading import CaseLoading
from ObserverUncertaintySlicer.panel.contents import ContentWatch
from ObserverUncertaintySlicer.panel.context import Context
from ObserverUncertaintySlicer.panel.jobBar import JobBar
from ObserverUncertaintySlicer.panel.raterTable import RaterTable
from ObserverUncertaintySlicer.panel.section import Section, singleShot
from ObserverUncertaintySlicer.panel.sequenceTable import SequenceTable, guessedSequenceName
from ObserverUncertaintySlicer.parameters import RaterChoice
from ObserverUncertaintySlicer.raterMasks import raterMask
from ObserverUncertaintySlicer.raters import Rater, giveOwnColors, ratersOfNode
from ObserverUncertaintySlicer.sliceViews import hideLabelmaps
from ObserverUncertaintySlicer.volumes import gridOfVolume

WATCH_MILLISECONDS = 300
"""After the last change of a rater its figures are computed again."""


class CaseSection(Section):
    """Fills `sequences`, `raterChoices` and `caseName`; needs nothing installed."""

    uiName = "Case"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._alignment = AlignmentCheck()
        self._aligning: dict[str, str] = {}
        self._timer = singleShot(WATCH_MILLISECONDS, context.update)
        self._watch = ContentWatch(self._timer.start)
        ui = self.ui
        ui.nameCombo.addItems(list(SEQUENCE_ORDER))
        self._sequences = SequenceTable(ui.sequencesTable)
        self._raters = RaterTable(ui.ratersTable)
        self.loading = CaseLoading(self, self._alignment, self.forgetFailures)
        self._align = JobBar(
            context, ui.alignButton, ui.alignBar, ui.alignProgressLabel, self._startAlignment, self._useAligned
        )
        ui.sectionButton.connect("contentsCollapsed(bool)", self._onChanged)
        ui.caseNameEdit.connect("editingFinished()", self.onCaseNameEdited)
        ui.sequencesTable.connect("itemChanged(QTableWidgetItem*)", self.onSequenceItemChanged)
        ui.sequencesTable.connect("itemSelectionChanged()", context.update)
        ui.volumeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onVolumeChosen)
        ui.addSequenceButton.connect("clicked()", self.onAddSequence)
        ui.removeSequenceButton.connect("clicked()", self.onRemoveSequence)
        ui.makeReferenceButton.connect("clicked()", self.onMakeReference)
        ui.checkAlignmentButton.connect("clicked()", self.onCheckAlignment)
        ui.ratersTable.connect("itemChanged(QTableWidgetItem*)", self.onRaterItemChanged)
        ui.ratersTable.connect("itemSelectionChanged()", context.update)
        ui.raterSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._onChanged)
        ui.addRatersButton.connect("clicked()", self.onAddRaters)
        ui.removeRaterButton.connect("clicked()", self.onRemoveRater)
        self._guessName(ui.volumeSelector.currentNode())

    def update(self) -> None:
        """Show sequences, raters and their figures."""
        ui, parameters = self.ui, self.parameters
        choices = parameters.raterChoices
        self._watch.follow(choice.rater.node for choice in choices)
        # Typed or loaded; else the reference's name shows, greyed.
        ui.caseNameEdit.text = parameters.givenCaseName
        ui.caseNameEdit.placeholderText = parameters.caseName
        self.say(ui.loadedLabel, self.loading.text)
        for label in (ui.sampleLabel, ui.alignProgressLabel):
            label.setVisible(bool(label.text))
        self._showSequences(parameters.sequences)
        # Nothing is computed for a table that nobody sees.
        open_ = self.context.isEntered and not ui.sectionButton.collapsed
        self._raters.show(choices, parameters.reference, compute=open_)
        ui.ratersTable.setVisible(bool(choices))
        self.say(ui.ratersLabel, self._ratersText(choices))
        chosen = ui.raterSelector.currentNode() is not None
        self.enable(ui.addRatersButton, "" if chosen else _("Choose a segmentation or a labelmap volume first"))
        selected = self._raters.selected is not None
        self.enable(ui.removeRaterButton, "" if selected else _("Select a rater in the table first"))

    def state(self) -> str:
        """The sequences and the number of raters."""
        sequences, count = self.parameters.sequences, len(self.parameters.raters)
        raters = {0: _("no rater"), 1: _("1 rater")}.get(count, _("{count} raters").format(count=count))
        if self._align.hasFailed:
            return _("the alignment failed")
        if self.loading.bar.hasFailed:
            return _("the sample case failed")
        if not sequences:
            return _("no volume yet; {raters}").format(raters=raters) if count else _("no volume yet")
        if count:
            return f"{', '.join(sequences)}; {raters}"
        volumes = _("1 volume") if len(sequences) == 1 else _("{count} volumes").format(count=len(sequences))
        return f"{volumes}, {raters}"

    def onCaseNameEdited(self) -> None:
        """Keep the name that results are called after."""
        if not self.context.isUpdating:
            self.parameters.caseName = self.ui.caseNameEdit.text.strip()
            self.context.update()

    def onVolumeChosen(self, node) -> None:
        """Guess the name of the volume that is about to be added."""
        self._guessName(node)
        self.context.update()

    def onAddSequence(self) -> None:
        """Add the chosen volume under the chosen name."""
        with self.context.errorsShown():
            node, name = self.ui.volumeSelector.currentNode(), self.ui.nameCombo.currentText.strip()
            sequences = self.parameters.sequences
            self._requireNewName(name)
            for present, volume in sequences.items():
                if volume is node:
                    raise InputError(
                        _("{volume} is already the sequence {name}. Choose another volume.").format(
                            volume=node.GetName(), name=present
                        )
                    )
            gridOfVolume(node)
            self.loading.replaceSequences({**sequences, name: node})
            self.onVolumeChosen(node)

    def onSequenceItemChanged(self, item) -> None:
        """Rename a sequence."""
        found = None if self.context.isUpdating else self._sequences.renamed(item)
        if found is None:
            return
        old, new = found
        with self.context.errorsShown():
            if new != old:
                self._requireNewName(new)
            sequences = self.parameters.sequences
            self.parameters.sequences = {new if name == old else name: node for name, node in sequences.items()}
        self.context.update()

    def onRemoveSequence(self) -> None:
        """Take the selected sequence out of the case; its volume stays in the scene."""
        selected = self._sequences.selected
        sequences = self.parameters.sequences
        self.loading.replaceSequences({name: node for name, node in sequences.items() if name != selected})

    def onMakeReference(self) -> None:
        """Put the selected sequence first."""
        selected, sequences = self._sequences.selected, self.parameters.sequences
        if selected in sequences:
            self.parameters.sequences = {selected: sequences[selected], **sequences}
            self.ui.sequencesTable.selectRow(0)

    def onCheckAlignment(self) -> None:
        """See whether the sequences overlap."""
        with self.context.errorsShown(), waitCursor():
            self._alignment.check(self.parameters.sequences)
        self.context.update()

    def onRaterItemChanged(self, item) -> None:
        """Switch a rater on or off."""
        found = None if self.context.isUpdating else self._raters.toggled(item)
        if found is not None:
            rater, enabled = found
            self.parameters.raterChoices = [
                replace(choice, enabled=enabled) if choice.rater == rater else choice
                for choice in self.parameters.raterChoices
            ]

    def onAddRaters(self) -> None:
        """Add all segments of the chosen node, or the chosen labelmap."""
        with self.context.errorsShown(), waitCursor():
            node, present = self.ui.raterSelector.currentNode(), self.parameters.raterChoices
            if node is self.parameters.fusedSegmentation:
                raise InputError(
                    _("{name} is the raters' fusion, not a rater. Choose another node.").format(name=node.GetName())
                )
            known = [choice.rater for choice in present]
            new = [rater for rater in ratersOfNode(node) if rater not in known]
            if not new:
                raise InputError(
                    _("{name} holds no rater that is not in the table already. Choose another node.").format(
                        name=node.GetName()
                    )
                )
            for rater in new:
                _requireUsable(rater)
            giveOwnColors(new, known)
            choices = [*present, *map(RaterChoice, new)]
            showRaterOutlines([choice.rater for choice in choices])
            hideLabelmaps([rater.node for rater in new])
            self.parameters.raterChoices = choices

    def onRemoveRater(self) -> None:
        """Take the selected rater out of the case; its contour stays in the scene."""
        selected = self._raters.selected
        choices = [choice for choice in self.parameters.raterChoices if choice.rater != selected]
        showRaterOutlines([choice.rater for choice in choices])
        self.parameters.raterChoices = choices

    def letGo(self) -> None:
        """Let go of sequences, raters and what was said about them."""
        self._timer.stop()
        self._watch.removeObservers()
        self._raters.clear()
        self._alignment.forget()
        self.loading.text = ""
        self.forgetFailures()

    def forgetFailures(self) -> None:
        """Say no longer that the sample case or an alignment failed."""
        self.loading.bar.clear()
        self._align.clear()

    def _onChanged(self, _shown) -> None:
        self.context.update()

    def _guessName(self, node) -> None:
        if node is not None:
            self.ui.nameCombo.setCurrentText(guessedSequenceName(node.GetName(), self.parameters.sequences))

    def _startAlignment(self) -> SceneJob:
        sequences = self.parameters.sequences
        self._aligning = {name: node.GetID() for name, node in sequences.items()}
        return self.logic.registerSequences(sequences, wait=False)

    def _useAligned(self, aligned: Mapping[str, Any]) -> None:
        # By the volume that was exported, not by name: meanwhile T1 may be another patient's.
        exported = self._aligning
        replacements = {exported[name]: node for name, node in aligned.items() if node.GetID() != exported[name]}
        present = self.parameters.sequences
        self.parameters.sequences = {name: replacements.pop(node.GetID(), node) for name, node in present.items()}
        if replacements:
            unused = ", ".join(node.GetName() for node in replacements.values())
            self.ui.alignProgressLabel.text = _("In the scene only, since the sequences changed: {names}").format(
                names=unused
            )
        self._alignment.checkIfQuick(self.parameters.sequences)

    def _showSequences(self, sequences: Mapping[str, Any]) -> None:
        ui = self.ui
        self._sequences.show(sequences)
        chosen = ui.volumeSelector.currentNode() is not None
        self.enable(ui.addSequenceButton, "" if chosen else _("Choose a volume first"))
        selected = self._sequences.selected
        unselected = "" if selected else _("Select a sequence in the table first")
        isFirst = _("This sequence is the reference already") if selected == next(iter(sequences), "") else ""
        self.enable(ui.removeSequenceButton, unselected)
        self.enable(ui.makeReferenceButton, unselected or isFirst)
        single = "" if len(sequences) > 1 else _("Needs two sequences or more")
        self.enable(ui.checkAlignmentButton, single)
        if not self._align.isRunning:
            self.enable(ui.alignButton, single)
        self.say(ui.alignmentLabel, self._alignment.text(sequences))

    def _ratersText(self, choices: list[RaterChoice]) -> str:
        mean = self._raters.meanDice([choice.enabled for choice in choices])
        lines = [] if mean is None else [_("Mean Dice of the raters that take part: {mean:.2f}").format(mean=mean)]
        return "\n".join([*lines, *self._raters.notes])

    def _requireNewName(self, name: str) -> None:
        if not name:
            raise InputError(_("The sequence has no name. Choose or type one, such as T1c."))
        if name in self.parameters.sequences:
            raise InputError(_("There is a sequence {name} already. Choose another name.").format(name=name))


def _requireUsable(rater: Rater) -> None:
    if not rater.segmentID:
        raterMask(rater, gridOfVolume(rater.node))
