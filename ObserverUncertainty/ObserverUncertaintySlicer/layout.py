"""Predictive and expert entropy side by side: one row each, axial, sagittal and coronal, linked, on one scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk
from scipy import ndimage

from ObserverUncertaintyLib.errors import InputError
from ObserverUncertaintySlicer.disagreement import requireOneGrid
from ObserverUncertaintySlicer.display import DEFAULT_THRESHOLD, showAsDifference, showAsEntropy, showLegend
from ObserverUncertaintySlicer.host import processEvents
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.outlines import hideSegmentations, showRaterOutlines, showSegmentations
from ObserverUncertaintySlicer.raters import asRaters
from ObserverUncertaintySlicer.sliceLinks import SliceLinks
from ObserverUncertaintySlicer.sliceViews import (
    ORIENTATIONS,
    ROWS,
    centreOn,
    compositeNodeOf,
    fillView,
    rowSliceNode,
    viewTag,
)
from ObserverUncertaintySlicer.volumes import arrayOfVolume, gridOfVolume, matrixOfGrid, voxelsOf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

DEFAULT_OPACITY = 0.7

# Any number that no other extension is likely to use; the layout with three rows has the next one.
_LAYOUT = 20181
_VIEW_GROUP = 20181
_PREVIOUS_LAYOUT = "ObserverUncertainty.PreviousLayout"
_COLORS = {"Axial": "#F34A33", "Sagittal": "#EDD54C", "Coronal": "#6EB04B"}  # Slicer's colours of the orientations

# Keeps the colour legend off most of the image.
_MARGIN = 1.1

# Edge of the cube over which uncertainty is averaged: larger than a noisy voxel, smaller than a structure of interest.
_NEIGHBOURHOOD_MM = 5.0


class CompareViews:
    """The views that `compare` laid out.

    Attributes:
        sliceNodes: the vtkMRMLSliceNodes row by row, each row axial, sagittal, coronal.
        previousLayout: number of the layout that was shown before.
    """

    def __init__(self, background, overlays: Sequence[Any], previousLayout: int, layoutLogic) -> None:
        self.sliceNodes = [
            rowSliceNode(row, orientation) for row in ROWS[: len(overlays)] for orientation in ORIENTATIONS
        ]
        self.previousLayout = previousLayout
        self._background = background
        self._overlays = list(overlays)
        self._layoutLogic = layoutLogic
        columns = [self.sliceNodes[column :: len(ORIENTATIONS)] for column in range(len(ORIENTATIONS))]
        self._links = SliceLinks(columns)
        layoutNode = _layoutNode()
        scene = slicer.mrmlScene
        self._observations = [
            (layoutNode, layoutNode.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onLayoutModified)),
            (scene, scene.AddObserver(slicer.vtkMRMLScene.StartCloseEvent, self._onSceneClosing)),
        ]

    @property
    def isOpen(self) -> bool:
        """Whether the views are still linked and shown; False after another layout was chosen or the scene closed."""
        return bool(self._observations)

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
        for row, volume in zip(ROWS, self._overlays, strict=False):
            if slicer.mrmlScene.IsNodePresent(volume):
                (showAsDifference if row == "Difference" else showAsEntropy)(volume, threshold)

    def jumpTo(self, ras: Sequence[float]) -> None:
        """Show the slices through a position (RAS, mm) in every view."""
        for sliceNode in self.sliceNodes:
            sliceNode.JumpSliceByOffsetting(*ras)

    def fit(self) -> None:
        """Show the whole background in every view, all at the same scale; the slices stay the same."""
        if not slicer.mrmlScene.IsNodePresent(self._background):
            return
        needed = []
        for sliceNode in self.sliceNodes:
            extent = centreOn(sliceNode, self._background)
            needed += [length / pixels for length, pixels in zip(extent, sliceNode.GetDimensions(), strict=False)]
        millimetresPerPixel = _MARGIN * max(needed)
        for sliceNode in self.sliceNodes:
            width, height, _depth = sliceNode.GetDimensions()
            sliceNode.SetFieldOfView(
                millimetresPerPixel * width, millimetresPerPixel * height, sliceNode.GetFieldOfView()[2]
            )

    def restoreLayout(self) -> None:
        """Go back to the layout before `compare`, with segmentations shown as they were."""
        layoutNode = _layoutNode()
        if layoutNode is not None and _isComparing(layoutNode):
            layoutNode.SetViewArrangement(self.previousLayout)
        self.close()

    def close(self) -> None:
        """Stop linking, remove the outlines and show segmentations as before; safe to call twice."""
        if not self.isOpen:
            return
        self._stopObserving()
        showSegmentations()

    def _stopObserving(self) -> None:
        self._links.close()
        for node, tag in self._observations:
            node.RemoveObserver(tag)
        self._observations = []
        if self._layoutLogic is not None:
            self._layoutLogic.SetMRMLScene(None)
            self._layoutLogic = None

    def _onLayoutModified(self, layoutNode, _event) -> None:
        # A view shown maximised is still one of these views.
        passing = (layoutNode.SlicerLayoutNone, layoutNode.SlicerLayoutMaximizedView)
        if not _isComparing(layoutNode) and layoutNode.GetViewArrangement() not in passing:
            self.close()

    def _onSceneClosing(self, _scene, _event) -> None:
        self._stopObserving()


_current: CompareViews | None = None


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
    global _current
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

    if _current is not None:
        _current.close()
    previousLayout, layoutLogic = _showLayout(len(overlays))
    views = _current = CompareViews(backgroundVolume, overlays, previousLayout, layoutLogic)
    titles = (_("Predictive\nentropy\n(bits)"), _("Expert\nentropy\n(bits)"), _("Predictive\n- expert\n(bits)"))
    for row, (overlay, title) in enumerate(zip(overlays, titles, strict=False)):
        rowNodes = views.sliceNodes[row * len(ORIENTATIONS) :][: len(ORIENTATIONS)]
        for sliceNode in rowNodes:
            fillView(sliceNode, backgroundVolume, overlay)
        showLegend(overlay, title, rowNodes)
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


def mostUncertainPoint(entropyVolume) -> tuple[float, float, float]:
    """The place (RAS, mm) around which uncertainty is highest: of the largest mean over a cube of 5 mm.

    Args:
        entropyVolume: scalar volume; larger is less certain.

    Returns:
        The centre of a voxel in world coordinates.

    Raises:
        InputError: not a scalar volume with voxels, or it is 0 everywhere.
    """
    grid = gridOfVolume(entropyVolume)
    array = arrayOfVolume(entropyVolume)
    if array.max() <= 0:
        raise InputError(
            _("{name}: it is 0 everywhere, so that no place is most uncertain; expected uncertainty somewhere.").format(
                name=entropyVolume.GetName()
            )
        )
    # (k, j, i) for the array, odd so that the cube is centred on a voxel.
    size = [2 * round(_NEIGHBOURHOOD_MM / 2 / spacing) + 1 for spacing in grid.spacing[::-1]]
    mean = ndimage.uniform_filter(array, size, mode="constant")
    k, j, i = np.unravel_index(np.argmax(mean), mean.shape)
    right, anterior, superior, _one = matrixOfGrid(grid) @ (i, j, k, 1)
    return float(right), float(anterior), float(superior)


def registerLayout(rows: int = 2) -> int:
    """Tell the scene's layout node of the layout with 2 or 3 rows; call it at start, so that saved scenes find it.

    Returns:
        The layout's number, for vtkMRMLLayoutNode.SetViewArrangement.
    """
    layoutNode = _layoutNode()
    if layoutNode is None:
        raise InputError(_("The scene has no layout node; expected one, as the Slicer application makes."))
    number = _LAYOUT + rows - 2
    if not layoutNode.AddLayoutDescription(number, _description(rows)):
        layoutNode.SetLayoutDescription(number, _description(rows))
    return number


def _description(rows: int) -> str:
    views = "".join(
        "<item><layout type='horizontal'>"
        + "".join(
            f"<item><view class='vtkMRMLSliceNode' singletontag='{viewTag(row, orientation)}'>"
            f"<property name='orientation' action='default'>{orientation}</property>"
            f"<property name='viewlabel' action='default'>{row} {orientation}</property>"
            f"<property name='viewcolor' action='default'>{_COLORS[orientation]}</property>"
            f"<property name='viewgroup' action='default'>{_VIEW_GROUP}</property>"
            "</view></item>"
            for orientation in ORIENTATIONS
        )
        + "</layout></item>"
        for row in ROWS[:rows]
    )
    return f"<layout type='vertical' split='true'>{views}</layout>"


def _showLayout(rows: int):
    """Show the layout; returns the number of the one before it, and the layout logic if one had to be made.

    The application's layout logic makes the views of a layout. Where there is none, one must do it, and live on for
    the next change of layout.
    """
    logic = _newLayoutLogic() if _layoutNode() is None else None
    layoutNode = _layoutNode()
    if not _isComparing(layoutNode):
        layoutNode.SetAttribute(_PREVIOUS_LAYOUT, str(layoutNode.GetViewArrangement()))
    layoutNode.SetViewArrangement(registerLayout(rows))
    tags = [viewTag(row, orientation) for row in ROWS[:rows] for orientation in ORIENTATIONS]
    if not all(slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSliceNode") for tag in tags):
        logic = _newLayoutLogic()
    # Kept by the node, since a scene may have been saved and reopened while comparing.
    return int(layoutNode.GetAttribute(_PREVIOUS_LAYOUT) or layoutNode.SlicerLayoutFourUpView), logic


def _newLayoutLogic():
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(slicer.mrmlScene)
    return logic


def _requireOpacity(opacity: float) -> None:
    if not 0 <= opacity <= 1:
        raise InputError(_("The opacity is {opacity:g}; expected 0 to 1.").format(opacity=opacity))


def _isComparing(layoutNode) -> bool:
    return layoutNode.GetViewArrangement() in (_LAYOUT, _LAYOUT + 1)


def _layoutNode():
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
