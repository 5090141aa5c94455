"""How well the raters of a cohort agree: every two of them, each one's habits, and whether there are enough of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import write_json
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.tables import aligned, number, without_nan, write_csv
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.loading import LoadOptions
from ObserverUncertaintyLib.evaluation.tables import score_files
from ObserverUncertaintyLib.scores.agreement import reliability_of_mean, volume_correlation
from ObserverUncertaintyLib.scores.case_agreement import CaseAgreement, case_agreement
from ObserverUncertaintyLib.scores.subsets import SubsetsOfRaters

RELIABLE = 0.9
"""Reliability of the raters' mean that counts as enough."""

_PAIRS = {
    "dice": ("Dice", 3),
    "surface_dice_1_mm": ("surface Dice 1 mm", 3),
    "surface_dice_2_mm": ("2 mm", 3),
    "hausdorff_95_mm": ("Hausdorff 95 % (mm)", 2),
    "surface_distance_mm": ("surface distance (mm)", 2),
    "added_path_mm": ("added path (mm)", 0),
    "kappa": ("kappa", 3),
}
"""The measures of two raters, with their titles and decimals."""

ALL_PAIRS = "all pairs"


@dataclass(frozen=True)
class Figure:
    """A measure over cases: mean, standard deviation (n - 1) and number of cases where it is defined."""

    mean: float
    std: float
    n: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Figure:
        """Leave out what is undefined (NaN)."""
        defined = [value for value in values if np.isfinite(value)]
        std = float(np.std(defined, ddof=1)) if len(defined) > 1 else float("nan")
        return cls(float(np.mean(defined)) if defined else float("nan"), std, len(defined))


@dataclass(frozen=True)
class RaterHabits:
    """How a rater draws, beside the other raters of the same cases.

    Attributes:
        larger_ml: by how much more than the others' mean volume; its spread over cases is the rater's consistency.
        larger_mm: by how many mm outside the others' surfaces, likewise.
        slice_spread_mm: how much the latter varies over the slices of a case (root mean square over cases).
    """

    larger_ml: Figure
    larger_mm: Figure
    slice_spread_mm: float


@dataclass(frozen=True)
class CohortAgreement:
    """How well the raters of a cohort agree.

    Attributes:
        cases: each case.
        pairs: for every two raters ("anna, ben"), and for all pairs together, the measures of `PairAgreement`.
        raters: each rater's habits.
        fleiss_kappa, conformity_index: of all raters of a case.
        volume_icc: ICC(2,1) of the volumes over the cases that have every rater; NaN with fewer than two.
        settling: what one rater up to all show, mean over the cases that have the most raters.
        notes: what is left out.
    """

    cases: tuple[CaseAgreement, ...]
    pairs: Mapping[str, Mapping[str, Figure]]
    raters: Mapping[str, RaterHabits]
    fleiss_kappa: Figure
    conformity_index: Figure
    volume_icc: float
    settling: tuple[SubsetsOfRaters, ...]
    notes: tuple[str, ...]

    @property
    def reliability(self) -> float:
        """Of the raters' mean; see `reliability_of_mean`."""
        return reliability_of_mean(self.fleiss_kappa.mean, len(self.settling))

    @property
    def growth(self) -> float:
        """By which share the last rater enlarged the disputed volume; NaN with fewer than four raters.

        The third of three enlarges it by half whatever they draw: two of three pairs dispute each disputed voxel.
        """
        if len(self.settling) < 4 or not self.settling[-2].disputed_ml:
            return float("nan")
        return self.settling[-1].disputed_ml / self.settling[-2].disputed_ml - 1

    def sentence(self) -> str:
        """Whether there are enough raters."""
        count, kappa = len(self.settling), self.fleiss_kappa.mean
        if not np.isfinite(self.reliability):
            return "The raters agree no better than by chance: no number of them is enough."
        text = f"The mean of {count} raters has a reliability of {self.reliability:.2f}"
        needed = math.ceil(RELIABLE * (1 - kappa) / (kappa * (1 - RELIABLE)) - 1e-9)
        text += "." if needed <= count else f"; {RELIABLE:g} takes {needed}."
        if np.isfinite(self.growth):
            text += f" The last one enlarged the disputed volume by {self.growth:.0%}."
        return text


def cohort_agreement(
    cohort: Cohort, options: LoadOptions = LoadOptions(), progress: Progress | None = None
) -> CohortAgreement:
    """Compare the raters of a cohort's cases; arguments as of `evaluate`, the rest as of `raters_agreement`."""
    progress = progress or Progress()

    def loaded() -> Iterator[Case]:
        progress.start("agreement", len(cohort))
        for name in cohort.case_names:
            progress.check_cancelled()
            case = cohort.load(name, options)
            for warning in case.warnings:
                progress.warning(warning)
            yield case
            progress.advance(1, name)

    found = raters_agreement(loaded())
    for note in found.notes:
        progress.message(note)
    return found


