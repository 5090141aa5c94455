"""The table of a case's scores: does the model's uncertainty show where the experts disagree?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import require_same_grid
from ObserverUncertaintyLib.scores.case_scores import case_scores
from ObserverUncertaintySlicer.attributes import ROLE, Role
from ObserverUncertaintySlicer.disagreement import entropyArray
from ObserverUncertaintySlicer.hierarchy import placeBeside
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.raterMasks import RaterMasks, raterMask, raterMasks
from ObserverUncertaintySlicer.raters import Rater, asRaters, ratersOfNode
from ObserverUncertaintySlicer.volumes import arrayOfVolume, gridOfVolume, requireInScene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ObserverUncertaintyLib.images.grid import Grid

_ROUNDING = 1e-5


@dataclass(frozen=True)
class Score:
    """One line of the table; `value` is NaN where the measure is not defined."""

    measure: str
    value: float
    unit: str
    explanation: str


def metricsTable(segmentation: Any, predictiveEntropy, raters: Sequence[Any], probability=None, output=None):
    """The scores of a case as a table with the columns Measure, Value, Unit and Explanation.

    All is computed on the grid of the predictive entropy; segments and raters on another one are resampled to it.
    Values have six digits; one that is not defined (WME where all raters agree) is an empty cell.

    Args:
        segmentation: the model's: a segmentation node (its first segment), (node, segment ID), or labelmap volume.
        predictiveEntropy: the model's entropy volume in bits.
        raters: as `asRaters` takes them.
        probability: the model's mean probability, for the calibration error; left out if None.
        output: an earlier table to update in place; a new node if None.

    Returns:
        The vtkMRMLTableNode.

    Raises:
        InputError: a node cannot be used, a volume lies on another grid or holds other values than it should, or
            `output` is another table.
    """
    if output is not None:
        requireInScene(output, _("the output"))
        if ROLE.of(output) != Role.METRICS:
            raise InputError(
                _("{node}: it is not an earlier table of scores, so it is not overwritten. Choose another.").format(
                    node=output.GetName()
                )
            )
    grid = gridOfVolume(predictiveEntropy)
    masks = raterMasks(raters, grid)
    segmented, note = raterMask(_segmentOf(segmentation), grid)
    probabilities = None if probability is None else _probabilityArray(probability, predictiveEntropy, grid)
    scores = caseScores(segmented, entropyArray(predictiveEntropy), masks, probabilities)
    node = output if output is not None else slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    wasModifying = node.StartModify()
    try:
        node.SetName(_("{entropy} scores").format(entropy=predictiveEntropy.GetName()))
        ROLE.set(node, Role.METRICS)
        node.SetUseColumnTitleAsColumnHeader(True)
        node.SetLocked(True)
        node.SetAndObserveTable(_table(scores, [*([note] if note else []), *masks.notes, *masks.warnings]))
    finally:
        node.EndModify(wasModifying)
    if output is None:
        placeBeside(node, predictiveEntropy)
    return node


def caseScores(
    segmented: NDArray[np.bool_],
    predictive: NDArray[np.float32],
    masks: RaterMasks,
    probability: NDArray[np.float32] | None = None,
) -> list[Score]:
    """The scores of a case.

    Args:
        segmented: the model's segmentation, bool, shape (k, j, i), on the raters' grid.
        predictive: the model's entropy in bits, same shape.
        masks: the raters.
        probability: the model's mean probability in 0..1, same shape.
    """
    volumeOfVoxel = masks.grid.voxel_volume_ml
    bits, none, ml, onGrid = _("bits"), "", _("mL"), _("On the grid of the predictive entropy")
    shown = {
        "wme": (
            _("WME"),
            bits,
            _("Predictive entropy weighted by the experts' entropy: high where the model doubts what experts dispute"),
        ),
        "wme_as_printed": (
            _("WME as printed"),
            bits,
            _("The same, divided by the number of voxels as in the paper's formula"),
        ),
        "me": (_("ME"), bits, _("Mean predictive entropy over all voxels")),
        "entropy_inside_disagreement": (
            _("Entropy inside the disagreement"),
            bits,
            _("Mean predictive entropy where the raters disagree"),
        ),
        **{
            f"dice_with_{name}": (_("Dice with {rater}").format(rater=name), none, _("Model and this rater"))
            for name in masks.names
        },
        "dice_majority": (_("Dice with majority"), none, _("Model and the raters' majority vote")),
        "ece": (
            _("ECE"),
            none,
            _("Expected calibration error against the raters' mean, where model or raters are in doubt"),
        ),
        "ece_all": (
            _("ECE of all voxels"),
            none,
            _("The same over all voxels, most of which are sure background"),
        ),
        "volume_ml": (_("Volume of {name}").format(name=_("model")), ml, onGrid),
        "volume_ml_majority": (_("Volume of {name}").format(name=_("majority")), ml, onGrid),
    }
    values = case_scores(
        masks.masks, masks.names, segmented, predictive, volumeOfVoxel, probability, wanted=shown.keys()
    )
    scores = [
        Score(measure, values[name], unit, explanation)
        for name, (measure, unit, explanation) in shown.items()
        if name in values
    ]
    scores += [
        Score(_("Volume of {name}").format(name=name), int(np.count_nonzero(mask)) * volumeOfVoxel, ml, onGrid)
        for name, mask in zip(masks.names, masks.masks, strict=True)
    ]
    return scores


def _segmentOf(segmentation: Any) -> Rater:
    if isinstance(segmentation, Rater | tuple | list):
        return asRaters([segmentation])[0]
    found = ratersOfNode(segmentation)
    if not found:
        raise InputError(
            _("{node}: the segmentation holds no segment; expected the model's. Choose another.").format(
                node=segmentation.GetName()
            )
        )
    return found[0]


def _probabilityArray(volumeNode, predictiveEntropy, grid: Grid) -> NDArray[np.float32]:
    require_same_grid(
        grid,
        predictiveEntropy.GetName(),
        gridOfVolume(volumeNode),
        volumeNode.GetName(),
        _("Choose the probability that was predicted together with this entropy."),
    )
    array = arrayOfVolume(volumeNode)
    low, high = float(array.min()), float(array.max())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        raise InputError(
            _(
                "{volume}: its values run from {low:.4g} to {high:.4g}; expected a probability, between 0 and 1. "
                "Choose the model's mean probability."
            ).format(volume=volumeNode.GetName(), low=low, high=high)
        )
    return np.clip(array, 0.0, 1.0)


def _table(scores: Sequence[Score], texts: Sequence[str]) -> vtk.vtkTable:
    rows = [(score.measure, _cell(score.value), score.unit, score.explanation) for score in scores]
    rows += [(_("Note"), "", "", text) for text in texts]
    rows.append((_("Research use only"), "", "", _("Not a medical device")))
    table = vtk.vtkTable()
    for title, cells in zip(
        (_("Measure"), _("Value"), _("Unit"), _("Explanation")), zip(*rows, strict=True), strict=True
    ):
        column = vtk.vtkStringArray()
        column.SetName(title)
        for cell in cells:
            column.InsertNextValue(cell)
        table.AddColumn(column)
    return table


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"
