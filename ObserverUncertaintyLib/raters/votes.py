"""The raters' votes, counted once: which raters marked each voxel, as the number of a pattern.

What fusion, STAPLE and the experts' entropy say about a voxel depends on nothing but who marked it. So they are worked
out once for each pattern of votes that occurs and looked up for the voxels; several of them share one count. Only the
bounding box of the raters' union is looked at closely: beyond it nobody marked anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError

MAXIMUM_RATERS = 64
"""A pattern is held as the bits of one number."""

_TABULATED_RATERS = 12
"""Up to so many raters every possible pattern has its number; with more, only those that occur."""

_Value = TypeVar("_Value", bound=np.generic)

Box: TypeAlias = tuple[slice, ...]
"""A part of a grid, as slices of (k, j, i)."""


@dataclass(frozen=True)
class Votes:
    """The patterns of several raters' votes, and which one each voxel has.

    Attributes:
        patterns: bool, shape (pattern, rater): who marked the voxel. No two are the same; in the first, nobody did.
        index: the number of each voxel's pattern, unsigned, shape of the box.
        box: the bounding box of the raters' union; without voxels if nobody marked anything.
        shape: of the grid, (k, j, i).
    """

    patterns: NDArray[np.bool_]
    index: NDArray[Any]
    box: Box
    shape: tuple[int, ...]

    @classmethod
    def of(cls, raters: Raters) -> Votes:
        """Count the raters' votes.

        Args:
            raters: bool, shape (rater, k, j, i), 1 to 64 raters; votes counted before are returned as they are.

        Raises:
            InputError: there is no rater, or there are more than 64.
        """
        if isinstance(raters, Votes):
            return raters
        if not 1 <= len(raters) <= MAXIMUM_RATERS:
            raise InputError(f"Masks of 1 to {MAXIMUM_RATERS} raters can be compared and fused, not of {len(raters)}.")
        box = _bounding_box(np.any(raters, axis=0))
        code = _codes(raters[(slice(None), *box)])
        if len(raters) <= _TABULATED_RATERS:
            codes, index = np.arange(2 ** len(raters), dtype=np.uint64), code
        else:
            codes, index = _numbered(code)
        return cls(_bits(codes, len(raters)), index, box, raters.shape[1:])

    @cached_property
    def counts(self) -> NDArray[np.intp]:
        """How many voxels of the box have each pattern, shape (pattern,); 0 for one that does not occur."""
        return np.bincount(self.index.ravel(), minlength=len(self.patterns))

    @cached_property
    def intersections(self) -> NDArray[np.float64]:
        """How many voxels both of every two raters marked, shape (rater, rater); on the diagonal each one's own."""
        # Whole numbers far below 2^53: the product of floating-point matrices is exact, and quicker than of integers.
        patterns = self.patterns.astype(np.float64)
        return np.asarray(patterns.T @ (patterns * self.counts[:, None]))

    def on_grid(self, values: NDArray[_Value], region: Box | None = None) -> NDArray[_Value]:
        """Give every voxel the value of its pattern.

        Args:
            values: one for each pattern, shape (pattern,).
            region: a part of the grid that holds the box; voxels outside it are 0. The whole grid if None.

        Returns:
            Shape (k, j, i).
        """
        grid = np.zeros(self.shape, values.dtype)
        if values[0]:
            grid[region or ...] = values[0]
        # Slice by slice the indices, which numpy turns into wider ones, stay in the processor's cache.
        for part, index in zip(grid[self.box], self.index, strict=True):
            part[...] = values.take(index)
        return grid


class RunningVotes:
    """Votes of masks that come one after the other: memory does not grow with their number, up to 64."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.masks = 0
        self._code = np.zeros(shape, np.uint64)

    @property
    def is_full(self) -> bool:
        """Whether no further mask can be added."""
        return self.masks == MAXIMUM_RATERS

    def add(self, mask: NDArray[np.bool_]) -> None:
        """Add a mask, shape as given to the constructor."""
        if self.is_full:
            raise ValueError(f"votes of more than {MAXIMUM_RATERS} masks cannot be counted")
        self._code[mask] |= np.uint64(1) << np.uint64(self.masks)
        self.masks += 1

    def votes(self) -> Votes:
        """The votes of the masks so far, in their order; raises ValueError if there are none."""
        if self.masks == 0:
            raise ValueError("no mask was added yet")
        box = _bounding_box(self._code != 0)
        codes, index = _numbered(self._code[box])
        return Votes(_bits(codes, self.masks), index, box, self._code.shape)


Raters: TypeAlias = NDArray[np.bool_] | Votes
"""Raters' masks, bool, shape (rater, k, j, i), 1 to 64 raters, or their votes if several results share the count."""


def _bounding_box(union: NDArray[np.bool_]) -> Box:
    """The smallest box that holds all marked voxels; without voxels if none is."""
    box: list[slice] = []
    # Axis by axis in what is left: each look is at fewer voxels than the one before.
    for axis in range(union.ndim):
        others = tuple(other for other in range(union.ndim) if other != axis)
        marked = np.flatnonzero(np.any(union, axis=others))
        box.append(slice(int(marked[0]), int(marked[-1]) + 1) if len(marked) else slice(0, 0))
        union = union[(slice(None),) * axis + (box[-1],)]
    return tuple(box)


def _codes(raters: NDArray[np.bool_]) -> NDArray[Any]:
    """Each voxel's votes as the bits of one number, the first rater's the lowest; shape (k, j, i)."""
    code = np.zeros(raters.shape[1:], np.min_scalar_type(2 ** len(raters) - 1))
    for votes in raters[::-1]:
        code += code
        code |= votes
    return code


def _bits(codes: NDArray[np.uint64], count: int) -> NDArray[np.bool_]:
    """The lowest bits of numbers, shape (number, bit)."""
    return (codes[:, None] >> np.arange(count, dtype=np.uint64) & np.uint64(1)).astype(bool)


def _numbered(code: NDArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """The code of no votes and then those that occur, and the number of each voxel's code."""
    # Sorting is dear, and most voxels are empty: only the others are sorted.
    marked = code != 0
    codes, inverse = np.unique(code[marked], return_inverse=True)
    index = np.zeros(code.shape, np.uint32)
    index[marked] = inverse + 1
    return np.concatenate([np.zeros(1, np.uint64), codes.astype(np.uint64)]), index
