"""How well the raters of a case agree: the library's figures, of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.scores.case_agreement import CaseAgreement, case_agreement
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.raterMasks import commonGrid, raterMasks


def raterAgreement(raters: Sequence[Any], referenceVolume=None, caseName: str = "case") -> CaseAgreement:
    """Compare every two raters, and each with the others.

    Args:
        raters: as `asRaters` takes them, two or more.
        referenceVolume: on whose grid they are compared; the raters' own if None.
        caseName: the name of the case.

    Returns:
        The figures: `pairs`, `raters`, `fleiss_kappa`, `conformity_index` and `subsets`.

    Raises:
        InputError: there are fewer than two raters, or one cannot be used.
    """
    if len(raters) < 2:
        raise InputError(_("Agreement needs two raters. Add the contours of another expert."))
    masks = raterMasks(raters, commonGrid(raters, referenceVolume))
    return case_agreement(masks.masks, masks.names, masks.grid, caseName)
