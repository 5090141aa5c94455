"""Segments of segmentation nodes as boolean voxels, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.hierarchy import placeBeside
from ObserverUncertaintySlicer.volumes import (
    arrayOfImage,
    arrayOfMatrix,
    fillImage,
    gridOfMatrix,
    gridOfVolume,
    vtkMatrixOfGrid,
    worldFromLocal,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ObserverUncertaintyLib.images.grid import Grid

_CONVERTER = slicer.vtkSegmentationConverter
_LABELMAP = _CONVERTER.GetSegmentationBinaryLabelmapRepresentationName()
_SURFACE = _CONVERTER.GetSegmentationClosedSurfaceRepresentationName()


def segmentVoxels(segmentationNode, segmentID: str, grid: Grid) -> tuple[NDArray[np.bool_], NDArray[np.float64], str]:
    """The voxels of a segment where they are stored, without changing its node.

    A segment that has only a closed surface is converted on `grid`, in a copy.

    Returns:
        bool, shape (k, j, i), which may have no voxels at all; the 4x4 matrix from its voxel index to world RAS mm; and
        a note if the segment was converted, else "".

    Raises:
        InputError: the segment has neither a labelmap nor a surface, or a transform that is not linear.
    """
    segment = segmentationNode.GetSegmentation().GetSegment(segmentID)
    image, surface = segment.GetRepresentation(_LABELMAP), segment.GetRepresentation(_SURFACE)
    if image is not None:
        return *_voxels(image, segment.GetLabelValue(), worldFromLocal(segmentationNode)), ""
    if surface is not None:
        image = _surfaceAsLabelmap(segmentationNode, segment, surface, grid)
        return *_voxels(image, 1, np.eye(4)), "converted from a closed surface"
    kinds: list[str] = []
    segment.GetContainedRepresentationNames(kinds)
    if not kinds:
        return np.zeros((0, 0, 0), bool), np.eye(4), ""
    raise InputError(
        f"{segmentationNode.GetName()}: segment {segment.GetName()} is stored as {', '.join(kinds)}; expected a binary "
        "labelmap or a closed surface. Create the binary labelmap in the module Segmentations (Representations)."
    )


def _voxels(image, labelValue: int, world: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    ijkToRas = world @ arrayOfMatrix(matrix)
    if image.GetPointData().GetScalars() is None or image.GetNumberOfPoints() == 0:
        return np.zeros((0, 0, 0), bool), ijkToRas
    # A labelmap may begin anywhere in the segmentation's grid, and several segments may share one.
    ijkToRas[:, 3] = ijkToRas @ np.array([*image.GetExtent()[::2], 1.0])
    return arrayOfImage(image) == labelValue, ijkToRas


def _surfaceAsLabelmap(segmentationNode, segment, surface, grid: Grid):
    """The inside of a surface in world coordinates on `grid`, as Slicer's own conversion finds it."""
    placed = vtk.vtkPolyData()
    placed.DeepCopy(surface)
    transform = segmentationNode.GetParentTransformNode()
    if transform is not None:
        toWorld = vtk.vtkGeneralTransform()
        transform.GetTransformToWorld(toWorld)
        mover = vtk.vtkTransformPolyDataFilter()
        mover.SetInputData(surface)
        mover.SetTransform(toWorld)
        mover.Update()
        placed.DeepCopy(mover.GetOutput())
    segmentation = slicer.vtkSegmentation()
    segmentation.SetSourceRepresentationName(_SURFACE)
    copy = slicer.vtkSegment()
    copy.AddRepresentation(_SURFACE, placed)
    segmentation.AddSegment(copy, "surface")
    segmentation.SetConversionParameter(_CONVERTER.GetReferenceImageGeometryParameterName(), _serialized(grid))
    if not segmentation.CreateRepresentation(_LABELMAP):
        raise InputError(
            f"{segmentationNode.GetName()}: the closed surface of segment {segment.GetName()} cannot be converted to a "
            "binary labelmap; expected a closed surface. Convert it in the module Segmentations (Representations)."
        )
    return segmentation.GetSegment("surface").GetRepresentation(_LABELMAP)


def referenceGrid(segmentationNode) -> Grid | None:
    """The grid a segmentation was drawn on, in world coordinates.

    The reference volume's where the scene has it; else the geometry kept in the segmentation; else the box of all its
    labelmaps; None if it has none of these.

    Raises:
        InputError: transforms turn it into a grid whose axes are not perpendicular, or are not linear.
    """
    role = segmentationNode.GetReferenceImageGeometryReferenceRole()
    volume = segmentationNode.GetNodeReference(role)
    if volume is not None and volume.GetImageData() is not None:
        return gridOfVolume(volume)
    return keptGrid(segmentationNode)


