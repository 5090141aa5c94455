"""Step 1: the case's sequences and raters, from files, from the sample case, or chosen among the scene's nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.attributes import ROLE, START, Role
from ObserverUncertaintySlicer.backgroundJobs import SceneJob
from ObserverUncertaintySlicer.caseFolder import SEQUENCE_ORDER
from ObserverUncertaintySlicer.caseLoading import LoadedCase
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.outlines import hideRaterOutlines, showRaterOutlines
from ObserverUncertaintySlicer.panel.alignmentCheck import AlignmentCheck
from ObserverUncertaintySlicer.panel.brainExtraction import BrainExtraction
from ObserverUncertaintySlicer.panel.caseLoading import CaseLoading
from ObserverUncertaintySlicer.panel.contents import ContentWatch
from ObserverUncertaintySlicer.panel.context import Context
from ObserverUncertaintySlicer.panel.fileDialogs import chosenContours
from ObserverUncertaintySlicer.panel.headWarning import HeadWarning
from ObserverUncertaintySlicer.panel.jobBar import JobBar
from ObserverUncertaintySlicer.panel.leaving import mayLeaveWorkingCopy
from ObserverUncertaintySlicer.panel.raterTable import RaterTable
from ObserverUncertaintySlicer.panel.section import Section, singleShot
from ObserverUncertaintySlicer.panel.sequenceTable import SequenceTable, guessedSequenceName
from ObserverUncertaintySlicer.panel.textField import TextField
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

    def __init__(self, context: Context, headWarning: HeadWarning) -> None:
        super().__init__(context)
        self._alignment = AlignmentCheck()
        self._aligning: dict[str, str] = {}
        self._isOffered = False
        self._timer = singleShot(WATCH_MILLISECONDS, context.update)
        self._watch = ContentWatch(self._timer.start)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAddedEvent, self._onNodeAdded)
        ui = self.ui
        ui.nameCombo.addItems(list(SEQUENCE_ORDER))
        self._sequences = SequenceTable(ui.sequencesTable)
        self._raters = RaterTable(ui.ratersTable)
        self.loading = CaseLoading(self, self._alignment, self._onLoaded)
        self._align = JobBar(
            context, ui.alignButton, ui.alignBar, ui.alignProgressLabel, self._startAlignment, self._useAligned
        )
        self.brain = BrainExtraction(self, self.loading, self._alignment, headWarning)
        self._name = TextField(ui.caseNameEdit, self.onCaseNameEdited)
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
        ui.addContoursButton.connect("clicked()", self.onAddContours)
        ui.removeRaterButton.connect("clicked()", self.onRemoveRater)
        ui.newCaseButton.connect("clicked()", self.onNewCase)
        self._guessName(ui.volumeSelector.currentNode())

    def update(self) -> None:
        """Show sequences, raters and their figures."""
        ui, parameters = self.ui, self.parameters
        sequences, choices = parameters.sequences, parameters.raterChoices
        self._watch.follow(choice.rater.node for choice in choices)
        # Typed or loaded; else the reference's name shows, greyed.
        self._name.show(parameters.givenCaseName)
        ui.caseNameEdit.placeholderText = parameters.caseName
        self.say(ui.loadedLabel, self.loading.text)
        self.say(ui.hintLabel, self._hint(sequences, choices))
        self._showScene(sequences, choices)
        self._showSequences(sequences)
        self.brain.update()
        # Nothing is computed for a table that nobody sees.
        self._raters.show(choices, parameters.reference, compute=self.context.isEntered and self.isOpen)
        ui.ratersTable.setVisible(bool(choices))
        self.say(ui.ratersLabel, "\n".join(self._raters.notes))

    def state(self) -> str:
        """The sequences, the number of raters and how well they agree."""
        sequences, count = self.parameters.sequences, len(self.parameters.raters)
        raters = {0: _("no rater"), 1: _("1 rater")}.get(count, _("{count} raters").format(count=count))
        mean = self._raters.meanDice([choice.enabled for choice in self.parameters.raterChoices])
        if mean is not None:
            raters = _("{raters}, mean Dice {mean:.2f}").format(raters=raters, mean=mean)
        if self._align.hasFailed:
            return _("the alignment failed")
        if self.brain.bar.hasFailed:
            return _("the brain was not extracted")
        if self.loading.bar.hasFailed:
            return _("the sample case failed")
        if not sequences:
            return _("no image yet; {raters}").format(raters=raters) if count else _("no image yet")
        if count:
            return f"{', '.join(sequences)}; {raters}"
        volumes = _("1 volume") if len(sequences) == 1 else _("{count} volumes").format(count=len(sequences))
        return f"{volumes}, {raters}"

    def onCaseNameEdited(self, name: str) -> None:
        """Keep the name that results are called after."""
        if not self.context.isUpdating:
            self.parameters.caseName = name
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
            _requireImage(node)
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
            choices = [
                replace(choice, enabled=enabled) if choice.rater == rater else choice
                for choice in self.parameters.raterChoices
            ]
            showRaterOutlines([choice.rater for choice in choices if choice.enabled])
            hideRaterOutlines([choice.rater for choice in choices if not choice.enabled])
            self.parameters.raterChoices = choices

    def onAddRaters(self) -> None:
        """Add all segments of the chosen node, or the chosen labelmap."""
        with self.context.errorsShown(), waitCursor():
            node, present = self.ui.raterSelector.currentNode(), self.parameters.raterChoices
            _requireOfExperts(node)
            known = [choice.rater for choice in present]
            new = [rater for rater in ratersOfNode(node) if rater not in known]
            if not new:
                raise InputError(
                    _("{name} holds no rater that is not in the table already. Choose another node.").format(
                        name=node.GetName()
                    )
                )
            self._add(new)

    def onAddContours(self) -> None:
        """Add the contours of a file."""
        path = chosenContours()
        if not path:
            return
        with self.context.errorsShown(), waitCursor():
            loaded = self.logic.loadContours(path, self.parameters.reference)
            self.loading.text = "\n".join([*loaded.warnings, *loaded.notes])
            self._add(loaded.raters)

    def _add(self, raters: list[Rater]) -> None:
        """Add raters to the table, in colours of their own."""
        present = self.parameters.raterChoices
        for rater in raters:
            _requireUsable(rater)
        giveOwnColors(raters, [choice.rater for choice in present])
        choices = [*present, *map(RaterChoice, raters)]
        showRaterOutlines([choice.rater for choice in choices])
        hideLabelmaps([rater.node for rater in raters])
        self.parameters.raterChoices = choices

    def onNewCase(self) -> None:
        """Let go of the case, to choose another one from the scene; everything stays there."""
        if mayLeaveWorkingCopy(self.parameters):
            with self.context.errorsShown():
                self.loading.apply(LoadedCase("", {}, []))

    def onRemoveRater(self) -> None:
        """Take the selected rater out of the case; its contour stays in the scene, hidden."""
        selected = self._raters.selected
        choices = [choice for choice in self.parameters.raterChoices if choice.rater != selected]
        hideRaterOutlines([] if selected is None else [selected])
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
        """Say no longer how the sample case, an alignment or a brain extraction ended."""
        self.loading.bar.clear()
        self.brain.bar.clear()
        self._align.clear()

    def _onLoaded(self) -> None:
        """Another case was loaded, which is whole."""
        self.forgetFailures()
        self.ui.advancedButton.collapsed = True
        self._isOffered = False

    def _onChanged(self, _shown) -> None:
        self.context.update()

    def _onNodeAdded(self, _caller, _event) -> None:
        # Many may come at once.
        self._timer.start()

    def _guessName(self, node) -> None:
        if node is not None:
            self.ui.nameCombo.setCurrentText(guessedSequenceName(node.GetName(), self.parameters.sequences))

    def _startAlignment(self) -> SceneJob:
        sequences = self.parameters.sequences
        self._aligning = {name: node.GetID() for name, node in sequences.items()}
        return self.logic.registerSequences(sequences, wait=False)

    def _useAligned(self, aligned: Mapping[str, Any]) -> str | None:
        # By the volume that was exported, not by name: meanwhile T1 may be another patient's.
        exported = self._aligning
        replacements = {exported[name]: node for name, node in aligned.items() if node.GetID() != exported[name]}
        present = self.parameters.sequences
        self.parameters.sequences = {name: replacements.pop(node.GetID(), node) for name, node in present.items()}
        self._alignment.checkIfQuick(self.parameters.sequences)
        if not replacements:
            return None
        unused = ", ".join(node.GetName() for node in replacements.values())
        return _("In the scene only, since the sequences changed: {names}").format(names=unused)

    def _hint(self, sequences: Mapping[str, Any], choices: list[RaterChoice]) -> str:
        """What is missing in the case and how it comes in."""
        if not sequences:
            return _(
                "One patient's images with the contours of several experts. What is loaded into Slicer can be chosen "
                "here. A DICOM study with RT structures or segmentations: Load folder…"
            )
        if not choices:
            return _("No rater yet: choose contours below, or add them from a file (DICOM RTSTRUCT or SEG too).")
        return ""

    def _showScene(self, sequences: Mapping[str, Any], choices: list[RaterChoice]) -> None:
        """Offer what the scene has; unasked where there is no case yet."""
        ui = self.ui
        images, contours = _has("vtkMRMLScalarVolumeNode"), _has("vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode")
        ui.advancedButton.visible = images or contours
        ui.advancedButton.text = _("Change the case") if sequences and choices else _("Choose from the scene")
        isUnasked = (images or contours) and not sequences
        if isUnasked and not self._isOffered:
            ui.advancedButton.collapsed = False
        self._isOffered = isUnasked
        chosen = ui.volumeSelector.currentNode() is not None
        ui.volumeSelector.visible = images
        ui.nameCombo.visible = ui.addSequenceButton.visible = chosen
        ui.raterSelector.visible = contours
        ui.addRatersButton.visible = ui.raterSelector.currentNode() is not None
        ui.addContoursButton.visible = bool(sequences)
        ui.removeRaterButton.visible = self._raters.selected is not None
        ui.newCaseButton.visible = bool(sequences or choices)

    def _showSequences(self, sequences: Mapping[str, Any]) -> None:
        ui = self.ui
        self._sequences.show(sequences)
        selected = self._sequences.selected
        ui.removeSequenceButton.visible = bool(selected)
        ui.makeReferenceButton.visible = bool(selected) and selected != next(iter(sequences), "")
        ui.checkAlignmentButton.visible = ui.alignButton.visible = len(sequences) > 1
        self.say(ui.alignmentLabel, self._alignment.text(sequences))

    def _requireNewName(self, name: str) -> None:
        if not name:
            raise InputError(_("The sequence has no name. Choose or type one, such as T1c."))
        if name in self.parameters.sequences:
            raise InputError(_("There is a sequence {name} already. Choose another name.").format(name=name))


def _requireUsable(rater: Rater) -> None:
    if not rater.segmentID:
        raterMask(rater, gridOfVolume(rater.node))


def _has(*classNames: str) -> bool:
    """Whether the scene has a node of one of these classes that a user sees."""
    return any(not node.GetHideFromEditors() for name in classNames for node in slicer.util.getNodesByClass(name))


_MADE_HERE = (Role.FUSED_RATERS, Role.SEGMENTATION, Role.WORKING_COPY, Role.RATER_OUTLINES)
_IMAGES_MADE_HERE = (Role.ALIGNED_SEQUENCE, Role.STRIPPED_SEQUENCE)


def _requireOfExperts(node) -> None:
    """A fusion, a model's contour or a copy that is being corrected is no expert's; the brush would change a rater."""
    copies = [other for other in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if START.of(other) is node]
    if ROLE.of(node) in _MADE_HERE or copies:
        raise InputError(
            _("{name} was made by this module and is no expert's contour. Choose another node.").format(
                name=node.GetName()
            )
        )


def _requireImage(node) -> None:
    if ROLE.of(node) is not None and ROLE.of(node) not in _IMAGES_MADE_HERE:
        raise InputError(
            _("{name} is a result of this module, not an image. Choose another volume.").format(name=node.GetName())
        )
