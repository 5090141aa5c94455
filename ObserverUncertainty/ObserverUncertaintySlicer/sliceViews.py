"""The slice views of the comparison: their nodes, what each shows, and where it looks; and those that are not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.comparisonLayout import ORIENTATIONS, ROWS, rowLabel, viewTag
from ObserverUncertaintySlicer.host import tr as _


def rowSliceNode(row: str, orientation: str, background):
    """The slice node of a row and an orientation, set up for the comparison; InputError if no layout logic made it."""
    sliceNode = slicer.mrmlScene.GetSingletonNode(viewTag(row, orientation), "vtkMRMLSliceNode")
    if sliceNode is None:
        raise InputError(_("The views of the comparison were not made; expected the scene's layout to make them."))
    # Slicer's data probe looks a view up by this name.
    sliceNode.SetName(sliceNode.GetLayoutName())
    sliceNode.SetLayoutLabel(rowLabel(row))
    sliceNode.SetOrientation(orientation)
    # As Slicer does with what it loads: on a tilted image a view shows the image's own slices.
    sliceNode.RotateToVolumePlane(background)
    showPatientAxes(sliceNode)
    return sliceNode


def showPatientAxes(sliceNode) -> None:
    """Show the patient's directions and a ruler in a view, unless it has some already."""
    if sliceNode.GetOrientationMarkerType() == sliceNode.OrientationMarkerTypeNone:
        sliceNode.SetOrientationMarkerType(sliceNode.OrientationMarkerTypeAxes)
        sliceNode.SetOrientationMarkerSize(sliceNode.OrientationMarkerSizeMedium)
    if sliceNode.GetRulerType() == sliceNode.RulerTypeNone:
        sliceNode.SetRulerType(sliceNode.RulerTypeThin)


def rowVolumes(rows: int) -> tuple[Any, list[Any]]:
    """What the views of the comparison show in this scene: the image and each row's volume; None where nothing."""
    scene = slicer.mrmlScene
    sliceNodes = [scene.GetSingletonNode(viewTag(row, ORIENTATIONS[0]), "vtkMRMLSliceNode") for row in ROWS[:rows]]
    if None in sliceNodes:
        return None, [None] * rows
    composites = [compositeNodeOf(node) for node in sliceNodes]
    overlays = [scene.GetNodeByID(node.GetForegroundVolumeID() or "") for node in composites]
    return scene.GetNodeByID(composites[0].GetBackgroundVolumeID() or ""), overlays


def compositeNodeOf(sliceNode):
    """The node that says what a slice view shows; made as the slice logic would, where none has made it yet."""
    composite = slicer.vtkMRMLSliceLogic.GetSliceCompositeNode(sliceNode)
    if composite is None:
        composite = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSliceCompositeNode")
        composite.UnRegister(None)
        composite.SetLayoutName(sliceNode.GetLayoutName())
        composite = slicer.mrmlScene.AddNode(composite)
    return composite


def fillView(sliceNode, background, overlay) -> None:
    """Show an overlay over a background.

    Slicer's own link is off: it would carry the choice of another foreground over to the other views. `SliceLinks`
    moves the views together.
    """
    composite = compositeNodeOf(sliceNode)
    wasModifying = composite.StartModify()
    try:
        composite.SetBackgroundVolumeID(background.GetID())
        composite.SetForegroundVolumeID(overlay.GetID())
        composite.SetLabelVolumeID(None)
        composite.SetCompositing(slicer.vtkMRMLSliceCompositeNode.Alpha)
        composite.SetLinkedControl(False)
        # Otherwise the next volume that is loaded would replace what is compared.
        composite.SetDoPropagateVolumeSelection(False)
    finally:
        composite.EndModify(wasModifying)


def ordinarySliceNodes() -> list[Any]:
    """The slice nodes of all views but the comparison's."""
    tags = {viewTag(row, orientation) for row in ROWS for orientation in ORIENTATIONS}
    return [node for node in slicer.util.getNodesByClass("vtkMRMLSliceNode") if node.GetLayoutName() not in tags]


