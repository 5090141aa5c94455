"""The table of a case's scores: does the model's uncertainty show where the experts disagree?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
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

NAME_COLUMN = "Name"
EXACT_COLUMN = "Exact value"
"""Of the table; in every language, since scripts read them."""

VALUE, EXPLANATION = 1, 3
"""Places of columns, also in tables of earlier versions."""

NOTE = "note"
"""What stands in the column Name beside a note, which is no score."""

MOST_TELLING = "dice_majority"
"""Name of the score that stands for the others where there is room for one."""

_ROUNDING = 1e-5

_INSIDE = "entropy_inside_disagreement"
_FIRST = (MOST_TELLING, "volume_ml", "volume_ml_majority", "volume_difference_ml", _INSIDE, "wme")
_WITH_RATER = "dice_with_"


@dataclass(frozen=True)
class Score:
    """One line of the table.

    Attributes:
        name: the score's, as in the tables of `observer-uncertainty evaluate`, where those have it.
        measure: what the score is, in a reader's words.
        unit: empty if it has none.
        decimals: as many as mean something.
        explanation: how to read the score, and what it is called elsewhere.
        undefined: when it is not defined.
        value: NaN where it is not defined.
    """

    name: str
    measure: str
    unit: str
    decimals: int
    explanation: str
    undefined: str = ""
    value: float = math.nan


def isAmongTheFirst(name: str) -> bool:
    """Whether a clinician looks for this score first; of the others most only a scientist."""
    return name in _FIRST or name.startswith(_WITH_RATER)


def metricsTable(segmentation: Any, predictiveEntropy, raters: Sequence[Any], probability=None, output=None):
    """The scores of a case as a table: Measure, Value, Unit, Explanation, Name and Exact value, all as text.

    All is computed on the grid of the predictive entropy; segments and raters on another one are resampled to it.
    Value is rounded to what can be read and means something, and "undefined" where the explanation says why (WME where
    all raters agree). Scripts find a score by its Name, such as "wme", and its full precision in Exact value, which is
    empty where the score is not defined and beside notes.

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
    described = {score.name: score for score in _described(masks.names)}
    values = case_scores(
        masks.masks, masks.names, segmented, predictive, masks.grid, probability, wanted=described.keys()
    )
    values["volume_difference_ml"] = values["volume_ml"] - values["volume_ml_majority"]
    for name, mask in zip(masks.names, masks.masks, strict=True):
        values[f"volume_ml_of_{name}"] = int(np.count_nonzero(mask)) * volumeOfVoxel
    return [replace(score, value=values[name]) for name, score in described.items() if name in values]


