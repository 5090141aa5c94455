"""Step 2: raters fused into one segmentation, and the volumes that show where they disagree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import require_same_grid
from ObserverUncertaintyLib.raters import fusion
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.scores import entropy
from ObserverUncertaintySlicer import attributes
from ObserverUncertaintySlicer.attributes import Role, keepTexts
from ObserverUncertaintySlicer.hierarchy import placeBeside
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.outlines import showAsOutline
from ObserverUncertaintySlicer.palette import FUSED_COLOR
from ObserverUncertaintySlicer.raterMasks import RaterMasks, commonGrid, raterMasks
from ObserverUncertaintySlicer.raters import Rater, asRaters
from ObserverUncertaintySlicer.segments import addSegment, setReferenceGrid, setSegment
from ObserverUncertaintySlicer.volumes import addVolume, arrayOfVolume, gridOfVolume, requireInScene, updateVolume

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ObserverUncertaintyLib.images.grid import Grid

_ROUNDING = 1e-5


def fuseRaters(
    raters: Sequence[Any],
    method: FusionMethod | str,
    referenceVolume=None,
    output=None,
    caseName: str | None = None,
):
    """Fuse raters into a segmentation node with one segment.

    Args:
        raters: as `asRaters` takes them.
        method: any of `FusionMethod` but "none". Of a soft map, such as "mean", the segment is where it exceeds one
            half, and the map itself is a volume that the segmentation refers to as "RaterMean".
        referenceVolume: whose grid the result has; the raters' own (`commonGrid`) if None.
        output: a fused segmentation to update in place: node and segment keep their IDs. A new node if None.
        caseName: the case that the result is named after; the reference volume's name if None.

    Returns:
        The vtkMRMLSegmentationNode, shown as an outline. Notes and warnings about the raters stand in its attributes.

    Raises:
        InputError: the method is "none" or unknown, there are fewer than two raters, one cannot be used, or `output`
            is a rater's node.
    """
    method = _fusionMethod(method)
    raters = _severalRaters(raters)
    if output is not None:
        _requireFused(output, raters)
    masks = raterMasks(raters, commonGrid(raters, referenceVolume))
    inBox = masks.inBox
    performance = None
    if method is FusionMethod.STAPLE:
        result = fusion.staple(inBox)
        fused = result.segmentation
        performance = [
            {"rater": name, "sensitivity": _orNone(p), "specificity": _orNone(q)}
            for name, p, q in zip(masks.names, result.sensitivity, result.specificity, strict=True)
        ]
    else:
        fused = fusion.fuse(inBox, method)
    mean, name = None, _(method.title)
    if fused.dtype != bool:
        mean, fused, name = fused, fused > 0.5, _("{method} above one half").format(method=name)

    beside = referenceVolume if referenceVolume is not None else raters[0].node
    title = _("{case} {method} of {count} raters").format(
        case=caseName or beside.GetName(), method=name, count=len(raters)
    )
    node = output if output is not None else _newFusedNode(beside)
    wasModifying = node.StartModify()
    try:
        node.SetName(title)
        node.SetAndObserveTransformNodeID(None)
        setReferenceGrid(node, masks.grid, referenceVolume)
        setSegment(node, _fusedSegment(node, name), masks.onGrid(fused), masks.grid)
        attributes.FUSION.set(node, method)
        attributes.STAPLE_PERFORMANCE.set(node, performance)
        _describe(node, masks)
    finally:
        node.EndModify(wasModifying)
    _updateMean(node, None if mean is None else masks.onGrid(mean), masks)
    return node


def staplePerformance(segmentationNode) -> list[tuple[str, float, float]]:
    """Each rater's sensitivity and specificity as STAPLE estimated them; NaN where undefined.

    Returns:
        (name, sensitivity, specificity) in the raters' order; empty if the node is no STAPLE fusion.

    Raises:
        InputError: the node's attribute was damaged.
    """
    try:
        return [
            (str(entry["rater"]), _orNan(entry["sensitivity"]), _orNan(entry["specificity"]))
            for entry in attributes.STAPLE_PERFORMANCE.of(segmentationNode, [])
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            _("{node}: its attribute {attribute} cannot be read ({error}). Fuse the raters again.").format(
                node=segmentationNode.GetName(), attribute=attributes.STAPLE_PERFORMANCE.name, error=error
            )
        ) from error


def expertEntropy(raters: Sequence[Any], referenceVolume=None, output=None, caseName: str | None = None):
    """The entropy of the raters' votes in bits, 0 to 1, as a volume: where the experts disagree.

    Args:
        raters: as `asRaters` takes them.
        referenceVolume: whose grid the result has and beside which it lies; the raters' own grid if None.
        output: an expert entropy to update in place; a new node if None.
        caseName: the case that the result is named after; if None, the reference volume's case, or else its name.

    Returns:
        The vtkMRMLScalarVolumeNode. Notes and warnings about the raters stand in its attributes.

    Raises:
        InputError: there are fewer than two raters, one cannot be used, or `output` is another volume than an expert
            entropy.
    """
    raters = _severalRaters(raters)
    masks = raterMasks(raters, commonGrid(raters, referenceVolume))
    inBox = entropy.expert_entropy(masks.inBox).astype(np.float32)
    beside = referenceVolume if referenceVolume is not None else raters[0].node
    case = caseName or attributes.CASE.of(beside) or beside.GetName()
    name = _("{case} expert disagreement").format(case=case)
    node = _putVolume(masks.onGrid(inBox), masks.grid, name, Role.EXPERT_ENTROPY, beside, output)
    node.SetDescription(_("Entropy of the raters' votes in bits: 0 where they agree, 1 where they are evenly split"))
    _describe(node, masks)
    return node


def differenceVolume(predictiveEntropy, expertEntropy, output=None):
    """Predictive minus expert entropy, -1 to 1: above 0 only the model is unsure, below 0 only the experts.

    Args:
        predictiveEntropy: the model's entropy volume in bits.
        expertEntropy: the experts' entropy volume in bits, on the same grid.
        output: a difference to update in place; a new node if None.

    Returns:
        The vtkMRMLScalarVolumeNode on their grid.

    Raises:
        GridMismatchError: the volumes lie on different grids.
        InputError: a volume is no entropy in bits, or `output` is another volume than a difference.
    """
    grid = requireOneGrid(predictiveEntropy, expertEntropy)
    difference = entropyArray(predictiveEntropy) - entropyArray(expertEntropy)
    name = _("{predictive} minus expert disagreement").format(predictive=predictiveEntropy.GetName())
    node = _putVolume(difference, grid, name, Role.ENTROPY_DIFFERENCE, predictiveEntropy, output)
    node.SetDescription(
        _("Predictive minus expert entropy in bits: above 0 only the model is unsure, below 0 only the experts are")
    )
    return node


def requireOneGrid(predictiveEntropy, expertEntropy) -> Grid:
    """The grid of both entropies; raises GridMismatchError, naming them, if they lie on different ones."""
    grid = gridOfVolume(predictiveEntropy)
    require_same_grid(
        grid,
        predictiveEntropy.GetName(),
        gridOfVolume(expertEntropy),
        expertEntropy.GetName(),
        _(
            "Are they of one case? If so, compute the expert disagreement again (step 2) with the image that the model "
            "ran on as the first volume of step 1."
        ),
    )
    return grid


def entropyArray(volumeNode) -> NDArray[np.float32]:
    """The voxels of an entropy volume, shape (k, j, i); raises InputError unless they lie between 0 and 1 bit."""
    array = arrayOfVolume(volumeNode)
    low, high = float(array.min()), float(array.max())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        raise InputError(
            _(
                "{volume}: its values run from {low:.4g} to {high:.4g}; expected an entropy in bits, between 0 and 1. "
                "Choose an entropy volume."
            ).format(volume=volumeNode.GetName(), low=low, high=high)
        )
    return array


def _fusionMethod(method: FusionMethod | str) -> FusionMethod:
    known = ", ".join(item.value for item in FusionMethod if item is not FusionMethod.NONE)
    try:
        found = FusionMethod(method)
    except ValueError:
        raise InputError(
            _("{method!r} is no fusion method; expected one of: {known}.").format(method=method, known=known)
        ) from None
    if found is FusionMethod.NONE:
        raise InputError(
            _('"none" keeps the raters apart, so there is nothing to show; expected one of: {known}.').format(
                known=known
            )
        )
    return found


def _severalRaters(raters: Sequence[Any]) -> list[Rater]:
    found = asRaters(raters)
    if len(found) < 2:
        raise InputError(
            _(
                "There is only one rater ({name}); expected two or more: one alone agrees with itself everywhere. Give "
                "further segments or labelmaps."
            ).format(name=found[0].name)
        )
    return found


def _requireFused(node, raters: Sequence[Rater]) -> None:
    requireInScene(node, _("the output"))
    if attributes.ROLE.of(node) != Role.FUSED_RATERS or any(rater.node is node for rater in raters):
        raise InputError(
            _(
                "{node}: it is no fused segmentation that can be updated, and raters are never overwritten; expected "
                "the result of an earlier fusion. Choose that, or let a new one be made."
            ).format(node=node.GetName())
        )


def _newFusedNode(beside):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    showAsOutline(node)
    attributes.ROLE.set(node, Role.FUSED_RATERS)
    placeBeside(node, beside)
    return node


def _fusedSegment(node, title: str) -> str:
    """The ID of the fused segment, made anew if the user deleted it."""
    segmentID = attributes.FUSED_SEGMENT.of(node)
    segment = node.GetSegmentation().GetSegment(segmentID) if segmentID else None
    if segment is None:
        segmentID = addSegment(node, title, FUSED_COLOR)
        attributes.FUSED_SEGMENT.set(node, segmentID)
    else:
        segment.SetName(title)
    return segmentID


def _updateMean(node, mean: NDArray[np.float32] | None, masks: RaterMasks) -> None:
    """Keep the mean's volume true to the fusion: a mean of other raters must not stay beside it."""
    volume = attributes.RATER_MEAN.of(node)
    if mean is None:
        if volume is not None:
            slicer.mrmlScene.RemoveNode(volume)
        attributes.RATER_MEAN.set(node, None)
        return
    name = _("{fusion}: mean").format(fusion=node.GetName())
    attributes.RATER_MEAN.set(node, _putVolume(mean, masks.grid, name, Role.RATER_MEAN, node, volume))


def _putVolume(array, grid, name: str, role: Role, beside, output):
    if output is None:
        output = addVolume(array, grid, name, beside)
        attributes.ROLE.set(output, role)
        return output
    requireInScene(output, _("the output"))
    if attributes.ROLE.of(output) != role:
        raise InputError(
            _(
                "{node}: it is no earlier result of this kind ({role}), so it is not overwritten. Choose one, or let "
                "a new one be made."
            ).format(node=output.GetName(), role=role)
        )
    output.SetName(name)
    updateVolume(output, array, grid)
    return output


def _describe(node, masks: RaterMasks) -> None:
    attributes.RATERS.set(node, masks.names)
    keepTexts(node, masks.notes, masks.warnings)


def _orNone(value: float) -> float | None:
    # JSON has no NaN.
    return None if math.isnan(value) else float(value)


def _orNan(value: float | None) -> float:
    return math.nan if value is None else float(value)
