"""A working copy beside the model's probability: what was drawn in it, what follows from that, and how sure it is.

What was drawn is told from how the contour changed, and stands in a hidden segmentation beside the copy, so that it is
saved with the scene.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats.prediction_files import ONE_HALF
from ObserverUncertaintyLib.images.grid import require_same_grid
from ObserverUncertaintyLib.review.contours import VolumeInterval, contour_at, volume_interval
from ObserverUncertaintyLib.review.drawing import Drawing
from ObserverUncertaintyLib.review.propagation import propagate
from ObserverUncertaintyLib.review.slices import slices_to_edit
from ObserverUncertaintySlicer import attributes
from ObserverUncertaintySlicer.attributes import Role
from ObserverUncertaintySlicer.correction import WorkingCopy, contentsOf, startMask
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.palette import WORKING_COLOR
from ObserverUncertaintySlicer.raterMasks import raterMask
from ObserverUncertaintySlicer.raters import Rater
from ObserverUncertaintySlicer.segments import addEmptySegmentation, addSegment, setSegment
from ObserverUncertaintySlicer.volumes import arrayOfVolume, gridOfVolume, rasOf

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ObserverUncertaintyLib.images.grid import Grid

_AXES = ("k", "j", "i")
"""Names of the segments of what was drawn: the axis of the array that slices lie across."""


class ContourReview:
    """Follows a working copy while it is corrected.

    Args:
        copy: the working copy.
        probabilityVolume: the model's probability, on the copy's grid; None where there is no model: then nothing can
            be propagated.
        imageVolume: of that the edges stop a propagation; counts if it lies on the same grid.

    Attributes:
        copy: the working copy.
        grid: that it lies on, in world coordinates.
        lastAxis: across which axis of the array was drawn last; 0 before anything was.

    Raises:
        InputError: the probability lies on another grid, or the copy's segment was deleted.
    """

    def __init__(self, copy: WorkingCopy, probabilityVolume=None, imageVolume=None) -> None:
        self.copy = copy
        self.grid, contour, _note = contentsOf(copy)
        self.lastAxis = 0
        self._probability = None
        self._segmentationLevel = ONE_HALF
        if probabilityVolume is not None:
            require_same_grid(
                self.grid,
                copy.node.GetName(),
                gridOfVolume(probabilityVolume),
                probabilityVolume.GetName(),
                _("Start a working copy on the image that the model was run on."),
            )
            self._probability = arrayOfVolume(probabilityVolume)
            self._segmentationLevel = attributes.SEGMENTATION_LEVEL.of(probabilityVolume, ONE_HALF)
        self._image = None
        if imageVolume is not None and imageVolume.GetImageData() is not None:
            image = arrayOfVolume(imageVolume)
            self._image = image if image.shape == self.grid.shape else None
        self._drawing = Drawing(contour, self.grid, _keptDrawn(copy, self.grid), attributes.LEVEL.of(copy.node))

    @property
    def probability(self) -> NDArray[np.float32]:
        """The model's; raises InputError where there is none."""
        if self._probability is None:
            raise InputError(_("There is no model's result to go by. Run the model in step 4 first."))
        return self._probability

    @property
    def contour(self) -> NDArray[np.bool_]:
        """As it was followed last; bool, shape (k, j, i)."""
        return self._drawing.contour

    @property
    def drawn(self) -> dict[int, NDArray[np.bool_]]:
        """The voxels that were decided, for each axis that something was drawn across."""
        return self._drawing.drawn

    @property
    def level(self) -> float | None:
        """The probability whose contour the copy starts from; None where it starts from another contour."""
        return self._drawing.level

    def follow(self) -> bool:
        """Take up what the user drew or undid; returns whether something was drawn."""
        _grid, contour, _note = contentsOf(self.copy)
        if np.array_equal(contour, self.contour):
            return False
        isDrawn = self._drawing.follow(contour)
        if isDrawn:
            self.lastAxis = self._drawing.strokes[-1].axis
        self._keep()
        return isDrawn

    def drawnSinceStart(self) -> None:
        """Take all in which the copy differs from its start as drawn."""
        contour = self.contour
        self._drawing = Drawing(self._base(), self.grid, level=self.level)
        self._drawing.follow(contour)
        self._keep()

    def editedVoxels(self) -> NDArray[np.bool_]:
        """What the user drew otherwise than it was before; all that was drawn, where that is not known any more."""
        base = self._knownBase()
        return self._isDrawn() if base is None else np.asarray(self._isDrawn() & (self.contour ^ base))

    def propagate(self, saveState: Callable[[], None]) -> float:
        """Carry what was drawn on to the voxels in doubt around it.

        Args:
            saveState: is called before the contour changes, so that it can be undone.

        Returns:
            The volume in mL that changed by this.
        """
        found = propagate(self.probability, self._base(), self.contour, self.drawn, self.grid, self._image)
        return self._replace(found.contour, saveState)

    def decideSlice(self, position: tuple[float, float, float], axis: int) -> None:
        """Find a whole slice right as it is.

        Args:
            position: a point (RAS, mm) in it.
            axis: of the array, across which the slice lies.

        Raises:
            InputError: the position lies outside the image.
        """
        point = np.array([*rasOf(position), 1.0])  # its own inverse
        index = int(np.rint((np.linalg.inv(self.grid.index_to_physical()) @ point)[2 - axis]))
        if not 0 <= index < self.grid.shape[axis]:
            raise InputError(_("The view shows no slice of the image. Go to a place first."))
        self._drawing.decide_slice(index, axis)
        self._keep()

    def setLevel(self, level: float, saveState: Callable[[], None] = lambda: None) -> float:
        """Let the contour be that of another probability, but where something was drawn; returns the mL that change."""
        contour = np.where(self._isDrawn(), self.contour, contour_at(self.probability, level))
        self._drawing.level = level
        return self._replace(contour, saveState)

    def nextSlice(self, axis: int) -> tuple[float, float, float] | None:
        """Where to edit next (RAS, mm): in the slice whose correction settles most; None where no error is expected.

        Args:
            axis: of the array, across which one draws.
        """
        mask = self.drawn.get(axis)
        edited = [] if mask is None else np.flatnonzero(np.moveaxis(mask, axis, 0).any(axis=(1, 2))).tolist()
        ranked = slices_to_edit(self.probability, self.grid, edited, axis, self._segmentationLevel)
        return rasOf(ranked[0].position) if ranked else None

    def normalOf(self, axis: int) -> tuple[float, float, float]:
        """The direction (RAS, length 1) of an axis of the array."""
        along = self.grid.index_to_physical()[:3, 2 - axis] / self.grid.spacing[2 - axis]
        x, y, z = along.tolist()
        return rasOf((x, y, z))

    def interval(self) -> VolumeInterval:
        """The model's volume with its bounds, those of the inner and of the outer contour."""
        return volume_interval(self.probability, self.grid, level=self._segmentationLevel)

    def _base(self) -> NDArray[np.bool_]:
        """The contour as it would be had nobody drawn."""
        base = self._knownBase()
        if base is None:
            raise InputError(
                _("{name} has no start any more, so what was drawn is not known. Start a new working copy.").format(
                    name=self.copy.node.GetName()
                )
            )
        return base

    def _knownBase(self) -> NDArray[np.bool_] | None:
        if self.level is not None and self._probability is not None:
            return contour_at(self._probability, self.level)
        return startMask(self.copy, self.grid)

    def _replace(self, contour: NDArray[np.bool_], saveState: Callable[[], None]) -> float:
        changed = int(np.count_nonzero(contour ^ self.contour))
        if changed:
            saveState()
            setSegment(self.copy.node, self.copy.segmentID, contour, self.grid)
        self._drawing.follow_without_drawing(contour)
        self._keep()
        return changed * self.grid.voxel_volume_ml

    def _isDrawn(self) -> NDArray[np.bool_]:
        return np.logical_or.reduce([np.zeros(self.grid.shape, bool), *self.drawn.values()])

    def _keep(self) -> None:
        """Keep level and strokes with the copy, and so with the scene."""
        attributes.LEVEL.set(self.copy.node, self.level)
        if not self.drawn and attributes.DRAWN.of(self.copy.node) is None:
            return
        node = attributes.DRAWN.of(self.copy.node)
        if node is None:
            node = addEmptySegmentation(self.grid, _("{name}: drawn").format(name=self.copy.node.GetName()))
            node.SetHideFromEditors(True)
            node.GetDisplayNode().SetVisibility(False)
            attributes.ROLE.set(node, Role.DRAWN)
            attributes.DRAWN.set(self.copy.node, node)
        segments = _segmentsByName(node)
        drawn = self.drawn
        for axis, name in enumerate(_AXES):
            if axis in drawn and name not in segments:
                segments[name] = addSegment(node, name, WORKING_COLOR)
            if name in segments:
                setSegment(node, segments[name], drawn.get(axis, np.zeros(self.grid.shape, bool)), self.grid)


