"""Raters as outlines in chosen slice views, while everything the user shows elsewhere stays as it is.

A display node of a segmentation is hidden and used again, never removed: Slicer's slice views keep a pointer to one
that leaves the scene before its segmentation, and Slicer ends at the segmentation's next change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer
import vtk

from ObserverUncertaintySlicer.attributes import EARLIER_VIEWS, OUTLINES, ROLE, Role
from ObserverUncertaintySlicer.host import pixelRatio
from ObserverUncertaintySlicer.raters import asRaters, raterNames

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

OUTLINE_THICKNESS = 2
"""Width of an outline in pixels: in a line of one, colours are hardly told apart."""

# In the application it always exists; an empty list of views would mean all of them.
_VIEW_FOR_NOWHERE = "vtkMRMLSliceNodeRed"


def showRaterOutlines(raters: Sequence[Any], viewNodes: Iterable | None = None) -> list:
    """Show raters as outlines in their own colours, without filling.

    Args:
        raters: as `asRaters` takes them, segments or labelmap volumes; none if empty. Labelmaps are outlined through
            a copy, since a slice view has room for one labelmap only; it follows when this is called again.
        viewNodes: the views in which exactly these raters are outlined, through display nodes of their own; None
            changes how the raters' segmentations are shown everywhere.

    Returns:
        One vtkMRMLSegmentationDisplayNode for each segmentation.

    Raises:
        InputError: a rater cannot be used.
    """
    segmentIDs: dict[Any, list[str]] = {}
    found = asRaters(raters) if raters else []
    for rater, name in zip(found, raterNames(found), strict=True):
        if rater.segmentID:
            segmentIDs.setdefault(rater.node, []).append(rater.segmentID)
        else:
            segmentIDs[_outlinedCopy(rater, name)] = [name]
    if viewNodes is None:
        for copy in _outlinedCopies():
            if copy not in segmentIDs:
                copy.GetDisplayNode().SetVisibility(False)
        return [_showEverywhere(node, segmentIDs[node]) for node in segmentIDs]
    viewIDs = [node.GetID() for node in viewNodes]
    for display in _outlineDisplays():
        if display.GetDisplayableNode() not in segmentIDs:
            display.SetVisibility(False)
    return [_showIn(viewIDs, node, segmentIDs[node]) for node in segmentIDs]


def hideRaterOutlines(raters: Sequence[Any]) -> None:
    """Take raters out of the views, the other segments of their nodes left alone; labelmaps with their copies."""
    for rater in asRaters(raters) if raters else []:
        node = rater.node if rater.segmentID else OUTLINES.of(rater.node)
        display = None if node is None else node.GetDisplayNode()
        if display is not None and rater.segmentID:
            display.SetSegmentVisibility(rater.segmentID, False)
        elif display is not None:
            display.SetVisibility(False)


def showAsOutline(segmentationNode, thickness: int = OUTLINE_THICKNESS) -> None:
    """Show all of a segmentation as outlines without filling, which would cover the entropy under it."""
    segmentationNode.CreateDefaultDisplayNodes()
    _outline(segmentationNode.GetDisplayNode(), (), thickness)


def hideSegmentations(viewNodes: Iterable) -> None:
    """Take all segmentations out of these views until `showSegmentations`, but for outlines and working copies.

    A filled segmentation would tint the entropy under it. Segmentations that are made later are shown.
    """
    hidden = {node.GetID() for node in viewNodes}
    others = [node.GetID() for node in _nodes("vtkMRMLAbstractViewNode") if node.GetID() not in hidden]
    for display in _nodes("vtkMRMLSegmentationDisplayNode"):
        node = display.GetDisplayableNode()
        isWorkingCopy = node is not None and ROLE.of(node) == Role.WORKING_COPY
        isOutline = ROLE.of(display) == Role.RATER_OUTLINES
        if isOutline or isWorkingCopy or EARLIER_VIEWS.of(display) is not None:
            continue
        earlier = list(display.GetViewNodeIDs())
        remaining = [viewID for viewID in earlier or others if viewID not in hidden]
        if earlier and remaining == earlier:
            continue
        EARLIER_VIEWS.set(display, earlier)
        _setViews(display, remaining or [_VIEW_FOR_NOWHERE])


def showSegmentations() -> None:
    """Show segmentations again where they were before `hideSegmentations`, and take the outlines away."""
    for display in _nodes("vtkMRMLSegmentationDisplayNode"):
        earlier = EARLIER_VIEWS.of(display)
        if earlier is not None:
            _setViews(display, earlier)
            EARLIER_VIEWS.set(display, None)
    for display in _outlineDisplays():
        display.SetVisibility(False)
    for copy in _outlinedCopies():
        if not copy.GetDisplayNode().GetVisibility():
            removeSegmentation(copy)


def hideAllSegmentations(but: Sequence[Any] = ()) -> list[str]:
    """Hide every segmentation of the scene but these nodes'; returns the names of those that were visible.

    Args:
        but: segmentation nodes, and labelmap volumes, whose outlines stay.
    """
    kept = [*but, *(OUTLINES.of(node) for node in but)]
    others = [node for node in _nodes("vtkMRMLSegmentationNode") if node not in kept]
    return [node.GetName() for node in others if hideSegmentation(node) and not node.GetHideFromEditors()]


def hideSegmentation(node) -> bool:
    """Hide a segmentation everywhere; returns whether it was visible anywhere."""
    displays = [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())]
    visible = [display for display in displays if display is not None and display.GetVisibility()]
    for display in visible:
        display.SetVisibility(False)
    return bool(visible)


def removeSegmentation(segmentationNode) -> None:
    """Take a segmentation out of the scene, with its display nodes."""
    displays = [segmentationNode.GetNthDisplayNode(n) for n in range(segmentationNode.GetNumberOfDisplayNodes())]
    for node in (segmentationNode, *displays):  # the segmentation first
        if slicer.mrmlScene.IsNodePresent(node):  # the application may have taken its display nodes out with it
            slicer.mrmlScene.RemoveNode(node)


def _showEverywhere(node, segmentIDs: list[str]):
    node.CreateDefaultDisplayNodes()
    return _outline(node.GetDisplayNode(), segmentIDs)


def _showIn(viewIDs: list[str], node, segmentIDs: list[str]):
    # The first display node is the one that the application's panels show and edit.
    node.CreateDefaultDisplayNodes()
    display = next((display for display in _outlineDisplays() if display.GetDisplayableNode() is node), None)
    if display is None:
        display = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationDisplayNode", f"{node.GetName()} outlines")
        ROLE.set(display, Role.RATER_OUTLINES)
        display.SetVisibility3D(False)
        _setViews(display, viewIDs)
        node.AddAndObserveDisplayNodeID(display.GetID())
    _setViews(display, viewIDs)
    every = node.GetSegmentation().GetSegmentIDs()
    for segmentID in every:
        display.SetSegmentVisibility(segmentID, segmentID in segmentIDs)
    return _outline(display, segmentIDs)


def _outline(display, segmentIDs: Sequence[str], thickness: int = OUTLINE_THICKNESS):
    wasModifying = display.StartModify()
    try:
        display.SetVisibility(True)
        display.SetVisibility2D(True)
        display.SetVisibility2DFill(False)
        display.SetVisibility2DOutline(True)
        display.SetOpacity2DOutline(1.0)
        display.SetSliceIntersectionThickness(thickness * pixelRatio())  # a display's width is in pixels of the screen
        for segmentID in segmentIDs:
            display.SetSegmentVisibility(segmentID, True)
            display.SetSegmentVisibility2DOutline(segmentID, True)
            display.SetSegmentOpacity2DOutline(segmentID, 1.0)
    finally:
        display.EndModify(wasModifying)
    return display


def _outlinedCopy(rater, name: str):
    """A segmentation with the labelmap as its one segment, in world coordinates; its segment ID is the rater's name."""
    copy = OUTLINES.of(rater.node)
    if copy is None:
        copy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{name} outline")
        ROLE.set(copy, Role.RATER_OUTLINES)
        copy.SetHideFromEditors(True)
        copy.CreateDefaultDisplayNodes()
        copy.GetDisplayNode().SetVisibility(False)
        OUTLINES.set(rater.node, copy)
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(*rater.color)
    segment.AddRepresentation("Binary labelmap", _binaryLabelmap(rater.node))
    segmentation = copy.GetSegmentation()
    segmentation.RemoveAllSegments()
    segmentation.SetSourceRepresentationName("Binary labelmap")
    segmentation.AddSegment(segment, name)
    return copy