def keptGrid(segmentationNode) -> Grid | None:
    """The grid kept in a segmentation itself, in world coordinates: where its voxels are, also if the image has moved.

    Else the box of all its labelmaps; None if it has neither.

    Raises:
        InputError: transforms turn it into a grid whose axes are not perpendicular, or are not linear.
    """
    segmentation = segmentationNode.GetSegmentation()
    text = segmentation.GetConversionParameter(_CONVERTER.GetReferenceImageGeometryParameterName())
    if not text:
        text = segmentation.DetermineCommonLabelmapGeometry(segmentation.EXTENT_UNION_OF_SEGMENTS, None)
    matrix, extent = vtk.vtkMatrix4x4(), [0, -1, 0, -1, 0, -1]
    if not text or not _CONVERTER.DeserializeImageGeometry(text, matrix, extent):
        return None
    i, j, k = (high - low + 1 for low, high in zip(extent[::2], extent[1::2], strict=True))
    if min(i, j, k) < 1:
        return None
    ijkToRas = worldFromLocal(segmentationNode) @ arrayOfMatrix(matrix)
    ijkToRas[:, 3] = ijkToRas @ np.array([*extent[::2], 1.0])
    return gridOfMatrix(ijkToRas, (i, j, k), segmentationNode.GetName())


def addSegmentation(
    mask: NDArray[np.bool_], grid: Grid, name: str, segmentName: str, color: tuple[float, float, float], beside=None
):
    """Add a segmentation node with one segment.

    Args:
        mask: bool, shape (k, j, i) on `grid`.
        grid: in world coordinates; it becomes the segmentation's reference geometry.
        name: the node's name.
        segmentName: the segment's name.
        color: of the segment, red, green and blue in 0..1.
        beside: a node whose place in the subject hierarchy the new one shares.

    Returns:
        The vtkMRMLSegmentationNode.
    """
    node = addEmptySegmentation(grid, name, beside)
    setSegment(node, addSegment(node, segmentName, color), mask, grid)
    return node


def addEmptySegmentation(grid: Grid, name: str, beside=None):
    """Add a segmentation node without segments, to be drawn on `grid` (in world coordinates)."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    setReferenceGrid(node, grid)
    placeBeside(node, beside)
    return node


def addSegment(segmentationNode, name: str, color: tuple[float, float, float]) -> str:
    """Add an empty segment and return its ID."""
    return segmentationNode.GetSegmentation().AddEmptySegment("", name, list(color))


def setReferenceGrid(segmentationNode, grid: Grid, volumeNode=None) -> None:
    """Make `grid` (in world coordinates) the geometry that a segmentation without parent transform is drawn on.

    `volumeNode` is the volume that has this grid, if one has; the Segment Editor takes it as the source volume.
    """
    role = segmentationNode.GetReferenceImageGeometryReferenceRole()
    segmentationNode.SetNodeReferenceID(role, volumeNode.GetID() if volumeNode is not None else None)
    parameter = _CONVERTER.GetReferenceImageGeometryParameterName()
    segmentationNode.GetSegmentation().SetConversionParameter(parameter, _serialized(grid))


def setSegment(segmentationNode, segmentID: str, mask: NDArray[Any], grid: Grid) -> None:
    """Replace the voxels of a segment; other segments keep theirs, also where they overlap.

    Args:
        segmentationNode: without parent transform.
        segmentID: a segment of it.
        mask: bool, shape (k, j, i) on `grid`.
        grid: in world coordinates.
    """
    image = slicer.vtkOrientedImageData()
    # Only the box that holds the structure: a segment on a large grid then costs what it holds.
    box = boundingBox(mask) or (slice(0, 1),) * 3
    fillImage(image, mask[box].astype(np.uint8), tuple(side.start for side in reversed(box)))
    image.SetImageToWorldMatrix(vtkMatrixOfGrid(grid))
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    if not logic.SetBinaryLabelmapToSegment(image, segmentationNode, segmentID, logic.MODE_REPLACE):
        raise InputError(
            f"{segmentationNode.GetName()}: the segment {segmentID} cannot be written. Delete it and try again."
        )


def boundingBox(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice] | None:
    """The smallest box that holds all True voxels, as slices of (k, j, i); None if there are none."""
    if mask.size == 0:
        return None
    rows = np.asarray(mask.any(axis=0))
    lines = (mask.any(axis=(1, 2)), rows.any(axis=1), rows.any(axis=0))
    if not lines[0].any():
        return None
    found = [np.flatnonzero(line) for line in lines]
    k, j, i = (slice(int(line[0]), int(line[-1]) + 1) for line in found)
    return k, j, i


def _serialized(grid: Grid) -> str:
    extent = [bound for n in grid.size for bound in (0, n - 1)]
    return _CONVERTER.SerializeImageGeometry(vtkMatrixOfGrid(grid), extent)
