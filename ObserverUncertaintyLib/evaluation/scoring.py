"""Scoring predicted probabilities against the raters, case by case and in summary.

Of a prediction only `<case>/probability.nii.gz` is needed, so that any tool's output can be scored; a report beside it
tells which model and images it belongs to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.loading import LoadOptions
from ObserverUncertaintyLib.formats import read_image, read_mask
from ObserverUncertaintyLib.formats.prediction_files import (
    MADE_FROM,
    ONE_HALF,
    PROBABILITY_FILE,
    REPORT_FILE,
    segmentation_level,
)
from ObserverUncertaintyLib.formats.prediction_samples import read_samples, saved_sample_files
from ObserverUncertaintyLib.images.grid import require_same_grid
from ObserverUncertaintyLib.model.settings import without_empty_economy
from ObserverUncertaintyLib.review.quality import expected_dice
from ObserverUncertaintyLib.scores.calibration import CalibrationBins
from ObserverUncertaintyLib.scores.case_scores import case_scores
from ObserverUncertaintyLib.scores.entropy import binary_entropy
from ObserverUncertaintyLib.scores.error_detection import area_under_risk_coverage
from ObserverUncertaintyLib.scores.multi_rater_metrics import EnergyDistance
from ObserverUncertaintyLib.scores.region import calibration_around_raters

UNSURE_EVERYWHERE = 0.3
"""Mean entropy in bits where all raters agree, from which on a warning says so; trained models stay below 0.1."""

_ON_CASES_GRID = "A prediction must lie on the case's own grid; predict the case again."

_DECISIVE = ("samples", "dropout_masks", "economy", "rater", "flip")
"""Entries of a report that decide a prediction's numbers; what an earlier version did not have is empty by default."""

Row = dict[str, Any]
"""One case's scores: `case`, numbers (NaN where undefined) and `warnings`."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of several cases.

    Attributes:
        cases: one row a case, all with the same keys in the same order.
        summary: for each score its mean, standard deviation over cases and n, undefined values left out; for `ece_roi`
            also `pooled`: the error over the voxels of all cases together. With two cases or more also
            `risk_coverage`: the area under the curve of 1 - `dice_majority` by `expected_dice`, as its mean.
        warnings: what the user should know about the predictions as a whole, such as that several models made them.
    """

    cases: list[Row]
    summary: dict[str, dict[str, float]]
    warnings: tuple[str, ...] = ()


def evaluate(
    folder: str | Path,
    cohort: Cohort,
    options: LoadOptions = LoadOptions(),
    progress: Progress | None = None,
) -> Evaluation:
    """Score `folder/<case>/probability.nii.gz` of every case of a cohort that has one.

    Raises:
        InputError: no case has a prediction, no case has two raters, or a file cannot be used.
    """
    folder, progress = Path(folder), progress or Progress()
    predicted = [name for name in cohort.case_names if (folder / name / PROBABILITY_FILE).exists()]
    if not predicted:
        raise InputError(
            f"{folder} has no {PROBABILITY_FILE} for any of the {len(cohort)} cases of {cohort.manifest.path} "
            f"(looked for example for {folder / cohort.case_names[0] / PROBABILITY_FILE})."
        )
    if len(predicted) < len(cohort):
        progress.message(f"{len(cohort) - len(predicted)} of {len(cohort)} cases have no prediction and are left out")
    progress.start("evaluate", len(predicted))
    rows = []
    calibration: list[CalibrationBins] = []
    origins: dict[str, _Origin] = {}
    for name in predicted:
        progress.check_cancelled()
        case = cohort.load(name, options)
        origins[name] = _Origin.read(folder / name / REPORT_FILE)
        probability = read_probability(folder / name / PROBABILITY_FILE, case)
        unseen = origins[name].not_looked_at(folder / name, case)
        row = score_case(case, probability, unseen, origins[name].level)
        if origins[name].reports and saved_sample_files(folder / name):
            row["ged"] = _energy_distance(case, folder / name)
        row["warnings"] = list(dict.fromkeys([*row["warnings"], *origins[name].warnings_for(case)]))
        for warning in row["warnings"]:
            progress.warning(warning)
        rows.append(row)
        calibration.append(calibration_around_raters(probability, case.raters, case.grid))
        progress.advance(1, name)
    if all(row["raters"] < 2 for row in rows):
        raise InputError(
            f"{cohort.manifest.path}: no case has two raters, so there is no disagreement to compare with. "
            "Name two raters or more in [raters]."
        )
    rows = _same_columns(rows)
    warnings = _warnings_of_all(folder, origins)
    for warning in warnings:
        progress.warning(warning)
    return Evaluation(rows, summarise(rows, calibration), warnings)