def _outlinedCopies() -> list:
    """The copies of labelmaps; those whose labelmap is gone leave the scene."""
    wanted = [OUTLINES.of(node) for node in _nodes("vtkMRMLLabelMapVolumeNode")]
    copies = [node for node in _nodes("vtkMRMLSegmentationNode") if ROLE.of(node) == Role.RATER_OUTLINES]
    for copy in copies:
        if copy not in wanted:
            removeSegmentation(copy)
    return [copy for copy in copies if slicer.mrmlScene.IsNodePresent(copy)]


def _binaryLabelmap(volumeNode):
    source = slicer.vtkSlicerSegmentationsModuleLogic.CreateOrientedImageDataFromVolumeNode(volumeNode)
    source.UnRegister(None)
    threshold = vtk.vtkImageThreshold()
    threshold.SetInputData(source)
    threshold.ThresholdByLower(0)
    threshold.SetInValue(0)
    threshold.SetOutValue(1)
    threshold.SetOutputScalarTypeToUnsignedChar()
    threshold.Update()
    labelmap = slicer.vtkOrientedImageData()
    labelmap.DeepCopy(threshold.GetOutput())
    labelmap.CopyDirections(source)
    return labelmap


def _outlineDisplays() -> list:
    return [node for node in _nodes("vtkMRMLSegmentationDisplayNode") if ROLE.of(node) == Role.RATER_OUTLINES]


def _setViews(display, viewIDs: list[str]) -> None:
    wasModifying = display.StartModify()
    try:
        display.RemoveAllViewNodeIDs()
        for viewID in viewIDs:
            display.AddViewNodeID(viewID)
    finally:
        display.EndModify(wasModifying)


def _nodes(className: str) -> list:
    collection = slicer.mrmlScene.GetNodesByClass(className)
    collection.UnRegister(None)
    return [collection.GetItemAsObject(index) for index in range(collection.GetNumberOfItems())]