def _described(raters: Sequence[str]) -> list[Score]:
    """All scores, still without a value: first what a clinician looks for, then what a scientist does."""
    bits, ml = _("bits"), _("mL")
    empty, agreed = _("both contours are empty"), _("the raters agree everywhere")
    dice = _("Overlap of the model's contour with the raters' majority vote: 0 is none, 1 is the same contour")
    difference = _("Above 0 the model's contour is the larger one")
    inside = _(
        "Mean predictive entropy where the raters disagree: 0 is sure, 1 the most unsure. Low says that the model is "
        "sure of what the experts dispute"
    )
    weighted = _(
        "WME, weighted mean entropy: predictive entropy weighted by the experts' entropy, high where the model doubts "
        "what experts dispute"
    )
    printed = _("The WME by the paper's formula as it is printed, divided by the number of all voxels")
    mean = _("ME, mean entropy: mean predictive entropy over all voxels, most of which are sure background")
    calibration = _(
        "ECE, expected calibration error: how far the model's probability is from the share of raters, within 5 mm of "
        "the contours and inside them"
    )
    everywhere = _("The ECE over all voxels, most of which are sure background")
    inDispute = _("The ECE where the raters disagree; with few raters chance alone makes it larger than 0")
    forRater = _("The ECE for this rater alone, within 5 mm of the contours and inside them")
    brier = _("Brier score: mean squared gap between the model's probability and each rater's mark, within 5 mm")
    likelihood = _("Negative log-likelihood of the raters' marks in nats, within 5 mm of the contours and inside them")
    finds = _(
        "Area under the ROC curve: how often a voxel where the contour is wrong has the higher uncertainty than "
        "one where it is right, within 5 mm; 0.5 is chance"
    )
    together = _("Normalised cross-correlation of the model's and the experts' entropy, within 5 mm: 1 is alike")
    nearby = _("Share of both surfaces, model's and majority's, that lies within this distance of the other")
    far = _("95 % of either surface lies within this distance of the other")
    average = _("Mean distance between the model's surface and the majority's")
    path = _("Length of the majority's outline, slice by slice, that the model's contour lacks and somebody would draw")
    oneEmpty, noError = _("one of the contours is empty"), _("the contour is nowhere wrong, or everywhere")
    nobody = _("no rater drew anything")
    withRater, ofRater = _("Overlap of the model's contour with this rater's"), _("Volume of this rater's contour")
    return [
        Score(MOST_TELLING, _("Dice with the raters' majority"), "", 2, dice, empty),
        Score("volume_ml", _("Volume, model"), ml, 2, _("Volume of the model's contour")),
        Score("volume_ml_majority", _("Volume, raters' majority"), ml, 2, _("Volume of the raters' majority vote")),
        Score("volume_difference_ml", _("Volume, model minus majority"), ml, 2, difference),
        Score(_INSIDE, _("Model uncertainty where raters disagree"), bits, 3, inside, agreed),
        Score("wme", _("Uncertainty weighted by disagreement"), bits, 3, weighted, agreed),
        *(
            Score(f"{_WITH_RATER}{rater}", _("Dice with {rater}").format(rater=rater), "", 2, withRater, empty)
            for rater in raters
        ),
        *(Score(f"volume_ml_of_{rater}", _("Volume, {rater}").format(rater=rater), ml, 2, ofRater) for rater in raters),
        Score("me", _("Model uncertainty of all voxels"), bits, 3, mean),
        Score("wme_as_printed", _("WME as printed"), bits, 3, printed),
        Score("ece_roi", _("Calibration error around the contours"), "", 3, calibration, nobody),
        Score("ece_inside", _("Calibration error where raters disagree"), "", 3, inDispute, agreed),
        Score("ece_all", _("Calibration error of all voxels"), "", 3, everywhere),
        *(
            Score(
                f"ece_roi_with_{name}", _("Calibration error for {rater}").format(rater=name), "", 3, forRater, nobody
            )
            for name in raters
        ),
        Score("brier_roi", _("Brier score"), "", 3, brier, nobody),
        Score("nll_roi", _("Negative log-likelihood"), _("nats"), 3, likelihood, nobody),
        Score("error_auroc_roi", _("Uncertainty finds errors"), "", 3, finds, noError),
        Score("entropy_correlation_roi", _("Correlation of both uncertainties"), "", 3, together, agreed),
        Score("surface_dice_1_mm", _("Surface Dice at 1 mm"), "", 2, nearby, empty),
        Score("surface_dice_2_mm", _("Surface Dice at 2 mm"), "", 2, nearby, empty),
        Score("hausdorff_95_mm", _("95 % Hausdorff distance"), _("mm"), 1, far, oneEmpty),
        Score("surface_distance_mm", _("Mean surface distance"), _("mm"), 2, average, oneEmpty),
        Score("added_path_mm", _("Added path length"), _("mm"), 0, path),
    ]


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
    rows = [
        (score.measure, _rounded(score), score.unit, _explanation(score), score.name, _exact(score.value))
        for score in scores
    ]
    rows += [(_("Note"), "", "", text, NOTE, "") for text in texts]
    rows.append((_("Research use only"), "", "", _("Not a medical device"), "", ""))
    titles = (_("Measure"), _("Value"), _("Unit"), _("Explanation"), NAME_COLUMN, EXACT_COLUMN)
    table = vtk.vtkTable()
    for title, cells in zip(titles, zip(*rows, strict=True), strict=True):
        column = vtk.vtkStringArray()
        column.SetName(title)
        for cell in cells:
            column.InsertNextValue(cell)
        table.AddColumn(column)
    return table


def _rounded(score: Score) -> str:
    if math.isnan(score.value):
        return _("undefined")
    text = f"{score.value:.{score.decimals}f}"
    if score.value == 0 or float(text) != 0:
        return text
    least = 10**-score.decimals  # nothing looks like exactly 0 that is not
    return f"< {least:g}" if score.value > 0 else f"> -{least:g}"


def _explanation(score: Score) -> str:
    if not math.isnan(score.value):
        return score.explanation
    return _("{explanation}. Undefined here: {reason}").format(explanation=score.explanation, reason=score.undefined)


def _exact(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))
