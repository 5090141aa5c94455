"""The study's report as Markdown: the answer as far as the numbers carry it, the figures and the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ObserverUncertaintyLib.base.tables import number, signed, signed_interval
from ObserverUncertaintyLib.model.description import NOTICE
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.studies.cavity.arms import ARM_TITLES
from ObserverUncertaintyLib.studies.cavity.findings import FEWEST_CASES, GroupDifference, answer
from ObserverUncertaintyLib.studies.cavity.groups import GROUPS, LOWER, UPPER, Split
from ObserverUncertaintyLib.studies.cavity.settings import CavityStudySettings
from ObserverUncertaintyLib.studies.cavity.tables import ALL_SEEDS, Scores

SCORE_TITLES = {
    "wme": "WME",
    "me": "ME",
    "dice_majority": "Dice (majority)",
    "dice_truth": "Dice (truth)",
    "ece": "ECE",
    "soft_dice": "soft Dice",
    "dice_consensus": "Dice (consensus)",
    "dice_dissensus": "Dice (dissensus)",
    "volume_crps_ml": "CRPS (mL)",
    "ged": "GED",
    "entropy_correlation": "entropy correlation",
}
GROUP_TITLES = {LOWER: "Q1-Q2 (below the median)", UPPER: "Q3-Q4 (median or above)"}
SPLIT_TITLES = {
    Split.OWN: "each arm at the median of its own Dice with the majority",
    Split.TRUTH: "each arm at the median of its own Dice with the truth",
    Split.COMMON: "all arms at the median of no fusion's Dice with the majority",
}


@dataclass(frozen=True)
class Study:
    """What the report is about.

    Attributes:
        settings: the study's settings.
        cohort: the cohort's name.
        label: the structure's name.
        simulated: whether the patients are made up.
        sequences: names of the images.
        folds_done: complete folds of all arms, over all seeds.
        folds: all folds of all seeds.
        seeds: each seed's scores, and those of all seeds if there are several; empty if no case is complete.
    """

    settings: CavityStudySettings
    cohort: str
    label: str
    simulated: bool
    sequences: tuple[str, ...]
    folds_done: int
    folds: int
    seeds: Sequence[Scores]

    @property
    def whole(self) -> Scores:
        """The scores that the answer rests on: of all seeds if there are several."""
        return self.seeds[-1]

    @property
    def notice(self) -> str:
        """What stands under every table and figure."""
        return f"Simulated data. {NOTICE}" if self.simulated else NOTICE


def report(
    study: Study,
    agreement: Sequence[Mapping[str, Any]],
    summary: Sequence[Mapping[str, Any]],
    by_group: Sequence[Mapping[str, Any]],
    differences: Sequence[GroupDifference],
    tests: Sequence[Mapping[str, Any]],
) -> str:
    """The text.

    Args:
        study: what it is about.
        agreement: rows of `tables.agreement_rows`.
        summary: rows of `tables.summary_rows`.
        by_group: rows of `tables.group_rows`.
        differences: of `findings.group_differences`.
        tests: rows of `findings.paired_rows`.
    """
    lines = [
        f"# Experiment 2: {study.label}{', simulated' if study.simulated else ''}",
        "",
        _setting(study),
        "",
    ]
    if not study.seeds:
        return "\n".join([*lines, "No case has been predicted in every arm yet.", ""])
    label = study.whole.label
    lines += [
        "## The answer",
        "",
        *_answer(study, differences, tests),
        "",
        "## WME by segmentation performance",
        "",
        "![Boxes of WME for two Dice groups and every arm](figure4b.png)",
        "",
        *_group_table(study, by_group, differences),
        "",
        "## All scores",
        "",
        *_summary_table(study, [row for row in summary if row["seed"] == label]),
        "",
        "## No fusion against the others, case by case",
        "",
        *_tests_table(study, [row for row in tests if row["seed"] == label]),
        "",
        "## Where the models are unsure",
        "",
        "![Contours, expert entropy and predictive entropies of two cases](figure3.png)",
        "",
        "## The raters",
        "",
        *_agreement_table(study, agreement),
        "",
    ]
    return "\n".join(lines)


def _setting(study: Study) -> str:
    settings, training = study.settings, study.settings.training
    cases = len(study.whole.cases) if study.seeds else 0
    seeds = [scores.label for scores in study.seeds if scores.label != ALL_SEEDS]
    return (
        f"{study.cohort}: {study.folds_done} of {study.folds} folds complete, {cases} cases, seed "
        f"{', '.join(seeds) or 'none'}. "
        f"{settings.folds}-fold cross-validation by patient; {', '.join(study.sequences)}; U-Net with "
        f"{training.depth} poolings and {training.filters} filters, {training.slice_axis} slices, {training.epochs} "
        f"epochs, Adam with learning rate {training.learning_rate:g}, last model, T = {settings.samples}. Entropies in "
        f"bits. {study.notice}"
    )


def _answer(study: Study, differences: Sequence[GroupDifference], tests: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    single = [scores for scores in study.seeds if scores.label != ALL_SEEDS]
    for arm in (arm for arm in study.whole.arms if arm != FusionMethod.NONE):
        lines += [f"No fusion against {ARM_TITLES[arm]}, {len(study.whole.cases)} cases:", ""]
        lines += [f"- {sentence}" for sentence in answer(differences, study.whole.label, arm)]
        if len(single) > 1:
            lines += [f"- {_over_seeds(group, arm, differences)}" for group in GROUPS]
        lines += [f"- {sentence}" for sentence in _beside_wme(study, arm, tests)] + [""]
    lines.append(
        "Differences of the mean WME with 95 % bootstrap intervals over patients, each arm split at the median of its "
        "own Dice. They say how sure these cases make one of models like these; another training varies too, which "
        + ("the seeds show." if len(single) > 1 else "a single seed does not show.")
    )
    if study.simulated:
        lines.append(
            "The patients and their raters are simulated: this shows that the study runs and what it finds under the "
            "stated behaviour of raters, not that the finding holds for patients."
        )
    return lines


def _beside_wme(study: Study, arm: str, tests: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a higher WME comes with: a model that is less sure everywhere, or segments differently, has one too."""
    found = {
        row["score"]: row for row in tests if (row["seed"], row["group"], row["arm"]) == (study.whole.label, "all", arm)
    }
    return [
        f"Over all cases {SCORE_TITLES[score]}, no fusion minus the other: {_interval(found[score])}."
        for score in ("wme", "me", "dice_majority")
        if found[score]["n"] >= FEWEST_CASES
    ]


