"""A few clearly different plausible contours of one case, each with its weight, to start a correction from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import Grid

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
        weight: the share of experts that it stands for; those of all alternatives add up to 1.
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
    """The most contours, at most five, of which any two differ clearly.

    If the probability of a voxel is the share of experts who would mark it, and experts differ in how strict they are
    and in nothing else, then one who is stricter than a share t of all of them draws the contour of the voxels whose
    probability is above t. Experts are divided by strictness into equal shares, and each share is represented by the
    expert in its middle: five shares by the levels 0.9, 0.7, 0.5, 0.3 and 0.1, with a weight of 0.2 each. There are
    five shares, or four, three or two if neighbours would otherwise have a Dice above 0.9 or differ by less than
    0.1 mL; where even two shares do, the segmentation is the only contour.

    An alternative is no forecast of what a certain expert draws, and its weight is not the chance that it is right.
    One who is generous at one border and strict at another is not among them; nor are choices between places, as of
    two lesions only one. What the model does not know widens the probability as what experts dispute does, so that
    of a case unlike the training's the alternatives lie farther apart than experts would. All pieces of a contour
    are kept, however small: a small lesion looks like a speck, and the contour is that of the probability at this
    level and nothing else.

    Args:
        probability: foreground probability, shape (k, j, i), in [0, 1].
        grid: its voxel grid; a slice of a 2-D image counts as 1 mm thick.

    Returns:
        The contours. For the same probability they are always the same.

    Raises:
        InputError: the probability does not lie on the grid, or is no probability somewhere.
    """
    _refuse_other_than_probability(probability, grid)
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
        Alternative(probability > level, 1 / count, level, volume, _meaning(number, levels, volume))
        for number, (level, volume) in enumerate(zip(levels, volumes, strict=True))
    )
    return Alternatives(contours, why_few)


def _refuse_other_than_probability(probability: NDArray[np.floating], grid: Grid) -> None:
    if probability.shape != grid.shape:
        raise InputError(
            f"The probability has the shape {probability.shape}, its grid {grid.shape} (slices, rows, columns). Give "
            "the grid that the probability was predicted on."
        )
    least, most = float(probability.min()), float(probability.max())
    if not (least >= 0 and most <= 1):  # written so that not-a-number is refused too
        raise InputError(
            f"The probability goes from {least:.4g} to {most:.4g}; from 0 to 1 was expected, and a number at every "
            "voxel. Give the foreground probability of a prediction, not its logits or labels."
        )


def _levels(count: int) -> tuple[float, ...]:
    """The middles of so many equal shares of the range from 0 to 1, the highest first: it has the narrowest contour."""
    return tuple((count - number - 0.5) / count for number in range(count))


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
    cut = f"probability above {levels[number]:.2f}, {volume_ml:.1f} mL"
    if len(levels) == 1:
        return f"{cut}: the segmentation; stands for all experts"
    if number == 0:
        place, experts = "the narrowest", "the strictest"
    elif number == len(levels) - 1:
        place, experts = "the widest", "the most generous"
    else:
        place, experts = f"number {number + 1} from the narrowest", "a further"
    return f"{cut}: {place} of {len(levels)} contours; stands for {experts} {1 / len(levels):.0%} of experts"


def _why_few(levels: Sequence[float], volumes: Sequence[float]) -> str:
    """Why there are fewer than three contours, by the levels and the mL of two of three that are too alike."""
    return (
        f"There are no {WANTED} clearly different contours: those at a probability of {levels[0]:.2f} and of "
        f"{levels[1]:.2f} would have {volumes[0]:.2f} and {volumes[1]:.2f} mL. Contours differ clearly if their Dice "
        f"is at most {LARGEST_DICE} and their volumes differ by {LEAST_DIFFERENCE_ML} mL or more."
    )