def propagateCorrection(copy: WorkingCopy, probabilityVolume, imageVolume=None) -> float:
    """Carry what was drawn in a working copy on to the voxels in doubt around it, for scripts.

    What differs from the start counts as drawn, across the axis along which it extends least.

    Args:
        copy: the working copy.
        probabilityVolume: the model's probability, on the copy's grid.
        imageVolume: of that the edges stop the propagation; None looks at no image.

    Returns:
        The volume in mL that changed.

    Raises:
        InputError: the probability lies on another grid, or the copy or its start was deleted.
    """
    review = ContourReview(copy, probabilityVolume, imageVolume)
    if not review.drawn:
        review.drawnSinceStart()
    return review.propagate(lambda: None)


def _keptDrawn(copy: WorkingCopy, grid: Grid) -> dict[int, NDArray[np.bool_]]:
    node = attributes.DRAWN.of(copy.node)
    if node is None:
        return {}
    segments = _segmentsByName(node)
    return {
        axis: raterMask(Rater(node, segments[name]), grid)[0] for axis, name in enumerate(_AXES) if name in segments
    }


def _segmentsByName(node: slicer.vtkMRMLSegmentationNode) -> dict[str, str]:
    segmentation = node.GetSegmentation()
    return {
        segmentation.GetNthSegment(n).GetName(): segmentation.GetNthSegmentID(n)
        for n in range(segmentation.GetNumberOfSegments())
    }
