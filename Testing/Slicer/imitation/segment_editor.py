"""A stand-in for the segment editor's widget over the real segment editor logic: nodes, selectors, undo; no effects."""

from __future__ import annotations

from types import SimpleNamespace

import slicer

from .mrml_widgets import QMRMLNodeComboBox, QMRMLWidget, whileAlive
from .pythonqt import connect
from .stand_ins import Modelled

EFFECTS = ("Threshold", "Paint", "Draw", "Erase", "Level tracing", "Grow from seeds", "Margin", "Smoothing", "Scissors")


class QMRMLSegmentEditorWidget(QMRMLWidget):
    """Modules/Loadable/Segmentations/Widgets/qMRMLSegmentEditorWidget.h

    As the real widget it has a selector of segmentations, which takes one of the scene by itself, and which a batch's
    end makes the edited one; `segmentationNode` is the selector's node. Before an editor node is set the logic refuses
    a segmentation with an error. An active effect has a name and does nothing.
    """

    standsFor = "qMRMLSegmentEditorWidget"
    standInSignals = QMRMLWidget.standInSignals

    def __init__(self, parent=None):
        super().__init__(parent)
        logic = slicer.vtkSlicerSegmentEditorLogic()
        segmentations, volumes = QMRMLNodeComboBox(self), QMRMLNodeComboBox(self)
        segmentations.nodeTypes = ["vtkMRMLSegmentationNode"]
        volumes.nodeTypes, volumes.noneEnabled = ["vtkMRMLScalarVolumeNode"], True
        self.keep(logic=logic, segmentations=segmentations, volumes=volumes, node=None, shown=None, observers=[])
        self.keep(viewObservations=False, shortcuts=False)
        connect(segmentations, "currentNodeChanged(vtkMRMLNode*)", self._onSegmentationChosen)
        connect(volumes, "currentNodeChanged(vtkMRMLNode*)", self._onVolumeChosen)

    segmentationNodeSelectorVisible = Modelled(bool, True)
    sourceVolumeNodeSelectorVisible = Modelled(bool, True)
    switchToSegmentationsButtonVisible = Modelled(bool, True)
    addRemoveSegmentButtonsVisible = Modelled(bool, True)
    autoShowSourceVolumeNode = Modelled(bool, True)
    specifyGeometryButtonVisible = Modelled(bool, True)
    show3DButtonVisible = Modelled(bool, True)
    maskingSectionVisible = Modelled(bool, True)
    unorderedEffectsVisible = Modelled(bool, True)
    effectColumnCount = Modelled(int, 2)
    maximumNumberOfUndoStates = Modelled(
        int, 10, changed=lambda self, number: self._logic.SetMaximumNumberOfUndoStates(number)
    )

    def setMRMLScene(self, scene):
        """The scene that is edited."""
        if scene is self.mrmlScene():
            return
        for tag in self._observers:
            self.mrmlScene().RemoveObserver(tag)
        for selector in (self._segmentations, self._volumes):
            wasBlocked = selector.blockSignals(True)
            selector.setMRMLScene(scene)
            selector.blockSignals(wasBlocked)
        super().setMRMLScene(scene)
        self._logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        self._logic.SetMRMLScene(scene)
        self._logic.SetVerbose(True)
        self.updateWidgetFromMRML()
        events = {"EndCloseEvent": "updateWidgetFromMRML", "EndBatchProcessEvent": "_onBatchEnded"}
        self.keep(
            observers=[
                scene.AddObserver(getattr(scene, event), whileAlive(self, method)) for event, method in events.items()
            ]
            if scene is not None
            else []
        )

    def setMRMLSegmentEditorNode(self, node):
        """The node with the editor's choices."""
        if node is self._node:
            return
        if self._node is not None:
            self._node.RemoveObserver(self._nodeTag)
        self.keep(node=node)
        self._logic.SetSegmentEditorNode(node)
        if node is not None:
            self.keep(nodeTag=node.AddObserver("ModifiedEvent", whileAlive(self, "updateWidgetFromMRML")))
            self.updateWidgetFromMRML()

    def mrmlSegmentEditorNode(self):
        """The node with the editor's choices, or None."""
        return self._node

    def setSegmentationNode(self, node):
        """The segmentation that is edited, or None."""
        if node is not self._logic.GetSegmentationNode():
            self._logic.SetSegmentationNode(node)
            self.setActiveEffect(None)

    def segmentationNode(self):
        """The selector's segmentation, or None."""
        return self._segmentations.currentNode()

    def setSourceVolumeNode(self, node):
        """The volume under the segmentation, or None."""
        self._logic.SetSourceVolumeNode(node)

    def sourceVolumeNode(self):
        """The volume under the segmentation, or None."""
        return self._logic.GetSourceVolumeNode()

    def updateWidgetFromMRML(self):
        """Shows the editor node's choices; a segmentation that is shown anew brings its reference volume with it."""
        scene = self.mrmlScene()
        if scene is None or self._node is None or scene.IsClosing() or scene.IsBatchProcessing():
            return
        node = self._logic.GetSegmentationNode()
        wasBlocked = self._segmentations.blockSignals(True)
        self._segmentations.setCurrentNode(node)
        self._segmentations.blockSignals(wasBlocked)
        if node is not self._shown:
            self.keep(shown=node)
            if node is not None:
                self._volumes.setCurrentNode(node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()))
        wasBlocked = self._volumes.blockSignals(True)
        self._volumes.setCurrentNode(self._logic.GetSourceVolumeNode())
        self._volumes.blockSignals(wasBlocked)

    def _onSegmentationChosen(self, node):
        if self.mrmlScene() is not None and not self.mrmlScene().IsBatchProcessing():
            self.setSegmentationNode(node)

    def _onVolumeChosen(self, node):
        if self.mrmlScene() is not None and not self.mrmlScene().IsBatchProcessing():
            self.setSourceVolumeNode(node)

    def _onBatchEnded(self):
        if self._node is not None:
            if self._node.GetSegmentationNode() is not self._segmentations.currentNode():
                self.setSegmentationNode(self._segmentations.currentNode())
            if self._node.GetSourceVolumeNode() is not self._volumes.currentNode():
                self.setSourceVolumeNode(self._volumes.currentNode())
        self.updateWidgetFromMRML()

    def setEffectNameOrder(self, names):
        """The effects that are shown, in this order, and after them the others where `unorderedEffectsVisible`."""
        self.keep(effectNameOrder=list(names))

    def setActiveEffect(self, effect):
        """Starts an effect, or ends it with None."""
        if self._node is not None:
            self._node.SetActiveEffectName(effect.name if effect is not None else "")

    def setActiveEffectByName(self, name):
        """Starts an effect; an unknown name ends the current one."""
        self.setActiveEffect(SimpleNamespace(name=name) if name in EFFECTS else None)

    def activeEffect(self):
        """The current effect, of which only the name is modelled, or None."""
        name = self._node.GetActiveEffectName() if self._node is not None else ""
        return SimpleNamespace(name=name) if name else None

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


def editorState(widget) -> SimpleNamespace:
    """For tests: whether the views are observed, and whether the shortcuts are installed."""
    return SimpleNamespace(viewObservations=widget._viewObservations, shortcuts=widget._shortcuts)


STAND_INS = {"qMRMLSegmentEditorWidget": QMRMLSegmentEditorWidget}
