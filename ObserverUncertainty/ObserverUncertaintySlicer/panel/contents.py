"""What raters and volumes hold: keys that change with it, so that figures are computed once, and news of changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import slicer
import vtk
from slicer.util import VTKObservationMixin

from ObserverUncertaintySlicer.raters import Rater

Key = tuple[Any, ...]

_CONVERTER = slicer.vtkSegmentationConverter


def raterKey(rater: Rater) -> Key:
    """Changes with a rater's name, voxels and place in the world, not with its colour."""
    node = rater.node
    if not rater.segmentID:
        return (rater.name, *volumeKey(node))
    segment = node.GetSegmentation().GetSegment(rater.segmentID)
    names = (
        _CONVERTER.GetSegmentationBinaryLabelmapRepresentationName(),
        _CONVERTER.GetSegmentationClosedSurfaceRepresentationName(),
    )
    # A surface that is only shown in 3D changes nothing: the labelmap comes first.
    stored = next(filter(None, map(segment.GetRepresentation, names)), None)
    return (
        node.GetID(),
        rater.segmentID,
        rater.name,
        segment.GetLabelValue(),
        stored.GetMTime() if stored is not None else 0,
        _placeKey(node),
    )


def gridKey(volumeNode) -> Key:
    """Changes with a volume's grid in the world, not with its voxels' values."""
    image, matrix = volumeNode.GetImageData(), vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    elements = tuple(matrix.GetElement(row, column) for row in range(3) for column in range(4))
    return volumeNode.GetID(), image.GetExtent() if image is not None else None, elements, _placeKey(volumeNode)


def volumeKey(volumeNode) -> Key:
    """Changes with a volume's grid in the world and its voxels' values."""
    image = volumeNode.GetImageData()
    return *gridKey(volumeNode), image.GetMTime() if image is not None else 0


def _placeKey(node) -> Key:
    transform = node.GetParentTransformNode()
    return () if transform is None else (transform.GetID(), transform.GetTransformToWorldMTime())


class ContentWatch(VTKObservationMixin):
    """Tells when the content of nodes changes: voxels, segments, names, colours, transforms.

    Args:
        changed: called without arguments at each change, often many times in a row.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self._changed = changed

    def follow(self, nodes: Iterable[Any]) -> None:
        """Watch these nodes, and no others any more."""
        wanted = set(nodes)
        if wanted == {observation[0] for observation in self.Observations}:
            return
        self.removeObservers()
        for node in wanted:
            for event in _eventsOf(node):
                self.addObserver(node, event, self._onEvent)

    def _onEvent(self, _caller, _event) -> None:
        self._changed()


def _eventsOf(node) -> list[int]:
    events = [vtk.vtkCommand.ModifiedEvent, slicer.vtkMRMLTransformableNode.TransformModifiedEvent]
    if node.IsA("vtkMRMLSegmentationNode"):
        # The node passes its segmentation's events on, also after the segmentation was replaced.
        kinds = slicer.vtkSegmentation
        events += [
            kinds.SourceRepresentationModified,
            kinds.SegmentAdded,
            kinds.SegmentRemoved,
            kinds.SegmentModified,
        ]
    else:
        events.append(slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent)
    return events
