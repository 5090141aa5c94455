"""A stand-in for the segment editor's widget over the real segment editor logic: nodes, order, undo; no effects."""

from __future__ import annotations

from types import SimpleNamespace

import slicer
from PySide6 import QtCore

from .mrml_widgets import QMRMLWidget
from .stand_ins import Modelled

EFFECTS = ("Threshold", "Paint", "Draw", "Erase", "Level tracing", "Grow from seeds", "Margin", "Smoothing", "Scissors")


class QMRMLSegmentEditorWidget(QMRMLWidget):
    """Modules/Loadable/Segmentations/Widgets/qMRMLSegmentEditorWidget.h

    The real widget ignores a segmentation that is set before the editor node, and takes a source volume's geometry for
    a segmentation that comes later; the stand-in refuses that order. An active effect has a name and does nothing.
    """

    standsFor = "qMRMLSegmentEditorWidget"
    segmentationNodeChanged = QtCore.Signal(object)
    sourceVolumeNodeChanged = QtCore.Signal(object)
    currentSegmentIDChanged = QtCore.Signal(str)
    standInSignals = {  # noqa: RUF012
        **QMRMLWidget.standInSignals,
        "segmentationNodeChanged(vtkMRMLSegmentationNode*)": "segmentationNodeChanged",
        "sourceVolumeNodeChanged(vtkMRMLVolumeNode*)": "sourceVolumeNodeChanged",
    }

    def __init__(self, parent=None):
        super().__init__(parent)
        logic = slicer.vtkSlicerSegmentEditorLogic()
        self.keep(logic=logic, effect=None, viewObservations=False, shortcuts=False)

    segmentationNodeSelectorVisible = Modelled(bool, True)
    sourceVolumeNodeSelectorVisible = Modelled(bool, True)
    switchToSegmentationsButtonVisible = Modelled(bool, True)
    addRemoveSegmentButtonsVisible = Modelled(bool, True)
    specifyGeometryButtonVisible = Modelled(bool, True)
    show3DButtonVisible = Modelled(bool, True)
    maskingSectionVisible = Modelled(bool, True)
    unorderedEffectsVisible = Modelled(bool, True)
    autoShowSourceVolumeNode = Modelled(bool, True)
    jumpToSelectedSegmentEnabled = Modelled(bool)
    undoEnabled = Modelled(bool, True)
    readOnly = Modelled(bool)
    effectColumnCount = Modelled(int, 2)
    maximumNumberOfUndoStates = Modelled(
        int, 10, changed=lambda self, number: self._logic.SetMaximumNumberOfUndoStates(number)
    )

    def setMRMLScene(self, scene):
        """The scene that is edited."""
        if self._logic.GetMRMLScene() is not scene:
            self._logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
            self._logic.SetMRMLScene(scene)
        super().setMRMLScene(scene)

    def setMRMLSegmentEditorNode(self, node):
        """The node with the editor's choices."""
        if self.mrmlScene() is None and node is not None:
            raise RuntimeError("qMRMLSegmentEditorWidget: set the scene before the editor node")
        self._logic.SetSegmentEditorNode(node)

    def mrmlSegmentEditorNode(self):
        """The node with the editor's choices, or None."""
        return self._logic.GetSegmentEditorNode()

    def setSegmentationNode(self, node):
        """The segmentation that is edited, or None."""
        if self.mrmlSegmentEditorNode() is None:
            if node is None:
                return
            raise RuntimeError("qMRMLSegmentEditorWidget: set the editor node before the segmentation")
        if node is self._logic.GetSegmentationNode():
            return
        self._logic.SetSegmentationNode(node)
        self.setActiveEffect(None)
        self.segmentationNodeChanged.emit(node)

    def segmentationNode(self):
        """The segmentation that is edited, or None."""
        return self._logic.GetSegmentationNode() if self.mrmlSegmentEditorNode() is not None else None

    def setSourceVolumeNode(self, node):
        """The volume under the segmentation, or None."""
        if node is not None and self.segmentationNode() is None:
            raise RuntimeError("qMRMLSegmentEditorWidget: set the segmentation before the source volume")
        if self.mrmlSegmentEditorNode() is None:
            return
        self._logic.SetSourceVolumeNode(node)
        self.sourceVolumeNodeChanged.emit(node)

    def sourceVolumeNode(self):
        """The volume under the segmentation, or None."""
        return self._logic.GetSourceVolumeNode() if self.mrmlSegmentEditorNode() is not None else None

    def currentSegmentID(self):
        """ID of the segment that is edited."""
        return self.mrmlSegmentEditorNode().GetSelectedSegmentID() or ""

    def setCurrentSegmentID(self, segmentID):
        """The segment that is edited."""
        self.mrmlSegmentEditorNode().SetSelectedSegmentID(segmentID)
        self.currentSegmentIDChanged.emit(segmentID)

    def availableEffectNames(self):
        """Names of the effects."""
        return EFFECTS

    def effectByName(self, name):
        """An effect, of which only the name is modelled; None where there is none of that name."""
        return SimpleNamespace(name=name) if name in EFFECTS else None

    def setActiveEffect(self, effect):
        """Starts an effect, or ends it with None."""
        self.keep(effect=effect)

    def setActiveEffectByName(self, name):
        """Starts an effect; an unknown name ends the current one."""
        self.setActiveEffect(self.effectByName(name))

    def activeEffect(self):
        """The current effect, or None."""
        return self._effect

    def setEffectNameOrder(self, names):
        """Which effects come first."""
        self.keep(order=tuple(names))

    def effectNameOrder(self):
        """Which effects come first."""
        return vars(self).get("_order", ())

    def saveStateForUndo(self):
        """Remembers the segmentation as it is."""
        self._logic.SaveStateForUndo()

    def undo(self):
        """Takes the last change back."""
        self._logic.Undo()

    def redo(self):
        """Makes the last undone change again."""
        self._logic.Redo()

    def setupViewObservations(self):
        """Lets the effects see the views' events."""
        self.keep(viewObservations=True)

    def removeViewObservations(self):
        """Undoes `setupViewObservations`."""
        self.keep(viewObservations=False)

    def installKeyboardShortcuts(self, parent=None):  # noqa: ARG002
        """Takes the keys 1 to 9 and others."""
        self.keep(shortcuts=True)

    def uninstallKeyboardShortcuts(self):
        """Gives the keys back."""
        self.keep(shortcuts=False)

    def updateWidgetFromMRML(self):
        """The stand-in reads its nodes whenever it is asked."""


def editorState(widget) -> SimpleNamespace:
    """For tests: whether the views are observed, and whether the shortcuts are installed."""
    return SimpleNamespace(viewObservations=widget._viewObservations, shortcuts=widget._shortcuts)


STAND_INS = {"qMRMLSegmentEditorWidget": QMRMLSegmentEditorWidget}
