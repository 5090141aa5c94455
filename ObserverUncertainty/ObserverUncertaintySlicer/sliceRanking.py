"""The slices to look at first: ranked by how much uncertainty they hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ObserverUncertaintyLib.errors import InputError
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.volumes import arrayOfVolume, gridOfVolume, matrixOfGrid

MINIMUM_ENTROPY = 0.05
"""Bits; less than that is noise that would add up over many voxels."""
SEPARATION_MM = 6.0
"""Slices nearer than this to a higher ranked one show the same place, and are left out."""

_NORMALS = {"Sagittal": (-1.0, 0.0, 0.0), "Coronal": (0.0, 1.0, 0.0), "Axial": (0.0, 0.0, 1.0)}
"""Of the slice views, in RAS: a view's offset counts along them, so that a sagittal one grows to the left."""


@dataclass(frozen=True)
class RankedSlice:
    """A slice to look at.

    Attributes:
        offset: where a slice view of the orientation shows it, in mm along the view's normal.
        score: entropy above the minimum, summed over the slice, in mL times bits.
        index: the slice's number along the volume's axis that is nearest to the orientation's.
    """

    offset: float
    score: float
    index: int


def rankedSlices(entropyVolume, orientation: str = "Axial", minimum: float = MINIMUM_ENTROPY) -> list[RankedSlice]:
    """Slices of a volume of entropy, the one that holds most uncertainty first.

    Args:
        entropyVolume: scalar volume in bits.
        orientation: "Axial", "Sagittal" or "Coronal".
        minimum: voxels with less entropy count nothing.

    Returns:
        One slice a place: neighbours of a higher ranked slice are left out. Empty where nothing is uncertain.

    Raises:
        InputError: the volume has no voxels, or the orientation is another one.
    """
    if orientation not in _NORMALS:
        raise InputError(
            _("{orientation} is no orientation; expected one of {known}.").format(
                orientation=orientation, known=", ".join(_NORMALS)
            )
        )
    entropy = arrayOfVolume(entropyVolume).astype(np.float64)
    entropy[~(entropy >= minimum)] = 0
    grid = gridOfVolume(entropyVolume)
    ijkToRas, normal = matrixOfGrid(grid), np.array(_NORMALS[orientation])
    # The volume's axis (i, j or k) that runs most along the orientation's.
    axis = int(np.argmax(np.abs(normal @ np.asarray(grid.direction).reshape(3, 3))))
    perSlice = entropy.sum(axis=tuple(a for a in range(3) if a != 2 - axis))
    ranked: list[RankedSlice] = []
    # A stable sort, so that equal slices come in the volume's order.
    for index in np.argsort(-perSlice, kind="stable"):
        if perSlice[index] <= 0:
            break
        plane = np.take(entropy, index, axis=2 - axis)
        centre = _centroid(plane, axis, int(index))
        offset = float(normal @ (ijkToRas @ np.array([*centre, 1.0]))[:3])
        if all(abs(offset - other.offset) >= SEPARATION_MM for other in ranked):
            ranked.append(RankedSlice(offset, float(perSlice[index] * grid.voxel_volume_ml), int(index)))
    return ranked


def _centroid(plane: np.ndarray, axis: int, index: int) -> list[float]:
    """The entropy-weighted centre (i, j, k) of one slice; `plane` has the two other array axes in (k, j, i) order."""
    weights = [plane.sum(axis=1), plane.sum(axis=0)]
    first, second = (float(np.average(np.arange(len(w)), weights=w)) for w in weights)
    others = [a for a in (2, 1, 0) if a != axis]  # voxel axes of the plane's rows and columns
    centre = [0.0, 0.0, 0.0]
    centre[axis] = float(index)
    centre[others[0]], centre[others[1]] = first, second
    return centre
