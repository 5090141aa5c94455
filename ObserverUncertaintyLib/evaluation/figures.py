"""Pictures of a case: contours and entropies on axial slices, as a radiologist expects to see them.

Radiological convention: the patient's right is on the left of the picture, anterior is up, and both are labelled.
Entropies share one fixed colour scale from 0 to 1 bit, so that two pictures compare at a glance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.output_files import written_atomically
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.images.orientation import Reorientation

RATER_COLOURS = ("#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#F0E442", "#D55E00", "#0072B2")
"""Colours that stay apart for colour-blind readers (Okabe and Ito, 2008)."""

ENTROPY_COLOURS = "inferno"
OPAQUE_ENTROPY = 0.2
"""From this many bits on the colour hides the image; below it fades, so that the anatomy shows where all is sure."""

_SCALE_BAR_MM = 50.0


def comparison_figure(
    path: Path,
    cases: Sequence[Case],
    background: str,
    entropies: Mapping[str, Sequence[NDArray[Any]]],
    title: str,
    footer: str,
) -> None:
    """Draw a row for each case: the image with every rater's contour, then each entropy on the same image.

    Args:
        path: PNG file.
        cases: cases with raters; each is shown at the axial slice where its raters disagree most.
        background: the sequence shown behind the entropies.
        entropies: column title to one map a case, shape (k, j, i) on the case's grid, in bits. The first column decides
            which slice is shown.
        title: heading of the figure.
        footer: small print below the figure.
    """
    columns = 1 + len(entropies)
    figure = Figure(figsize=(3.1 * columns + 0.9, 3.75 * len(cases) + 1.4), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(cases), columns, squeeze=False)
    deciding = next(iter(entropies.values()))
    shown: AxesImage | None = None
    for row, case in enumerate(cases):
        view = AxialView(case.grid, deciding[row])
        _draw_contours(axes[row, 0], view, case, background)
        for column, (name, maps) in enumerate(entropies.items(), start=1):
            shown = _draw_entropy(axes[row, column], view, case.image(background), maps[row])
            if row == 0:
                axes[0, column].set_title(name, fontsize=11)
    axes[0, 0].set_title(f"{background} with the raters' contours", fontsize=11)
    if shown is not None:
        ticks = [0, 0.25, 0.5, 0.75, 1]
        bar = figure.colorbar(
            ScalarMappable(shown.norm, shown.cmap), ax=axes[:, 1:].ravel().tolist(), shrink=0.7, pad=0.01, ticks=ticks
        )
        bar.set_label("entropy (bits): 0 sure, 1 most unsure")
    names = cases[0].rater_names
    handles = [Line2D([], [], color=colour(n), linewidth=2, label=name) for n, name in enumerate(names)]
    figure.legend(handles=handles, loc="outside lower left", ncols=len(names), frameon=False, fontsize=10)
    figure.suptitle(title, fontsize=13)
    figure.supxlabel(footer, fontsize=8, x=0.99, ha="right")
    with written_atomically(path) as temporary:
        figure.savefig(temporary, dpi=120)


class AxialView:
    """The axial slice of a case where a map is strongest, cut to what is worth showing."""

    def __init__(self, grid: Grid, deciding: NDArray[Any]) -> None:
        """Choose the slice with the largest sum of `deciding`, shape (k, j, i) on `grid`."""
        self._oriented = Reorientation.to(grid, "LPS") if grid.dimension == 3 else None
        self.plane = self._oriented.target if self._oriented else grid
        oriented = self._oriented.apply(deciding) if self._oriented else deciding
        self.index = int(np.argmax(oriented.sum(axis=(1, 2))))

    def slice(self, array: NDArray[Any]) -> NDArray[Any]:
        """The chosen slice of an array (k, j, i): rows towards posterior, columns towards the patient's left."""
        return (self._oriented.apply(array) if self._oriented else array)[self.index]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of the picture in mm."""
        return (0.0, self.plane.size[0] * self.plane.spacing[0], self.plane.size[1] * self.plane.spacing[1], 0.0)

    @property
    def position_mm(self) -> float:
        """Height of the slice's centre in mm towards superior."""
        i, j, _ = self.plane.size
        return float((self.plane.index_to_physical() @ [(i - 1) / 2, (j - 1) / 2, self.index, 1])[2])

    def show_background(self, axes: Axes, image: NDArray[Any]) -> None:
        """Draw an image in grey with orientation letters and a scale bar."""
        grey = self.slice(image)
        low, high = np.percentile(image[image != 0] if np.any(image) else image, [1, 99.5])
        axes.imshow(grey, cmap="gray", vmin=min(low, 0), vmax=high, extent=self.extent, interpolation="bilinear")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_facecolor("black")
        if self._oriented is None:
            return  # a 2-D image says nothing about left and right
        for letter, x, y in (("R", 0.03, 0.5), ("L", 0.97, 0.5), ("A", 0.5, 0.96), ("P", 0.5, 0.04)):
            axes.text(x, y, letter, color="white", fontsize=10, ha="center", va="center", transform=axes.transAxes)
        _, right, bottom, _ = self.extent
        end = right - 8
        axes.plot([end - _SCALE_BAR_MM, end], [bottom - 8] * 2, color="white", linewidth=2)
        axes.text(end - _SCALE_BAR_MM / 2, bottom - 11, "5 cm", color="white", fontsize=8, ha="center", va="bottom")


def _draw_contours(axes: Axes, view: AxialView, case: Case, background: str) -> None:
    view.show_background(axes, case.image(background))
    for number, mask in enumerate(case.raters):
        outline(axes, view, mask, colour(number))
    height = f"{'S' if view.position_mm >= 0 else 'I'} {abs(view.position_mm):.0f} mm"
    label = f"{case.name}, axial, {height}" if case.grid.dimension == 3 else case.name
    axes.set_xlabel(label, fontsize=9)


def outline(axes: Axes, view: AxialView, mask: NDArray[np.bool_], colour: str) -> None:
    """Draw the border of a mask on a view."""
    flat = view.slice(mask)
    if not flat.any():
        return
    rows, columns = flat.shape
    x = (np.arange(columns) + 0.5) * view.plane.spacing[0]
    y = (np.arange(rows) + 0.5) * view.plane.spacing[1]
    axes.contour(x, y, flat.astype(float), levels=[0.5], colors=[colour], linewidths=1.4)


def _draw_entropy(axes: Axes, view: AxialView, image: NDArray[Any], entropy: NDArray[Any]) -> AxesImage:
    view.show_background(axes, image)
    flat = view.slice(entropy)
    opacity = 0.95 * np.clip(flat / OPAQUE_ENTROPY, 0, 1)
    return axes.imshow(
        flat, cmap=ENTROPY_COLOURS, vmin=0, vmax=1, extent=view.extent, interpolation="nearest", alpha=opacity
    )


def colour(number: int) -> str:
    """The colour of a rater, an arm or a curve by its number from 0; they come again after the last one."""
    return RATER_COLOURS[number % len(RATER_COLOURS)]
