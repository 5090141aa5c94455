"""The study's report as Markdown: tables beside the paper's numbers. What they mean stands in docs/experiment1.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ObserverUncertaintyLib.base.tables import markdown, number, signed_interval
from ObserverUncertaintyLib.model.description import NOTICE
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.simulation.shapes import STATES
from ObserverUncertaintyLib.studies.synthetic.arms import Method
from ObserverUncertaintyLib.studies.synthetic.extras_and_sweeps import (
    REFERENCES,
    extras_rows,
    repredicted_sweep_rows,
    sweep_rows,
)
from ObserverUncertaintyLib.studies.synthetic.findings import Finding
from ObserverUncertaintyLib.studies.synthetic.paper import PAPERS_FUSIONS, TABLE1, TABLE1_SCORES
from ObserverUncertaintyLib.studies.synthetic.settings import SyntheticSettings
from ObserverUncertaintyLib.studies.synthetic.tables import Result

SCORE_TITLES = {
    "wme": "WME",
    "me": "ME",
    "dice": "Dice",
    "wme_as_printed": "WME as printed",
    "ece": "ECE",
    "entropy_outside": "entropy outside",
}
_PARAMETER_TITLES = {
    "batch_size": "batch size",
    "blur": "blur, factor",
    "dropout_kind": "dropout",
    "feature_norm": "normalisation of features",
    "intensity_norm": "normalisation of intensity",
    "radius": "circle radius / width",
    "train": "training samples",
    "train+batch_size": "training samples and batch size",
}
_COLUMNS = ("", "WME", "ME", "Dice", "ECE", "ECE pooled", "ECE inside", "entropy outside", "seconds")
_LEGEND = (
    "ECE: mean over test samples of each one's calibration error against its raters' mean; pooled: over the pixels of "
    "all samples together; inside: where raters disagree. Entropy outside: where they agree. Seconds: the unit's own, "
    "without the model it takes from another arm."
)


def report(
    settings: SyntheticSettings,
    summary: Sequence[Mapping[str, Any]],
    found: Sequence[Finding],
    results: Sequence[Result],
) -> str:
    """The text, with a section for each part of the study that has results.

    Args:
        settings: the study's settings.
        summary: rows of `tables.summary_rows`.
        found: of `findings.findings`.
        results: of all parts.
    """
    lines = ["# Experiment 1: synthetic shapes", ""]
    lines += _table1(settings, summary, found) if summary else [f"Simulated data. {NOTICE}", ""]
    return "\n".join([*lines, *_extras(settings, results), *_sweeps(settings, results)])


def _table1(
    settings: SyntheticSettings, summary: Sequence[Mapping[str, Any]], found: Sequence[Finding]
) -> Iterator[str]:
    seeds = max(row["seeds"] for row in summary)
    yield (
        f"{settings.shapes.width}x{settings.shapes.width} pixels, {settings.train} training and {settings.test} test "
        f"samples, {settings.training.epochs} epochs, T = {settings.samples}, {seeds} seed{'s' if seeds != 1 else ''}. "
        "Mean ± standard deviation over test samples (mean over seeds), in brackets the standard deviation of the "
        "seeds' means. Entropies in bits; Dice with the truth; ECE against the raters' mean. U: unperturbed, P: "
        f"perturbed. Simulated data. {NOTICE}"
    )
    yield ""
    at = {(row["state"], row["fusion"]): row for row in summary}
    rows = []
    for score, title in SCORE_TITLES.items():
        for state in dict.fromkeys(row["state"] for row in summary):
            arms = [at[(state, fusion)] for fusion in PAPERS_FUSIONS if (state, fusion) in at]
            rows.append([title, f"{state[0].upper()} ours", *(_with_spread(row, score) for row in arms)])
            if score in TABLE1_SCORES:
                rows.append(["", f"{state[0].upper()} paper", *(_papers(score, state, row["fusion"]) for row in arms)])
    yield from markdown(["", "", *(fusion.title for fusion in PAPERS_FUSIONS)], rows)
    yield from ("", "## The paper's findings", "")
    yield from markdown(
        ["finding", "images", "comparisons", "of them in agreement"],
        [[each.claim, each.state, str(len(each.differences)), str(each.held)] for each in found],
    )
    yield ""
    yield from markdown(
        ["finding", "images", "difference of", "seed", "mean"],
        [
            [
                each.claim,
                each.state,
                f"{FusionMethod(each.first).title} minus {FusionMethod(each.second).title}",
                str(each.seed),
                signed_interval(each.mean, each.low, each.high),
            ]
            for finding in found
            for each in finding.differences
        ],
    )
    yield from ("", "Differences over the same test samples, with 95 % bootstrap intervals over samples.", "")


def _extras(settings: SyntheticSettings, results: Sequence[Result]) -> Iterator[str]:
    tables = [(state, extras_rows(results, state)) for state in STATES]
    tables = [(state, rows) for state, rows in tables if any(row["method"] not in REFERENCES for row in rows)]
    if tables:
        size = f"{settings.side_width}x{settings.side_width} pixels"
        yield from ("## Extras", "", f"{size}; mean ± standard deviation over test samples. {_LEGEND}", "")
    for state, rows in tables:
        yield from (f"### {state.capitalize()} images", "", *_arms_table(rows, state), "")


def _sweeps(settings: SyntheticSettings, results: Sequence[Result]) -> Iterator[str]:
    swept = sweep_rows(settings, results)
    if swept:
        size = f"{settings.side_width}x{settings.side_width} pixels"
        how = "perturbed images, one choice varied at a time; the default's rows in bold. Means over test samples."
        yield from ("## Sweeps", "", f"{size}, {how}", "", *_sweep_table(swept, FusionMethod.MAJORITY), "")
    if any(row["fusion"] == FusionMethod.MEAN for row in swept):
        yield from ("### Soft targets", "", *_sweep_table(swept, FusionMethod.MEAN), "")
    otherwise = repredicted_sweep_rows(results)
    if otherwise:
        yield from ("### The same models, predicting otherwise", "", *_arms_table(otherwise, ""), "")


def _arms_table(rows: Sequence[Mapping[str, Any]], state: str) -> list[str]:
    """A row an arm; with a state, the paper's own numbers of the targets that it has."""
    lines = []
    for row in rows:
        cells = [_arm_title(row), *(_with_spread(row, score) for score in ("wme", "me", "dice"))]
        cells += [number(row[score], 4) for score in ("ece_mean", "ece_pooled")]
        cells += [number(row[score]) for score in ("ece_inside_mean", "entropy_outside_mean")]
        lines.append([*cells, f"{row['seconds']:.0f}"])
        if row["method"] == Method.DROPOUT and ("wme", state, row["fusion"]) in TABLE1:
            papers = [_papers(score, state, row["fusion"]) for score in TABLE1_SCORES]
            lines.append(["(the paper's)", *papers, *[""] * (len(_COLUMNS) - len(papers) - 1)])
    return markdown(_COLUMNS, lines)


