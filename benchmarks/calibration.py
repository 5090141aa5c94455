"""Does a model calibrated to its experts tell the truth, and what does it cost? Temperature with bias against isotonic.

Takes the predictions of a study of `experiment cavity` (on any manifest, real raters too): within each fold, whose
cases the fold's model was not trained on, each case is calibrated by a map that is fitted to the others.

    observer-uncertainty experiment cavity --simulate --preset small --folds 3 --arms none,majority,mean --out small
    python benchmarks/calibration.py --study small
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from ObserverUncertaintyLib.base.tables import aligned, number, signed_interval, write_csv
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.evaluation.calibrating import FIGURES, POOLED, CaseVoxels, cross_validated_maps, figures
from ObserverUncertaintyLib.evaluation.scoring import read_probability
from ObserverUncertaintyLib.formats.prediction_files import PROBABILITY_FILE
from ObserverUncertaintyLib.model.calibration import CalibrationKind, CalibrationMap
from ObserverUncertaintyLib.scores.calibration import CalibrationBins
from ObserverUncertaintyLib.studies.paired import paired_interval

ARMS = ("none", "majority", "mean")
NO_MAP = "none"


def folds_of(study: Path, seed: int, arm: str) -> dict[int, list[str]]:
    """The cases of each fold that an arm has predicted, by the results of its units."""
    found = defaultdict(list)
    for file in sorted((study / f"seed{seed}" / arm / "cases").glob("*/result.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        found[result["fold"]].append(result["case"])
    return found


def score_arm(study: Path, cohort: Cohort, seed: int, arm: str) -> list[dict[str, Any]]:
    """A row a case and map, with the case's bins."""
    rows = []
    for fold, names in folds_of(study, seed, arm).items():
        cases = [cohort.load(name) for name in names]
        maps = [
            read_probability(study / f"seed{seed}" / arm / "cases" / name / PROBABILITY_FILE, case)
            for name, case in zip(names, cases, strict=True)
        ]
        voxels = [CaseVoxels.of(p, case.raters, case.grid) for p, case in zip(maps, cases, strict=True)]
        fitted: dict[str, list[CalibrationMap | None]] = {NO_MAP: [None] * len(cases)}
        fitted |= {kind.value: list(cross_validated_maps(kind, voxels)) for kind in CalibrationKind}
        for kind, calibrations in fitted.items():
            for case, p, calibration in zip(cases, maps, calibrations, strict=True):
                scores, bins = figures(case, p, calibration)
                made = {"seed": seed, "arm": arm, "fold": fold, "case": case.name, "map": kind}
                rows.append({**made, **scores, "bins": bins})
    return rows


def table(rows: list[dict[str, Any]]) -> list[list[str]]:
    """A line an arm and map: means, and the change of the WME with its interval over cases."""
    lines = []
    for arm in dict.fromkeys(row["arm"] for row in rows):
        of_arm = [row for row in rows if row["arm"] == arm]
        before = {(row["seed"], row["case"]): row for row in of_arm if row["map"] == NO_MAP}
        for kind in dict.fromkeys(row["map"] for row in of_arm):
            chosen = [row for row in of_arm if row["map"] == kind]
            # Pooled for each model, since each has a map of its own; then the mean of the models.
            models: dict[tuple[int, int], list[CalibrationBins]] = defaultdict(list)
            for row in chosen:
                models[row["seed"], row["fold"]].append(row["bins"])
            pooled = float(np.mean([reduce(add, bins).error() for bins in models.values()]))
            change = np.array([row["wme"] - before[row["seed"], row["case"]]["wme"] for row in chosen])
            means = [number(float(np.nanmean([row[score] for row in chosen]))) for score in FIGURES]
            moved = "" if kind == NO_MAP else signed_interval(*paired_interval(change))
            lines.append([arm, kind, str(len(chosen)), number(pooled), *means, moved])
    return lines


def main() -> None:
    """Print the table of a study, and write every case to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, required=True, help="folder of the study")
    parser.add_argument("--manifest", type=Path, help="the study's manifest, if its patients are not simulated")
    parser.add_argument("--out", type=Path, help="every case as CSV")
    arguments = parser.parse_args()
    rows = []
    for folder in sorted(arguments.study.glob("seed*")):
        seed = int(folder.name.removeprefix("seed"))
        cohort = Cohort.open(arguments.manifest or folder / "cohort" / "cohort.toml")
        for arm in ARMS:
            rows += score_arm(arguments.study, cohort, seed, arm)
    if arguments.out:
        write_csv(arguments.out, [{key: row[key] for key in row if key != "bins"} for row in rows])
    print(aligned(["arm", "map", "n", POOLED, *FIGURES, "change of the WME"], table(rows)))


if __name__ == "__main__":
    main()
