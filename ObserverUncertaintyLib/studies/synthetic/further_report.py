"""The report's sections on the further arms and the sweeps, as Markdown tables beside the paper's numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ObserverUncertaintyLib.base.tables import number
from ObserverUncertaintyLib.simulation.shapes import STATES
from ObserverUncertaintyLib.studies.synthetic.arms import Method
from ObserverUncertaintyLib.studies.synthetic.further import REFERENCES, extras_rows, repredicted_sweep_rows, sweep_rows
from ObserverUncertaintyLib.studies.synthetic.paper import TABLE1, TABLE1_SCORES
from ObserverUncertaintyLib.studies.synthetic.settings import SyntheticSettings
from ObserverUncertaintyLib.studies.synthetic.tables import Result

_TARGETS = {"none": "no fusion", "majority": "majority", "mean": "rater mean"}
_NAMES = {
    "batch_size": "batch size",
    "blur": "blur, factor",
    "dropout_kind": "dropout",
    "feature_norm": "normalisation of features",
    "intensity_norm": "normalisation of intensity",
    "radius": "circle radius / width",
    "train": "training samples",
    "train+batch_size": "training samples and batch size",
}
_COLUMNS = ("WME", "ME", "Dice", "ECE", "ECE pooled", "ECE inside", "entropy outside", "seconds")
_LEGEND = (
    "ECE: mean over test samples of each one's calibration error against its raters' mean; pooled: over the pixels of "
    "all samples together; inside: where raters disagree. Entropy outside: where they agree. Seconds: the unit's own, "
    "without the model it takes from another arm."
)


def further_report(settings: SyntheticSettings, results: Sequence[Result]) -> str:
    """Sections on what has results; an empty text if nothing has."""
    lines: list[str] = []
    size = f"{settings.side_width}x{settings.side_width} pixels"
    tables = [(state, extras_rows(results, state)) for state in STATES]
    tables = [(state, rows) for state, rows in tables if any(row["method"] not in REFERENCES for row in rows)]
    if tables:
        lines += ["## Further arms", "", f"{size}; mean ± standard deviation over test samples. {_LEGEND}", ""]
    for state, rows in tables:
        lines += [f"### {state.capitalize()} images", "", *_arms_table(rows, state), ""]
    swept = sweep_rows(settings, results)
    if swept:
        lines += [
            "## Sweeps",
            "",
            f"{size}, perturbed images, one choice varied at a time; the default's rows in bold. Means over test "
            "samples.",
            "",
            *_sweep_table(swept, "majority"),
            "",
        ]
    if any(row["fusion"] == "mean" for row in swept):
        lines += ["### Soft targets", "", *_sweep_table(swept, "mean"), ""]
    otherwise = repredicted_sweep_rows(results)
    if otherwise:
        lines += ["### The same models, predicting otherwise", "", *_arms_table(otherwise, ""), ""]
    return "\n".join(lines)


def _arms_table(rows: Sequence[Mapping[str, Any]], state: str) -> Iterator[str]:
    """A row an arm; with a state, the paper's own numbers of the targets that it has."""
    yield "| | " + " | ".join(_COLUMNS) + " |"
    yield "| --- " * (1 + len(_COLUMNS)) + "|"
    for row in rows:
        cells = [_with_spread(row, score) for score in ("wme", "me", "dice")]
        cells += [number(row[score], 4) for score in ("ece_mean", "ece_pooled")]
        cells += [number(row[score]) for score in ("ece_inside_mean", "entropy_outside_mean")]
        cells.append(f"{row['seconds']:.0f}")
        yield f"| {_title(row)} | " + " | ".join(cells) + " |"
        if row["method"] == Method.DROPOUT and ("wme", state, row["fusion"]) in TABLE1:
            known = [TABLE1[(score, state, row["fusion"])] for score in TABLE1_SCORES]
            papers = [f"{mean:.2f} ± {std:.2f}" for mean, std in known]
            yield "| (the paper's) | " + " | ".join([*papers, *[""] * (len(_COLUMNS) - len(papers))]) + " |"


def _title(row: Mapping[str, Any]) -> str:
    if row["method"] in REFERENCES:
        return f"reference: {row['method']}"
    varied = f", {_NAMES.get(row['parameter'], row['parameter'])} {row['value']}" if row["parameter"] else ""
    return f"{_TARGETS[row['fusion']]}{varied}: {row['method']}"


def _with_spread(row: Mapping[str, Any], score: str) -> str:
    text = f"{number(row[f'{score}_mean'])} ± {number(row[f'{score}_std'])}"
    return f"{text} ({number(row[f'{score}_seed_std'])})" if row["seeds"] > 1 else text


def _sweep_table(rows: Sequence[Mapping[str, Any]], other: str) -> Iterator[str]:
    """No fusion beside another target, a row for each value that both or, for majority, either has."""
    scores = {"wme": "WME", "me": "ME", "dice": "Dice", "ece": "ECE"}
    titles = [f"{title} {_TARGETS[fusion]}" for title in scores.values() for fusion in ("none", other)]
    yield "| | " + " | ".join(titles) + " |"
    yield "| --- " * (1 + len(titles)) + "|"
    at = {(row["parameter"], row["value"], row["fusion"]): row for row in rows}
    for parameter, value in dict.fromkeys(key[:2] for key in at):
        pair = [at.get((parameter, value, fusion)) for fusion in ("none", other)]
        if other == "mean" and not all(pair):
            continue
        cells = [
            number(row[f"{score}_mean"], 4 if score == "ece" else 3) if row else "-" for score in scores for row in pair
        ]
        label = f"{_NAMES.get(parameter, parameter)} {value}"
        is_default = any(row and row["default"] for row in pair)
        yield f"| {f'**{label}**' if is_default else label} | " + " | ".join(cells) + " |"
