"""Slice views that move together, also when a script moves one of them.

Slicer's own link (the chain symbol of a slice view) acts only while the user drags or scrolls in the application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer
import vtk

if TYPE_CHECKING:
    from collections.abc import Sequence


class SliceLinks:
    """Keeps the slice nodes of each group on the same slice, with the same centre, rotation and zoom, until closed.

    Args:
        groups: lists of vtkMRMLSliceNode of one orientation each.
    """

    def __init__(self, groups: Sequence[Sequence[slicer.vtkMRMLSliceNode]]) -> None:
        self._groups = [list(group) for group in groups]
        self._isCopying = False
        self._sizes = {node: node.GetDimensions() for group in self._groups for node in group}
        self._observations = [
            (node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onModified)) for node in self._sizes
        ]

    def close(self) -> None:
        """Stop linking; safe to call twice."""
        for node, tag in self._observations:
            node.RemoveObserver(tag)
        self._observations = []

    def _onModified(self, moved, _event) -> None:
        if self._isCopying or slicer.mrmlScene.IsClosing() or not slicer.mrmlScene.IsNodePresent(moved):
            return
        # Resizing a view changes its field of view in passing; the others are resized in turn.
        wasResized = self._sizes[moved] != moved.GetDimensions()
        self._sizes[moved] = moved.GetDimensions()
        self._isCopying = True
        try:
            for group in self._groups:
                if moved in group:
                    for follower in group:
                        if follower is not moved and slicer.mrmlScene.IsNodePresent(follower):
                            _follow(moved, follower, withZoom=not wasResized)
        finally:
            self._isCopying = False


def _follow(moved, follower, withZoom: bool) -> None:
    wasModifying = follower.StartModify()
    try:
        follower.GetSliceToRAS().DeepCopy(moved.GetSliceToRAS())
        if withZoom:
            follower.SetXYZOrigin(*moved.GetXYZOrigin())
            millimetresPerPixel = moved.GetFieldOfView()[0] / moved.GetDimensions()[0]
            width, height, _ = follower.GetDimensions()
            follower.SetFieldOfView(
                millimetresPerPixel * width, millimetresPerPixel * height, follower.GetFieldOfView()[2]
            )
        follower.UpdateMatrices()
    finally:
        follower.EndModify(wasModifying)
