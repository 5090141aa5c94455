"""The comparison's layouts as they are described to the application: rows of views, with their names and colours.

Light to import, since the application is told of it at every start.
"""

from __future__ import annotations

import slicer

ORIENTATIONS = ("Axial", "Sagittal", "Coronal")
ROWS = ("Predictive", "Expert", "Difference")
"""What the views of each row are called in scenes; `rowLabel` is what is seen."""

LAYOUTS = {2: 20181, 3: 20182}
"""The layouts' numbers by their number of rows: any that no other extension is likely to use."""

_VIEW_GROUP = 20181
_LABELS = {"Predictive": "M", "Expert": "E", "Difference": "D"}  # model, experts, difference
_COLORS = {"Axial": "#F34A33", "Sagittal": "#EDD54C", "Coronal": "#6EB04B"}  # Slicer's colours of the orientations


def viewTag(row: str, orientation: str) -> str:
    """Singleton tag and layout name of a view; without spaces, which separate views where display nodes list them."""
    return f"OU{row}{orientation}"


def rowLabel(row: str) -> str:
    """What the views of a row are labelled with: one letter, which the narrowest slice controller has room for."""
    return _LABELS[row]


def registerLayouts() -> None:
    """Tell the scene's layout node of the layouts, so that saved scenes find them; nothing without a layout node.

    There is none where Slicer runs without its main window.
    """
    layoutNode = sceneLayout()
    if layoutNode is not None:
        for rows, number in LAYOUTS.items():
            if not layoutNode.AddLayoutDescription(number, _description(rows)):
                layoutNode.SetLayoutDescription(number, _description(rows))


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


def sceneLayout():
    """The scene's layout node; None where Slicer runs without its main window."""
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