def read_probability(path: Path, case: Case) -> NDArray[np.float32]:
    """Read a foreground probability on the case's grid; raises InputError if it is none or lies elsewhere."""
    volume = read_image(path)
    require_same_grid(case.grid, f"case {case.name}", volume.grid, str(path), _ON_CASES_GRID)
    low, high = float(volume.array.min()), float(volume.array.max())
    if low < -1e-6 or high > 1 + 1e-6:
        raise InputError(f"{path} holds values from {low:.4g} to {high:.4g}; a probability lies between 0 and 1.")
    return np.clip(volume.array, 0.0, 1.0)


@dataclass(frozen=True)
class _Origin:
    """What reports beside a prediction say of its making; other tools write none.

    Attributes:
        reports: one, or one a model of several that predicted together.
    """

    reports: tuple[dict[str, Any], ...]

    @classmethod
    def read(cls, file: Path) -> _Origin:
        """Read a report; raises InputError for one that is there and cannot be read."""
        try:
            content = dict(json.loads(file.read_text(encoding="utf-8")))
            reports = tuple(dict(each) for each in content.get("models", [content]))
            if all(isinstance(report["warnings"], list) and segmentation_level(report) for report in reports):
                return cls(reports)
            raise TypeError("warnings are no list")
        except FileNotFoundError:
            return cls(())
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{file} cannot be read: {error!r}. Predict the case again, or delete this file."
            ) from error

    @property
    def models(self) -> tuple[str, ...]:
        """What tells the models apart: fingerprints of their weights, or the names of other programs."""
        return tuple(str(report.get("tool") or str(report.get("weights"))[:8]) for report in self.reports)

    @property
    def settings(self) -> str:
        """What a prediction's numbers depend on besides."""
        return "; ".join(
            ", ".join(f"{key} {report[key]}" for key in _DECISIVE if report.get(key)) + _calibration_of(report)
            for report in map(without_empty_economy, self.reports)
        )

    @property
    def level(self) -> float:
        """The probability above which a voxel is segmented."""
        return segmentation_level(self.reports[0]) if len(self.reports) == 1 else ONE_HALF

    @property
    def carries_no_fingerprint(self) -> bool:
        """Whether an earlier version wrote a report."""
        return any(MADE_FROM not in report for report in self.reports)

    def not_looked_at(self, folder: Path, case: Case) -> NDArray[np.bool_] | None:
        """Where the network saw nothing, shape (k, j, i); None if that is nowhere, or not said."""
        file = self.reports[0].get("not_looked_at") if len(self.reports) == 1 else None
        if file is None:
            return None
        mask = read_mask(folder / str(file))
        require_same_grid(case.grid, f"case {case.name}", mask.grid, str(folder / str(file)), _ON_CASES_GRID)
        return mask.array

    def warnings_for(self, case: Case) -> list[str]:
        """What the prediction was warned about, and whether it belongs to other images than the case's."""
        warnings = [str(warning) for report in self.reports for warning in report["warnings"]]
        digest = cache(lambda *sequences: case.with_sequences(sequences).image_digest)
        for report in self.reports:
            found, sequences = _made_from(report), report.get("sequences", ())
            if not set(sequences) <= set(case.sequences) or "images" not in found:
                continue
            if found["images"] != digest(*sequences):
                warnings.append(
                    f"{case.name}: its prediction was made from other images than the cohort's, or from images that "
                    "were resampled or registered otherwise; predict it again"
                )
        return warnings


def _calibration_of(report: Mapping[str, Any]) -> str:
    """Which calibration was applied, by its fingerprint: two of one model may be described alike."""
    digest = _made_from(report).get("calibration")
    return f", calibration {str(digest)[:8]}" if digest else ""


def _made_from(report: Mapping[str, Any]) -> dict[str, Any]:
    return dict(report.get(MADE_FROM) or {})


def _warnings_of_all(folder: Path, origins: Mapping[str, _Origin]) -> tuple[str, ...]:
    """What is wrong with averaging these predictions."""
    warnings = []
    for what, groups in (
        ("models", _grouped({name: " + ".join(o.models) for name, o in origins.items()})),
        ("settings", _grouped({name: origin.settings for name, origin in origins.items() if origin.reports})),
    ):
        if len(groups) > 1:
            listing = "; ".join(f"{key or 'unknown'}: {', '.join(names)}" for key, names in groups.items())
            warnings.append(
                f"{folder} holds predictions of {len(groups)} {what}, and every mean is over all of them ({listing}). "
                "Unless this is meant, as in a cross-validation, predict all cases alike, or score fewer cases"
            )
    old = [name for name, origin in origins.items() if origin.carries_no_fingerprint]
    if old:
        warnings.append(
            f"{len(old)} of {len(origins)} predictions carry no fingerprint, since an earlier version made them: "
            "whether they belong to these images cannot be checked"
        )
    return tuple(warnings)


