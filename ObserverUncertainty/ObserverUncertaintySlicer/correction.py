"""Step 6: a working copy of a contour, its difference from the start, and the corrections that are kept.

No rater, result or earlier correction is ever changed: a working copy and each correction are nodes of their own.
"""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.scores.metrics import dice
from ObserverUncertaintySlicer import attributes
from ObserverUncertaintySlicer.attributes import Role
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.outlines import removeSegmentation, showAsOutline
from ObserverUncertaintySlicer.palette import SAVED_COLOR, WORKING_COLOR
from ObserverUncertaintySlicer.raterMasks import raterMask
from ObserverUncertaintySlicer.raters import Rater, asRaters, raterNames, ratersOfNode
from ObserverUncertaintySlicer.segments import addSegmentation, keptGrid, segmentVoxels, setReferenceGrid
from ObserverUncertaintySlicer.volumes import gridOfVolume, requireInScene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ObserverUncertaintyLib.images.grid import Grid

WORKING_OUTLINE = 3
"""Width of a working copy's outline in pixels: more than the raters', which lie under it."""
_MAKING: tuple[attributes.Attribute[Any], ...] = (
    attributes.MODEL,
    attributes.FUSION,
    attributes.SAMPLES,
    attributes.TRAINED_ON_SIMULATION,
)
"""What a model's segmentation says about its making; working copies and corrections of it say so too."""
_REVIEW: tuple[attributes.Attribute[Any], ...] = (
    attributes.REVIEW_MODEL,
    attributes.LEVEL,
    attributes.PLACES,
    attributes.SECONDS,
)
"""What a working copy knows of its review; the corrections that are saved of it say so too."""


@dataclass(frozen=True)
class WorkingCopy:
    """A segmentation that is being corrected.

    Attributes:
        node: the segmentation node to edit, on the background volume's grid as it was at the start.
        segmentID: the segment of it that is being corrected.
        startNode: what it was at the start, hidden, for the comparison; None if the user deleted it.
        note: what was done to the source to bring it onto this grid, such as resampling; empty if nothing was.
    """

    node: Any
    segmentID: str
    startNode: Any
    note: str = ""


@dataclass(frozen=True)
class CorrectionState:
    """How far a working copy is from its start.

    Attributes:
        volumeMl: its volume in mL.
        startVolumeMl: the volume at the start in mL.
        dice: Dice of the two; NaN if both are empty, or the start was deleted.
        changedMl: volume of the voxels that differ, in mL; NaN if the start was deleted.
    """

    volumeMl: float
    startVolumeMl: float
    dice: float
    changedMl: float


def startCorrection(source, backgroundVolume, entropyVolume=None, name: str | None = None) -> WorkingCopy:
    """Make a working copy on the background volume's grid.

    Args:
        source: a segmentation node with one segment, a Rater, or (segmentation node, segment ID).
        backgroundVolume: the image to draw on.
        entropyVolume: the entropy shown behind it; remembered with the copy.
        name: of the working copy; made from the source's if None.

    Raises:
        InputError: source or background cannot be used, or the segmentation has several segments to choose from.
    """
    requireInScene(backgroundVolume, _("the image to correct on"))
    if entropyVolume is not None:
        requireInScene(entropyVolume, _("the entropy behind it"))
    rater = _singleContour(source)
    grid = gridOfVolume(backgroundVolume)
    mask, note = raterMask(rater, grid)
    shown = raterNames([rater])[0]
    origin = rater.node.GetName()
    if rater.segmentID and shown != origin:
        origin = f"{origin}: {shown}"
    name = name or _("{source} (working copy)").format(source=origin)
    copy = addWorkingCopy(mask, mask, grid, backgroundVolume, name, rater.name, note)
    attributes.ENTROPY.set(copy.node, entropyVolume)
    attributes.SOURCE.set(copy.node, origin)
    _keep(_MAKING, copy.node, rater.node)
    return copy


