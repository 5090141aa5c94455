"""Step 6: a working copy in the segment editor, with the entropy behind it and the slices ranked by uncertainty."""

from __future__ import annotations

import qt
import slicer

from ObserverUncertaintyLib.errors import InputError
from ObserverUncertaintySlicer import correction
from ObserverUncertaintySlicer.correction import WorkingCopy
from ObserverUncertaintySlicer.display import showAsEntropy
from ObserverUncertaintySlicer.fileNames import asFileName
from ObserverUncertaintySlicer.host import saveSetting, setting, waitCursor
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.panel.leaving import mayLeaveWorkingCopy
from ObserverUncertaintySlicer.panel.section import Section
from ObserverUncertaintySlicer.sliceRanking import RankedSlice
from ObserverUncertaintySlicer.sliceViews import showOverImage

EDITOR_TAG = "ObserverUncertaintyEditor"
LIVE_MILLISECONDS = 300
_ORIENTATIONS = ("Axial", "Sagittal", "Coronal")


class CorrectSection(Section):
    """Correct a copy, slice by slice, most uncertain first; keep it as a correction."""

    uiName = "Correct"

    def __init__(self, panel) -> None:
        super().__init__(panel)
        self._sources: list[tuple[str, object]] = []
        self._chosenSource = ""
        self._slices: list[RankedSlice] = []
        self._position = -1
        self._observed = None
        self._rankedFor: tuple = ()

    def connect(self) -> None:
        """Connect the widgets' signals."""
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
        ui.editor.enabled = False
        ui.editor.setMaximumNumberOfUndoStates(20)
        # Figures follow the brush, but not each of its moves.
        self._live = qt.QTimer()
        self._live.setSingleShot(True)
        self._live.setInterval(LIVE_MILLISECONDS)
        self._live.connect("timeout()", self.showFigures)

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
        ui.startButton.enabled = bool(self._sources) and parameters.reference is not None
        ui.startButton.toolTip = (
            _("Make a copy to correct; raters and results stay as they are")
            if ui.startButton.enabled
            else _("Needs a volume (step 1), and a rater or the model's segmentation")
        )
        canRank = self._entropy() is not None
        ui.nextButton.enabled = ui.previousButton.enabled = canRank
        ui.orientationCombo.enabled = ui.rankCombo.enabled = canRank
        ui.saveButton.enabled = hasCopy
        ui.exportButton.enabled = parameters.lastCorrection is not None
        if parameters.lastCorrection is None:
            ui.savedLabel.text = ""
        if not hasCopy and ui.editor.segmentationNode() is not None:
            # Disabled it would go on drawing into a copy that was let go of.
            self._closeEditor()
        ui.editor.enabled = hasCopy
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
        self._chosenSource = self.ui.sourceCombo.currentText

    def onStart(self) -> None:
        """Start a working copy, after asking where one with changes would be left behind."""
        with self.panel.errorsShown():
            if not mayLeaveWorkingCopy(self.parameters):
                return
            with waitCursor():
                source = self._sources[self.ui.sourceCombo.currentIndex][1]
                copy = self.logic.startCorrection(source, self.parameters.reference, self._entropy())
                self.parameters.workingCopy = copy.node
                self._showEntropyBehind()
                self._openEditor()
        self.panel.update()

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
        with self.panel.errorsShown(), waitCursor():
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
        filters = "Segmentation (*.seg.nrrd);;NRRD (*.nrrd);;NIfTI (*.nii.gz)"
        proposed = asFileName(node.GetName()) + ".seg.nrrd"
        # The file dialog itself asks before it overwrites.
        path = qt.QFileDialog.getSaveFileName(
            self.widget, _("Export {name}").format(name=node.GetName()), proposed, filters
        )
        if path:
            with self.panel.errorsShown():
                written = self.logic.exportCorrected(node, path, overwrite=True)
                self.ui.savedLabel.text = _("Written to {path}").format(path=written)

    def showFigures(self) -> None:
        """Volume and Dice against the start."""
        copy = self.workingCopy
        if copy is None:
            self.ui.liveLabel.text = ""
            return
        with self.panel.errorsShown():
            state = correction.correctionState(copy)
            figures = _(
                "{volume:.2f} mL (start {start:.2f} mL), Dice with the start {dice:.3f}, {changed:.2f} mL changed"
            ).format(volume=state.volumeMl, start=state.startVolumeMl, dice=state.dice, changed=state.changedMl)
            self.ui.liveLabel.text = f"{figures}\n{copy.note}" if copy.note else figures

    def enter(self) -> None:
        """The user comes to the module: the editor works on again."""
        if self.parameters.workingCopy is not None:
            self._openEditor()

    def exit(self) -> None:
        """The user leaves the module: no effect stays active, no shortcut and no view observation is left."""
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
        super().cleanup()
        self.ui.editor.setMRMLSegmentEditorNode(None)

    def _updateSources(self) -> None:
        parameters = self.parameters
        candidates: list[tuple[str, object]] = []
        for title, node in (
            (_("model's segmentation"), parameters.segmentation),
            (_("fused contour"), parameters.fusedSegmentation),
        ):
            if node is not None:
                candidates.append((_("{title}: {name}").format(title=title, name=node.GetName()), node))
        candidates += [(_("rater {name}").format(name=rater.name), rater) for rater in parameters.raters]
        if [title for title, _source in candidates] != [title for title, _source in self._sources]:
            self.ui.sourceCombo.clear()
            self.ui.sourceCombo.addItems([title for title, _source in candidates])
            if candidates:
                self.ui.sourceCombo.currentIndex = max(0, self.ui.sourceCombo.findText(self._chosenSource))
        self._sources = candidates

    def _entropy(self):
        parameters = self.parameters
        order = [parameters.predictiveEntropy, parameters.expertEntropy]
        if self.ui.rankCombo.currentIndex == 1:
            order.reverse()
        return next((node for node in order if node is not None), None)

    def _step(self, direction: int) -> None:
        with self.panel.errorsShown():
            entropy, orientation = self._entropy(), self.ui.orientationCombo.currentText
            ranking = (entropy.GetID(), entropy.GetImageData().GetMTime(), orientation)
            if ranking != self._rankedFor:
                with waitCursor():
                    self._slices = self.logic.rankedSlices(entropy, orientation)
                self._rankedFor, self._position = ranking, -1 if direction > 0 else 0
            if not self._slices:
                self.ui.sliceLabel.text = _("No slice is uncertain: the entropy is low everywhere.")
                return
            self._position = (self._position + direction) % len(self._slices)
            ranked = self._slices[self._position]
            for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
                if node.GetOrientation() == orientation:
                    node.SetSliceOffset(ranked.offset)
            self.ui.sliceLabel.text = _("{number} of {count} uncertain places, {orientation} {offset:.1f} mm").format(
                number=self._position + 1,
                count=len(self._slices),
                orientation=orientation.lower(),
                offset=ranked.offset,
            )

    def _openEditor(self) -> None:
        copy = self.workingCopy
        if copy is None:
            return
        editor, scene = self.ui.editor, slicer.mrmlScene
        node = scene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
        if node is None:
            node = scene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
            node.UnRegister(None)
            node.SetSingletonTag(EDITOR_TAG)
            node = scene.AddNode(node)
        correction.configureEditor(node, copy)
        # In this order: the editor looks for the source volume's geometry in the segmentation.
        editor.setMRMLSegmentEditorNode(node)
        editor.setSegmentationNode(copy.node)
        editor.setSourceVolumeNode(self.parameters.reference)
        editor.setupViewObservations()
        editor.installKeyboardShortcuts()

    def _closeEditor(self) -> None:
        self.exit()
        self.ui.editor.setSegmentationNode(None)

    def _showEntropyBehind(self) -> None:
        entropy = self._entropy()
        if entropy is None:
            return
        showAsEntropy(entropy, self.parameters.threshold)
        showOverImage(entropy, self.parameters.opacity, self.parameters.reference)

    def _follow(self, node) -> None:
        """Observe the content of the working copy, and no other's any more."""
        segmentation = None if node is None else node.GetSegmentation()
        if segmentation is self._observed:
            return
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
