"""The slice views of the comparison: their nodes, what each shows, and where it looks; and those that are not."""

from __future__ import annotations

import slicer
import vtk

from ObserverUncertaintyLib.errors import InputError
from ObserverUncertaintySlicer.host import tr as _

ORIENTATIONS = ("Axial", "Sagittal", "Coronal")
ROWS = ("Predictive", "Expert", "Difference")


def viewTag(row: str, orientation: str) -> str:
    """Singleton tag and layout name of a view; without spaces, which separate views where display nodes list them."""
    return f"OU{row}{orientation}"


def rowSliceNode(row: str, orientation: str):
    """The slice node of a row and an orientation, set up for the comparison; InputError if no layout logic made it."""
    sliceNode = slicer.mrmlScene.GetSingletonNode(viewTag(row, orientation), "vtkMRMLSliceNode")
    if sliceNode is None:
        raise InputError(_("The views of the comparison were not made; expected the scene's layout to make them."))
    sliceNode.SetName(f"OU {row} {orientation}")
    sliceNode.SetOrientation(orientation)
    sliceNode.SetOrientationMarkerType(sliceNode.OrientationMarkerTypeAxes)
    sliceNode.SetOrientationMarkerSize(sliceNode.OrientationMarkerSizeMedium)
    return sliceNode


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
    """Show an overlay over a background, linked with the views of the same group."""
    composite = compositeNodeOf(sliceNode)
    wasModifying = composite.StartModify()
    try:
        composite.SetBackgroundVolumeID(background.GetID())
        composite.SetForegroundVolumeID(overlay.GetID())
        composite.SetLabelVolumeID(None)
        composite.SetCompositing(slicer.vtkMRMLSliceCompositeNode.Alpha)
        composite.SetLinkedControl(True)
        composite.SetHotLinkedControl(True)
        # Otherwise the next volume that is loaded would replace what is compared.
        composite.SetDoPropagateVolumeSelection(False)
    finally:
        composite.EndModify(wasModifying)


def showOverImage(overlay, opacity: float, background=None) -> None:
    """Show an overlay in the ordinary slice views, over what they show or over another background.

    The views of the comparison are left alone: their rows are labelled with what they show.
    """
    tags = {viewTag(row, orientation) for row in ROWS for orientation in ORIENTATIONS}
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        if composite.GetLayoutName() in tags:
            continue
        if background is not None:
            composite.SetBackgroundVolumeID(background.GetID())
        composite.SetForegroundVolumeID(overlay.GetID())
        composite.SetForegroundOpacity(opacity)


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