def _grouped(keys: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, key in keys.items():
        groups.setdefault(key, []).append(name)
    return groups


def score_case(
    case: Case,
    probability: NDArray[np.float32],
    not_looked_at: NDArray[np.bool_] | None = None,
    level: float = ONE_HALF,
) -> Row:
    """Score one case.

    Args:
        case: the case with its raters, at least one.
        probability: foreground probability, shape (k, j, i), in [0, 1].
        not_looked_at: where the network saw nothing, shape (k, j, i); what raters marked there is scored as missed,
            and told.
        level: above which a voxel is segmented; one half unless the prediction is calibrated.

    Returns:
        `case`, the scores (`case_scores`; NaN where undefined), `raters` (their number) and `warnings`.
    """
    if not case.rater_names:
        raise InputError(f"{case.name} has no rater's mask, so its prediction cannot be scored.")
    warnings = list(case.warnings)
    scores: Row = {
        "case": case.name,
        **case_scores(
            case.raters,
            case.rater_names,
            probability > level,
            binary_entropy(probability),
            case.grid,
            probability,
            case.truth,
        ),
        "expected_dice": expected_dice(probability, level),
    }
    if not_looked_at is not None:
        marked = case.raters.any(axis=0)
        unseen = np.count_nonzero(marked & not_looked_at) * case.grid.voxel_volume_ml
        scores["volume_ml_not_looked_at"] = unseen
        if unseen:
            warnings.append(
                f"{case.name}: {unseen:.3g} of the {np.count_nonzero(marked) * case.grid.voxel_volume_ml:.3g} mL that "
                "raters marked lie outside the part that the network looked at; there probability and entropy are 0 "
                "for that reason alone, and they are scored so"
            )
    scores["raters"] = len(case.rater_names)
    if len(case.rater_names) < 2:
        warnings.append(f"{case.name} has one rater: there is no disagreement, so its WME is left blank")
    outside = scores["entropy_outside_disagreement"]
    if outside > UNSURE_EVERYWHERE:
        warnings.append(
            f"{case.name}: the model is unsure also where all raters agree ({outside:.2f} bits there), so a high WME "
            "says nothing; it may need more training"
        )
    scores["warnings"] = warnings
    return scores


def summarise(rows: Sequence[Row], calibration: Sequence[CalibrationBins] = ()) -> dict[str, dict[str, float]]:
    """Mean, standard deviation over cases (n - 1; NaN for one case) and n of each score, undefined ones left out.

    Args:
        rows: the cases' scores.
        calibration: the cases' bins around the raters; none leaves out `pooled` of `ece_roi`.
    """
    summary = {}
    for key in rows[0]:
        if key in ("case", "raters", "warnings"):
            continue
        values = np.array([row[key] for row in rows], float)
        defined = values[np.isfinite(values)]
        summary[key] = {
            "mean": float(defined.mean()) if defined.size else float("nan"),
            "std": float(defined.std(ddof=1)) if defined.size > 1 else float("nan"),
            "n": int(defined.size),
        }
    if calibration and "ece_roi" in summary:
        summary["ece_roi"]["pooled"] = reduce(add, calibration).error()
    pairs = np.array([(row.get("expected_dice", np.nan), row.get("dice_majority", np.nan)) for row in rows], float)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    if len(rows) > 1:
        area = area_under_risk_coverage(*pairs.T) if len(pairs) > 1 else float("nan")
        summary["risk_coverage"] = {"mean": area, "std": float("nan"), "n": len(pairs)}
    return summary


def _energy_distance(case: Case, folder: Path) -> float:
    """The squared distance of the saved samples and the raters."""
    samples = read_samples(folder)
    require_same_grid(case.grid, f"case {case.name}", samples.grid, f"the samples in {folder}", _ON_CASES_GRID)
    distance = EnergyDistance(case.raters)
    for sample in samples.probability:
        distance.add(sample)
    return distance.squared()


def _same_columns(rows: list[Row]) -> list[Row]:
    """Give every row every column (a rater may be missing for some cases), with `raters` and `warnings` last."""
    last = ("raters", "warnings")
    columns = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in last]
    return [{key: row.get(key, float("nan")) for key in (*columns, *last)} for row in rows]
