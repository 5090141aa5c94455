"""The study's tables: every case, means of each arm, WME by Dice group, and the raters' agreement."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.evaluation.scoring import summarise
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.scores.calibration import CalibrationBins
from ObserverUncertaintyLib.studies.cavity.groups import GROUPS, Split, groups

Result = Mapping[str, Any]
"""What a unit wrote: `seed`, `arm`, `fold`, `case`, and of a predicted case `scores`, `calibration`, `rater_dice`."""

_BEFORE = "ece"
"""A score that results of before have in the place of `ece_roi` and of `calibration`, over other voxels."""

ALL_SEEDS = "all"


@dataclass(frozen=True)
class Scores:
    """Every score of the cases that all arms have predicted, for one seed or for all of them together.

    Attributes:
        label: the seed, or `ALL_SEEDS`.
        cases: the cases' names.
        arms: arm to score to one value a case, in the order of `cases`; NaN where it is undefined.
    """

    label: str
    cases: tuple[str, ...]
    arms: Mapping[str, Mapping[str, NDArray[np.float64]]]


def case_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row a seed, arm and case, with all scores; a score that a case lacks is NaN.

    So is `ece_roi` of every case if there is a result `of_before`: arms and groups would be compared on other cases.
    """
    results = list(results)
    unknown = {"ece_roi"} if of_before(results) else set()
    rows = []
    for result in results:
        scores = {"ece_roi" if score == _BEFORE else score: value for score, value in result["scores"].items()}
        rows.append(
            {
                **{key: result[key] for key in ("seed", "arm", "fold", "case")},
                **{name: math.nan if value is None or name in unknown else value for name, value in scores.items()},
            }
        )
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return [{column: row.get(column, math.nan) for column in columns} for row in rows]


def of_before(results: Iterable[Result]) -> int:
    """How many results were scored before there was `ece_roi`."""
    return sum(_BEFORE in result["scores"] for result in results)


def scores_of_seed(rows: Sequence[Mapping[str, Any]], seed: int, arms: Sequence[str]) -> Scores | None:
    """One seed's scores of the cases that every arm has; None if there is none."""
    found = {(row["arm"], row["case"]): row for row in rows if row["seed"] == seed}
    names = dict.fromkeys(case for _arm, case in found)
    cases = tuple(case for case in sorted(names) if all((arm, case) in found for arm in arms))
    if not cases:
        return None
    columns = _score_columns(rows)
    table = {
        arm: {score: np.array([found[(arm, case)][score] for case in cases], float) for score in columns}
        for arm in arms
    }
    return Scores(str(seed), cases, table)


def scores_of_all_seeds(seeds: Sequence[Scores], same_patients: bool) -> Scores:
    """All seeds together, so that every patient counts once.

    Args:
        seeds: each seed's scores.
        same_patients: the seeds share one cohort: a case's values are averaged over the seeds that have it. Otherwise
            each seed's cases are patients of their own.
    """
    arms = list(seeds[0].arms)
    columns = list(seeds[0].arms[arms[0]])
    if not same_patients:
        cases = tuple(f"seed{each.label}/{case}" for each in seeds for case in each.cases)
        joined = {
            arm: {score: np.concatenate([each.arms[arm][score] for each in seeds]) for score in columns} for arm in arms
        }
        return Scores(ALL_SEEDS, cases, joined)
    cases = tuple(sorted({case for each in seeds for case in each.cases}))
    averaged = {
        arm: {score: np.array([_mean_over_seeds(seeds, arm, score, case) for case in cases]) for score in columns}
        for arm in arms
    }
    return Scores(ALL_SEEDS, cases, averaged)


def _mean_over_seeds(seeds: Sequence[Scores], arm: str, score: str, case: str) -> float:
    values = [each.arms[arm][score][each.cases.index(case)] for each in seeds if case in each.cases]
    return _mean(np.array(values))


def _score_columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [column for column in rows[0] if column not in ("seed", "arm", "fold", "case", "raters")]


def summary_rows(tables: Sequence[Scores], results: Iterable[Result] = ()) -> list[dict[str, Any]]:
    """One row a seed and arm: mean, standard deviation over cases and number of cases of each score.

    Args:
        tables: the seeds' scores.
        results: of the predicted cases, for `ece_roi_pooled`; it is left out if one of them is `of_before`.
    """
    results = list(results)
    calibration = {} if of_before(results) else _calibration(tables, results)
    rows = []
    for scores in tables:
        for arm, columns in scores.arms.items():
            cases = [
                {score: float(values[number]) for score, values in columns.items()}
                for number in range(len(scores.cases))
            ]
            summary = summarise(cases, calibration.get((scores.label, arm), ()))
            row: dict[str, Any] = {"seed": scores.label, "arm": arm}
            for score, found in summary.items():
                row |= {f"{score}_{key}": value for key, value in found.items()}
            rows.append(row)
    return rows


def _calibration(tables: Sequence[Scores], results: Iterable[Result]) -> dict[tuple[str, str], list[CalibrationBins]]:
    """The bins of each label's and arm's cases; those of all seeds are every seed's."""
    cases = {scores.label: scores.cases for scores in tables if scores.label != ALL_SEEDS}
    found: dict[tuple[str, str], list[CalibrationBins]] = {}
    for result in results:
        seed = str(result["seed"])
        if result["case"] in cases.get(seed, ()):
            for label in (seed, ALL_SEEDS):
                bins = CalibrationBins.from_json(result["calibration"])
                found.setdefault((label, result["arm"]), []).append(bins)
    return found


def group_rows(tables: Sequence[Scores]) -> list[dict[str, Any]]:
    """One row a seed, split, Dice group and arm, with what WME is there; see `groups`."""
    rows = []
    for scores in tables:
        for split in Split:
            found = groups(scores.arms, split)
            for group in GROUPS if found else ():
                for arm, members in found.items():
                    wme = scores.arms[arm]["wme"][members.of(group)]
                    dice = scores.arms[arm][split.score][members.of(group)]
                    rows.append(
                        {
                            "seed": scores.label,
                            "split": split.value,
                            "group": group,
                            "arm": arm,
                            "n": len(wme),
                            "dice_mean": _mean(dice),
                            "wme_mean": _mean(wme),
                            "wme_std": float(wme.std(ddof=1)) if len(wme) > 1 else math.nan,
                            **_quartiles("wme", wme),
                        }
                    )
    return rows


def agreement_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row a seed and pair of raters: median and quartiles of their Dice over the cases."""
    found: dict[tuple[int, str], list[float]] = {}
    for result in results:
        if result["arm"] == FusionMethod.NONE:
            for pair, value in result["rater_dice"].items():
                found.setdefault((result["seed"], pair), []).append(math.nan if value is None else value)
    rows = []
    for (seed, pair), values in found.items():
        defined = np.array([value for value in values if not math.isnan(value)])
        rows.append({"seed": seed, "raters": pair, "n": len(defined), **_quartiles("dice", defined)})
    return rows


def _quartiles(name: str, values: NDArray[np.float64]) -> dict[str, float]:
    low, middle, high = np.percentile(values, [25, 50, 75]) if len(values) else [math.nan] * 3
    return {f"{name}_q1": float(low), f"{name}_median": float(middle), f"{name}_q3": float(high)}


def _mean(values: NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else math.nan
