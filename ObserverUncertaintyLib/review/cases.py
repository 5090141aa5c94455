"""A folder of predictions as a list of cases to review, the worst first."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats.prediction_files import (
    EXPECTED_DICE,
    ONE_HALF,
    PROBABILITY_FILE,
    REPORT_FILE,
    segmentation_level,
)
from ObserverUncertaintyLib.review.predicted import read_predicted_probability
from ObserverUncertaintyLib.review.quality import expected_dice

NO_REPORT = (
    f"no {REPORT_FILE} lies beside it, so that nobody knows whether the case is unlike the training images: another "
    "program predicted it, or this was interrupted"
)
"""The warning of a case of which the probability alone is there."""


@dataclass(frozen=True)
class CaseToReview:
    """What a prediction says of its case.

    Attributes:
        case: the case's name, its folder below that of the predictions.
        expected_dice: with the raters' majority, in [0, 1]; None if nothing is segmented.
        volume_ml: of the segmentation in mL.
        warnings: what the user should know.
        unlike_training: in what the case is unlike the training images, so that its expected Dice says little; None if
            in nothing, or if nothing is known.
        is_computed_now: no report has the expected Dice and the volume, such as one that an earlier version or several
            models wrote, and they were computed from the probability.
    """

    case: str
    expected_dice: float | None
    volume_ml: float
    warnings: tuple[str, ...]
    unlike_training: str | None
    is_computed_now: bool


@dataclass(frozen=True)
class CaseList:
    """The cases of a folder of predictions.

    Attributes:
        cases: the worst first: those unlike the training images, of which the expected Dice says little; then those
            where nothing is segmented, then by expected Dice.
        left_out: why a case has no place in the list, by its name.
    """

    cases: tuple[CaseToReview, ...]
    left_out: dict[str, str]


def cases_to_review(folder: str | Path, case_names: Sequence[str] | None = None) -> CaseList:
    """List the cases of a folder of predictions, the worst first.

    Args:
        folder: with `<case>/probability.nii.gz` of every case, and the report `prediction.json` that `predict` writes.
        case_names: only these cases, such as those of a manifest; None takes all that lie there.

    Raises:
        InputError: the folder is not there or is that of one case, a case is named twice, or no case of it can be
            listed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; expected the one that predictions were written to. Check the name.")
    if any((folder / name).is_file() for name in (REPORT_FILE, PROBABILITY_FILE)):
        raise InputError(f"{folder} is the folder of one predicted case; give {folder.absolute().parent}, that of all.")
    if twice := [name for name, count in Counter(case_names or ()).items() if count > 1]:
        raise InputError(f"{twice[0]} is named twice. Name each case once.")
    cases, left_out = [], {}
    for name in _names(folder) if case_names is None else case_names:
        try:
            cases.append(_case(folder / name, name))
        except InputError as error:
            left_out[name] = str(error)
    if not cases:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in left_out.items())
        raise InputError(
            f"{folder} holds no prediction that can be listed; expected {PROBABILITY_FILE} in a folder for each case. "
            f"Predict the cases, or give the folder that holds them.{reasons}"
        )
    return CaseList(tuple(sorted(cases, key=_goodness)), left_out)


def _goodness(case: CaseToReview) -> tuple[bool, float, str]:
    dice = -1.0 if case.expected_dice is None else case.expected_dice
    return case.unlike_training is None, dice, case.case


def _names(folder: Path) -> list[str]:
    """The folders with a prediction, however deep, and those beside them that hold none, which were interrupted."""
    files = (file for name in (REPORT_FILE, PROBABILITY_FILE) for file in folder.rglob(name))
    reported = {file.parent.relative_to(folder).as_posix() for file in files}
    outermost = {name.partition("/")[0] for name in reported}
    return sorted(reported | {each.name for each in folder.iterdir() if each.is_dir() and each.name not in outermost})


def _case(folder: Path, name: str) -> CaseToReview:
    """Read a case's report, or its map where there is none; raises InputError if what it needs cannot be read."""
    file = folder / REPORT_FILE
    if not (folder / PROBABILITY_FILE).is_file():
        raise InputError(
            f"{folder / PROBABILITY_FILE} is not there: the case was not predicted, or this was interrupted. "
            "Predict it."
        )
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        dice, volume = _from_probability(folder, ONE_HALF)
        return CaseToReview(name, dice, volume, (NO_REPORT,), None, is_computed_now=True)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}. Check who may read it.") from error
    try:
        content = json.loads(text)
        reports = [dict(report) for report in content.get("models", [content])]
        level = segmentation_level(content)
        is_told = EXPECTED_DICE in content and "volume_ml" in content
        if is_told:
            dice, volume = content[EXPECTED_DICE], content["volume_ml"]
        else:
            dice, volume = _from_probability(folder, level)
        return CaseToReview(
            name,
            None if dice is None else _number(dice, 1.0),
            _number(volume),
            tuple(str(warning) for report in reports for warning in report["warnings"]),
            next((str(unlike) for report in reports if (unlike := report.get("unlike_training"))), None),
            not is_told,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{file} cannot be read ({error!r}); expected a whole report. Predict the case again."
        ) from error


def _from_probability(folder: Path, level: float) -> tuple[float | None, float]:
    """The expected Dice and the volume of the segmentation in mL."""
    volume = read_predicted_probability(folder)
    dice = expected_dice(volume.array, level)
    segmented = int(np.count_nonzero(volume.array > level)) * volume.grid.voxel_volume_ml
    return None if math.isnan(dice) else dice, segmented


def _number(value: Any, largest: float = math.inf) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= largest:
        raise ValueError(f"{value!r} is no number from 0 to {largest}")
    return float(value)
