"""Figure of Experiment 1's sweeps: how the scores move with what is varied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from ObserverUncertaintyLib.base.output_files import written_atomically
from ObserverUncertaintyLib.evaluation.figures import colour
from ObserverUncertaintyLib.raters.fusion import FusionMethod

PARAMETERS = {
    "T": "Monte Carlo samples T",
    "raters": "raters of a training sample",
    "train": "training samples",
    "epochs": "epochs",
}
_SCORES = {"wme": "WME (bits)", "me": "ME (bits, log scale)", "dice": "Dice with the truth"}
_MARKERS = "osDv<^>"
_REFERENCE_TITLE = "Mean of many further observers: calibrated, and knows the truth"
_ONE_SEED = "One training a point: another seed moves WME by about 0.02 to 0.06"
"""The standard deviation over three seeds of no fusion's and majority's WME, Table 1 in docs/experiment1.md."""


def sweeps_figure(path: Path, rows: Sequence[Mapping[str, Any]], reference: Mapping[str, float] | None = None) -> None:
    """WME, ME and Dice (rows) against T, raters, training samples and epochs (columns), a line for each fusion.

    Args:
        path: PNG file.
        rows: one for each point, with `parameter`, `value` (a number as text), `fusion`, `default`, `seeds`, and for
            each score `_mean` and `_seed_std`; other parameters are left out, and so are columns without points.
        reference: scores of a prediction that no model makes, such as the mean of many observers: a dotted line.
    """
    shown = [name for name in PARAMETERS if any(row["parameter"] == name for row in rows)]
    if not shown:
        raise ValueError(f"none of the rows varies one of {', '.join(PARAMETERS)}")
    figure = Figure(figsize=(3.0 * len(shown) + 0.8, 7.4), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(_SCORES), len(shown), squeeze=False, sharex="col", sharey="row")
    for column, parameter in enumerate(shown):
        own = [row for row in rows if row["parameter"] == parameter]
        for row, score in enumerate(_SCORES):
            _curves(axes[row, column], own, score)
            if reference:
                axes[row, column].axhline(reference[score], color="0.45", linestyle=":", linewidth=1.2)
        _value_axis(axes[-1, column], own, parameter)
    for row, (score, label) in enumerate(_SCORES.items()):
        axes[row, 0].set_ylabel(label)
        if score == "me":
            axes[row, 0].set_yscale("log")
            ticks = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
            axes[row, 0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
            axes[row, 0].yaxis.set_minor_locator(NullLocator())
    axes[0, 0].set_ylim(0, 1)
    _legend(figure, axes, has_reference=reference is not None)
    _footer(figure, rows)
    with written_atomically(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _curves(axes: Axes, rows: Sequence[Mapping[str, Any]], score: str) -> None:
    for number, fusion in enumerate(FusionMethod):
        points = sorted((row for row in rows if row["fusion"] == fusion), key=lambda row: float(row["value"]))
        if not points:
            continue
        several = any(row["seeds"] > 1 for row in points)
        axes.errorbar(
            [float(row["value"]) for row in points],
            [row[f"{score}_mean"] for row in points],
            yerr=[row[f"{score}_seed_std"] for row in points] if several else None,
            color=colour(number),
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=4.5,
            linewidth=1.4,
            capsize=2,
            label=fusion.title,
        )
    axes.grid(alpha=0.3)


def _value_axis(axes: Axes, rows: Sequence[Mapping[str, Any]], parameter: str) -> None:
    values = sorted({float(row["value"]) for row in rows})
    # Raters are a handful; the others span factors of 40 to 100.
    if parameter != "raters":
        axes.set_xscale("log")
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    default = next((f"{float(row['value']):g}" for row in rows if row["default"]), None)
    note = f"\n(elsewhere {default})" if default is not None else ""
    axes.set_xlabel(PARAMETERS[parameter] + note)


def _legend(figure: Figure, axes: Any, *, has_reference: bool) -> None:
    handles: dict[str, Any] = {}
    for plot in axes.flat:
        for handle, label in zip(*plot.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if has_reference:
        handles[_REFERENCE_TITLE] = axes[0, 0].lines[-1]
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=2, frameon=False, fontsize=9)


def _footer(figure: Figure, rows: Sequence[Mapping[str, Any]]) -> None:
    seeds = max(row["seeds"] for row in rows)
    noise = f"Bars: standard deviation over {seeds} seeds" if seeds > 1 else _ONE_SEED
    figure.supxlabel(f"{noise}. Perturbed images. Simulated data. Research use only.", fontsize=8, x=0.99, ha="right")
