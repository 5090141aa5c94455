"""Step 6: a working copy of a contour, its difference from the start, and the corrections that are kept.

No rater, result or earlier correction is ever changed: a working copy and each correction are nodes of their own.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from ObserverUncertaintyLib.errors import InputError
from ObserverUncertaintyLib.metrics import dice
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.raters import Rater, asRaters, raterMask, ratersOfNode
from ObserverUncertaintySlicer.segments import addSegmentation, referenceGrid, setReferenceGrid
from ObserverUncertaintySlicer.volumes import gridOfVolume, requireInScene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ObserverUncertaintyLib.geometry import Grid

PREFIX = "ObserverUncertainty."
WORKING_COLOR = (1.0, 0.55, 0.0)
_START = PREFIX + "Start"
_KEPT = ("Model", "Fusion", "Samples")
"""What a model's segmentation says about its making; working copies and corrections of it say so too."""


@dataclass(frozen=True)
class WorkingCopy:
    """A segmentation that is being corrected.

    Attributes:
        node: the segmentation node to edit, with one segment, on the background volume's grid.
        startNode: what it was at the start, hidden, for the comparison.
    """

    node: Any
    startNode: Any


@dataclass(frozen=True)
class CorrectionState:
    """How far a working copy is from its start.

    Attributes:
        volumeMl: its volume in mL.
        startVolumeMl: the volume at the start in mL.
        dice: Dice of the two; NaN if both are empty.
        changedMl: volume of the voxels that differ, in mL.
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
    rater = _singleContour(source)
    grid = gridOfVolume(backgroundVolume)
    mask, note = raterMask(rater, grid)
    origin = rater.node.GetName() if not rater.segmentID else f"{rater.node.GetName()}: {rater.name}"
    unique = slicer.mrmlScene.GenerateUniqueName(name or _("{source} (working copy)").format(source=origin))
    node = addSegmentation(mask, grid, unique, rater.name, WORKING_COLOR, backgroundVolume)
    setReferenceGrid(node, grid, backgroundVolume)
    start = addSegmentation(mask, grid, _("{name} at the start").format(name=unique), rater.name, WORKING_COLOR)
    start.SetHideFromEditors(True)
    start.GetDisplayNode().SetVisibility(False)
    node.SetNodeReferenceID(_START, start.GetID())
    if entropyVolume is not None:
        requireInScene(entropyVolume, _("the entropy behind it"))
        node.SetNodeReferenceID(PREFIX + "Entropy", entropyVolume.GetID())
    _remember(node, Role="WorkingCopy", Source=origin, Started=_now(), Note=note)
    for attribute in _KEPT:
        _remember(node, **{attribute: rater.node.GetAttribute(PREFIX + attribute)})
    return WorkingCopy(node, start)


def workingCopyOf(node) -> WorkingCopy | None:
    """The working copy that a segmentation node is; None if it is none, or its start was deleted."""
    start = node.GetNodeReference(_START)
    return None if start is None else WorkingCopy(node, start)


def correctionState(workingCopy: WorkingCopy) -> CorrectionState:
    """Volume of a working copy and how it differs from the start; raises InputError if it has no segment any more."""
    grid = _gridOf(workingCopy.node)
    now, start = (_maskOf(node, grid) for node in (workingCopy.node, workingCopy.startNode))
    voxel = grid.voxel_volume_ml
    return CorrectionState(
        volumeMl=float(np.count_nonzero(now) * voxel),
        startVolumeMl=float(np.count_nonzero(start) * voxel),
        dice=dice(now, start),
        changedMl=float(np.count_nonzero(now ^ start) * voxel),
    )


def saveAsCorrected(workingCopy: WorkingCopy, author: str, comment: str = ""):
    """Keep the working copy as a correction: a new node that says who, when and from what.

    Raises:
        InputError: the author is not named, or the working copy has no segment any more.
    """
    author = author.strip()
    if not author:
        raise InputError(_("The author is missing: a correction says who made it. Give a name."))
    node, now = workingCopy.node, datetime.datetime.now().astimezone()
    grid = _gridOf(node)
    state = correctionState(workingCopy)
    source = node.GetAttribute(PREFIX + "Source") or node.GetName()
    name = _("{source} corrected by {author} {time}").format(
        source=source, author=author, time=now.strftime("%Y-%m-%d %H:%M")
    )
    saved = addSegmentation(
        _maskOf(node, grid),
        grid,
        slicer.mrmlScene.GenerateUniqueName(name),
        _contour(node).name,
        _contour(node).color,
        node,
    )
    setReferenceGrid(saved, grid, node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()))
    _remember(
        saved,
        Role="Correction",
        Author=author,
        Corrected=now.isoformat(timespec="seconds"),
        Source=source,
        Started=node.GetAttribute(PREFIX + "Started"),
        Comment=comment.strip(),
        VolumeMl=f"{state.volumeMl:.4f}",
        StartVolumeMl=f"{state.startVolumeMl:.4f}",
        Notice=_("Research use only. Not a medical device."),
    )
    for attribute in _KEPT:
        _remember(saved, **{attribute: node.GetAttribute(PREFIX + attribute)})
    return saved


def configureEditor(editorNode, workingCopy: WorkingCopy) -> None:
    """Set a segment editor up to edit the working copy only: everywhere, without touching other segmentations."""
    wasModifying = editorNode.StartModify()
    try:
        editorNode.SetAndObserveSegmentationNode(workingCopy.node)
        editorNode.SetSelectedSegmentID(_contour(workingCopy.node).segmentID)
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


def _contour(node) -> Rater:
    """The one segment of a working copy; the first where the user added some."""
    contours = ratersOfNode(node)
    if not contours:
        raise InputError(
            _("{node} has no segment any more; expected the one being corrected. Undo its deletion.").format(
                node=node.GetName()
            )
        )
    return contours[0]


def _maskOf(node, grid: Grid) -> NDArray[np.bool_]:
    return raterMask(_contour(node), grid)[0]


def _gridOf(node) -> Grid:
    grid = referenceGrid(node)
    if grid is None:
        raise InputError(
            _("{node} has no grid any more; expected the image's it was started on. Start a new working copy.").format(
                node=node.GetName()
            )
        )
    return grid


def _remember(node, **attributes: str | None) -> None:
    for name, value in attributes.items():
        if value:
            node.SetAttribute(PREFIX + name, value)


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")
