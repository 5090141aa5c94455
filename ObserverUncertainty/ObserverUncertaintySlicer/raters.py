"""Raters in the scene (segments, or labelmap volumes) as boolean masks on one grid.

What had to be done to a rater is never silent: it stands in the notes, and what was lost in the warnings.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.scores.metrics import pairwise_dice
from ObserverUncertaintySlicer.attributes import COLOR
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.placement import Placement, placed
from ObserverUncertaintySlicer.segments import boundingBox, referenceGrid, segmentVoxels
from ObserverUncertaintySlicer.volumes import gridOfVolume, requireInScene, voxelsOf, worldMatrixOfVolume

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ObserverUncertaintyLib.images.grid import Grid

RATER_COLORS = (
    (0.34, 0.86, 1.00),
    (0.00, 0.75, 0.35),
    (0.25, 0.45, 1.00),
    (0.65, 0.95, 0.75),
    (0.00, 0.50, 0.50),
    (0.65, 0.65, 0.95),
    (0.00, 1.00, 0.80),
)
"""Colours that stay readable on the entropy scale, which runs from purple through orange to yellow, and on grey.

White, which would too, is the fused contour's.
"""

# Slicer's own name for a segment that nobody named; two names that differ only in their number tell nothing apart.
_UNNAMED = re.compile(r"segment[ _]?\d*", re.IGNORECASE)
# Nearer than this, in red, green and blue of 0..1, two outlines are taken for one rater's.
_COLOR_DISTANCE = 0.25


@dataclass(frozen=True)
class Rater:
    """One expert's contour in the scene.

    Attributes:
        node: a segmentation node, or a labelmap volume with one label.
        segmentID: the segment; "" for a labelmap volume.
    """

    node: Any
    segmentID: str = ""

    @property
    def isAlive(self) -> bool:
        """Whether node and segment are still in the scene."""
        if self.node is None or not slicer.mrmlScene.IsNodePresent(self.node):
            return False
        return not self.segmentID or self._segment is not None

    @property
    def name(self) -> str:
        """The segment's name; a labelmap volume's own; the segment's ID if it was deleted."""
        if not self.segmentID:
            return self.node.GetName()
        return self._segment.GetName() if self._segment is not None else self.segmentID

    @property
    def color(self) -> tuple[float, float, float]:
        """Red, green and blue in 0..1: the segment's colour; a labelmap volume's as `setColor` left it."""
        if self.segmentID:
            return tuple(self._segment.GetColor()) if self._segment is not None else RATER_COLORS[0]
        return COLOR.of(self.node, RATER_COLORS[0])

    def setColor(self, color: tuple[float, float, float]) -> None:
        """Give the rater a colour; how a labelmap volume's own layer is coloured stays as it is."""
        if self.segmentID:
            self._segment.SetColor(*color)
        else:
            COLOR.set(self.node, color)

    @property
    def _segment(self):
        return self.node.GetSegmentation().GetSegment(self.segmentID)


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

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """The box that holds all raters, as slices of (k, j, i); one voxel if all are empty.

        Beyond it all raters agree on background, so that entropy is 0 and every fusion empty.
        """
        return boundingBox(self.masks.any(axis=0)) or (slice(0, 1),) * 3


@dataclass(frozen=True)
class RaterStatistics:
    """Numbers for the table of raters.

    Attributes:
        volumesMl: volume of each rater in mL.
        dice: shape (rater, rater), 1 on the diagonal; NaN between two empty raters.
    """

    volumesMl: list[float]
    dice: NDArray[np.float64]


def asRaters(raters: Sequence[Any]) -> list[Rater]:
    """Raters from what scripts give: Rater, (segmentation node, segment ID), or labelmap volume node.

    Raises:
        InputError: none or something else is given, a node or segment is gone, or the same rater comes twice.
    """
    found: list[Rater] = []
    for item in raters:
        rater = _asRater(item)
        if rater in found:
            raise InputError(
                _("{name}: the rater of {node} is given twice; expected each rater once.").format(
                    name=rater.name, node=rater.node.GetName()
                )
            )
        found.append(rater)
    if not found:
        raise InputError(_("No rater is given. Choose segments or labelmap volumes as raters."))
    return found


