"""Stand-ins for Slicer's widgets that show MRML nodes, each with the header that it models."""

from __future__ import annotations

import weakref

import shiboken6
import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from .stand_ins import Modelled, StandIn


def whileAlive(widget, method):
    """A VTK observer that neither keeps the widget alive nor calls it after Qt deleted it; nodes come as argument."""
    reference = weakref.ref(widget)

    def observer(_caller, _event, node=None):
        alive = reference()
        if alive is not None and shiboken6.isValid(alive):
            getattr(alive, method)(*(() if node is None else (node,)))

    observer.CallDataType = vtk.VTK_OBJECT
    return observer


class ShowsScene(StandIn):
    """The part with the scene, which most of Slicer's widgets have in common."""

    standInSignals = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}  # noqa: RUF012
    _scene = None

    def setMRMLScene(self, scene):
        """The scene to show, or None."""
        if scene is not self._scene:
            self.keep(scene=scene)
            self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self):
        """The scene shown, or None."""
        return self._scene


class QMRMLWidget(ShowsScene, QtWidgets.QWidget):
    """Libs/MRML/Widgets/qMRMLWidget.h"""

    standsFor = "qMRMLWidget"
    mrmlSceneChanged = QtCore.Signal(object)


class QMRMLNodeComboBox(StandIn, QtWidgets.QWidget):
    """Libs/MRML/Widgets/qMRMLNodeComboBox.h: the scene's nodes of some types, one of them current.

    As seen in the application: where None is not allowed, the first node is taken when the scene is set, and the first
    that comes into a list without any entry; whatever is allowed, a neighbour takes the place of a removed node at
    once. Other nodes that come, and the end of an import, change nothing; the scene's closing leaves none.
    """

    standsFor = "qMRMLNodeComboBox"
    currentNodeChanged = QtCore.Signal(object)
    standInSignals = {"currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged"}  # noqa: RUF012

    def __init__(self, parent=None):
        super().__init__(parent)
        self.keep(scene=None, observers=[], currentID="", successorID="")
        self.setEnabled(False)

    nodeTypes = Modelled(list)
    noneEnabled = Modelled(bool)
    noneDisplay = Modelled(str, "None")
    showHidden = Modelled(bool)
    showChildNodeTypes = Modelled(bool, True)
    addEnabled = Modelled(bool, True)
    removeEnabled = Modelled(bool, True)

    def setMRMLScene(self, scene):
        """The scene to choose from, or None."""
        if scene is self._scene:
            return
        for tag in self._observers:
            self._scene.RemoveObserver(tag)
        events = {
            "NodeAddedEvent": "_onAdded",
            "NodeAboutToBeRemovedEvent": "_onAboutToBeRemoved",
            "NodeRemovedEvent": "_onRemoved",
            "EndCloseEvent": "_onRemoved",
        }
        self.keep(
            scene=scene,
            observers=[
                scene.AddObserver(getattr(scene, event), whileAlive(self, method)) for event, method in events.items()
            ]
            if scene is not None
            else [],
        )
        self.setEnabled(scene is not None)
        if self.currentNode() is None:
            self._select(None if self.noneEnabled else next(iter(self._nodes()), None))

    def mrmlScene(self):
        """The scene to choose from, or None."""
        return self._scene

    def nodeCount(self):
        """Number of nodes to choose from."""
        return len(self._nodes())

    def currentNode(self):
        """The chosen node, or None."""
        return self._scene.GetNodeByID(self._currentID) if self._scene is not None and self._currentID else None

    def setCurrentNode(self, node):
        """Chooses a node; one that is not in the list chooses nothing."""
        if self._scene is None:
            raise NotImplementedError("choosing a node before the scene is set is not modelled")
        if node is not None and not isinstance(node, slicer.vtkMRMLNode):
            raise ValueError(f"qMRMLNodeComboBox.setCurrentNode: {node!r} is not a node")
        self._select(node if any(node is known for known in self._nodes()) else None)

    def _nodes(self):
        if self._scene is None:
            return []
        # Every panel has many of these lists, and each looks again at every node that comes: the scene finds the types.
        found = {node for type_ in self.nodeTypes for node in slicer.util.getNodesByClass(type_, self._scene)}
        return sorted(filter(self._accepts, found), key=self._scene.GetNodes().IsItemPresent)

    def _accepts(self, node):
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        return self.showChildNodeTypes or node.GetClassName() in self.nodeTypes

    def _onAdded(self, node):
        isEmpty = not self.noneEnabled and not self.addEnabled and not self._currentID
        if isEmpty and self._nodes() == [node]:
            self._select(node)

    def _onAboutToBeRemoved(self, node):
        if node.GetID() == self._currentID and not self._scene.IsClosing():
            nodes = self._nodes()
            place = nodes.index(node)
            neighbours = [*nodes[place + 1 : place + 2], *nodes[:place][-1:]]
            self.keep(successorID=neighbours[0].GetID() if neighbours else "")

    def _onRemoved(self, _node=None):
        if self._currentID and self.currentNode() is None and not self._scene.IsClosing():
            self._select(self._scene.GetNodeByID(self._successorID) if self._successorID else None)
            self.keep(successorID="")

    def _select(self, node):
        nodeID = node.GetID() if node is not None else ""
        if nodeID != self._currentID:
            self.keep(currentID=nodeID)
            self.currentNodeChanged.emit(node)


class QMRMLTableView(ShowsScene, QtWidgets.QTableView):
    """Libs/MRML/Widgets/qMRMLTableView.h: a table node's cells as text; what is typed into them is not modelled."""

    standsFor = "qMRMLTableView"
    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self.keep(node=None, observer=None, text=QtGui.QStandardItemModel(self))
        self.setModel(self._text)

    transposed = Modelled(bool)
    firstRowLocked = Modelled(bool)
    firstColumnLocked = Modelled(bool)

    def setMRMLTableNode(self, node):
        """The table to show, or None."""
        if node is not None and not isinstance(node, slicer.vtkMRMLTableNode):
            raise ValueError(f"qMRMLTableView.setMRMLTableNode: {node!r} is not a table node")
        if self._node is not None:
            self._node.RemoveObserver(self._observer)
        observer = node.AddObserver("ModifiedEvent", whileAlive(self, "_show")) if node is not None else None
        self.keep(node=node, observer=observer)
        self._show()

    def mrmlTableNode(self):
        """The table shown, or None."""
        return self._node

    def _show(self):
        self._text.clear()
        table = self._node.GetTable() if self._node is not None else None
        if table is None:
            return
        names = [table.GetColumnName(column) or "" for column in range(table.GetNumberOfColumns())]
        rows = [
            [table.GetValue(row, column).ToString() for column in range(len(names))]
            for row in range(table.GetNumberOfRows())
        ]
        # As qMRMLTableModel does: without titles, letters are the header and the names a first row.
        if not self._node.GetUseColumnTitleAsColumnHeader():
            rows.insert(0, names)
            names = [chr(ord("A") + column) for column in range(len(names))]
        self._text.setHorizontalHeaderLabels(names)
        for row in rows:
            items = [QtGui.QStandardItem(value) for value in row]
            for item in items:
                item.setEditable(not self._node.GetLocked())
            self._text.appendRow(items)


STAND_INS = {class_.standsFor: class_ for class_ in (QMRMLNodeComboBox, QMRMLTableView, QMRMLWidget)}
