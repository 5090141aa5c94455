"""The way to the comparison's layout and back to the one from before."""

from __future__ import annotations

import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.attributes import PREVIOUS_LAYOUT
from ObserverUncertaintySlicer.comparisonLayout import (
    LAYOUTS,
    ORIENTATIONS,
    ROWS,
    registerLayouts,
    sceneLayout,
    viewTag,
)
from ObserverUncertaintySlicer.host import tr as _


def shownRows() -> int:
    """How many rows of the comparison the scene's layout shows: 2, 3, or 0 where it is another layout."""
    layoutNode = sceneLayout()
    shown = None if layoutNode is None else layoutNode.GetViewArrangement()
    return next((rows for rows, number in LAYOUTS.items() if number == shown), 0)


def showRows(rows: int):
    """Show the layout with 2 or 3 rows.

    Returns:
        The layout logic that had to be made, to be kept as long as the layout is shown; None in the application, whose
        own makes the views.
    """
    logic = _newLayoutLogic() if sceneLayout() is None else None
    registerLayouts()
    layoutNode = sceneLayout()
    if layoutNode is None:
        raise InputError(_("The scene has no layout node; expected one, as the Slicer application makes."))
    if not shownRows():
        # Kept by the node, since the scene may be saved and opened again while comparing.
        PREVIOUS_LAYOUT.set(layoutNode, layoutNode.GetViewArrangement())
    layoutNode.SetViewArrangement(LAYOUTS[rows])
    tags = [viewTag(row, orientation) for row in ROWS[:rows] for orientation in ORIENTATIONS]
    if not all(slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSliceNode") for tag in tags):
        logic = _newLayoutLogic()
    return logic


def previousLayout() -> int:
    """The number of the layout that was shown before the comparison."""
    layoutNode = sceneLayout()
    return PREVIOUS_LAYOUT.of(layoutNode, layoutNode.SlicerLayoutFourUpView)


def leaveRows() -> None:
    """Go back to the layout from before; nothing if another one was chosen since."""
    if shownRows():
        sceneLayout().SetViewArrangement(previousLayout())


def followLayout(changed) -> tuple | None:
    """Call `changed()` whenever the layout changes; returns the observed node and the observer's tag."""
    layoutNode = sceneLayout()
    return layoutNode, layoutNode.AddObserver("ModifiedEvent", lambda _caller, _event: changed())


def isPassing() -> bool:
    """Whether the layout is one that keeps the views of the one before it: a view shown maximised."""
    layoutNode = sceneLayout()
    passing = (layoutNode.SlicerLayoutNone, layoutNode.SlicerLayoutMaximizedView)
    return layoutNode.GetViewArrangement() in passing


def _newLayoutLogic():
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(slicer.mrmlScene)
    return logic
