"""The inner and the outer contour of a model's confidence, as thin outlines in the views."""

from __future__ import annotations

import slicer

from ObserverUncertaintyLib.review.contours import inner_contour, outer_contour
from ObserverUncertaintySlicer.attributes import ROLE, Role
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.outlines import removeSegmentation, showAsOutline
from ObserverUncertaintySlicer.palette import SEGMENT_COLOR
from ObserverUncertaintySlicer.segments import addEmptySegmentation, addSegment, setReferenceGrid, setSegment
from ObserverUncertaintySlicer.volumes import arrayOfVolume, gridOfVolume


def showConfidence(probabilityVolume):
    """Outline where a model is confident: inside the inner contour (p > 0.9) and outside the outer one (p > 0.1).

    Args:
        probabilityVolume: the model's probability; None takes the outlines away.

    Returns:
        The segmentation node that is shown; None if there is none.
    """
    found = _nodes()
    if probabilityVolume is None:
        for node in found:
            removeSegmentation(node)
        return None
    probability, grid = arrayOfVolume(probabilityVolume), gridOfVolume(probabilityVolume)
    if found:  # such as in a scene that is being loaded, of which no node can be removed
        node = found[0]
        node.GetSegmentation().RemoveAllSegments()
        setReferenceGrid(node, grid)
    else:
        node = addEmptySegmentation(grid, _("where the model is confident"))
        ROLE.set(node, Role.CONFIDENCE)
        node.SetHideFromEditors(True)
        node.GetDisplayNode().SetVisibility3D(False)
    contours = {_("inner contour"): inner_contour(probability), _("outer contour"): outer_contour(probability)}
    for name, mask in contours.items():
        setSegment(node, addSegment(node, name, SEGMENT_COLOR), mask, grid)
    showAsOutline(node, 1)
    return node


def _nodes() -> list:
    nodes = slicer.mrmlScene.GetNodesByClass("vtkMRMLSegmentationNode")
    nodes.UnRegister(None)
    every = [nodes.GetItemAsObject(n) for n in range(nodes.GetNumberOfItems())]
    return [node for node in every if ROLE.of(node) == Role.CONFIDENCE]
