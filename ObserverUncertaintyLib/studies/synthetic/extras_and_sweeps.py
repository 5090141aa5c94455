"""The extras and the sweeps as rows for report and figure: means over seeds, the default among the varied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ObserverUncertaintyLib.base.records import to_json
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.simulation.shapes import PERTURBED
from ObserverUncertaintyLib.studies.synthetic.arms import Method
from ObserverUncertaintyLib.studies.synthetic.scores import SCORES
from ObserverUncertaintyLib.studies.synthetic.settings import Part, SyntheticSettings
from ObserverUncertaintyLib.studies.synthetic.tables import Result, over_seeds, pooled_calibration_error

REFERENCES = (Method.RATER_MEAN, Method.MANY_RATERS)
"""Predictions that no model makes; they need no image and so belong to both states."""

_FUSIONS = list(FusionMethod)
_DEFAULT_BLUR = "1"
_DEFAULT_DECAY = "random"


def arm_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row per arm, over its seeds.

    Args:
        results: of any parts of the study.

    Returns:
        For each arm, in the order of its first result: `arm`, `state`, `fusion`, `method`, `parameter`, `value`,
        `seeds`, for each score `_mean`, `_std` (over test samples) and `_seed_std` (not-a-number for one seed),
        `ece_pooled` and `seconds` (means over seeds).
    """
    grouped: dict[str, list[Result]] = {}
    for result in results:
        grouped.setdefault(result["arm"], []).append(result)
    rows = []
    for group in grouped.values():
        row: dict[str, Any] = {key: group[0][key] for key in ("arm", "state", "fusion", "method", "parameter", "value")}
        row["seeds"] = len(group)
        for score in SCORES:
            row |= over_seeds(group, score)
        row["ece_pooled"] = sum(pooled_calibration_error(each) for each in group) / len(group)
        row["seconds"] = sum(each["seconds"] for each in group) / len(group)
        rows.append(row)
    return rows


def extras_rows(results: Iterable[Result], state: str) -> list[dict[str, Any]]:
    """The extras of an image state: the paper's way first, then by target and method, the references last."""
    extras = arm_rows(result for result in results if result["part"] == Part.EXTRAS)
    chosen = [row for row in extras if row["state"] == state or row["method"] in REFERENCES]
    methods = [str(method) for method in Method]

    def order(row: dict[str, Any]) -> tuple[bool, bool, int, int]:
        varied = row["method"] != Method.DROPOUT
        return (row["method"] in REFERENCES, varied, _FUSIONS.index(row["fusion"]), methods.index(row["method"]))

    return sorted(chosen, key=order)


def sweep_rows(settings: SyntheticSettings, results: Sequence[Result]) -> list[dict[str, Any]]:
    """What the sweeps varied, parameter by parameter, the default's row among the varied ones.

    Args:
        settings: of the study; they say what the default is.
        results: of any parts of the study.

    Returns:
        Rows of `arm_rows` with `default` (whether it is the default's), by parameter in the order of the results,
        then value, then fusion. Arms that differ in how they predict are left out: they are no part of the curves.
    """
    bases = {
        row["fusion"]: row
        for row in arm_rows(r for r in results if r["part"] == Part.EXTRAS)
        if row["state"] == PERTURBED and row["method"] == Method.DROPOUT
    }
    swept = [row for row in arm_rows(_sweeps(results)) if row["method"] == Method.DROPOUT]
    rows = []
    for parameter in dict.fromkeys(row["parameter"] for row in swept):
        value = default_value(settings, parameter)
        # A study whose default is one of the swept values has that arm twice, and the sweep's serves.
        own = [{**row, "default": row["value"] == value} for row in swept if row["parameter"] == parameter]
        there = {row["fusion"] for row in own if row["default"]}
        for fusion in dict.fromkeys(row["fusion"] for row in own):
            if fusion in bases and fusion not in there:
                own.append({**bases[fusion], "parameter": parameter, "value": value, "default": True})
        rows += sorted(own, key=lambda row: (*_by_value(row), _FUSIONS.index(row["fusion"])))
    return rows


def repredicted_sweep_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Sweeps' arms that predict otherwise, calibrated or without dropout, each after the arm whose model it uses."""
    rows = arm_rows(_sweeps(results))
    varied = [(row["parameter"], row["value"], row["fusion"]) for row in rows if row["method"] != Method.DROPOUT]
    chosen = [row for row in rows if (row["parameter"], row["value"], row["fusion"]) in varied]
    return sorted(chosen, key=lambda row: (row["parameter"], row["value"], row["method"] != Method.DROPOUT))


def default_value(settings: SyntheticSettings, parameter: str) -> str:
    """What a sweep's parameter is in the arms that do not vary it."""
    match parameter:
        case "T":
            return str(settings.samples)
        case "raters":
            return str(settings.shapes.observers)
        case "train":
            return str(settings.train)
        case "width":
            return str(settings.side_width)
        case "radius":
            return str(settings.shapes.radius)
        case "blur":
            return _DEFAULT_BLUR
        case "decay":
            return _DEFAULT_DECAY
        case "train+batch_size":
            return f"{settings.train}+{settings.training.batch_size}"
    return str(to_json(settings.training)[parameter])


def _sweeps(results: Iterable[Result]) -> Iterable[Result]:
    return (result for result in results if result["part"] == Part.SWEEPS)


def _by_value(row: dict[str, Any]) -> tuple[float, str]:
    """Numbers by size; words after the default."""
    try:
        return float(row["value"]), ""
    except ValueError:
        return (0.0 if row["default"] else 1.0), row["value"]
