"""The study's tables: one row for each arm and seed, means over seeds beside the paper's, and every sample."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ObserverUncertaintyLib.base.tables import rounded, write_csv
from ObserverUncertaintyLib.scores.calibration import CalibrationBins
from ObserverUncertaintyLib.studies.synthetic import paper
from ObserverUncertaintyLib.studies.synthetic.scores import SCORES
from ObserverUncertaintyLib.studies.synthetic.settings import Part

TABLE1_FILE = "table1.csv"
SUMMARY_FILE = "table1_summary.csv"
PER_SAMPLE_FILE = "per_sample.csv"
TABLE1_COLUMNS = ("wme", "wme_as_printed", "me", "dice", "ece")

Result = Mapping[str, Any]
"""What a unit wrote: the arm's settings, `seed`, and `scores`, one entry a test sample."""


def values(result: Result, score: str) -> list[float]:
    """A score of every test sample; NaN where it is undefined."""
    return [math.nan if row[score] is None else float(row[score]) for row in result["scores"]]


def table1_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row per state, fusion and seed, with mean and standard deviation over the test samples."""
    return [
        {
            "state": result["state"],
            "fusion": result["fusion"],
            "seed": result["seed"],
            "n_test": len(result["scores"]),
            **_mean_and_std(result, TABLE1_COLUMNS),
        }
        for result in _of(results, Part.TABLE1)
    ]


def summary_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row per state and fusion: means over seeds, the paper's numbers beside them.

    For each score: `_mean` over seeds of the seeds' means, `_std` over samples within a seed (the mean over seeds), and
    `_seed_std`, the standard deviation of the seeds' means, blank for one seed.
    """
    grouped: dict[tuple[str, str], list[Result]] = {}
    for result in _of(results, Part.TABLE1):
        grouped.setdefault((result["state"], result["fusion"]), []).append(result)
    rows = []
    for (state, fusion), group in grouped.items():
        row: dict[str, Any] = {"state": state, "fusion": fusion, "seeds": len(group)}
        row["n_test"] = len(group[0]["scores"])
        for score in SCORES:
            row |= over_seeds(group, score)
            if score in paper.TABLE1_SCORES:
                row[f"{score}_paper"], row[f"{score}_paper_std"] = paper.TABLE1[(score, state, fusion)]
        rows.append(row)
    return rows


def over_seeds(group: Sequence[Result], score: str) -> dict[str, float]:
    """Mean, standard deviation over samples, and over seeds, of one score of one arm."""
    samples = [values(result, score) for result in group]
    means = [_mean(each) for each in samples]
    return {
        f"{score}_mean": _mean(means),
        f"{score}_std": _mean([_std(each) for each in samples]),
        f"{score}_seed_std": _std(means) if len(means) > 1 else math.nan,
    }


def part_rows(results: Iterable[Result], part: Part) -> list[dict[str, Any]]:
    """One row per arm and seed of the extras or the sweeps."""
    columns = ("arm", "state", "fusion", "method", "parameter", "value", "seed", "width", "train", "samples")
    return [
        {
            **{column: result[column] for column in columns},
            "n_test": len(result["scores"]),
            **_mean_and_std(result, SCORES),
            "ece_pooled": pooled_calibration_error(result),
            "seconds": result["seconds"],
        }
        for result in _of(results, part)
    ]


def pooled_calibration_error(result: Result) -> float:
    """Calibration error over the pixels of all test samples together, from the bins of the reliability diagram.

    The error of a single sample is above 0 even for a prediction that no other could better: five raters are few, and
    their mean differs from what many would say.
    """
    columns = ("pixels", "probability", "raters")
    pixels, probability, raters = (np.array([each[name] for each in result["reliability"]]) for name in columns)
    return CalibrationBins(pixels, pixels * probability, pixels * raters).error()


def sample_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row per arm, seed and test sample."""
    return [
        {
            "arm": result["arm"],
            "state": result["state"],
            "fusion": result["fusion"],
            "seed": result["seed"],
            "sample": row["sample"],
            **{score: math.nan if row[score] is None else row[score] for score in SCORES},
        }
        for result in results
        for row in result["scores"]
    ]


def write_tables(folder: Path, results: Sequence[Result]) -> None:
    """Write every table that has rows."""
    tables = {
        TABLE1_FILE: table1_rows(results),
        SUMMARY_FILE: summary_rows(results),
        "extras.csv": part_rows(results, Part.EXTRAS),
        "sweeps.csv": part_rows(results, Part.SWEEPS),
        PER_SAMPLE_FILE: sample_rows(results),
    }
    for name, rows in tables.items():
        if rows:
            write_csv(folder / name, rounded(rows))


def _of(results: Iterable[Result], part: Part) -> list[Result]:
    return [result for result in results if result["part"] == part]


def _mean_and_std(result: Result, scores: Iterable[str]) -> dict[str, float]:
    row = {}
    for score in scores:
        each = values(result, score)
        row[f"{score}_mean"], row[f"{score}_std"] = _mean(each), _std(each)
    return row


def _mean(numbers: Sequence[float]) -> float:
    defined = [number for number in numbers if not math.isnan(number)]
    return float(np.mean(defined)) if defined else math.nan


def _std(numbers: Sequence[float]) -> float:
    """Of a sample: divided by n - 1."""
    defined = [number for number in numbers if not math.isnan(number)]
    return float(np.std(defined, ddof=1)) if len(defined) > 1 else math.nan
