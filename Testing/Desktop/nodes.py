"""Segmentations of the scene: their voxels, and a watch over their display nodes."""

from __future__ import annotations

import hashlib

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy


def voxels(node) -> dict[str, tuple[int, str]]:
    """Number and hash of each segment's voxels, by segment ID; where the stored array's edges are does not count."""
    result = {}
    segmentation = node.GetSegmentation()
    for segmentID in segmentation.GetSegmentIDs():
        image = slicer.vtkOrientedImageData()
        node.GetBinaryLabelmapRepresentation(segmentID, image)
        x0, _x1, y0, y1, z0, z1 = image.GetExtent()
        scalars = image.GetPointData().GetScalars()
        places = np.empty((0, 3), dtype=np.int32)
        if scalars is not None and scalars.GetNumberOfTuples():
            array = vtk_to_numpy(scalars).reshape(z1 - z0 + 1, y1 - y0 + 1, -1)
            places = np.add(np.argwhere(array), (z0, y0, x0)).astype(np.int32)
        result[segmentID] = (len(places), hashlib.sha256(places.tobytes()).hexdigest()[:16])
    return result


def middle(node) -> tuple[float, ...]:
    """The middle (RAS) of a segmentation's voxels."""
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    return tuple((low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2], strict=True))


class DisplayNodeWatch:
    """Finds display nodes that leave the scene before their segmentation: Slicer then keeps a pointer to nothing."""

    def __init__(self) -> None:
        self._found: list[str] = []
        scene = slicer.mrmlScene
        scene.AddObserver(scene.NodeAboutToBeRemovedEvent, self._onRemove)

    def new(self) -> list[str]:
        """What was found since the last call."""
        found, self._found = self._found, []
        return found

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onRemove(self, scene, _event, node) -> None:
        if not node.IsA("vtkMRMLSegmentationDisplayNode") or scene.IsClosing() or scene.IsBatchProcessing():
            return
        for segmentation in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
            if segmentation.HasNodeReferenceID("display", node.GetID()):
                name = node.GetName() or node.GetID()
                self._found.append(f"display node {name} was removed while {segmentation.GetName()} is in the scene")