def _arm_title(row: Mapping[str, Any]) -> str:
    if row["method"] in REFERENCES:
        return f"reference: {row['method']}"
    parameter = row["parameter"]
    varied = f", {_PARAMETER_TITLES.get(parameter, parameter)} {row['value']}" if parameter else ""
    return f"{FusionMethod(row['fusion']).title}{varied}: {row['method']}"


def _with_spread(row: Mapping[str, Any], score: str) -> str:
    text = f"{number(row[f'{score}_mean'])} ± {number(row[f'{score}_std'])}"
    return f"{text} ({number(row[f'{score}_seed_std'])})" if row["seeds"] > 1 else text


def _papers(score: str, state: str, fusion: str) -> str:
    mean, deviation = TABLE1[(score, state, fusion)]
    return f"{mean:.2f} ± {deviation:.2f}"


def _sweep_table(rows: Sequence[Mapping[str, Any]], other: FusionMethod) -> list[str]:
    """No fusion beside another target, a row for each value that both or, for majority, either has."""
    scores = {"wme": "WME", "me": "ME", "dice": "Dice", "ece": "ECE"}
    fusions = (FusionMethod.NONE, other)
    at = {(row["parameter"], row["value"], row["fusion"]): row for row in rows}
    lines = []
    for parameter, value in dict.fromkeys(key[:2] for key in at):
        pair = [at.get((parameter, value, fusion)) for fusion in fusions]
        if other is FusionMethod.MEAN and not all(pair):
            continue
        label = f"{_PARAMETER_TITLES.get(parameter, parameter)} {value}"
        is_default = any(row and row["default"] for row in pair)
        cells = [
            number(row[f"{score}_mean"], 4 if score == "ece" else 3) if row else "-" for score in scores for row in pair
        ]
        lines.append([f"**{label}**" if is_default else label, *cells])
    return markdown(["", *(f"{title}, {fusion.title}" for title in scores.values() for fusion in fusions)], lines)
