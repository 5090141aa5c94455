"""Boxes of slices around everything that may be more than background, for a network that pools squares of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Scalar = TypeVar("Scalar", bound=np.generic)

POSSIBLE = 0.1
"""Mean foreground probability of the first samples above which a pixel may be more than background."""

GROWTH = 8
"""Pixels around possible ones where the other samples are used too."""

CONTEXT = 32
"""Pixels around those that the network sees at least. A network with zero-padded convolutions sees where a box ends:
with 8 or 24 pixels that changed the entropy by more than Monte Carlo noise, and a volume by a fifth."""


@dataclass(frozen=True)
class Box:
    """What the network sees of a slice, and where its samples are used.

    Attributes:
        number: the slice's.
        window: rows and columns that are seen; they begin at multiples of the network's poolings.
        used: where samples are used, shape (row, column) of what is seen.
    """

    number: int
    window: tuple[slice, slice]
    used: NDArray[np.bool_]

    def of(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """A view of what is seen of an array of shape (slice, row, column)."""
        return array[(self.number, *self.window)]


def likely_boxes(probability: NDArray[np.float64], batch_size: int, multiple: int) -> list[Box]:
    """Boxes around everything that may be more than background.

    Args:
        probability: of the first samples, shape (slice, row, column).
        batch_size: most slices in a box.
        multiple: pixels that the network pools into one; boxes are made of squares of as many, so that it pools the
            same pixels as in the whole slice.

    Returns:
        Boxes that use each pixel once at most; none where nothing is possible. Those of neighbouring slices show the
        same window.
    """
    used = _grown(probability > POSSIBLE, GROWTH)
    seen = _grown(used, CONTEXT)
    squares = _any_in_squares(seen, multiple)
    boxes = []
    for start in range(0, len(probability), batch_size):
        batch = squares[start : start + batch_size]
        parts, _count = ndimage.label(batch.any(axis=0))
        for label, (rows, columns) in enumerate(ndimage.find_objects(parts), 1):
            own = parts == label
            window = _times(rows, multiple), _times(columns, multiple)
            here = np.kron(own, np.ones((multiple, multiple), bool))[: seen.shape[1], : seen.shape[2]]
            for at in start + np.flatnonzero((batch & own).any(axis=(1, 2))):
                boxes.append(Box(int(at), window, (used[at] & here)[window]))
    return boxes


def _grown(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Each pixel of the mask with a square around it in its slice."""
    side = 2 * pixels + 1
    # The maximum over a square goes by rows and columns in turn; dilation with a square would visit all of its pixels.
    grown: NDArray[np.bool_] = ndimage.maximum_filter(mask, (1, side, side), mode="constant")
    return grown


def _times(side: slice, multiple: int) -> slice:
    return slice(side.start * multiple, side.stop * multiple)


def _any_in_squares(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """Whether there is anything in each square of a grid over the slices, which may end within its last squares."""
    slices, rows, columns = mask.shape
    whole = np.pad(mask, ((0, 0), (0, -rows % side), (0, -columns % side)))
    squares = whole.reshape(slices, whole.shape[1] // side, side, -1, side)
    found: NDArray[np.bool_] = np.logical_or.reduce(squares, axis=(2, 4))
    return found


def whole_boxes(slices: int, rows: int, columns: int) -> list[Box]:
    """A box around each of some slices."""
    used = np.ones((rows, columns), bool)
    return [Box(number, (slice(0, rows), slice(0, columns)), used) for number in range(slices)]
