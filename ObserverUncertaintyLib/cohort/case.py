"""A case: images and raters' masks of one patient on one voxel grid."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.images.grid import Grid


@dataclass(frozen=True)
class Case:
    """Named images and named raters' masks of one patient, all on one voxel grid.

    Attributes:
        name: the case's name, unique in its cohort.
        grid: the voxel grid of every array.
        sequences: names of the images, such as ("T1", "FLAIR"), in channel order.
        images: float32, shape (sequence, k, j, i).
        rater_names: names of the raters.
        raters: bool, shape (rater, k, j, i).
        truth: bool, shape (k, j, i), where a reference is known (simulations), else None.
        notes: what was done to the data on loading (resampled, registered), for reports.
        warnings: what the user should know about the data (empty mask, rater missing, sequences not aligned).
    """

    name: str
    grid: Grid
    sequences: tuple[str, ...]
    images: NDArray[np.float32]
    rater_names: tuple[str, ...] = ()
    raters: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0, 0, 0), bool))
    truth: NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit the names and the grid; a mistake here is a bug, not a user's."""
        shape = self.grid.shape
        if self.images.shape != (len(self.sequences), *shape):
            raise ValueError(f"images {self.images.shape} do not fit {self.sequences} on {shape}")
        if (self.rater_names or len(self.raters)) and self.raters.shape != (len(self.rater_names), *shape):
            raise ValueError(f"raters {self.raters.shape} do not fit {self.rater_names} on {shape}")
        if self.truth is not None and self.truth.shape != shape:
            raise ValueError(f"truth {self.truth.shape} does not fit {shape}")

    @cached_property
    def image_digest(self) -> str:
        """A fingerprint of the images alone, to recognise a training case when it is predicted."""
        return hashlib.sha256(np.ascontiguousarray(self.images).data).hexdigest()[:32]

    def image(self, sequence: str) -> NDArray[np.float32]:
        """The image of one sequence, shape (k, j, i)."""
        return self.images[self.sequences.index(sequence)]

    def with_sequences(self, sequences: Sequence[str]) -> Case:
        """The same case with these of its sequences, in this order."""
        order = [self.sequences.index(sequence) for sequence in sequences]
        if order == list(range(len(self.sequences))):
            return self
        return replace(self, sequences=tuple(sequences), images=self.images[order])
