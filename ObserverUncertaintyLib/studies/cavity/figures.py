"""The paper's Figure 4(b): WME in two groups of cases, below and above the median Dice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.output_files import written_atomically
from ObserverUncertaintyLib.evaluation.figures import colour


def wme_by_dice_group(
    path: Path, groups: Sequence[str], wme: Mapping[str, Sequence[NDArray[np.float64]]], title: str, footer: str
) -> None:
    """Draw a box of WME for every group and arm, with a dot for every case.

    Args:
        path: PNG file.
        groups: the groups' titles, from left to right.
        wme: the arm's title to the cases' WME in bits, one array a group.
        title: heading of the figure.
        footer: small print below the figure.
    """
    figure = Figure(figsize=(8, 4.6), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    width = 0.8 / len(wme)
    for number, values in enumerate(wme.values()):
        for group, cases in enumerate(values):
            if not len(cases):
                continue
            place = group + width * (number - (len(wme) - 1) / 2)
            axes.boxplot(
                cases,
                positions=[place],
                widths=0.8 * width,
                patch_artist=True,
                showfliers=False,  # every case is a dot already
                boxprops={"facecolor": colour(number)},
                medianprops={"color": "black"},
            )
            # Spread evenly, so that equal values stay apart and the picture is the same every time.
            spread = place + 0.25 * width * np.linspace(-1, 1, len(cases) + 2)[1:-1]
            axes.plot(spread, cases, ".", color="black", markersize=3, alpha=0.6)
    axes.set_xticks(range(len(groups)), groups)
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.set_ylim(0, 1)
    axes.set_ylabel("WME (bits)")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(handles=[Patch(facecolor=colour(number), label=arm) for number, arm in enumerate(wme)], frameon=False)
    axes.set_title(title, fontsize=11)
    figure.supxlabel(footer, fontsize=8, x=0.99, ha="right")
    with written_atomically(path) as temporary:
        figure.savefig(temporary, dpi=110)
