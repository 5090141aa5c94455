"""Predictive and expert entropy side by side: one row each, axial, sagittal and coronal, linked, on one scale.

One comparison is shown at a time. It ends when the user goes back or chooses another layout, when a volume that it
shows leaves the scene, and when the scene is closed; a comparison that comes with a scene is taken up again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer import layoutSwitch
from ObserverUncertaintySlicer.comparisonLayout import ORIENTATIONS, ROWS, rowLabel
from ObserverUncertaintySlicer.disagreement import requireOneGrid
from ObserverUncertaintySlicer.display import DEFAULT_THRESHOLD, LEGENDS, showAsDifference, showAsEntropy, showLegend
from ObserverUncertaintySlicer.host import processEvents
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.outlines import hideSegmentations, showRaterOutlines, showSegmentations
from ObserverUncertaintySlicer.places import mostUncertainPoint
from ObserverUncertaintySlicer.raters import asRaters
from ObserverUncertaintySlicer.sliceLinks import SliceLinks
from ObserverUncertaintySlicer.sliceViews import (
    centreOn,
    compositeNodeOf,
    fillView,
    normalOf,
    ordinarySliceNodes,
    rowSliceNode,
    rowVolumes,
)
from ObserverUncertaintySlicer.viewWidgets import fitControllers, keptWindowSize
from ObserverUncertaintySlicer.volumes import voxelsOf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

DEFAULT_OPACITY = 0.7

# Keeps the colour legend off most of the image.
_MARGIN = 1.1


class CompareViews:
    """The views that `compare` laid out.

    Attributes:
        sliceNodes: the vtkMRMLSliceNodes row by row, each row axial, sagittal, coronal.
        background: the image in every view.
        overlays: the volume of each row.
        whenClosed: called once the comparison has ended, by whatever; nothing if None.
    """

    def __init__(self, background, overlays: Sequence[Any], layoutLogic=None) -> None:
        self.sliceNodes = [
            rowSliceNode(row, orientation, background) for row in ROWS[: len(overlays)] for orientation in ORIENTATIONS
        ]
        self.background = background
        self.overlays = list(overlays)
        self.whenClosed: Callable[[], None] | None = None
        self._layoutLogic = layoutLogic
        columns = [self.sliceNodes[column :: len(ORIENTATIONS)] for column in range(len(ORIENTATIONS))]
        self._links = SliceLinks(columns)
        scene = slicer.mrmlScene
        self._observations = [
            layoutSwitch.followLayout(self._onLayoutChanged),
            (scene, scene.AddObserver(scene.StartCloseEvent, self._onSceneClosing)),
            (scene, scene.AddObserver(scene.NodeRemovedEvent, self._onNodeRemoved)),
        ]
        for sliceNode in self.sliceNodes:
            composite = compositeNodeOf(sliceNode)
            tag = composite.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onContentChanged)
            self._observations.append((composite, tag))

    @property
    def isOpen(self) -> bool:
        """Whether the views are still linked and shown; False after the comparison has ended."""
        return bool(self._observations)

    @property
    def volumes(self) -> list[Any]:
        """The image and the volume of each row."""
        return [self.background, *self.overlays]

    def sliceNode(self, row: str, orientation: str):
        """The slice node of a row (Predictive, Expert, Difference) and an orientation (Axial, Sagittal, Coronal)."""
        return self.sliceNodes[ROWS.index(row) * len(ORIENTATIONS) + ORIENTATIONS.index(orientation)]

    def setOpacity(self, opacity: float) -> None:
        """Set how much the colours cover the background in every view, 0 to 1."""
        _requireOpacity(opacity)
        for sliceNode in self.sliceNodes:
            compositeNodeOf(sliceNode).SetForegroundOpacity(opacity)

    def setThreshold(self, threshold: float) -> None:
        """Set the entropy, and the absolute difference, in bits below which nothing is drawn; from 0 to below 1."""
        for row, volume in zip(ROWS, self.overlays, strict=False):
            if slicer.mrmlScene.IsNodePresent(volume):
                (showAsDifference if row == "Difference" else showAsEntropy)(volume, threshold)

    @property
    def place(self) -> tuple[float, float, float]:
        """The position (RAS, mm) where the slices of the first row meet."""
        row = self.sliceNodes[: len(ORIENTATIONS)]
        normals, offsets = [normalOf(node) for node in row], [node.GetSliceOffset() for node in row]
        return tuple(np.linalg.solve(normals, offsets).tolist())

    def jumpTo(self, ras: Sequence[float]) -> None:
        """Show the slices through a position (RAS, mm) in every view."""
        for sliceNode in self.sliceNodes:
            sliceNode.JumpSliceByOffsetting(*ras)

    def fit(self) -> None:
        """Show the whole background in every view, all at the same scale; the slices stay the same."""
        if not slicer.mrmlScene.IsNodePresent(self.background):
            return
        needed = []
        for sliceNode in self.sliceNodes:
            extent = centreOn(sliceNode, self.background)
            needed += [length / pixels for length, pixels in zip(extent, sliceNode.GetDimensions(), strict=False)]
        millimetresPerPixel = _MARGIN * max(needed)
        for sliceNode in self.sliceNodes:
            width, height, _depth = sliceNode.GetDimensions()
            sliceNode.SetFieldOfView(
                millimetresPerPixel * width, millimetresPerPixel * height, sliceNode.GetFieldOfView()[2]
            )

    def restoreLayout(self) -> None:
        """Go back to the layout before `compare`, with segmentations shown as they were."""
        layoutSwitch.leaveRows()
        self.close()

    def close(self) -> None:
        """Stop linking, hide the outlines and show segmentations as before; safe to call twice."""
        if not self.isOpen:
            return
        self._links.close()
        for node, tag in self._observations:
            node.RemoveObserver(tag)
        self._observations = []
        if self._layoutLogic is not None:
            self._layoutLogic.SetMRMLScene(None)
            self._layoutLogic = None
        showSegmentations()
        if self.whenClosed is not None:
            self.whenClosed()

    def _onLayoutChanged(self) -> None:
        if not layoutSwitch.shownRows() and not layoutSwitch.isPassing():
            self.close()

    def _onSceneClosing(self, _scene, _event) -> None:
        self.restoreLayout()

    def _onNodeRemoved(self, scene, _event) -> None:
        if not all(scene.IsNodePresent(volume) for volume in self.volumes):
            self.restoreLayout()

    def _onContentChanged(self, _composite, _event) -> None:
        # The user may choose another foreground in a view: then the row's letter would be untrue.
        for row, overlay in zip(ROWS, self.overlays, strict=False):
            for orientation in ORIENTATIONS:
                sliceNode = self.sliceNode(row, orientation)
                shown = compositeNodeOf(sliceNode).GetForegroundVolumeID()
                sliceNode.SetLayoutLabel(rowLabel(row) if shown == overlay.GetID() else "?")


_present: CompareViews | None = None


def presentViews() -> CompareViews | None:
    """The comparison that is shown; None if there is none."""
    return _present if _present is not None and _present.isOpen else None


def compare(
    backgroundVolume,
    predictiveEntropy,
    expertEntropy,
    raters: Sequence[Any],
    difference=None,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    opacity: float = DEFAULT_OPACITY,
) -> CompareViews:
    """Lay out predictive and expert entropy over the same image, row by row, at the most uncertain place.

    Args:
        backgroundVolume: the image, drawn as it is set up (window, level) in every view.
        predictiveEntropy: first row; bits, 0 to 1.
        expertEntropy: second row; bits, 0 to 1, on the first one's grid. Colours have the same scale as there.
        raters: outlined in their own colours; may be empty.
        difference: third row if given; predictive minus expert entropy, -1 to 1.
        threshold: bits below which nothing is drawn.
        opacity: of the colours, 0 to 1.

    Returns:
        The views. An earlier comparison is closed; only one is shown at a time.

    Raises:
        InputError: a volume or rater cannot be used; the layout is unchanged then.
    """
    global _present
    _requireOpacity(opacity)
    raters = asRaters(raters) if raters else []
    for volume in (backgroundVolume, predictiveEntropy, expertEntropy, *([] if difference is None else [difference])):
        voxelsOf(volume)
    requireOneGrid(predictiveEntropy, expertEntropy)
    showAsEntropy(predictiveEntropy, threshold)
    showAsEntropy(expertEntropy, threshold)
    overlays = [predictiveEntropy, expertEntropy]
    if difference is not None:
        showAsDifference(difference, threshold)
        overlays.append(difference)

    if _present is not None:
        _present.close()
    with keptWindowSize():
        views = _present = CompareViews(backgroundVolume, overlays, layoutSwitch.showRows(len(overlays)))
        _fill(views)
        views.setOpacity(opacity)
        hideSegmentations(views.sliceNodes)
        showRaterOutlines(raters, views.sliceNodes)
        # In the application, views get their size only now.
        processEvents()
    views.fit()
    uncertain = next((volume for volume in overlays[:2] if voxelsOf(volume).max() > 0), None)
    if uncertain is not None:
        views.jumpTo(mostUncertainPoint(uncertain))
    return views


def resume() -> CompareViews | None:
    """Take up the comparison that a scene shows, such as one that was saved while comparing.

    Returns:
        The views, linked and with their legends; the present ones where they are open already. None where the scene
        shows no comparison, or only a part of one: then the layout from before comes back.
    """
    global _present
    if presentViews() is not None or not layoutSwitch.shownRows():
        return presentViews()
    background, overlays = rowVolumes(layoutSwitch.shownRows())
    if background is None or None in overlays:
        layoutSwitch.leaveRows()
        showSegmentations()
        return None
    _present = CompareViews(background, overlays, layoutSwitch.showRows(len(overlays)))
    _fill(_present)
    return _present


def _fill(views: CompareViews) -> None:
    fitControllers(views.sliceNodes)
    for row, (overlay, title) in enumerate(zip(views.overlays, LEGENDS.values(), strict=False)):
        rowNodes = views.sliceNodes[row * len(ORIENTATIONS) :][: len(ORIENTATIONS)]
        for sliceNode in rowNodes:
            fillView(sliceNode, views.background, overlay)
        # A legend is drawn only where its volume is, which may be in an ordinary view too.
        showLegend(overlay, title, [*rowNodes, *ordinarySliceNodes()])


def _requireOpacity(opacity: float) -> None:
    if not 0 <= opacity <= 1:
        raise InputError(_("The opacity is {opacity:g}; expected 0 to 1.").format(opacity=opacity))
