"""Raters' masks on one grid.

What had to be done to a rater is never silent: it stands in the notes, and what was lost in the warnings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.scores.metrics import pairwise_dice
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.placement import Placement, placed
from ObserverUncertaintySlicer.raters import Rater, asRaters, raterNames
from ObserverUncertaintySlicer.segments import boundingBox, referenceGrid, segmentVoxels
from ObserverUncertaintySlicer.volumes import gridOfVolume, voxelsOf, worldMatrixOfVolume

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ObserverUncertaintyLib.images.grid import Grid


@dataclass(frozen=True)
class RaterMasks:
    """Raters on one grid.

    Attributes:
        names: of the raters, each once.
        masks: bool, shape (rater, k, j, i).
        grid: in world coordinates.
        notes: what was done to raters (resampled, converted).
        warnings: what the user should know (empty, or cut by the grid's edge).
    """

    names: tuple[str, ...]
    masks: NDArray[np.bool_]
    grid: Grid
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @cached_property
    def box(self) -> tuple[slice, slice, slice]:
        """The box that holds all raters, as slices of (k, j, i); one voxel if all are empty.

        Beyond it all raters agree on background, so that entropy is 0 and every fusion empty.
        """
        return boundingBox(np.asarray(self.masks.any(axis=0))) or (slice(0, 1),) * 3

    @property
    def inBox(self) -> NDArray[np.bool_]:
        """The masks within `box`, a view; shape (rater, k, j, i)."""
        return self.masks[(slice(None), *self.box)]

    def onGrid(self, inBox: NDArray[Any]) -> NDArray[Any]:
        """What was computed within `box`, shape (k, j, i), on the whole grid: 0 beyond the box."""
        array = np.zeros(self.grid.shape, inBox.dtype)
        array[self.box] = inBox
        return array


@dataclass(frozen=True)
class RaterStatistics:
    """Numbers for the table of raters.

    Attributes:
        volumesMl: volume of each rater in mL.
        dice: shape (rater, rater), 1 on the diagonal; NaN between two empty raters.
    """

    volumesMl: list[float]
    dice: NDArray[np.float64]


def commonGrid(raters: Sequence[Any], referenceVolume=None) -> Grid:
    """The grid on which raters are compared, in world coordinates.

    The reference volume's; without one that of the first rater that has a grid: a labelmap's own, or the geometry its
    segmentation was drawn on.

    Raises:
        InputError: no rater has a grid, as with closed surfaces alone, or the grid's axes are not perpendicular.
    """
    if referenceVolume is not None:
        return gridOfVolume(referenceVolume)
    raters = asRaters(raters)
    for rater in raters:
        grid = referenceGrid(rater.node) if rater.segmentID else gridOfVolume(rater.node)
        if grid is not None:
            return grid
    raise InputError(
        _("{name}: none of the raters has a voxel grid of its own. Give a reference volume.").format(
            name=", ".join(rater.name for rater in raters)
        )
    )


def raterMask(rater: Any, grid: Grid) -> tuple[NDArray[np.bool_], str | None]:
    """One rater's mask on a grid.

    Args:
        rater: as `asRaters` takes it.
        grid: in world coordinates; parent transforms of the rater are respected.

    Returns:
        bool, shape (k, j, i), and a note on what was done to it (resampled to the nearest voxel, converted, cut), or
        None.

    Raises:
        InputError: the rater cannot be used.
    """
    (rater,) = asRaters([rater])
    found = _onGrid(rater, raterNames([rater])[0], grid)
    return found.mask, "; ".join(filter(None, (found.note, found.warning))) or None


def raterMasks(raters: Sequence[Any], grid: Grid) -> RaterMasks:
    """Raters' masks on a grid, with what was done to them and what the user should know.

    Raises:
        InputError: a rater cannot be used.
    """
    raters = asRaters(raters)
    names = raterNames(raters)
    found = [_onGrid(rater, name, grid) for rater, name in zip(raters, names, strict=True)]
    return RaterMasks(
        names=tuple(names),
        masks=np.stack([item.mask for item in found]),
        grid=grid,
        notes=tuple(item.note for item in found if item.note),
        warnings=tuple(item.warning for item in found if item.warning),
    )


def raterStatistics(masks: RaterMasks) -> RaterStatistics:
    """Volume in mL of each rater and Dice between every two."""
    volumes = [int(np.count_nonzero(mask)) * masks.grid.voxel_volume_ml for mask in masks.inBox]
    return RaterStatistics(volumes, pairwise_dice(masks.inBox))


def placementWarning(name: str, voxels: NDArray[np.bool_], placement: Placement) -> str:
    """What the user should know about a rater after its voxels were brought onto a grid; "" if nothing."""
    if not voxels.any():
        return _("{name} drew nothing (empty mask)").format(name=name)
    if placement.outsideMl:
        return _("{name}: {lost:.3g} mL of it lie outside the grid in use and are left out").format(
            name=name, lost=placement.outsideMl
        )
    if not placement.mask.any():
        return _("{name} is empty on the grid in use, though something is drawn: it is thinner than a voxel").format(
            name=name
        )
    return ""


@dataclass(frozen=True)
class _OnGrid:
    mask: NDArray[np.bool_]
    note: str
    warning: str


def _onGrid(rater: Rater, name: str, grid: Grid) -> _OnGrid:
    conversion = ""
    if rater.segmentID:
        voxels, ijkToRas, conversion = segmentVoxels(rater.node, rater.segmentID, grid)
    else:
        voxels, ijkToRas = _labelmapVoxels(rater.node), worldMatrixOfVolume(rater.node)
    placement = placed(voxels, ijkToRas, grid)
    done = [conversion] if conversion else []
    if placement.isResampled:
        done.append(_resampling(rater, voxels, ijkToRas))
    note = _("{name} was {what}").format(name=name, what=_(" and ").join(done)) if done else ""
    return _OnGrid(placement.mask, note, placementWarning(name, voxels, placement))


def _labelmapVoxels(node) -> NDArray[np.bool_]:
    values = voxelsOf(node)
    mask = values != 0
    found = np.unique(values[mask])
    if len(found) > 1:
        raise InputError(
            _(
                "{node}: the labelmap holds {count} labels ({labels}); expected one structure. Convert it to a "
                "segmentation (module Segmentations, Export/import) and choose its segments as raters."
            ).format(node=node.GetName(), count=len(found), labels=", ".join(f"{value:g}" for value in found[:5]))
        )
    return mask


def _resampling(rater: Rater, voxels: NDArray[np.bool_], ijkToRas: NDArray[np.float64]) -> str:
    spacing = np.linalg.norm(ijkToRas[:3, :3], axis=0)
    text = _("resampled to the nearest voxel from {size} voxels of {spacing} mm").format(
        size=" x ".join(map(str, voxels.shape[::-1])), spacing=" x ".join(f"{value:.4g}" for value in spacing)
    )
    transform = rater.node.GetParentTransformNode()
    return text if transform is None else text + _(" under the transform {name}").format(name=transform.GetName())
