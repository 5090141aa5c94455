"""Where to look: the places to review of a model's or the experts' doubt, and the most uncertain place of a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import slicer
from scipy import ndimage

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats.prediction_files import ONE_HALF
from ObserverUncertaintyLib.images.grid import require_same_grid
from ObserverUncertaintyLib.review.places import Place, Places, places_to_review
from ObserverUncertaintySlicer.attributes import ROLE, SEGMENTATION_LEVEL, Role
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.outlines import removeSegmentation, showAsOutline
from ObserverUncertaintySlicer.palette import PLACE_COLOR
from ObserverUncertaintySlicer.raterMasks import raterMasks
from ObserverUncertaintySlicer.segments import addSegmentation, setReferenceGrid, setSegment
from ObserverUncertaintySlicer.volumes import arrayOfVolume, gridOfVolume, matrixOfGrid, rasOf

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ObserverUncertaintyLib.images.grid import Grid

_NEIGHBOURHOOD_MM = 5.0
"""Edge of the cube over which uncertainty is averaged: larger than a noisy voxel, smaller than a structure."""


@dataclass(frozen=True)
class ScenePlaces:
    """The places to review of a case in the scene.

    Attributes:
        found: the places, with positions in LPS, and what is in none of them.
        grid: that they lie on, in world coordinates.
        positions: where to look (RAS, mm), one for each place.
    """

    found: Places
    grid: Grid
    positions: tuple[tuple[float, float, float], ...]

    @property
    def places(self) -> Sequence[Place]:
        """The places, the greatest expected error first."""
        return self.found.places

    def voxels(self, index: int) -> NDArray[np.bool_]:
        """The voxels of the place with this index, from 0; shape (k, j, i)."""
        return np.asarray(self.found.labels == index + 1)


def placesToReview(probabilityVolume, expectedEntropyVolume=None) -> ScenePlaces:
    """The places where a model's segmentation could flip, the most wrong voxels that are expected first.

    Args:
        probabilityVolume: the model's probability, 0 to 1.
        expectedEntropyVolume: the expected entropy of the same prediction, in bits, if it is there.

    Raises:
        InputError: a volume holds something else, both lie on different grids, or the model is unsure nearly
            everywhere.
    """
    grid = gridOfVolume(probabilityVolume)
    expected = None
    if expectedEntropyVolume is not None:
        advice = _("Give both maps of one prediction.")
        names = probabilityVolume.GetName(), expectedEntropyVolume.GetName()
        require_same_grid(grid, names[0], gridOfVolume(expectedEntropyVolume), names[1], advice)
        expected = arrayOfVolume(expectedEntropyVolume)
    level = SEGMENTATION_LEVEL.of(probabilityVolume, ONE_HALF)
    return _placed(places_to_review(arrayOfVolume(probabilityVolume), grid, expected, level), grid)


def placesOfRaters(raters: Sequence, grid: Grid) -> ScenePlaces:
    """The places where the majority of the raters could flip: the share of them who drew a voxel is its probability.

    Raises:
        InputError: a rater cannot be used.
    """
    masks = raterMasks(raters, grid)
    share = masks.onGrid(masks.inBox.mean(axis=0, dtype=np.float32))
    return _placed(places_to_review(share, grid), grid)


def showPlaceOutline(places: ScenePlaces | None, index: int = 0) -> None:
    """Outline one place in the views, in place of the one that was outlined before; None hides the outline.

    It is saved with the scene: Slicer saves its items of the subject hierarchy in any case, and logs errors for items
    without a node.
    """
    node = _outlineNode()
    if places is None:
        if node is not None:
            node.GetDisplayNode().SetVisibility(False)
        return
    voxels = places.voxels(index)
    name = _("place to review")
    if node is None:
        node = addSegmentation(voxels, places.grid, name, name, PLACE_COLOR)
        ROLE.set(node, Role.PLACE)
        node.SetHideFromEditors(True)
        node.GetDisplayNode().SetVisibility3D(False)
    else:
        setReferenceGrid(node, places.grid)
        setSegment(node, node.GetSegmentation().GetNthSegmentID(0), voxels, places.grid)
    showAsOutline(node, 1)


def removePlaceOutline() -> None:
    """Take the outline out of the scene."""
    node = _outlineNode()
    if node is not None:
        removeSegmentation(node)


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
    right, anterior, superior, _one = matrixOfGrid(grid) @ np.array((i, j, k, 1))
    return float(right), float(anterior), float(superior)


def _placed(found: Places, grid: Grid) -> ScenePlaces:
    return ScenePlaces(found, grid, tuple(rasOf(place.position) for place in found.places))


def _outlineNode():
    nodes = slicer.mrmlScene.GetNodesByClass("vtkMRMLSegmentationNode")
    nodes.UnRegister(None)
    every = (nodes.GetItemAsObject(n) for n in range(nodes.GetNumberOfItems()))
    return next((node for node in every if ROLE.of(node) == Role.PLACE), None)
