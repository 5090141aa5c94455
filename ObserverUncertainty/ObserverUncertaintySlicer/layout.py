"""The comparison's layout: how it is described to the application, and the way there and back.

Light to import, since the application is told of it at every start.
"""

from __future__ import annotations

import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.attributes import PREVIOUS_LAYOUT
from ObserverUncertaintySlicer.host import tr as _

ORIENTATIONS = ("Axial", "Sagittal", "Coronal")
ROWS = ("Predictive", "Expert", "Difference")

# Any numbers that no other extension is likely to use, by the number of rows.
_LAYOUTS = {2: 20181, 3: 20182}
_VIEW_GROUP = 20181
_COLORS = {"Axial": "#F34A33", "Sagittal": "#EDD54C", "Coronal": "#6EB04B"}  # Slicer's colours of the orientations


def viewTag(row: str, orientation: str) -> str:
    """Singleton tag and layout name of a view; without spaces, which separate views where display nodes list them."""
    return f"OU{row}{orientation}"


def rowLabel(row: str) -> str:
    """What the views of a row are labelled with: one letter, which the narrowest slice controller has room for."""
    return row[0]


def registerLayouts() -> None:
    """Tell the scene's layout node of the layouts, so that saved scenes find them; nothing without a layout node.

    There is none where Slicer runs without its main window.
    """
    layoutNode = _layoutNode()
    if layoutNode is not None:
        for rows, number in _LAYOUTS.items():
            if not layoutNode.AddLayoutDescription(number, _description(rows)):
                layoutNode.SetLayoutDescription(number, _description(rows))


def shownRows() -> int:
    """How many rows of the comparison the scene's layout shows: 2, 3, or 0 where it is another layout."""
    layoutNode = _layoutNode()
    shown = None if layoutNode is None else layoutNode.GetViewArrangement()
    return next((rows for rows, number in _LAYOUTS.items() if number == shown), 0)


def showRows(rows: int):
    """Show the layout with 2 or 3 rows.

    Returns:
        The layout logic that had to be made, to be kept as long as the layout is shown; None in the application, whose
        own makes the views.
    """
    logic = _newLayoutLogic() if _layoutNode() is None else None
    registerLayouts()
    layoutNode = _layoutNode()
    if layoutNode is None:
        raise InputError(_("The scene has no layout node; expected one, as the Slicer application makes."))
    if not shownRows():
        # Kept by the node, since the scene may be saved and opened again while comparing.
        PREVIOUS_LAYOUT.set(layoutNode, layoutNode.GetViewArrangement())
    layoutNode.SetViewArrangement(_LAYOUTS[rows])
    tags = [viewTag(row, orientation) for row in ROWS[:rows] for orientation in ORIENTATIONS]
    if not all(slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSliceNode") for tag in tags):
        logic = _newLayoutLogic()
    return logic


def previousLayout() -> int:
    """The number of the layout that was shown before the comparison."""
    layoutNode = _layoutNode()
    return PREVIOUS_LAYOUT.of(layoutNode, layoutNode.SlicerLayoutFourUpView)


def leaveRows() -> None:
    """Go back to the layout from before; nothing if another one was chosen since."""
    if shownRows():
        _layoutNode().SetViewArrangement(previousLayout())


def followLayout(changed) -> tuple | None:
    """Call `changed()` whenever the layout changes; returns the observed node and the observer's tag."""
    layoutNode = _layoutNode()
    return layoutNode, layoutNode.AddObserver("ModifiedEvent", lambda _caller, _event: changed())


def isPassing() -> bool:
    """Whether the layout is one that keeps the views of the one before it: a view shown maximised."""
    layoutNode = _layoutNode()
    passing = (layoutNode.SlicerLayoutNone, layoutNode.SlicerLayoutMaximizedView)
    return layoutNode.GetViewArrangement() in passing


def _description(rows: int) -> str:
    # A view group a row: what the user links by hand stays within the row.
    views = "".join(
        "<item><layout type='horizontal'>"
        + "".join(
            f"<item><view class='vtkMRMLSliceNode' singletontag='{viewTag(row, orientation)}'>"
            f"<property name='orientation' action='default'>{orientation}</property>"
            f"<property name='viewlabel' action='default'>{rowLabel(row)}</property>"
            f"<property name='viewcolor' action='default'>{_COLORS[orientation]}</property>"
            f"<property name='viewgroup' action='default'>{_VIEW_GROUP + number}</property>"
            "</view></item>"
            for orientation in ORIENTATIONS
        )
        + "</layout></item>"
        for number, row in enumerate(ROWS[:rows])
    )
    return f"<layout type='vertical' split='true'>{views}</layout>"


def _newLayoutLogic():
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(slicer.mrmlScene)
    return logic


def _layoutNode():
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