def _asRater(item: Any) -> Rater:
    if isinstance(item, tuple | list) and len(item) == 2:
        item = Rater(*item)
    rater = item if isinstance(item, Rater) else Rater(item)
    node = rater.node
    requireInScene(node, _("a rater"))
    if node.IsA("vtkMRMLSegmentationNode"):
        if rater.isAlive and rater.segmentID:
            return rater
        segmentation = node.GetSegmentation()
        known = ", ".join(
            f"{segmentation.GetNthSegmentID(n)} ({segmentation.GetNthSegment(n).GetName()})"
            for n in range(segmentation.GetNumberOfSegments())
        )
        raise InputError(
            _("{node}: it has no segment {segment!r}; expected (node, segment ID) with one of: {known}.").format(
                node=node.GetName(), segment=rater.segmentID, known=known or _("none, the segmentation is empty")
            )
        )
    if not node.IsA("vtkMRMLLabelMapVolumeNode") or rater.segmentID:
        raise InputError(
            _(
                "{node}: it is a {kind} node; expected (segmentation node, segment ID) or a labelmap volume. A scalar "
                "volume that holds a mask can be converted in the module Volumes (Volume Information)."
            ).format(node=node.GetName(), kind=node.GetNodeTagName())
        )
    return rater


def raterNames(raters: Sequence[Rater]) -> list[str]:
    """Names that tell raters apart.

    The segment's or labelmap's own name; where that is no help (Slicer's "Segment_1", or a name that several have),
    that of the segmentation, which is the file's, and both where a segmentation holds several.
    """
    own = [rater.name for rater in raters]
    shared, nodes = Counter(own), Counter(rater.node.GetID() for rater in raters)
    names: list[str] = []
    for rater, name in zip(raters, own, strict=True):
        title = name
        if rater.segmentID and (shared[name] > 1 or _UNNAMED.fullmatch(name)):
            node = rater.node.GetName()
            title = node if nodes[rater.node.GetID()] == 1 else f"{node}/{name}"
        candidates = [title, *(f"{title} ({number})" for number in range(2, len(raters) + 2))]
        names.append(next(candidate for candidate in candidates if candidate not in names))
    return names


def giveOwnColors(raters: Sequence[Rater], present: Sequence[Rater] = ()) -> None:
    """Give a colour of its own to each rater whose colour is hard to tell from an earlier one's.

    Args:
        raters: the new ones; a labelmap volume without a colour gets one.
        present: raters whose colours stay.
    """
    taken = [rater.color for rater in present]
    for rater in raters:
        hasColor = rater.segmentID or COLOR.of(rater.node)
        if not hasColor or any(_near(rater.color, other) for other in taken):
            free = [color for color in RATER_COLORS if not any(_near(color, other) for other in taken)]
            rater.setColor(free[0] if free else RATER_COLORS[len(taken) % len(RATER_COLORS)])
        taken.append(rater.color)


def _near(first: Sequence[float], second: Sequence[float]) -> bool:
    return float(np.linalg.norm(np.subtract(first, second))) < _COLOR_DISTANCE


def ratersOfNode(node) -> list[Rater]:
    """All segments of a segmentation node, or the labelmap volume itself; raises InputError for another node."""
    requireInScene(node, _("a rater"))
    if node.IsA("vtkMRMLSegmentationNode"):
        segmentation = node.GetSegmentation()
        return [Rater(node, segmentation.GetNthSegmentID(n)) for n in range(segmentation.GetNumberOfSegments())]
    return [_asRater(node)]


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
    rater = _asRater(rater)
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
    inBox = masks.masks[(slice(None), *masks.box)]
    volumes = [int(np.count_nonzero(mask)) * masks.grid.voxel_volume_ml for mask in inBox]
    return RaterStatistics(volumes, pairwise_dice(inBox))


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
