"""The study's report as Markdown: figures and tables. What they mean stands in docs/experiment2.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ObserverUncertaintyLib.base.tables import markdown, number, signed_interval
from ObserverUncertaintyLib.model.description import NOTICE
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.studies.cavity.arms import ARM_TITLES
from ObserverUncertaintyLib.studies.cavity.findings import CONTRAST, GroupDifference
from ObserverUncertaintyLib.studies.cavity.groups import LOWER, UPPER, Split
from ObserverUncertaintyLib.studies.cavity.settings import CavityStudySettings
from ObserverUncertaintyLib.studies.cavity.tables import ALL_SEEDS, Scores

SCORE_TITLES = {
    "wme": "WME",
    "me": "ME",
    "dice_majority": "Dice (majority)",
    "dice_truth": "Dice (truth)",
    "ece_roi": "ECE around the contours",
    "ece_inside": "ECE where raters disagree",
    "nll_roi": "negative log-likelihood",
    "soft_dice": "soft Dice",
    "dice_consensus": "Dice (consensus)",
    "dice_dissensus": "Dice (dissensus)",
    "volume_crps_ml": "CRPS (mL)",
    "ged": "GED",
    "entropy_correlation": "entropy correlation",
}
GROUP_TITLES = {
    LOWER: "Q1-Q2 (below the median)",
    UPPER: "Q3-Q4 (median or above)",
    CONTRAST: "Q3-Q4 minus Q1-Q2",
}
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
        scored_before: how many predictions have no `ece_roi`, since an earlier version scored them.
    """

    settings: CavityStudySettings
    cohort: str
    label: str
    simulated: bool
    sequences: tuple[str, ...]
    folds_done: int
    folds: int
    seeds: Sequence[Scores]
    scored_before: int = 0

    @property
    def whole(self) -> Scores:
        """The scores that the tables show: of all seeds if there are several."""
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
    others = [arm for arm in study.whole.arms if arm != FusionMethod.NONE]
    lines += [
        "## WME by segmentation performance",
        "",
        "![Boxes of WME for two Dice groups and every arm](figure4b.png)",
        "",
        *_group_table(study, others, by_group, differences),
        "",
        *_seed_table(study, others, differences),
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
        f"{training.network.depth} poolings and {training.network.filters} filters, {training.slice_axis} slices, "
        f"{training.epochs} epochs, Adam with learning rate {training.learning_rate:g}, last model, T = "
        f"{settings.samples}. Entropies in bits. {study.notice}"
    )


def _group_table(
    study: Study,
    others: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    differences: Sequence[GroupDifference],
) -> list[str]:
    arms = list(study.whole.arms)
    at = {(row["split"], row["group"], row["arm"]): row for row in rows if row["seed"] == study.whole.label}
    between = {(d.split, d.group, d.arm): d for d in differences if d.seed == study.whole.label}
    lines = []
    for split in (split for split in Split if (split, LOWER, arms[0]) in at):
        for group, title in GROUP_TITLES.items():
            wme = [_wme(at[(split, group, arm)]) if group != CONTRAST else "" for arm in arms]
            lines.append([split, title, *wme, *(_interval(vars(between[(split, group, arm)])) for arm in others)])
    meaning = "; ".join(f"{split}: {title}" for split, title in SPLIT_TITLES.items())
    return [
        *markdown(["split", "group", *(ARM_TITLES[arm] for arm in arms), *_minus(others)], lines),
        "",
        f"Mean WME ± standard deviation over cases (n). Split: {meaning}. Brackets: 95 % bootstrap interval over "
        "patients, which says how sure these cases make one of models like these; another training varies too. "
        f"{study.notice}",
    ]


def _seed_table(study: Study, others: Sequence[str], differences: Sequence[GroupDifference]) -> list[str]:
    """How the differences of the main split vary from seed to seed; nothing for one seed."""
    at = {(d.seed, d.group, d.arm): d for d in differences if d.split == Split.OWN}
    single = [scores.label for scores in study.seeds if scores.label != ALL_SEEDS]
    lines = [
        [seed, title, *(_interval(vars(at[(seed, group, arm)])) for arm in others)]
        for seed in single
        for group, title in GROUP_TITLES.items()
    ]
    if len(single) < 2:
        return []
    return [*markdown(["seed", "group", *_minus(others)], lines), "", f"Split: own. {study.notice}", ""]


def _minus(others: Sequence[str]) -> list[str]:
    return [f"no fusion minus {ARM_TITLES[arm]}" for arm in others]


def _summary_table(study: Study, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        [title, *(f"{number(row[f'{score}_mean'])} ± {number(row[f'{score}_std'])}" for row in rows)]
        for score, title in SCORE_TITLES.items()
        if f"{score}_mean" in rows[0]
    ]
    pooled = "; ".join(
        f"{ARM_TITLES[row['arm']]} {number(row['ece_roi_pooled'])}" for row in rows if "ece_roi_pooled" in row
    )
    calibration = f"Over the voxels of all cases together it is: {pooled}. " if pooled else ""
    if study.scored_before:
        calibration = (
            f"It is not known here: an earlier version scored {study.scored_before} of the predictions, without it. "
            "`observer-uncertainty evaluate` on the folders `seedN/ARM/cases` gives it. "
        )
    return [
        *markdown(["", *(ARM_TITLES[row["arm"]] for row in rows)], lines),
        "",
        f"Mean ± standard deviation over {len(study.whole.cases)} cases. ECE around the contours: over what any "
        f"rater drew and 5 mm around it. {calibration}ECE, negative log-likelihood, CRPS of the volume and GED "
        f"(generalised energy distance): lower is better. {study.notice}",
    ]


def _tests_table(study: Study, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    names = {"all": "all", **GROUP_TITLES}
    lines = [
        [
            SCORE_TITLES[row["score"]],
            names[row["group"]],
            ARM_TITLES[row["arm"]],
            str(row["n"]),
            _interval(row),
            number(row["p"], 4),
            number(row["effect"], 2),
        ]
        for row in rows
    ]
    return [
        *markdown(["score", "cases", "against", "n", "mean difference", "p", "effect"], lines),
        "",
        "No fusion minus the other arm on the same cases, with its 95 % bootstrap interval; p of Wilcoxon's "
        "signed-rank test, not corrected for the number of rows; effect: matched-pairs rank-biserial correlation, from "
        f"-1 to 1. Groups: the common split. {study.notice}",
    ]


def _agreement_table(study: Study, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        [
            str(row["seed"]),
            row["raters"],
            str(row["n"]),
            number(row["dice_median"]),
            number(row["dice_q3"] - row["dice_q1"]),
        ]
        for row in rows
    ]
    published = (
        "Measured on the paper's patients (Ermiş et al. 2020, doi 10.1186/s13014-020-01553-z): medians 0.85, 0.84 and "
        "0.86, interquartile ranges 0.08, 0.07 and 0.07. "
        if study.simulated
        else ""
    )
    return [
        *markdown(["seed", "raters", "cases", "median Dice", "interquartile range"], lines),
        "",
        f"Dice of every two raters over the cases. {published}{study.notice}",
    ]


def _wme(row: Mapping[str, Any]) -> str:
    return f"{number(row['wme_mean'])} ± {number(row['wme_std'])} ({row['n']})"


def _interval(row: Mapping[str, Any]) -> str:
    return signed_interval(row["mean"], row["low"], row["high"])
