"""What a reviewer drew, known from how the contour changed: a propagation starts from it, and undo takes it back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.checks import require_on_grid

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Stroke:
    """Voxels that the reviewer decided in one go.

    Attributes:
        axis: across which axis of the array the slices lie that it was drawn in: 0 for k, 1 for j, 2 for i.
        box: the part of the array that it lies in.
        mask: bool, the voxels within the box.
    """

    axis: int
    box: tuple[slice, slice, slice]
    mask: Mask


class Drawing:
    """Follows a contour and keeps what was drawn in it.

    A contour that was there before brings back what was drawn then: undo and redo of the program that the reviewer
    draws in need not be told of.

    Args:
        contour: at the start, bool, shape (k, j, i).
        grid: its grid.
        drawn: what was drawn before, as `drawn` gives it.
        level: the probability whose contour it was before anybody drew; None where it was another one.

    Attributes:
        contour: as it was followed last.
        grid: its grid.
        level: belongs to the contour; an undo brings it back too.
    """

    def __init__(
        self, contour: Mask, grid: Grid, drawn: Mapping[int, Mask] | None = None, level: float | None = None
    ) -> None:
        require_on_grid(contour, grid, "The contour")
        self.grid = grid
        strokes = []
        for axis, mask in (drawn or {}).items():
            require_on_grid(mask, grid, f"What was drawn across axis {axis}")
            strokes += [_stroke(mask, axis)] if mask.any() else []
        self._strokes: tuple[Stroke, ...] = tuple(strokes)
        self.level = level
        self._known: dict[bytes, tuple[tuple[Stroke, ...], float | None]] = {}
        self.follow_without_drawing(contour)

    @property
    def strokes(self) -> Sequence[Stroke]:
        """What was drawn, in order."""
        return self._strokes

    @property
    def drawn(self) -> dict[int, Mask]:
        """The voxels that were decided, for each axis that something was drawn across; as `propagate` takes it."""
        found: dict[int, Mask] = {}
        for stroke in self._strokes:
            found.setdefault(stroke.axis, np.zeros(self.grid.shape, bool))[stroke.box] |= stroke.mask
        return found

    def follow(self, contour: Mask) -> bool:
        """The reviewer has changed the contour, or has undone something.

        Voxels that changed were drawn, across the axis along which they extend least.

        Returns:
            Whether something was drawn: not if the contour is the same, or one that was there before.
        """
        require_on_grid(contour, self.grid, "The contour")
        changed = contour ^ self.contour
        if not changed.any():
            return False
        known = self._known.get(_digest(contour))
        if known is None:
            self._strokes = (*self._strokes, _stroke(changed, self._thinnest(changed)))
        else:
            self._strokes, self.level = known
        self._keep(contour)
        return known is None

    def follow_without_drawing(self, contour: Mask) -> None:
        """The contour was changed by the program, such as by a propagation: nothing was drawn."""
        require_on_grid(contour, self.grid, "The contour")
        self._keep(contour)

    def decide_slice(self, index: int, axis: int = 0) -> None:
        """The reviewer finds a whole slice right as it is now; it counts with the next contour that is followed."""
        mask = np.zeros(self.grid.shape, bool)
        np.moveaxis(mask, axis, 0)[index] = True
        self._strokes = (*self._strokes, _stroke(mask, axis))

    def _keep(self, contour: Mask) -> None:
        self.contour = contour.copy()
        self._known[_digest(contour)] = self._strokes, self.level

    def _thinnest(self, mask: Mask) -> int:
        box = ndimage.find_objects(mask.view(np.uint8))[0]
        # Of equal ones the first: slices are mostly drawn across it.
        extents = [(part.stop - part.start) * step for part, step in zip(box, self.grid.spacing[::-1], strict=True)]
        flat = [axis for axis, part in enumerate(box) if part.stop - part.start == 1]
        return flat[0] if flat else int(np.argmin(extents))


def _stroke(mask: Mask, axis: int) -> Stroke:
    box = ndimage.find_objects(mask.view(np.uint8))[0]
    return Stroke(axis, box, mask[box].copy())


def _digest(contour: Mask) -> bytes:
    return hashlib.blake2b(np.packbits(contour).tobytes(), digest_size=16).digest()
