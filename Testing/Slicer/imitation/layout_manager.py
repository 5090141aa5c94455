"""`slicer.app.layoutManager()`: the real layout node and logic, with a real slice logic per slice view; no widgets."""

from __future__ import annotations

import slicer
from PySide6 import QtCore

from .mrml_widgets import whileAlive
from .stand_ins import StandIn


class LayoutManager(StandIn, QtCore.QObject):
    """Base/QTGUI/qSlicerLayoutManager.h and Libs/MRML/Widgets/qMRMLLayoutManager.h"""

    standsFor = "qSlicerLayoutManager"

    def __init__(self, mrml):
        super().__init__()
        logic = slicer.vtkMRMLLayoutLogic()
        logic.SetMRMLScene(mrml.scene)
        self.keep(mrml=mrml, logic=logic, shown=logic.GetLayoutNode().GetViewArrangement())
        self.keep(tag=logic.GetLayoutNode().AddObserver("ModifiedEvent", whileAlive(self, "_onLayout")))
        self._showViews()

    def sliceWidget(self, name):
        """None, as for a view that the layout does not have: views have nodes and logics here, but no widgets."""

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

    def close(self):
        """Lets go of the scene."""
        node = self._logic.GetLayoutNode()
        if node is not None:
            node.RemoveObserver(self._tag)
        self._logic.SetMRMLScene(None)
