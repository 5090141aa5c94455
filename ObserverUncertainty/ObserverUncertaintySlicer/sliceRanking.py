"""Where to look first: the slices of a view ranked by how much uncertainty they hold, and the most uncertain place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.disagreement import entropyArray
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.volumes import arrayOfVolume, gridOfVolume, matrixOfGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

MINIMUM_ENTROPY = 0.05
"""Bits; less than that is noise that would add up over many voxels."""
SEPARATION_MM = 6.0
"""Slices nearer than this to a higher ranked one show the same place, and are left out; so are direct neighbours."""

# Edge of the cube over which uncertainty is averaged: larger than a noisy voxel, smaller than a structure of interest.
_NEIGHBOURHOOD_MM = 5.0

_NORMALS = {"Sagittal": (-1.0, 0.0, 0.0), "Coronal": (0.0, 1.0, 0.0), "Axial": (0.0, 0.0, 1.0)}
"""Of the slice views, in RAS: a view's offset counts along them, so that a sagittal one grows to the left."""


@dataclass(frozen=True)
class RankedSlice:
    """A slice to look at.

    Attributes:
        offset: where a slice view of the orientation shows it, in mm along the view's normal.
        score: entropy above the minimum, summed over the slice, in mL times bits.
        index: the slice's number along the volume's axis that is nearest to the view's normal; in a slanted volume, of
            the slice that the view cuts in the middle.
        position: the centre (RAS, mm) of its voxel of highest entropy.
    """

    offset: float
    score: float
    index: int
    position: tuple[float, float, float]


def rankedSlices(
    entropyVolume, orientation: str | Sequence[float] = "Axial", minimum: float = MINIMUM_ENTROPY
) -> list[RankedSlice]:
    """Slices of a slice view through a volume of entropy, the one that holds most uncertainty first.

    A slice is as thick as the volume's voxels are along their axis nearest to the view's normal. A voxel of a slanted
    volume counts for the slice its centre lies in.

    Args:
        entropyVolume: scalar volume in bits.
        orientation: "Axial", "Sagittal" or "Coronal"; or the normal (RAS) of a view that is turned otherwise.
        minimum: voxels with less entropy count nothing.

    Returns:
        One slice a place: neighbours of a higher ranked slice are left out. Equal ones come in the volume's order.
        Empty where nothing is uncertain.

    Raises:
        InputError: the volume is no entropy between 0 and 1 bit, or the orientation is another one.
    """
    normal = normalOfOrientation(orientation) if isinstance(orientation, str) else np.asarray(orientation, float)
    entropy = entropyArray(entropyVolume)
    grid = gridOfVolume(entropyVolume)
    toRas = matrixOfGrid(grid)
    unsure = entropy >= max(minimum, float(np.finfo(np.float32).tiny))
    if not unsure.any():
        return []
    weights = entropy[unsure].astype(np.float64)
    *steps, start = normal @ toRas[:3]
    # Where voxels lie along the view's normal, in mm from voxel (0, 0, 0).
    i, j, k = (step * np.arange(n) for step, n in zip(steps, grid.size, strict=True))
    places = (k[:, None, None] + j[:, None] + i)[unsure]
    axis = int(np.argmax(np.abs(steps) / grid.spacing))
    thickness = grid.spacing[axis]
    bins = np.rint(places / thickness).astype(np.int64)
    bins -= bins.min()
    sums = np.bincount(bins, weights)
    occupied = np.flatnonzero(sums)
    scores = sums[occupied] * grid.voxel_volume_ml
    fromFirst = np.bincount(bins, weights * places)[occupied] / sums[occupied]
    middle = sum(steps[other] * (grid.size[other] - 1) / 2 for other in range(3) if other != axis)
    indices = np.clip(np.rint((fromFirst - middle) / steps[axis]), 0, grid.size[axis] - 1).astype(int)
    apart = max(SEPARATION_MM, 1.5 * thickness)
    voxels = np.flatnonzero(unsure)
    ranked: list[RankedSlice] = []
    for n in np.lexsort((indices, -scores)):
        offset = float(start + fromFirst[n])
        if all(abs(offset - other.offset) >= apart for other in ranked):
            members = np.flatnonzero(bins == occupied[n])
            peak = np.unravel_index(voxels[members[np.argmax(weights[members])]], entropy.shape)
            position = tuple((toRas @ (*peak[::-1], 1))[:3].tolist())
            ranked.append(RankedSlice(offset, float(scores[n]), int(indices[n]), position))
    return ranked


def normalOfOrientation(orientation: str) -> NDArray[np.float64]:
    """The normal (RAS) of a slice view with this orientation; raises InputError for another name than the three."""
    if orientation not in _NORMALS:
        raise InputError(
            _("{orientation} is no orientation; expected one of {known}.").format(
                orientation=orientation, known=", ".join(_NORMALS)
            )
        )
    return np.array(_NORMALS[orientation])


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
