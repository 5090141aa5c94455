"""A model beside the one that it was trained on from: what was gained on corrected cases, and lost on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.tables import aligned, number, without_nan
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.evaluation.scoring import read_probability
from ObserverUncertaintyLib.formats.prediction_files import PROBABILITY_FILE
from ObserverUncertaintyLib.model.description import NOTICE
from ObserverUncertaintyLib.scores.case_scores import case_scores
from ObserverUncertaintyLib.scores.entropy import binary_entropy

WORSE = 0.01
"""A case got worse if its Dice fell by more than this."""


@dataclass(frozen=True)
class CaseScores:
    """How one model's prediction of a case does.

    Attributes:
        dice: with the contour that the case is compared with, 0 to 1. It is 1 if both are empty: a model that learns to
            draw nothing where nothing is has gained.
        entropy: mean predictive entropy over all voxels, in bits.
        ece: expected calibration error around what raters and reviewers drew, 0 to 1; NaN if they drew nothing.
    """

    dice: float
    entropy: float
    ece: float


@dataclass(frozen=True)
class ComparedCase:
    """One case with both models.

    Attributes:
        case: its name.
        corrected: whether it is compared with the reviewed contour (of several the mean Dice counts); else it is with
            the majority of its raters.
        trained_on: whether the new model was trained on it.
        in_old_training: whether the old model was trained on its images.
        before: the old model's scores.
        after: the new model's.
    """

    case: str
    corrected: bool
    trained_on: bool
    in_old_training: bool
    before: CaseScores
    after: CaseScores

    @property
    def change(self) -> float:
        """By how much the Dice rose."""
        return self.after.dice - self.before.dice

    @property
    def is_worse(self) -> bool:
        """Whether the Dice fell by more than `WORSE`."""
        return self.change < -WORSE


@dataclass(frozen=True)
class Comparison:
    """Two models on the same cases.

    Attributes:
        cases: the corrected cases, then the others.
        notes: what else the user should know before the new model replaces the old one.
    """

    cases: tuple[ComparedCase, ...]
    notes: tuple[str, ...] = ()

    @property
    def corrected(self) -> tuple[ComparedCase, ...]:
        """The cases that were corrected."""
        return tuple(each for each in self.cases if each.corrected)

    @property
    def others(self) -> tuple[ComparedCase, ...]:
        """The cases without correction."""
        return tuple(each for each in self.cases if not each.corrected)

    @property
    def gain(self) -> float:
        """Mean rise of the Dice over the corrected cases; NaN if there is none."""
        return _mean([each.change for each in self.corrected])

    @property
    def loss(self) -> float:
        """Mean fall of the Dice over the other cases, below 0 for a rise; NaN if there is none."""
        return -_mean([each.change for each in self.others])

    @property
    def worse(self) -> tuple[str, ...]:
        """Names of all cases that got worse by more than `WORSE`."""
        return tuple(each.case for each in self.cases if each.is_worse)

    def sentence(self) -> str:
        """The result in words."""
        parts = []
        if self.corrected:
            parts.append(
                f"On {_counted(self.corrected, 'corrected case')}, which the new model was trained on, the Dice with "
                f"the reviewed contour went {_from_to(self.corrected)}."
            )
        if self.others:
            trained_on = sum(each.trained_on for each in self.others)
            how = f"{trained_on} of which it was trained on too" if trained_on else "kept out of its training"
            seen = sum(each.in_old_training for each in self.others)
            parts.append(
                f"On {_counted(self.others, 'other case')}, {how}, the Dice with the raters' majority went "
                f"{_from_to(self.others)}. The old model was trained on {seen or 'none'} of them"
                + (", which is in its favour." if seen and not trained_on else ".")
            )
        else:
            parts.append("No other case has raters, so what was lost elsewhere is not known.")
        names = f": {', '.join(self.worse)}" if self.worse else ""
        parts.append(f"{len(self.worse)} of {len(self.cases)} cases got worse by more than {WORSE:g}{names}.")
        return " ".join(parts)

    def table(self) -> str:
        """A line a case, for a terminal."""
        rows = [
            [
                each.case,
                "review" if each.corrected else "majority",
                "yes" if each.trained_on else "no",
                number(each.before.dice),
                number(each.after.dice),
                f"{each.change:+.3f}",
                number(each.before.entropy, 4),
                number(each.after.entropy, 4),
                number(each.before.ece),
                number(each.after.ece),
            ]
            for each in self.cases
        ]
        header = [
            "case",
            "Dice with",
            "trained on",
            "Dice old",
            "new",
            "change",
            "entropy old",
            "new",
            "ECE old",
            "new",
        ]
        return aligned(header, rows)

    def to_json(self) -> dict[str, Any]:
        """All of it, with None where a value is undefined."""
        groups = {"corrected": (self.corrected, self.gain), "others": (self.others, self.loss)}
        means = {
            name: {
                "cases": len(cases),
                "trained_on": sum(each.trained_on for each in cases),
                "in_old_training": sum(each.in_old_training for each in cases),
                "before": _mean_scores([each.before for each in cases]),
                "after": _mean_scores([each.after for each in cases]),
                "gain" if name == "corrected" else "loss": value,
            }
            for name, (cases, value) in groups.items()
        }
        content = {
            "notice": NOTICE,
            **means,
            "worse": {"by_more_than": WORSE, "cases": list(self.worse)},
            "cases": [{**asdict(each), "change": each.change} for each in self.cases],
            "sentence": self.sentence(),
            "notes": list(self.notes),
        }
        return dict(without_nan(content))


def compare_models(
    before: str | Path,
    after: str | Path,
    load: Callable[[str], Case],
    corrected: Mapping[str, Sequence[str]],
    others: Sequence[str],
    *,
    held_out: Sequence[str] = (),
    in_old_training: Sequence[str] = (),
    notes: Sequence[str] = (),
    progress: Progress | None = None,
) -> Comparison:
    """Compare the predictions of two models, `folder/<case>/probability.nii.gz` of each.

    Args:
        before: folder of the old model's predictions.
        after: folder of the new model's.
        load: loads a case with its raters by its name.
        corrected: the corrected cases, each with those of its raters who reviewed it.
        others: cases without correction, each with one rater or more.
        held_out: those of the others that the new model was not trained on.
        in_old_training: the cases that the old model was trained on.
        notes: what the user should know.
        progress: is told of every case, and can cancel.

    Raises:
        InputError: a prediction is missing, lies on another grid, or a case cannot be loaded.
    """
    progress = progress or Progress()
    progress.start("compare", len(corrected) + len(others))
    compared = []
    for name in (*corrected, *others):
        progress.check_cancelled()
        case = load(name)
        files = [Path(folder) / name / PROBABILITY_FILE for folder in (before, after)]
        scores = [_scores(case, file, corrected.get(name, ())) for file in files]
        compared.append(ComparedCase(name, name in corrected, name not in held_out, name in in_old_training, *scores))
        progress.advance(1, name)
    return Comparison(tuple(compared), tuple(notes))


def _scores(case: Case, probability_file: Path, reviewers: Sequence[str]) -> CaseScores:
    probability = read_probability(probability_file, case)
    compared = [f"dice_with_{reviewer}" for reviewer in reviewers] or ["dice_majority"]
    found = case_scores(
        case.raters,
        case.rater_names,
        probability > 0.5,
        binary_entropy(probability),
        case.grid,
        probability,
        wanted=["me", "ece_roi", *compared],
    )
    dice = [1.0 if np.isnan(found[name]) else found[name] for name in compared]
    return CaseScores(_mean(dice), found["me"], found["ece_roi"])


def _mean_scores(scores: Sequence[CaseScores]) -> dict[str, float]:
    return {name: _mean([getattr(each, name) for each in scores]) for name in ("dice", "entropy", "ece")}


def _mean(values: Sequence[float]) -> float:
    """The mean of what is defined; NaN if nothing is."""
    defined = [value for value in values if np.isfinite(value)]
    return float(np.mean(defined)) if defined else float("nan")


def _counted(cases: Sequence[ComparedCase], what: str) -> str:
    return f"the {what}" if len(cases) == 1 else f"the {len(cases)} {what}s"


def _from_to(cases: Sequence[ComparedCase]) -> str:
    before, after = (_mean([scores.dice for scores in model]) for model in zip(*map(_both, cases), strict=True))
    return f"from {before:.3f} to {after:.3f}"


def _both(case: ComparedCase) -> tuple[CaseScores, CaseScores]:
    return case.before, case.after
