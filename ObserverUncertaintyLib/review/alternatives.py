"""A few clearly different plausible contours of one case, each with its weight, to start a correction from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.checks import require_share
from ObserverUncertaintyLib.review.contours import INNER, OUTER, contour_at

MOST, WANTED = 5, 3
"""Contours at most, and how many there should at least be to choose from."""

LARGEST_DICE = 0.9
"""Two contours with a higher Dice are too alike to choose between: that of two experts is about 0.85.

Source: Ermis et al., Radiation Oncology 15, 2020: medians of 0.84 to 0.86 for resection cavities.
"""

LEAST_DIFFERENCE_ML = 0.1
"""So are two contours whose volumes differ by less: of a small structure, by a few voxels only."""


@dataclass(frozen=True)
class Alternative:
    """One of several plausible contours.

    Attributes:
        mask: bool, shape (k, j, i).
        weight: the share of the set that it makes up; those of all alternatives add up to 1.
        level: it marks the voxels whose probability is above this.
        volume_ml: its volume in mL.
        meaning: what it stands for, in words.
    """

    mask: NDArray[np.bool_]
    weight: float
    level: float
    volume_ml: float
    meaning: str


@dataclass(frozen=True)
class Alternatives:
    """The plausible contours of a case.

    Attributes:
        contours: from the narrowest to the widest, each inside the next; one at least.
        why_few: why there are fewer than three; None where there are three or more.
    """

    contours: tuple[Alternative, ...]
    why_few: str | None


def alternatives(probability: NDArray[np.floating], grid: Grid) -> Alternatives:
    """Up to five contours of which any two differ clearly, for experts from strict to generous.

    How strict an expert is in a case is told by the level of probability whose contour is nearest to what they draw.
    If experts differed in strictness alone, and the probability were the share of them who mark a voxel, all levels
    would be as frequent. But who is strict at one border is generous at another, so that over a whole contour few are
    near 0 or 1: of raters whom the model did not know, 90 % were nearest to levels between 0.2 and 0.7. So the range
    from 0.1 to 0.9, between the outer and the inner contour, is divided into equal shares, and the middle of each gives
    a contour: levels of 0.82, 0.66, 0.5, 0.34 and 0.18. There are five shares, or four, three or two if neighbours
    would otherwise have a Dice above 0.9 or differ by less than 0.1 mL; where even two shares do, the segmentation is
    the only contour. It is the middle one of an odd number, and not among an even one. With equal weights the set is
    about as near to the raters, in the generalised energy distance, as any few contours that were tried
    (benchmarks/alternatives.py).

    What they do not mean: no expert draws exactly one of them, and most are nearest to one in the middle, so that
    the weight is no chance of being the right one. An expert who is generous here and strict there is not among them;
    nor are choices between places, as of one of two lesions. What the model does not know widens the probability as
    what experts dispute does: of a case unlike the training's the contours lie farther apart than experts would. All
    pieces of a contour are kept, however small, since a small lesion looks like a speck.

    Args:
        probability: foreground probability, shape (k, j, i), in [0, 1].
        grid: its voxel grid; a slice of a 2-D image counts as 1 mm thick.

    Returns:
        The contours. For the same probability they are always the same.

    Raises:
        InputError: the probability does not lie on the grid, or is no probability somewhere.
    """
    require_share(probability, grid, "The probability")
    why_few = None
    for count in range(MOST, 0, -1):
        levels = _levels(count)
        volumes = [int(np.count_nonzero(probability > level)) * grid.voxel_volume_ml for level in levels]
        alike = _too_alike(volumes)
        if alike is None:
            break
        if count == WANTED:
            why_few = _why_few(levels[alike : alike + 2], volumes[alike : alike + 2])
    contours = tuple(
        Alternative(contour_at(probability, level), 1 / count, level, volume, _meaning(number, levels, volume))
        for number, (level, volume) in enumerate(zip(levels, volumes, strict=True))
    )
    return Alternatives(contours, why_few)


def _levels(count: int) -> tuple[float, ...]:
    """The middles of so many equal shares of the range of levels, the highest first: it has the narrowest contour."""
    # Rounded, so that the middle one is 0.5 and its contour the segmentation.
    return tuple(round(INNER - (INNER - OUTER) * (number + 0.5) / count, 4) for number in range(count))


def _too_alike(volumes: Sequence[float]) -> int | None:
    """The first of the contours that does not differ clearly from the next one.

    One contour lies inside the next, so that their volumes in mL say all, and neighbours are the most alike.
    """
    for number, (inside, outside) in enumerate(pairwise(volumes)):
        if outside - inside < LEAST_DIFFERENCE_ML or 2 * inside > LARGEST_DICE * (inside + outside):
            return number
    return None


def _meaning(number: int, levels: Sequence[float], volume_ml: float) -> str:
    """What a contour is, and for which experts it stands."""
    if len(levels) == 1:
        place, experts = "the segmentation", "all experts"
    elif number == 0:
        place, experts = f"the narrowest of {len(levels)}", "strict experts"
    elif number == len(levels) - 1:
        place, experts = f"the widest of {len(levels)}", "generous experts"
    else:
        place, experts = f"number {number + 1} of {len(levels)} from the narrowest", "experts in between"
    return f"{place}, for {experts}: probability above {levels[number]:.2f}, {volume_ml:.1f} mL"


def _why_few(levels: Sequence[float], volumes: Sequence[float]) -> str:
    """Why there are fewer than three contours, by the levels and the mL of two of three that are too alike."""
    return (
        f"There are no {WANTED} clearly different contours: those at a probability of {levels[0]:.2f} and of "
        f"{levels[1]:.2f} would have {volumes[0]:.2f} and {volumes[1]:.2f} mL. Contours differ clearly if their Dice "
        f"is at most {LARGEST_DICE} and their volumes differ by {LEAST_DIFFERENCE_ML} mL or more."
    )