def showOverImage(overlay, opacity: float, background=None) -> None:
    """Show an overlay in the ordinary slice views, over what they show or over another background.

    No labelmap covers it there. The views of the comparison are left alone: their rows are labelled with what they
    show.
    """
    for sliceNode in ordinarySliceNodes():
        showPatientAxes(sliceNode)
        composite = compositeNodeOf(sliceNode)
        if background is not None:
            composite.SetBackgroundVolumeID(background.GetID())
        composite.SetForegroundVolumeID(overlay.GetID())
        composite.SetForegroundOpacity(opacity)
        composite.SetLabelVolumeID(None)


def showInPlaceOf(original, volume) -> None:
    """Show a volume in the ordinary slice views that have another one as background; None as that one is in none."""
    for sliceNode in ordinarySliceNodes() if original is not None else ():
        composite = compositeNodeOf(sliceNode)
        if composite.GetBackgroundVolumeID() == original.GetID():
            composite.SetBackgroundVolumeID(volume.GetID())


def hideLabelmaps(nodes: Sequence[Any]) -> None:
    """Take labelmap volumes out of every slice view, whose label layer would cover what lies under it."""
    hidden = {node.GetID() for node in nodes}
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        if composite.GetLabelVolumeID() in hidden:
            composite.SetLabelVolumeID(None)


def jumpAllViews(ras: Sequence[float], *, centred: bool = True) -> None:
    """Show the slices through a position (RAS, mm) in every slice view; `centred`: in the middle of the view."""
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        (node.JumpSliceByCentering if centred else node.JumpSliceByOffsetting)(*ras)


def shownSliceNodes() -> list[Any]:
    """The slice nodes of the views that the layout shows."""
    return [node for node in slicer.util.getNodesByClass("vtkMRMLSliceNode") if node.IsMappedInLayout()]


def nearestView(normal: Sequence[float]) -> Any | None:
    """The shown slice node whose normal is nearest to a direction (RAS), at most 45 degrees away; None if none is."""
    nearest, best = None, math.cos(math.radians(45)) - 1e-6
    for node in shownSliceNodes():
        cosine = abs(float(np.dot(normalOf(node), normal)))
        if cosine > best:
            nearest, best = node, cosine
    return nearest


def normalOf(sliceNode) -> tuple[float, float, float]:
    """The direction (RAS, length 1) along which a slice view's offset counts."""
    matrix = sliceNode.GetSliceToRAS()
    normal = np.array([matrix.GetElement(row, 2) for row in range(3)])
    return tuple((normal / np.linalg.norm(normal)).tolist())


def sliceCentre(sliceNode) -> tuple[float, float, float]:
    """The point (RAS, mm) in the middle of a slice view."""
    matrix = sliceNode.GetSliceToRAS()
    right, anterior, superior = (matrix.GetElement(row, 3) for row in range(3))
    return right, anterior, superior


def centreOn(sliceNode, volume) -> tuple[float, float]:
    """Centre a view on a volume without leaving the slice; returns the volume's width and height there in mm."""
    offset = sliceNode.GetSliceOffset()
    sliceToRas = vtk.vtkMatrix4x4()
    sliceToRas.DeepCopy(sliceNode.GetSliceToRAS())
    for row in range(3):
        sliceToRas.SetElement(row, 3, 0.0)
    rasToSlice = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(sliceToRas, rasToSlice)
    bounds = [0.0] * 6
    volume.GetSliceBounds(bounds, rasToSlice)
    centre = ((bounds[0] + bounds[1]) / 2, (bounds[2] + bounds[3]) / 2, offset, 1.0)
    for row, value in enumerate(sliceToRas.MultiplyPoint(centre)[:3]):
        sliceToRas.SetElement(row, 3, value)
    sliceNode.GetSliceToRAS().DeepCopy(sliceToRas)
    sliceNode.SetSliceOrigin(0, 0, 0)
    sliceNode.UpdateMatrices()
    return bounds[1] - bounds[0], bounds[3] - bounds[2]
