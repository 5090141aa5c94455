"""Figures of Experiment 1: the samples, Figure 2, Figure 4(a), and reliability diagrams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.output_files import written_atomically
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.evaluation.figures import ENTROPY_COLOURS, colour
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.scores.entropy import binary_entropy, expert_entropy

_STATE_COLOURS = {"unperturbed": "#56B4E9", "perturbed": "#E69F00"}
_ENTROPY_LABEL = "entropy (bits): 0 sure, 1 most unsure"
_PROBABILITY_TICKS: tuple[list[float], list[str]] = ([0, 0.5, 1], ["0", "0.5", "1"])
_ARMS_A_LINE = 7
_FOOTER = "Simulated data. Research use only."


def samples_figure(path: Path, cases: Sequence[Case]) -> None:
    """Samples side by side: both images, the observers' contours with the truth, and the expert entropy."""
    figure, axes = _grid(4, len(cases))
    shown = None
    for column, case in enumerate(cases):
        for row, state in enumerate(case.sequences):
            _grey(axes[row, column], case.image(state)[0])
        _grey(axes[2, column], case.image("unperturbed")[0])
        for number, mask in enumerate(case.raters):
            _outline(axes[2, column], mask[0], colour(number))
        if case.truth is not None:
            _outline(axes[2, column], case.truth[0], "white", dashed=True)
        shown = _entropy(axes[3, column], expert_entropy(case.raters)[0])
    for row, title in enumerate(("unperturbed", "perturbed", "observers", "expert entropy")):
        axes[row, 0].set_ylabel(title, fontsize=11)
    handles = [Line2D([], [], color=colour(number), label=name) for number, name in enumerate(cases[0].rater_names)]
    handles.append(Line2D([], [], color="0.5", linestyle="--", label="truth (white in the pictures)"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    _colour_bar(figure, shown, axes[3, :])
    _save(figure, path)


def figure2(
    path: Path,
    case: Case,
    probabilities: Mapping[tuple[str, str], NDArray[Any]],
    states: Sequence[str],
    fusions: Sequence[FusionMethod],
) -> None:
    """The paper's Figure 2: a row for each image state; image, expert entropy, then each model's predictive entropy.

    Args:
        path: PNG file.
        case: the test sample.
        probabilities: (state, fusion) to the foreground probability, shape (row, column); others stay empty.
        states: rows.
        fusions: columns.
    """
    figure, axes = _grid(len(states), 2 + len(fusions))
    shown = None
    for row, state in enumerate(states):
        _grey(axes[row, 0], case.image(state)[0])
        axes[row, 0].set_ylabel(state, fontsize=11)
        shown = _entropy(axes[row, 1], expert_entropy(case.raters)[0])
        for column, fusion in enumerate(fusions, start=2):
            if (state, fusion) in probabilities:
                _entropy(axes[row, column], binary_entropy(probabilities[(state, fusion)]))
                # The truth's outline ties the pictures of a row together.
                if case.truth is not None:
                    _outline(axes[row, column], case.truth[0], "white", dashed=True)
    for column, title in enumerate(["image", "expert entropy", *(fusion.title for fusion in fusions)]):
        axes[0, column].set_title(title, fontsize=11)
    _colour_bar(figure, shown, axes[:, 1:])
    figure.supxlabel(f"{case.name}; dashed: truth. {_FOOTER}", fontsize=8, x=0.99, ha="right")
    _save(figure, path)


def wme_boxes(path: Path, results: Sequence[Mapping[str, Any]]) -> None:
    """The paper's Figure 4(a): boxes of WME over test samples (all seeds), unperturbed beside perturbed."""
    figure = Figure(figsize=(8, 4.2), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    states = list(dict.fromkeys(result["state"] for result in results))
    fusions = [fusion for fusion in FusionMethod if any(result["fusion"] == fusion for result in results)]
    for number, state in enumerate(states):
        for place, fusion in enumerate(fusions):
            wme = [
                row["wme"]
                for result in results
                if (result["state"], result["fusion"]) == (state, fusion)
                for row in result["scores"]
                if row["wme"] is not None
            ]
            if wme:
                axes.boxplot(
                    wme,
                    positions=[place + 0.36 * (number - (len(states) - 1) / 2)],
                    widths=0.3,
                    patch_artist=True,
                    boxprops={"facecolor": _STATE_COLOURS[state]},
                    medianprops={"color": "black"},
                    flierprops={"markersize": 2},
                )
    axes.set_xticks(range(len(fusions)), [fusion.title for fusion in fusions])
    axes.set_ylim(0, 1)
    axes.set_ylabel("WME (bits)")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(handles=[Patch(facecolor=_STATE_COLOURS[state], label=state) for state in states], frameon=False)
    seeds = len({result["seed"] for result in results})
    samples = f"{len(results[0]['scores'])} test samples" + (f" of each of {seeds} seeds" if seeds > 1 else "")
    text = f"Boxes: quartiles over {samples}; whiskers: 1.5 times the box. {_FOOTER}"
    figure.supxlabel(text, fontsize=8, x=0.99, ha="right")
    _save(figure, path)


def reliability_figure(path: Path, results: Sequence[Mapping[str, Any]]) -> None:
    """For each arm the share of raters who marked a pixel against the model's probability; a line for each seed."""
    lines = _reliability_lines(results)
    columns = max(len(arms) for _state, arms in lines)
    figure = Figure(figsize=(2.5 * columns + 0.5, 2.9 * len(lines) + 0.6), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(lines), columns, squeeze=False)
    for plot in axes.flat:
        plot.set_visible(False)
    for row, (state, arms) in enumerate(lines):
        for column, arm in enumerate(arms):
            plot = axes[row, column]
            plot.set_visible(True)
            plot.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
            for number, result in enumerate(result for result in results if result["arm"] == arm):
                bins = result["reliability"]
                plot.plot(
                    [each["probability"] for each in bins],
                    [each["raters"] for each in bins],
                    marker=".",
                    linewidth=1.2,
                    color=colour(number),
                    label=f"seed {result['seed']}",
                )
            plot.set_title(_arm_title(arm, state), fontsize=9)
            plot.set_xlim(0, 1)
            plot.set_ylim(0, 1)
            plot.set_xticks(*_PROBABILITY_TICKS)
            plot.set_yticks(*(_PROBABILITY_TICKS if column == 0 else ([], [])))
            plot.set_aspect("equal")
        axes[row, 0].set_ylabel(f"{state}\nshare of raters", fontsize=9)
    axes[0, 0].legend(fontsize=7, frameon=False)
    figure.supxlabel(f"foreground probability; dashed: perfectly calibrated. {_FOOTER}", fontsize=9)
    _save(figure, path)


def _reliability_lines(results: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """A state's arms, in as many lines as they need to stay readable."""
    lines = []
    for state in dict.fromkeys(result["state"] for result in results):
        arms = list(dict.fromkeys(result["arm"] for result in results if result["state"] == state))
        lines += [(state, arms[first : first + _ARMS_A_LINE]) for first in range(0, len(arms), _ARMS_A_LINE)]
    return lines


def _arm_title(arm: str, state: str) -> str:
    text = arm.removeprefix("side-").removeprefix(f"{state}-")
    fusion, _, method = text.partition("-")
    if fusion not in list(FusionMethod):
        return text.replace("-", " ")
    return FusionMethod(fusion).title + (f", {method.replace('-', ' ')}" if method else "")


def _grid(rows: int, columns: int) -> tuple[Figure, NDArray[Any]]:
    figure = Figure(figsize=(1.9 * columns + 1.0, 1.95 * rows + 0.6), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    for plot in axes.flat:
        plot.set_xticks([])
        plot.set_yticks([])
    return figure, axes


def _grey(axes: Axes, image: NDArray[Any]) -> None:
    low, high = np.percentile(image, [0.5, 99.5])
    axes.imshow(image, cmap="gray", vmin=low, vmax=high)


def _entropy(axes: Axes, entropy: NDArray[Any]) -> Any:
    return axes.imshow(entropy, cmap=ENTROPY_COLOURS, vmin=0, vmax=1, interpolation="nearest")


def _outline(axes: Axes, mask: NDArray[np.bool_], colour: str, *, dashed: bool = False) -> None:
    if mask.any():
        axes.contour(
            mask.astype(float), levels=[0.5], colors=[colour], linewidths=0.9, linestyles="--" if dashed else "-"
        )


def _colour_bar(figure: Figure, shown: Any, axes: NDArray[Any]) -> None:
    bar = figure.colorbar(shown, ax=axes.ravel().tolist(), shrink=0.8, pad=0.01, ticks=[0, 0.25, 0.5, 0.75, 1])
    bar.set_label(_ENTROPY_LABEL, fontsize=9)


def _save(figure: Figure, path: Path) -> None:
    with written_atomically(path) as temporary:
        figure.savefig(temporary, dpi=110)
