"""`slicer.app.layoutManager()`: the real layout node and logic, with a real slice logic per slice view; no windows."""

from __future__ import annotations

import slicer
from PySide6 import QtCore

from .mrml_widgets import whileAlive
from .stand_ins import Modelled, StandIn


class SliceWidget(StandIn, QtCore.QObject):
    """Libs/MRML/Widgets/qMRMLSliceWidget.h, reduced to its nodes and logic."""

    standsFor = "qMRMLSliceWidget"

    def __init__(self, sliceLogic):
        super().__init__()
        self.keep(logic=sliceLogic)

    def sliceLogic(self):
        """The view's real slice logic."""
        return self._logic

    def mrmlSliceNode(self):
        """The view's node."""
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self):
        """The node with the view's layers."""
        return self._logic.GetSliceCompositeNode()

    def fitSliceToBackground(self):
        """Shows the whole background volume."""
        self._logic.FitSliceToBackground()


class LayoutManager(StandIn, QtCore.QObject):
    """Base/QTGUI/qSlicerLayoutManager.h and Libs/MRML/Widgets/qMRMLLayoutManager.h"""

    standsFor = "qSlicerLayoutManager"
    layoutChanged = QtCore.Signal(int)

    def __init__(self, mrml):
        super().__init__()
        logic = slicer.vtkMRMLLayoutLogic()
        logic.SetMRMLScene(mrml.scene)
        self.keep(mrml=mrml, logic=logic, widgets={}, shown=logic.GetLayoutNode().GetViewArrangement())
        self.keep(tag=logic.GetLayoutNode().AddObserver("ModifiedEvent", whileAlive(self, "_onLayout")))
        self._showViews()

    layout = Modelled(
        int,
        getter=lambda self: self._logic.GetLayoutNode().GetViewArrangement(),
        changed=lambda self, number: self.setLayout(number),
    )

    def layoutLogic(self):
        """The real layout logic."""
        return self._logic

    def setLayout(self, number):
        """Shows another layout."""
        self._logic.GetLayoutNode().SetViewArrangement(number)

    def mrmlSliceLogics(self):
        """The slice logics of all slice views."""
        self._showViews()
        return self._mrml.applicationLogic.GetSliceLogics()

    def sliceViewNames(self):
        """Names of the slice views of the layout that is shown."""
        return tuple(node.GetLayoutName() for node in self._sliceNodes() if node.IsMappedInLayout())

    def sliceWidget(self, name):
        """A slice view, or None where none has that name."""
        self._showViews()
        for node in self._sliceNodes():
            if node.GetLayoutName() == name:
                if node.GetID() not in self._widgets:
                    self._widgets[node.GetID()] = SliceWidget(self._mrml.sliceLogic(node))
                return self._widgets[node.GetID()]
        return None

    def resetSliceViews(self):
        """Shows the whole background volume in every slice view."""
        logics = self.mrmlSliceLogics()
        for index in range(logics.GetNumberOfItems()):
            logics.GetItemAsObject(index).FitSliceToBackground()

    def _sliceNodes(self):
        return slicer.util.getNodesByClass("vtkMRMLSliceNode")

    def _showViews(self):
        """In the application the views do this when they appear and disappear."""
        views = self._logic.GetViewNodes()
        shown = {views.GetItemAsObject(index) for index in range(views.GetNumberOfItems())}
        for node in slicer.util.getNodesByClass("vtkMRMLAbstractViewNode"):
            node.SetMappedInLayout(1 if node in shown else 0)
        for node in self._sliceNodes():
            if node in shown:
                self._mrml.sliceLogic(node)

    def _onLayout(self):
        number = self._logic.GetLayoutNode().GetViewArrangement()
        if number != self._shown:
            self.keep(shown=number)
            self._showViews()
            self.layoutChanged.emit(number)

    def close(self):
        """Lets go of the scene."""
        node = self._logic.GetLayoutNode()
        if node is not None:
            node.RemoveObserver(self._tag)
        self._logic.SetMRMLScene(None)
        self._widgets.clear()