def addWorkingCopy(
    mask: NDArray[np.bool_],
    start: NDArray[np.bool_] | None,
    grid: Grid,
    backgroundVolume,
    name: str,
    segmentName: str,
    note: str | None = None,
) -> WorkingCopy:
    """Add a working copy to the scene, outlined, and hidden beside it what it was at the start.

    Args:
        mask: bool, shape (k, j, i) on `grid`.
        start: the same at the start; None where that is not known.
        grid: the background volume's, in world coordinates.
        backgroundVolume: the image to draw on.
        name: of the node; a number is added where the scene has the name.
        segmentName: of the segment.
        note: what was done to the source to bring it onto this grid.
    """
    unique = slicer.mrmlScene.GenerateUniqueName(name)
    node = addSegmentation(mask, grid, unique, segmentName, WORKING_COLOR, backgroundVolume)
    setReferenceGrid(node, grid, backgroundVolume)
    showAsOutline(node, WORKING_OUTLINE)
    startNode = None
    if start is not None:
        startName = _("{name} at the start").format(name=unique)
        startNode = addSegmentation(start, grid, startName, segmentName, WORKING_COLOR)
        startNode.SetHideFromEditors(True)
        startNode.GetDisplayNode().SetVisibility(False)
        attributes.START_VOLUME_ML.set(node, _volumeMl(start, grid))
    segmentID = node.GetSegmentation().GetNthSegmentID(0)
    attributes.START.set(node, startNode)
    attributes.ROLE.set(node, Role.WORKING_COPY)
    attributes.STARTED.set(node, _now().isoformat(timespec="seconds"))
    attributes.NOTE.set(node, note)
    attributes.SEGMENT.set(node, segmentID)
    return WorkingCopy(node, segmentID, startNode, note or "")


def removeWorkingCopy(workingCopy: WorkingCopy) -> None:
    """Take a working copy out of the scene, with its start and what was drawn."""
    for node in (workingCopy.node, workingCopy.startNode, attributes.DRAWN.of(workingCopy.node)):
        if node is not None and slicer.mrmlScene.IsNodePresent(node):
            removeSegmentation(node)


def workingCopyOf(node) -> WorkingCopy | None:
    """The working copy that a segmentation node is, such as after a scene was loaded; None if it is none."""
    if attributes.ROLE.of(node) != Role.WORKING_COPY:
        return None
    return WorkingCopy(node, attributes.SEGMENT.of(node, ""), attributes.START.of(node), attributes.NOTE.of(node, ""))


def correctionState(workingCopy: WorkingCopy) -> CorrectionState:
    """Volume of a working copy and how it differs from the start; raises InputError if its segment was deleted."""
    grid, now, _note = contentsOf(workingCopy)
    start = startMask(workingCopy, grid)
    if start is None:
        startVolume = attributes.START_VOLUME_ML.of(workingCopy.node, math.nan)
        return CorrectionState(_volumeMl(now, grid), startVolume, math.nan, math.nan)
    return CorrectionState(
        volumeMl=_volumeMl(now, grid),
        startVolumeMl=_volumeMl(start, grid),
        dice=dice(now, start),
        changedMl=_volumeMl(now ^ start, grid),
    )


def hasUnsavedChanges(workingCopy: WorkingCopy, saved=None) -> bool:
    """Whether a working copy holds work that neither its start nor the correction `saved` has; if unknown, it does."""
    try:
        grid, now, _note = contentsOf(workingCopy)
    except InputError:  # its segment was deleted: there is nothing left to lose
        return False
    kept = (startMask(workingCopy, grid), _maskOf(saved, grid))
    return not any(mask is not None and np.array_equal(mask, now) for mask in kept)


def isSavedAs(workingCopy: WorkingCopy, saved) -> bool:
    """Whether the correction `saved` holds the contour that a working copy has now."""
    try:
        grid, now, _note = contentsOf(workingCopy)
    except InputError:
        return False
    mask = _maskOf(saved, grid)
    return mask is not None and np.array_equal(mask, now)


def saveAsReviewed(workingCopy: WorkingCopy, author: str, comment: str = ""):
    """Keep the working copy as a correction: a new node that says who, when, from what, and what was reviewed.

    It is hidden, since it lies exactly under the working copy.

    Raises:
        InputError: the author is not named, the copy's segment was deleted, or something was drawn in another
            segment of it, which would be left out.
    """
    author = author.strip()
    if not author:
        raise InputError(_("The author is missing: a review says who made it. Give a name."))
    node, now = workingCopy.node, _now()
    grid, mask, note = contentsOf(workingCopy)
    requireNothingElseDrawn(workingCopy, grid)
    state = correctionState(workingCopy)
    contour = _contour(workingCopy)
    source = attributes.SOURCE.of(node, node.GetName())
    name = _("{source} reviewed by {author} {time}").format(
        source=source, author=author, time=now.strftime("%Y-%m-%d %H:%M")
    )
    saved = addSegmentation(
        mask,
        grid,
        slicer.mrmlScene.GenerateUniqueName(name),
        contour.name,
        SAVED_COLOR,
        node,
    )
    showAsOutline(saved)
    saved.GetDisplayNode().SetVisibility(False)
    setReferenceGrid(saved, grid, node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()))
    attributes.ROLE.set(saved, Role.CORRECTION)
    attributes.AUTHOR.set(saved, author)
    attributes.CORRECTED.set(saved, now.isoformat(timespec="seconds"))
    attributes.SOURCE.set(saved, source)
    attributes.STARTED.set(saved, attributes.STARTED.of(node))
    attributes.COMMENT.set(saved, comment.strip() or None)
    attributes.NOTE.set(saved, note)
    attributes.VOLUME_ML.set(saved, state.volumeMl)
    attributes.START_VOLUME_ML.set(saved, state.startVolumeMl)
    if not math.isnan(state.changedMl):
        attributes.CHANGED_ML.set(saved, state.changedMl)
        attributes.CHANGED_VOXELS.set(saved, round(state.changedMl / grid.voxel_volume_ml))
    attributes.NOTICE.set(saved, _("Research use only. Not a medical device."))
    _keep(_MAKING + _REVIEW, saved, node)
    return saved