def raters_agreement(cases: Iterable[Case]) -> CohortAgreement:
    """Compare the raters of several cases; a case with one rater or none is left out, and noted.

    Raises:
        InputError: no case has two raters.
    """
    compared, notes = [], []
    for case in cases:
        if len(case.rater_names) < 2:
            notes.append(f"{case.name} is left out: agreement needs two raters, and it has {len(case.rater_names)}")
            continue
        compared.append(case_agreement(case.raters, case.rater_names, case.grid, case.name))
    if not compared:
        raise InputError("No case has two raters, so there is no agreement to measure. Name two raters or more.")
    names = list(dict.fromkeys(rater.rater for case in compared for rater in case.raters))
    pairs: dict[str, dict[str, list[float]]] = {}
    for found in compared:
        for pair in found.pairs:
            first, second = sorted((pair.first, pair.second), key=names.index)
            for title in (f"{first}, {second}", ALL_PAIRS):
                measures = pairs.setdefault(title, {name: [] for name in _PAIRS})
                for name in _PAIRS:
                    measures[name].append(getattr(pair, name))
    pairs[ALL_PAIRS] = pairs.pop(ALL_PAIRS)  # last
    volumes = [{rater.rater: rater.volume_ml for rater in case.raters} for case in compared]
    complete = [[each[name] for name in names] for each in volumes if len(each) == len(names)]
    most = max(len(case.raters) for case in compared)
    fullest = [case for case in compared if len(case.raters) == most]
    if len(fullest) < len(compared):
        notes.append(f"how agreement settles is seen in the {len(fullest)} of {len(compared)} cases with {most} raters")
    return CohortAgreement(
        tuple(compared),
        {title: {name: Figure.of(values) for name, values in each.items()} for title, each in pairs.items()},
        {name: _habits(name, compared) for name in names},
        Figure.of(case.fleiss_kappa for case in compared),
        Figure.of(case.conformity_index for case in compared),
        volume_correlation(np.array(complete).reshape(-1, len(names))),
        tuple(_settling(size, fullest) for size in range(1, most + 1)),
        tuple(notes),
    )


def agreement_table(found: CohortAgreement) -> str:
    """The figures for a terminal: pairs, raters, how they settle."""
    pair_rows = [
        [title, str(each["dice"].n), *(number(each[name].mean, decimals) for name, (_t, decimals) in _PAIRS.items())]
        for title, each in found.pairs.items()
    ]
    rater_rows = [
        [
            name,
            f"{habits.larger_ml.mean:+.2f}",
            number(habits.larger_ml.std, 2),
            f"{habits.larger_mm.mean:+.2f}",
            number(habits.larger_mm.std, 2),
            number(habits.slice_spread_mm, 2),
        ]
        for name, habits in found.raters.items()
    ]
    settling_rows = [
        [
            str(each.raters),
            number(each.disputed_ml, 2),
            number(each.entropy_ml, 2),
            number(each.conformity_index, 3),
            number(each.conformity_spread, 3),
            number(each.dice_left_out, 3),
        ]
        for each in found.settling
    ]
    return "\n".join(
        [
            aligned(["raters", "n", *(title for title, _decimals in _PAIRS.values())], pair_rows),
            "",
            f"all raters: Fleiss' kappa {number(found.fleiss_kappa.mean, 3)}, generalised conformity index "
            f"{number(found.conformity_index.mean, 3)}, ICC of the volumes {number(found.volume_icc, 3)}",
            "",
            aligned(
                ["rater", "larger by (mL)", "over cases ±", "by (mm)", "over cases ±", "over slices ±"], rater_rows
            ),
            "",
            aligned(
                ["raters", "disputed (mL)", "entropy (bits mL)", "conformity", "±", "Dice with one left out"],
                settling_rows,
            ),
            found.sentence(),
        ]
    )


def write_agreement(path: Path, found: CohortAgreement) -> tuple[Path, Path]:
    """Write a row for each case and pair as CSV, and all figures as JSON; undefined ones are blank and null."""
    csv_path, json_path = score_files(path)
    write_csv(csv_path, [{"case": case.case, **asdict(pair)} for case in found.cases for pair in case.pairs])
    write_json(json_path, agreement_json(found))
    return csv_path, json_path


def agreement_json(found: CohortAgreement) -> dict[str, Any]:
    """All figures for JSON, undefined ones as None."""
    content: dict[str, Any] = without_nan(asdict(found))
    more = {"reliability": found.reliability, "growth": found.growth, "sentence": found.sentence()}
    return content | without_nan(more)


def _habits(name: str, cases: list[CaseAgreement]) -> RaterHabits:
    each = [rater for case in cases for rater in case.raters if rater.rater == name]
    spreads = np.array([rater.spread_mm for rater in each])
    spreads = spreads[np.isfinite(spreads)]
    return RaterHabits(
        Figure.of(rater.larger_ml for rater in each),
        Figure.of(rater.larger_mm for rater in each),
        float(np.sqrt(np.mean(spreads**2))) if len(spreads) else float("nan"),
    )


def _settling(size: int, cases: list[CaseAgreement]) -> SubsetsOfRaters:
    each = [asdict(case.subsets[size - 1]) for case in cases]
    return SubsetsOfRaters(
        size, *(Figure.of(subset[name] for subset in each).mean for name in list(each[0]) if name != "raters")
    )