def _over_seeds(group: str, arm: str, differences: Sequence[GroupDifference]) -> str:
    each = [
        signed(difference.mean)
        for difference in differences
        if (difference.split, difference.group, difference.arm) == (Split.OWN.value, group, arm)
        and difference.seed != ALL_SEEDS
    ]
    return f"{GROUP_TITLES[group]}, seed by seed: {', '.join(each)}."


def _group_table(study: Study, rows: Sequence[Mapping[str, Any]], differences: Sequence[GroupDifference]) -> list[str]:
    arms = list(study.whole.arms)
    others = [arm for arm in arms if arm != FusionMethod.NONE]
    minus = [f"no fusion minus {ARM_TITLES[arm]}" for arm in others]
    titles = ["split", "group", *(ARM_TITLES[arm] for arm in arms), *minus]
    lines = [f"| {' | '.join(titles)} |", "| --- " * len(titles) + "|"]
    at = {(row["split"], row["group"], row["arm"]): row for row in rows if row["seed"] == study.whole.label}
    between = {(d.split, d.group, d.arm): d for d in differences if d.seed == study.whole.label}
    for split in Split:
        for group in GROUPS:
            if (split.value, group, arms[0]) in at:
                cells = [_wme(at[(split.value, group, arm)]) for arm in arms]
                cells += [_interval(vars(between[(split.value, group, arm)])) for arm in others]
                lines.append(f"| {split.value} | {GROUP_TITLES[group]} | {' | '.join(cells)} |")
    meaning = "; ".join(f"{split.value}: {title}" for split, title in SPLIT_TITLES.items())
    return [
        *lines,
        "",
        f"Mean WME ± standard deviation over cases (n). Split: {meaning}. Brackets: 95 % bootstrap interval over "
        f"patients. {study.notice}",
    ]


def _summary_table(study: Study, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    shown = {score: title for score, title in SCORE_TITLES.items() if f"{score}_mean" in rows[0]}
    lines = [
        f"| | {' | '.join(ARM_TITLES[row['arm']] for row in rows)} |",
        "| --- " * (len(rows) + 1) + "|",
    ]
    for score, title in shown.items():
        cells = [f"{number(row[f'{score}_mean'])} ± {number(row[f'{score}_std'])}" for row in rows]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return [
        *lines,
        "",
        f"Mean ± standard deviation over {len(study.whole.cases)} cases. ECE where raters or model are not sure; CRPS "
        f"of the volume and GED (generalised energy distance): lower is better. {study.notice}",
    ]


def _tests_table(study: Study, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    titles = ["score", "cases", "against", "n", "mean difference", "p", "effect"]
    lines = [f"| {' | '.join(titles)} |", "| --- " * len(titles) + "|"]
    names = {"all": "all", **GROUP_TITLES}
    for row in rows:
        cells = [SCORE_TITLES[row["score"]], names[row["group"]], ARM_TITLES[row["arm"]], str(row["n"])]
        cells += [_interval(row), number(row["p"], 4), number(row["effect"], 2)]
        lines.append(f"| {' | '.join(cells)} |")
    return [
        *lines,
        "",
        "No fusion minus the other arm on the same cases, with its 95 % bootstrap interval; p of Wilcoxon's "
        "signed-rank test, not corrected for the number of rows; effect: matched-pairs rank-biserial correlation, from "
        f"-1 to 1. Groups: the common split. {study.notice}",
    ]


def _agreement_table(study: Study, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["| seed | raters | cases | median Dice | interquartile range |", "| --- " * 5 + "|"]
    for row in rows:
        spread = number(row["dice_q3"] - row["dice_q1"])
        lines.append(f"| {row['seed']} | {row['raters']} | {row['n']} | {number(row['dice_median'])} | {spread} |")
    published = (
        "Measured on the paper's patients (Ermiş et al. 2020, doi 10.1186/s13014-020-01553-z): medians 0.85, 0.84 and "
        "0.86, interquartile ranges 0.08, 0.07 and 0.07. "
        if study.simulated
        else ""
    )
    return [*lines, "", f"Dice of every two raters over the cases. {published}{study.notice}"]


def _wme(row: Mapping[str, Any]) -> str:
    return f"{number(row['wme_mean'])} ± {number(row['wme_std'])} ({row['n']})"


def _interval(row: Mapping[str, Any]) -> str:
    return signed_interval(row["mean"], row["low"], row["high"])