def configureEditor(editorNode, workingCopy: WorkingCopy) -> None:
    """Set a segment editor up to edit the working copy only: everywhere, without touching other segmentations.

    Raises:
        InputError: it is no working copy (raters and results are never edited), or its segment was deleted.
    """
    contour = _contour(workingCopy)
    wasModifying = editorNode.StartModify()
    try:
        editorNode.SetAndObserveSegmentationNode(workingCopy.node)
        editorNode.SetSelectedSegmentID(contour.segmentID)
        editorNode.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere)
        editorNode.SetOverwriteMode(editorNode.OverwriteNone)
        editorNode.SetSourceVolumeIntensityMask(False)
    finally:
        editorNode.EndModify(wasModifying)


def _singleContour(source) -> Rater:
    if isinstance(source, Rater | tuple | list):
        return asRaters([source])[0]
    requireInScene(source, _("what to correct"))
    contours = ratersOfNode(source)
    if len(contours) != 1:
        raise InputError(
            _("{node} has {count} segments; expected one. Choose which: (segmentation node, segment ID).").format(
                node=source.GetName(), count=len(contours)
            )
        )
    return contours[0]


def _contour(workingCopy: WorkingCopy) -> Rater:
    """The segment that is being corrected."""
    node = workingCopy.node
    requireInScene(node, _("the working copy"))
    if attributes.ROLE.of(node) != Role.WORKING_COPY:
        raise InputError(
            _("{node} is no working copy, so it is not edited; expected one made by starting a correction.").format(
                node=node.GetName()
            )
        )
    contour = Rater(node, workingCopy.segmentID)
    if not workingCopy.segmentID or not contour.isAlive:
        raise InputError(
            _("{node} does not have the segment any more that is being corrected. Undo its deletion.").format(
                node=node.GetName()
            )
        )
    return contour


def contentsOf(workingCopy: WorkingCopy) -> tuple[Grid, NDArray[np.bool_], str | None]:
    """The grid a working copy was started on, its mask there, and a note if that is not simply what is stored."""
    contour = _contour(workingCopy)
    # Not the image's present grid: an image that was moved since would cut the contour.
    grid = keptGrid(contour.node)
    if grid is None:
        raise InputError(
            _("{node} has no grid any more; expected the image's it was started on. Start a new working copy.").format(
                node=contour.node.GetName()
            )
        )
    return grid, *raterMask(contour, grid)


def requireNothingElseDrawn(workingCopy: WorkingCopy, grid: Grid) -> None:
    """Raise InputError if something is drawn in another segment of a working copy, which would be left out."""
    for other in ratersOfNode(workingCopy.node):
        if other.segmentID != workingCopy.segmentID and segmentVoxels(other.node, other.segmentID, grid)[0].any():
            raise InputError(
                _(
                    "{node}: something is drawn in the segment {other} too, but a correction keeps one segment, {own}. "
                    "Join them (effect Logical operators, Add), or delete {other}."
                ).format(node=other.node.GetName(), other=other.name, own=_contour(workingCopy).name)
            )


def startMask(workingCopy: WorkingCopy, grid: Grid) -> NDArray[np.bool_] | None:
    """What a working copy was at the start, bool, shape (k, j, i); None if the user deleted it."""
    return _maskOf(workingCopy.startNode, grid)


def _maskOf(node, grid: Grid) -> NDArray[np.bool_] | None:
    """The mask of a start or a correction; None if there is none, or the user deleted it."""
    contours = ratersOfNode(node) if node is not None and slicer.mrmlScene.IsNodePresent(node) else []
    return raterMask(contours[0], grid)[0] if contours else None


def _volumeMl(mask: NDArray[np.bool_], grid: Grid) -> float:
    return float(np.count_nonzero(mask) * grid.voxel_volume_ml)


def _keep(what: tuple[attributes.Attribute[Any], ...], node, source) -> None:
    for attribute in what:
        attribute.set(node, attribute.of(source))


def _now() -> datetime.datetime:
    return datetime.datetime.now().astimezone()
