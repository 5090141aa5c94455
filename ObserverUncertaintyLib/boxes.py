"""Boxes of slices around everything that may be more than background, for a network that pools squares of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

POSSIBLE = 0.05
"""Mean foreground probability of the first samples above which a pixel may be more than background."""

GROWTH = 8
"""Pixels around possible ones where the other samples are used too."""

CONTEXT = 32
"""Pixels around those that the network sees at least. A network with zero-padded convolutions sees where a box ends:
with 8 or 24 pixels that changed the entropy by more than Monte Carlo noise, and a volume by a fifth."""


@dataclass(frozen=True)
class Box:
    """What the network sees of some slices, and where its samples are used.

    Attributes:
        slices: their numbers.
        rows, columns: what is seen of each; they begin at multiples of the network's poolings.
        used: where samples are used, shape (slice, row, column) of what is seen.
    """

    slices: tuple[int, ...]
    rows: slice
    columns: slice
    used: NDArray[np.bool_]

    def of(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
        """A copy of what is seen of an array of shape (slice, row, column)."""
        return array[list(self.slices), self.rows, self.columns]


def likely_boxes(probability: NDArray[np.float64], batch_size: int, multiple: int) -> list[Box]:
    """Boxes around everything that may be more than background.

    Args:
        probability: of the first samples, shape (slice, row, column).
        batch_size: most slices in a box.
        multiple: pixels that the network pools into one; boxes are made of squares of as many, so that it pools the
            same pixels as in the whole slice.

    Returns:
        Boxes that use each pixel once at most; none where nothing is possible.
    """
    used = ndimage.binary_dilation(probability > POSSIBLE, np.ones((1, 2 * GROWTH + 1, 2 * GROWTH + 1)))
    seen = ndimage.binary_dilation(used, np.ones((1, 2 * CONTEXT + 1, 2 * CONTEXT + 1)))
    squares = _any_in_squares(seen, multiple)
    boxes = []
    for start in range(0, len(probability), batch_size):
        batch = squares[start : start + batch_size]
        parts, _count = ndimage.label(batch.any(axis=0))
        for number, (rows, columns) in enumerate(ndimage.find_objects(parts), 1):
            own = parts == number
            slices = tuple(int(at) for at in start + np.flatnonzero((batch & own).any(axis=(1, 2))))
            rows, columns = (slice(side.start * multiple, side.stop * multiple) for side in (rows, columns))
            here = np.kron(own, np.ones((multiple, multiple), bool))[: seen.shape[1], : seen.shape[2]]
            boxes.append(Box(slices, rows, columns, (used & here)[list(slices), rows, columns]))
    return boxes


def _any_in_squares(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Whether there is anything in each square of a grid over the slices, which may end within its last squares."""
    slices, rows, columns = mask.shape
    whole = np.pad(mask, ((0, 0), (0, -rows % side), (0, -columns % side)))
    squares = whole.reshape(slices, whole.shape[1] // side, side, -1, side)
    found: NDArray[np.bool_] = np.logical_or.reduce(squares, axis=(2, 4))
    return found


def whole_box(slices: range, rows: int, columns: int) -> Box:
    """A box that holds all of some slices."""
    used = np.ones((len(slices), rows, columns), bool)
    return Box(tuple(slices), slice(0, rows), slice(0, columns), used)
