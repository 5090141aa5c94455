"""The first part of the study's report as Markdown: Table 1 beside the paper's, and what became of its findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ObserverUncertaintyLib.base.tables import number
from ObserverUncertaintyLib.evaluation.titles import FUSION_TITLES
from ObserverUncertaintyLib.model.description import NOTICE
from ObserverUncertaintyLib.studies.synthetic.arms import PAPERS_FUSIONS
from ObserverUncertaintyLib.studies.synthetic.findings import Verdict
from ObserverUncertaintyLib.studies.synthetic.paper import TABLE1_SCORES
from ObserverUncertaintyLib.studies.synthetic.settings import SyntheticSettings

SCORE_TITLES = {
    "wme": "WME",
    "me": "ME",
    "dice": "Dice",
    "wme_as_printed": "WME as printed",
    "ece": "ECE",
    "entropy_outside": "entropy outside",
}


def report(settings: SyntheticSettings, summary: Sequence[Mapping[str, Any]], found: Sequence[Verdict]) -> str:
    """The text; see the module. Where Table 1 was not asked for, its title only."""
    title = "# Experiment 1: synthetic shapes"
    if not summary:
        return f"{title}\n\nSimulated data. {NOTICE}\n"
    seeds = max(row["seeds"] for row in summary)
    lines = [
        title,
        "",
        f"{settings.shapes.width}x{settings.shapes.width} pixels, {settings.train} training and {settings.test} test "
        f"samples, {settings.training.epochs} epochs, T = {settings.samples}, {seeds} seed{'s' if seeds != 1 else ''}. "
        "Mean ± standard deviation over test samples (mean over seeds), in brackets the standard deviation of the "
        "seeds' means. Entropies in bits; Dice with the truth; ECE against the raters' mean. U: unperturbed, P: "
        f"perturbed. Simulated data. {NOTICE}",
        "",
        "| | | " + " | ".join(FUSION_TITLES[fusion] for fusion in PAPERS_FUSIONS) + " |",
        "| --- " * (2 + len(PAPERS_FUSIONS)) + "|",
    ]
    at = {(row["state"], row["fusion"]): row for row in summary}
    states = list(dict.fromkeys(row["state"] for row in summary))
    for score in SCORE_TITLES:
        for state in states:
            cells = [_ours(at[(state, fusion)], score) for fusion in PAPERS_FUSIONS if (state, fusion) in at]
            lines.append(f"| {SCORE_TITLES[score]} | {state[0].upper()} ours | " + " | ".join(cells) + " |")
            if score in TABLE1_SCORES:
                cells = [_papers(at[(state, fusion)], score) for fusion in PAPERS_FUSIONS if (state, fusion) in at]
                lines.append(f"| | {state[0].upper()} paper | " + " | ".join(cells) + " |")
    lines += ["", "## The paper's findings", ""]
    for verdict in found:
        lines += [f"- **{verdict.state}: {verdict.claim}**: {verdict.text}."]
        lines += [
            f"  {FUSION_TITLES[d.first]} minus {FUSION_TITLES[d.second]}, seed {d.seed}: "
            f"{d.mean:+.3f} [{d.low:+.3f}, {d.high:+.3f}]  "
            for d in verdict.differences
        ]
    lines += ["", "Differences over the same test samples, with 95 % bootstrap intervals over samples.", ""]
    return "\n".join(lines)


def _ours(row: Mapping[str, Any], score: str) -> str:
    text = f"{number(row[f'{score}_mean'])} ± {number(row[f'{score}_std'])}"
    return f"{text} ({number(row[f'{score}_seed_std'])})" if row["seeds"] > 1 else text


def _papers(row: Mapping[str, Any], score: str) -> str:
    return f"{row[f'{score}_paper']:.2f} ± {row[f'{score}_paper_std']:.2f}"
