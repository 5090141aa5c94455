"""Slicer's segment editor in step 6: it edits the working copy and nothing else, with the tools for one contour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import qt
import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.review.expected_error import CERTAIN
from ObserverUncertaintySlicer.correction import WorkingCopy, configureEditor

EDITOR_TAG = "ObserverUncertaintyEditor"
UNDO_STATES = 20
EFFECTS = (
    *("Paint", "Erase", "Draw", "Scissors", "Level tracing"),
    *("Fill between slices", "Islands", "Smoothing", "Margin"),
)
"""What one contour is corrected with; others need several segments, or replace the whole contour at one click."""
_EFFECT_COLUMNS = 3
_UNUSED_PARTS = ("SegmentsTableResizableFrame",)
"""Parts without a switch of their own: the table of segments, of which there is one."""


class CopyEditor:
    """Opens the editor on a working copy and leaves nothing of it behind.

    Args:
        widget: the qMRMLSegmentEditorWidget.
        step: the widget of the step that holds it.
        keys: what the step does at a letter, in the whole window while the editor is open.
    """

    def __init__(self, widget, step, keys: Mapping[str, Callable[[], None]]) -> None:
        self._widget, self._step = widget, step
        self._shortcuts = _shortcuts(keys)
        self.isOpen = False
        widget.enabled = False
        widget.setMaximumNumberOfUndoStates(UNDO_STATES)
        # The panel says what lies behind the contour; a change of layout must not replace it.
        widget.setAutoShowSourceVolumeNode(False)
        # In this order, lest the editor choose a segmentation of the scene before it has a node to keep the choice.
        widget.setMRMLSegmentEditorNode(editorNode())
        widget.setMRMLScene(slicer.mrmlScene)
        self._showPartsForOneContour()
        slicer.app.connect("focusChanged(QWidget*,QWidget*)", self._onFocusChanged)

    def isOn(self, node) -> bool:
        """Whether the editor is open, and on the segmentation node."""
        widget = self._widget
        chosen = widget.mrmlSegmentEditorNode()
        return (
            self.isOpen
            and chosen is not None
            and chosen.GetSegmentationNode() is node
            and widget.segmentationNode() is node
        )

    def open(self, copy: WorkingCopy, image) -> None:
        """Edit a working copy over an image; nothing where its segment was deleted."""
        widget, node = self._widget, editorNode()
        try:
            configureEditor(node, copy)
        except InputError:  # as the figures say
            return
        # In this order: the editor looks for the source volume's geometry in the segmentation.
        widget.setMRMLSegmentEditorNode(node)
        widget.setSegmentationNode(copy.node)
        widget.setSourceVolumeNode(image)
        widget.setupViewObservations()
        self.isOpen = True
        self._onFocusChanged(None, slicer.app.focusWidget())

    def protect(self, probability, image) -> None:
        """Let the tools change only what a model is unsure of; None lets them change everything.

        The editor looks for what is protected in its source volume.
        """
        node, volume = editorNode(), image if probability is None else probability
        # Where its segmentation or the image was deleted, the editor takes no volume.
        segmentation = self._widget.segmentationNode()
        if volume is None or segmentation is None or not self.isOn(segmentation):
            return
        if (node.GetSourceVolumeIntensityMask(), self._widget.sourceVolumeNode()) != (probability is not None, volume):
            node.SetSourceVolumeIntensityMask(probability is not None)
            node.SetSourceVolumeIntensityMaskRange(CERTAIN, 1 - CERTAIN)
            self._widget.setSourceVolumeNode(volume)

    def saveState(self) -> None:
        """What the contour is now can be undone to."""
        self._widget.saveStateForUndo()

    def leave(self) -> None:
        """No effect stays active, no key and no view observation is left."""
        self.isOpen = False
        self._widget.setActiveEffect(None)
        self._takeKeys(False, False)
        self._widget.removeViewObservations()

    def close(self) -> None:
        """Let go of the working copy too."""
        self.leave()
        if editorNode().GetSegmentationNode() is not None:
            # First: its list of volumes would choose another one, for no segmentation, when the image is deleted.
            self._widget.setSourceVolumeNode(None)
        self._widget.setSegmentationNode(None)

    def cleanup(self) -> None:
        """The panel goes away."""
        slicer.app.disconnect("focusChanged(QWidget*,QWidget*)", self._onFocusChanged)
        for shortcut in self._shortcuts:
            shortcut.deleteLater()
        self._shortcuts = []
        self._widget.setMRMLSegmentEditorNode(None)

    def _showPartsForOneContour(self) -> None:
        widget = self._widget
        widget.setSegmentationNodeSelectorVisible(False)
        widget.setSourceVolumeNodeSelectorVisible(False)
        widget.setSwitchToSegmentationsButtonVisible(False)
        widget.setAddRemoveSegmentButtonsVisible(False)
        widget.setSpecifyGeometryButtonVisible(False)
        widget.setShow3DButtonVisible(False)
        widget.setMaskingSectionVisible(False)
        for child in widget.findChildren(qt.QWidget):
            if child.objectName in _UNUSED_PARTS:
                child.hide()
        widget.setEffectNameOrder(list(EFFECTS))
        widget.unorderedEffectsVisible = False
        widget.setEffectColumnCount(_EFFECT_COLUMNS)

    def _onFocusChanged(self, _old, new) -> None:
        """Keys hold for the whole window, but not where they have another meaning.

        The step's own do not act where one types into another step; the editor's, Space among them, not where a key
        presses one of the panel's buttons.
        """
        if self.isOpen:
            isInPanel = new is not None and self._step.parentWidget().isAncestorOf(new)
            self._takeKeys(
                not isInPanel or self._step.isAncestorOf(new), not isInPanel or self._widget.isAncestorOf(new)
            )

    def _takeKeys(self, own: bool, editors: bool) -> None:
        for shortcut in self._shortcuts:
            shortcut.setEnabled(own)
        if editors:
            self._widget.installKeyboardShortcuts()
        else:
            self._widget.uninstallKeyboardShortcuts()


def _shortcuts(keys: Mapping[str, Callable[[], None]]) -> list[Any]:
    """Shortcuts of the main window, off; none where there is no window."""
    window, made = slicer.util.mainWindow(), []
    for letter, call in keys.items() if window is not None else ():
        shortcut = qt.QShortcut(qt.QKeySequence(letter), window)
        shortcut.setEnabled(False)
        shortcut.connect("activated()", call)
        made.append(shortcut)
    return made


def editorNode():
    """The node with the editor's choices, one in a scene."""
    scene = slicer.mrmlScene
    node = scene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = scene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        node.UnRegister(None)
        node.SetSingletonTag(EDITOR_TAG)
        node = scene.AddNode(node)
    return node
