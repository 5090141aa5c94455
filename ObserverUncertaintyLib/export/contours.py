"""Which contours and bands of a case are exported, with their names, colours and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats.marks import ResultKind, mark
from ObserverUncertaintyLib.formats.prediction_files import ONE_HALF
from ObserverUncertaintyLib.formats.writing import NOTE
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.contours import INNER, OUTER, contour_at, with_margin

BAND_EDGES = (0.25, 0.5, 0.75)
"""Lower edges of the entropy's bands in bits; what lies below the first is left out."""

_Color = tuple[int, int, int]

_REVIEWED: _Color = (60, 188, 146)
_PREDICTED: _Color = (0, 118, 191)
_INNER: _Color = (0, 77, 125)
_OUTER: _Color = (82, 183, 255)
_MARGIN: _Color = (255, 121, 213)
_BANDS: tuple[_Color, ...] = ((132, 32, 107), (221, 81, 58), (251, 186, 31))


@dataclass(frozen=True)
class Contour:
    """One structure of an exported object.

    Attributes:
        name: for people, at most 64 characters.
        mask: bool, shape (k, j, i).
        description: what it is, and that it is for research; of a result also the mark by which it is known again.
        color: red, green and blue, 0 to 255.
        by_hand: whether somebody drew or corrected it.
    """

    name: str
    mask: NDArray[np.bool_]
    description: str
    color: _Color
    by_hand: bool = False


def case_contours(
    grid: Grid,
    *,
    structure: str,
    reviewed: NDArray[np.bool_] | None = None,
    probability: NDArray[np.float32] | None = None,
    level: float = ONE_HALF,
    margin_mm: float = 0.0,
) -> list[Contour]:
    """The contours of a case: reviewed or else segmented, inner and outer, and with a margin.

    Args:
        grid: the voxel grid.
        structure: the name of what was segmented.
        reviewed: what a reviewer approved, shape (k, j, i).
        probability: the model's, same shape; without it there is neither an inner nor an outer contour.
        level: the probability above which a voxel is segmented.
        margin_mm: around the reviewed or else the segmented structure; 0 for none.
    """
    found: list[Contour] = []
    if reviewed is not None:
        found.append(Contour(_name(structure, "reviewed"), reviewed, f"Reviewed. {NOTE}", _REVIEWED, by_hand=True))
    if probability is not None:
        levels = [(INNER, "inner contour", _INNER), (OUTER, "outer contour", _OUTER)]
        if reviewed is None:
            levels.insert(0, (level, "segmentation", _PREDICTED))
        for height, what, color in levels:
            mask = contour_at(probability, height)
            found.append(_computed(structure, what, f"Probability above {height:g}", mask, color))
    if margin_mm and found:
        mask = with_margin(found[0].mask, grid, margin_mm)
        what = f"{found[0].name} with a margin of {margin_mm:g} mm"
        found.append(_computed(structure, f"margin {margin_mm:g} mm", what, mask, _MARGIN))
    return found


def entropy_bands(entropy: NDArray[np.float32]) -> list[Contour]:
    """The predictive entropy in bands, for viewers that show no map; bands without a voxel are left out.

    Args:
        entropy: in bits, shape (k, j, i).
    """
    edges = (*BAND_EDGES, np.inf)
    found = []
    for low, high, color in zip(BAND_EDGES, edges[1:], _BANDS, strict=True):
        mask = (entropy >= low) & (entropy < high)
        what = f"Predictive entropy from {low:g} to {min(high, 1.0):g} bit"
        if mask.any():
            found.append(Contour(what, mask, f"{what}. {mark(ResultKind.ENTROPY, mask)}", color))
    return found


def _computed(structure: str, name: str, what: str, mask: NDArray[np.bool_], color: _Color) -> Contour:
    return Contour(_name(structure, name), mask, f"{what}. {mark(ResultKind.PREDICTED, mask)}", color)


def _name(structure: str, what: str) -> str:
    """At most 64 characters, as a label in DICOM may have; the structure's name is shortened."""
    if "\\" in structure:
        raise InputError(f"{structure}: a name in DICOM has no backslash. Give another name of the structure.")
    return f"{structure[: 64 - len(what) - 2]}, {what}"
