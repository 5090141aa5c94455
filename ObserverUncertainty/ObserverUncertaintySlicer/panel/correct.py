"""Step 6: a working copy in the segment editor, with the entropy behind it and the slices ranked by uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer import correction
from ObserverUncertaintySlicer.attributes import Role
from ObserverUncertaintySlicer.compareViews import presentViews
from ObserverUncertaintySlicer.correction import WorkingCopy
from ObserverUncertaintySlicer.display import LEGENDS, showAsEntropy, showLegend
from ObserverUncertaintySlicer.host import asFileName, saveSetting, setting, waitCursor
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.panel.contents import Key
from ObserverUncertaintySlicer.panel.context import Context
from ObserverUncertaintySlicer.panel.fileDialogs import chosenExportFile
from ObserverUncertaintySlicer.panel.leaving import mayLeaveWorkingCopy
from ObserverUncertaintySlicer.panel.section import Section, singleShot
from ObserverUncertaintySlicer.raters import Rater, raterNames
from ObserverUncertaintySlicer.sliceRanking import RankedSlice, normalOfOrientation
from ObserverUncertaintySlicer.sliceViews import jumpAllViews, nearestView, normalOf, ordinarySliceNodes, showOverImage

EDITOR_TAG = "ObserverUncertaintyEditor"
LIVE_MILLISECONDS = 300
_ORIENTATIONS = ("Axial", "Sagittal", "Coronal")


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
    """Correct a copy, slice by slice, most uncertain first; keep it as a correction."""

    uiName = "Correct"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._sources: list[_Source] = []
        self._chosenSource: Key | None = None
        self._slices: list[RankedSlice] = []
        self._position = -1
        self._observed: Any = None
        self._isOpen = False
        self._rankedFor: tuple = ()
        ui = self.ui
        ui.orientationCombo.addItems(list(_ORIENTATIONS))
        ui.rankCombo.addItems([_("model's predictive entropy"), _("experts' entropy")])
        ui.sourceCombo.connect("activated(int)", self.onSourceChosen)
        ui.startButton.connect("clicked()", self.onStart)
        ui.nextButton.connect("clicked()", self.onNext)
        ui.previousButton.connect("clicked()", self.onPrevious)
        ui.orientationCombo.connect("currentIndexChanged(int)", self.onRankingChanged)
        ui.rankCombo.connect("currentIndexChanged(int)", self.onRankingChanged)
        ui.authorEdit.connect("editingFinished()", self.onAuthorChanged)
        ui.saveButton.connect("clicked()", self.onSave)
        ui.exportButton.connect("clicked()", self.onExport)
        self._setUpEditor()
        # Figures follow the brush, but not each of its moves.
        self._live = singleShot(LIVE_MILLISECONDS, self.showFigures)

    @property
    def workingCopy(self) -> WorkingCopy | None:
        """The copy that is being corrected; None if there is none, or its node was deleted."""
        node = self.parameters.workingCopy
        return None if node is None else correction.workingCopyOf(node)

    def update(self) -> None:
        """Show what can be corrected, and follow the working copy."""
        ui, parameters = self.ui, self.parameters
        self._updateSources()
        hasCopy = parameters.workingCopy is not None
        canStart = self._sources and parameters.reference is not None
        why = "" if canStart else _("Needs a volume (step 1), and a rater or the model's segmentation")
        self.enable(ui.startButton, why)
        canRank = self._entropy() is not None
        ui.nextButton.enabled = ui.previousButton.enabled = canRank
        ui.orientationCombo.enabled = ui.rankCombo.enabled = canRank
        ui.saveButton.enabled = hasCopy
        ui.exportButton.enabled = parameters.lastCorrection is not None
        if parameters.lastCorrection is None:
            ui.savedLabel.text = ""
        if not hasCopy and self._isOpen:
            # Disabled it would go on drawing into a copy that was let go of.
            self._closeEditor()
        elif hasCopy and self.context.isEntered and not self._isOnCopy():
            self._openEditor()
        ui.editor.enabled = hasCopy and self._isOnCopy()
        author = parameters.correctionAuthor or setting("Author")
        if ui.authorEdit.text != author:
            ui.authorEdit.text = author
        self._follow(parameters.workingCopy)

    def state(self) -> str:
        """Whether a copy is being corrected."""
        copy = self.parameters.workingCopy
        if copy is not None:
            return _("correcting {name}").format(name=copy.GetName())
        return _("ready") if self._sources else _("nothing to correct yet")

    def onSourceChosen(self, _index: int) -> None:
        """The user's choice stays when further contours come; else the first one, the model's, is offered."""
        self._chosenSource = self._sources[self.ui.sourceCombo.currentIndex].key

    def onStart(self) -> None:
        """Start a working copy, after asking where one with changes would be left behind."""
        with self.context.errorsShown():
            if not mayLeaveWorkingCopy(self.parameters):
                return
            with waitCursor():
                source = self._sources[self.ui.sourceCombo.currentIndex].contour
                copy = self.logic.startCorrection(source, self.parameters.reference, self._entropy())
                self.parameters.workingCopy = copy.node
                self._showEntropyBehind()
                self._openEditor()
        self.context.update()

    def onNext(self) -> None:
        """Go to the next of the ranked slices."""
        self._step(1)

    def onPrevious(self) -> None:
        """Go back in the ranked slices."""
        self._step(-1)

    def onRankingChanged(self, _index: int) -> None:
        """Another order of slices."""
        self._rankedFor = ()
        self.ui.sliceLabel.text = ""

    def onAuthorChanged(self) -> None:
        """Remember the author, in the scene and for the next one."""
        name = self.ui.authorEdit.text.strip()
        self.parameters.correctionAuthor = name
        saveSetting("Author", name)

    def onSave(self) -> None:
        """Keep the working copy as a correction."""
        with self.context.errorsShown(), waitCursor():
            self.onAuthorChanged()
            copy = self.workingCopy
            if copy is None:
                raise InputError(_("There is no working copy to save. Start one first."))
            saved = self.logic.saveAsCorrected(copy, self.ui.authorEdit.text, self.ui.commentEdit.text)
            self.parameters.lastCorrection = saved
            self.ui.savedLabel.text = _("Saved as {name}.").format(name=saved.GetName())

    def onExport(self) -> None:
        """Write the last correction to a file."""
        node = self.parameters.lastCorrection
        title = _("Export {name}").format(name=node.GetName())
        kinds = {_("Segmentation"): ".seg.nrrd", _("NRRD"): ".nrrd", _("NIfTI"): ".nii.gz"}
        path = chosenExportFile(title, asFileName(node.GetName()), kinds)
        if path:
            with self.context.errorsShown():
                written = self.logic.exportCorrected(node, path, overwrite=True)
                self.ui.savedLabel.text = _("Written to {path}").format(path=written)

    def showFigures(self) -> None:
        """Volume and Dice against the start."""
        copy = self.workingCopy
        if copy is None:
            self.ui.liveLabel.text = ""
            return
        try:
            state = correction.correctionState(copy)
        except InputError as error:  # beside the figures: they follow by a timer, while the user may be painting
            self.ui.liveLabel.text = str(error)
        else:
            figures = _(
                "{volume:.2f} mL (start {start:.2f} mL), Dice with the start {dice:.3f}, {changed:.2f} mL changed"
            ).format(volume=state.volumeMl, start=state.startVolumeMl, dice=state.dice, changed=state.changedMl)
            self.ui.liveLabel.text = f"{figures}\n{copy.note}" if copy.note else figures

    def exit(self) -> None:
        """The user leaves the module: no effect stays active, no shortcut and no view observation is left."""
        self._isOpen = False
        editor = self.ui.editor
        editor.setActiveEffect(None)
        editor.uninstallKeyboardShortcuts()
        editor.removeViewObservations()

    def letGo(self) -> None:
        """Let go of the working copy; no effect and no observation of it stays."""
        self._live.stop()
        self._closeEditor()
        self._follow(None)
        self._slices, self._rankedFor = [], ()
        self.ui.sliceLabel.text = self.ui.liveLabel.text = self.ui.savedLabel.text = ""

    def cleanup(self) -> None:
        """Let go of the editor too."""
        slicer.app.disconnect("focusChanged(QWidget*,QWidget*)", self._onFocusChanged)
        super().cleanup()
        self.ui.editor.setMRMLSegmentEditorNode(None)

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

    def _entropy(self):
        parameters = self.parameters
        order = [parameters.predictiveEntropy, parameters.expertEntropy]
        if self.ui.rankCombo.currentIndex == 1:
            order.reverse()
        return next((node for node in order if node is not None), None)

    def _step(self, direction: int) -> None:
        with self.context.errorsShown():
            entropy, orientation = self._entropy(), self.ui.orientationCombo.currentText
            view = nearestView(tuple(normalOfOrientation(orientation)))
            normal = normalOf(view) if view is not None else tuple(normalOfOrientation(orientation))
            ranking = (entropy.GetID(), entropy.GetImageData().GetMTime(), normal)
            if ranking != self._rankedFor:
                with waitCursor():
                    self._slices = self.logic.rankedSlices(entropy, normal)
                self._rankedFor, self._position = ranking, -1 if direction > 0 else 0
            if not self._slices:
                self.ui.sliceLabel.text = _("No slice is uncertain: the entropy is low everywhere.")
                return
            if view is None:
                self.ui.sliceLabel.text = _(
                    "No view moved: the layout shows no {orientation} slice view. Choose one that does (Four-Up)."
                ).format(orientation=orientation.lower())
                return
            self._position = (self._position + direction) % len(self._slices)
            jumpAllViews(self._slices[self._position].position)
            self.ui.sliceLabel.text = _("{number} of {count} uncertain places, {orientation} {offset:.1f} mm").format(
                number=self._position + 1,
                count=len(self._slices),
                orientation=orientation.lower(),
                offset=view.GetSliceOffset(),
            )

    def _setUpEditor(self) -> None:
        """Only the working copy is to be edited: nothing else can be chosen, nor segments added or removed."""
        editor = self.ui.editor
        editor.enabled = False
        editor.setMaximumNumberOfUndoStates(20)
        editor.setSegmentationNodeSelectorVisible(False)
        editor.setSourceVolumeNodeSelectorVisible(False)
        editor.setSwitchToSegmentationsButtonVisible(False)
        editor.setAddRemoveSegmentButtonsVisible(False)
        # The panel says what lies behind the contour; a change of layout must not replace it.
        editor.setAutoShowSourceVolumeNode(False)
        # In this order, lest the editor choose a segmentation of the scene before it has a node to keep the choice.
        editor.setMRMLSegmentEditorNode(_editorNode())
        editor.setMRMLScene(slicer.mrmlScene)
        slicer.app.connect("focusChanged(QWidget*,QWidget*)", self._onFocusChanged)

    def _isOnCopy(self) -> bool:
        copy, editor = self.parameters.workingCopy, self.ui.editor
        node = editor.mrmlSegmentEditorNode()
        return (
            self._isOpen
            and node is not None
            and node.GetSegmentationNode() is copy
            and editor.segmentationNode() is copy
        )

    def _openEditor(self) -> None:
        copy = self.workingCopy
        if copy is None:
            return
        editor, node = self.ui.editor, _editorNode()
        try:
            correction.configureEditor(node, copy)
        except InputError:  # its segment was deleted, as the figures say; there is nothing to edit
            return
        # In this order: the editor looks for the source volume's geometry in the segmentation.
        editor.setMRMLSegmentEditorNode(node)
        editor.setSegmentationNode(copy.node)
        editor.setSourceVolumeNode(self.parameters.reference)
        editor.setupViewObservations()
        self._isOpen = True
        self._onFocusChanged(None, slicer.app.focusWidget())

    def _closeEditor(self) -> None:
        self.exit()
        self.ui.editor.setSegmentationNode(None)

    def _onFocusChanged(self, _old, new) -> None:
        """The editor's keys hold for the whole window, but not where they are typed into another step."""
        if not self._isOpen:
            return
        if new is not None and self.widget.parentWidget().isAncestorOf(new) and not self.widget.isAncestorOf(new):
            self.ui.editor.uninstallKeyboardShortcuts()
        else:
            self.ui.editor.installKeyboardShortcuts()

    def _showEntropyBehind(self) -> None:
        entropy = self._entropy()
        if entropy is None:
            return
        showAsEntropy(entropy, self.parameters.threshold)
        showOverImage(entropy, self.parameters.opacity, self.parameters.reference)
        role = Role.EXPERT_ENTROPY if entropy is self.parameters.expertEntropy else Role.PREDICTIVE_ENTROPY
        if presentViews() is None:  # the comparison has legends of its own
            showLegend(entropy, LEGENDS[role], ordinarySliceNodes())

    def _follow(self, node) -> None:
        """Observe the content of the working copy, and no other's any more."""
        segmentation = None if node is None else node.GetSegmentation()
        if segmentation is self._observed:
            return
        self.ui.commentEdit.text = ""  # it was on the contour before, which may be another patient's
        events = (
            slicer.vtkSegmentation.SourceRepresentationModified,
            slicer.vtkSegmentation.SegmentModified,
            slicer.vtkSegmentation.SegmentRemoved,
        )
        if self._observed is not None:
            for event in events:
                self.removeObserver(self._observed, event, self._onEdited)
        self._observed = segmentation
        if segmentation is not None:
            for event in events:
                self.addObserver(segmentation, event, self._onEdited)
        self.showFigures()

    def _onEdited(self, caller=None, event=None) -> None:
        self._live.start()


def _editorNode():
    """The node with the editor's choices, one in a scene."""
    scene = slicer.mrmlScene
    node = scene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = scene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        node.UnRegister(None)
        node.SetSingletonTag(EDITOR_TAG)
        node = scene.AddNode(node)
    return node
