"""Stand-ins for Slicer's widgets that show MRML nodes, each with the header that it models."""

from __future__ import annotations

import weakref

import shiboken6
import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from .stand_ins import Modelled, StandIn


def whileAlive(widget, method):
    """A VTK observer that neither keeps the widget alive nor calls it after Qt deleted it."""
    reference = weakref.ref(widget)

    def observer(_caller, _event):
        alive = reference()
        if alive is not None and shiboken6.isValid(alive):
            getattr(alive, method)()

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

    Where None is not allowed and nothing is current, the first node is chosen, also after the current one was
    removed (the real widget then takes a neighbour). Changed attributes of nodes are seen at the next added or removed
    node.
    """

    standsFor = "qMRMLNodeComboBox"
    currentNodeChanged = QtCore.Signal(object)
    currentNodeValidityChanged = QtCore.Signal(bool)
    currentNodeIDChanged = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)
    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeAboutToBeRemoved = QtCore.Signal(object)
    standInSignals = {  # noqa: RUF012
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentNodeChanged(bool)": "currentNodeValidityChanged",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
        "nodeAdded(vtkMRMLNode*)": "nodeAdded",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
        "nodeAboutToBeRemoved(vtkMRMLNode*)": "nodeAboutToBeRemoved",
    }

    def __init__(self, parent=None):
        super().__init__(parent)
        self.keep(scene=None, observers=[], attributes=[], currentID="")
        self.setEnabled(False)

    nodeTypes = Modelled(list, changed=lambda self, _types: self._refresh())
    noneEnabled = Modelled(bool, changed=lambda self, _enabled: self._refresh())
    showHidden = Modelled(bool, changed=lambda self, _shown: self._refresh())
    showChildNodeTypes = Modelled(bool, True, changed=lambda self, _shown: self._refresh())
    hideChildNodeTypes = Modelled(list, changed=lambda self, _types: self._refresh())
    addEnabled = Modelled(bool, True)
    removeEnabled = Modelled(bool, True)
    editEnabled = Modelled(bool)
    renameEnabled = Modelled(bool)
    selectNodeUponCreation = Modelled(bool, True)
    baseName = Modelled(str)
    noneDisplay = Modelled(str, "None")
    currentNodeID = Modelled(
        str, getter=lambda self: self._currentID, changed=lambda self, nodeID: self.setCurrentNodeID(nodeID)
    )

    def setMRMLScene(self, scene):
        """The scene to choose from, or None."""
        if scene is self._scene:
            return
        for tag in self._observers:
            self._scene.RemoveObserver(tag)
        observers = []
        if scene is not None:
            events = ("NodeAdded", "NodeRemoved", "EndClose", "EndImport", "EndBatchProcess")
            observers = [
                scene.AddObserver(getattr(slicer.vtkMRMLScene, f"{event}Event"), whileAlive(self, "_refresh"))
                for event in events
            ]
        self.keep(scene=scene, observers=observers)
        self.setEnabled(scene is not None)
        self._refresh()

    def mrmlScene(self):
        """The scene to choose from, or None."""
        return self._scene

    def addAttribute(self, nodeType, attributeName, attributeValue=None):
        """Of this node type only nodes with the attribute, and with the value where one is given."""
        self._attributes.append((nodeType, attributeName, attributeValue))
        self._refresh()

    def removeAttribute(self, nodeType, attributeName):
        """Undoes `addAttribute`."""
        self.keep(attributes=[rule for rule in self._attributes if rule[:2] != (nodeType, attributeName)])
        self._refresh()

    def nodeCount(self):
        """Number of nodes to choose from."""
        return len(self._nodes())

    def nodeFromIndex(self, index):
        """The node at a place of the list, or None."""
        nodes = self._nodes()
        return nodes[index] if 0 <= index < len(nodes) else None

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

    def setCurrentNodeID(self, nodeID):
        """Chooses a node by its ID."""
        self.setCurrentNode(self._scene.GetNodeByID(nodeID) if self._scene is not None and nodeID else None)

    def setCurrentNodeIndex(self, index):
        """Chooses the node at a place of the list."""
        self.setCurrentNode(self.nodeFromIndex(index))

    def addNode(self, nodeType=None):
        """Adds a node as the user does with "Create new"."""
        nodeType = nodeType or self.nodeTypes[0]
        if nodeType not in self.nodeTypes:
            return None
        node = self._scene.AddNewNodeByClass(nodeType, self.baseName)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self):
        """Removes the chosen node from the scene."""
        node = self.currentNode()
        if node is not None:
            self.nodeAboutToBeRemoved.emit(node)
            self._scene.RemoveNode(node)

    def _nodes(self):
        if self._scene is None:
            return []
        # Every panel has many of these lists, and each looks again at every node that comes: the scene finds the types.
        found = {node for type_ in self.nodeTypes for node in slicer.util.getNodesByClass(type_, self._scene)}
        return sorted(filter(self._accepts, found), key=self._scene.GetNodes().IsItemPresent)

    def _accepts(self, node):
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        if self.showChildNodeTypes:
            ofType = any(node.IsA(type_) for type_ in self.nodeTypes)
            ofType = ofType and not any(node.IsA(type_) for type_ in self.hideChildNodeTypes)
        else:
            ofType = node.GetClassName() in self.nodeTypes
        rules = [rule for rule in self._attributes if node.IsA(rule[0])]
        return ofType and all(
            node.GetAttribute(name) is not None and (value is None or node.GetAttribute(name) == str(value))
            for _type, name, value in rules
        )

    def _refresh(self):
        if self._scene is None or self._scene.IsBatchProcessing():
            return
        current = self.currentNode()
        if current is not None and self._accepts(current):
            return
        self._select(None if self.noneEnabled else next(iter(self._nodes()), None))

    def _select(self, node):
        nodeID = node.GetID() if node is not None else ""
        if nodeID != self._currentID:
            self.keep(currentID=nodeID)
            self.currentNodeChanged.emit(node)
            self.currentNodeValidityChanged.emit(node is not None)
            self.currentNodeIDChanged.emit(nodeID)


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
