"""The slices that training sees, prepared once and kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.model.description import Expectations
from ObserverUncertaintyLib.model.likeness import Looks, TrainingLooks
from ObserverUncertaintyLib.model.preprocessing import (
    PreparedCase,
    Preprocessing,
    SliceAxis,
    in_plane_spacing,
    slice_distance,
)
from ObserverUncertaintyLib.raters.fusion import FusionMethod, Tie
from ObserverUncertaintyLib.training.targets import training_labels

LEFT_VOLUME = 0.5
"""A warning says when less than this fraction of what the labels mark is left on the model's grid."""


@dataclass(frozen=True)
class SliceSet:
    """Slices of several cases, brought to one size.

    Attributes:
        images: float32, shape (slice, sequence, row, column).
        labels: shape (slice, label, row, column): uint8 masks, or float32 in [0, 1] for the raters' mean. Labels that
            a slice lacks are 0 and never drawn.
        label_counts: how many labels each slice has, shape (slice,).
        label_raters: the number of the rater who drew each label, shape (slice, label); None if nobody asks.
        warnings: what the user should know about the data.
        looks: what the cases look like.
    """

    images: Tensor
    labels: Tensor
    label_counts: NDArray[np.intp]
    label_raters: NDArray[np.intp] | None = None
    warnings: tuple[str, ...] = ()
    looks: TrainingLooks | None = None

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def with_structure(self) -> NDArray[np.bool_]:
        """Which slices have the structure in any of their labels, shape (slice,)."""
        return self.labels.flatten(1).any(dim=1).bool().cpu().numpy()  # any() of uint8 is uint8

    @property
    def nbytes(self) -> int:
        """Memory of images and labels."""
        return self.images.nbytes + self.labels.nbytes

    def to(self, device: torch.device) -> SliceSet:
        """The same with images and labels on a device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))


def expectations(cases: Sequence[Case], slice_axis: SliceAxis, skull_stripped: bool | None) -> Expectations:
    """What the training images are like: medians over the cases; raises InputError for 2-D beside 3-D."""
    dimensions = {case.grid.dimension for case in cases}
    if len(dimensions) > 1:
        flat = [case.name for case in cases if case.grid.dimension == 2]
        raise InputError(f"2-D and 3-D cases cannot be trained on together; 2-D are: {', '.join(flat)}.")
    rows, columns = np.median([in_plane_spacing(case.grid, slice_axis) for case in cases], axis=0)
    distances = [slice_distance(case.grid, slice_axis) for case in cases]
    known = [distance for distance in distances if distance is not None]
    return Expectations(
        dimension=dimensions.pop(),
        in_plane_spacing=(float(rows), float(columns)),
        slice_distance=float(np.median(known)) if known else None,
        skull_stripped=skull_stripped,
    )


def common_size(prepared: Sequence[PreparedCase], depth: int) -> tuple[int, int]:
    """The (rows, columns) that hold every case's slices and that `depth` poolings divide without remainder."""
    multiple = 2**depth
    rows, columns = np.max([case.path.shape[1:] for case in prepared], axis=0)
    return (int(-(-rows // multiple) * multiple), int(-(-columns // multiple) * multiple))


def prepare_slices(
    cases: Sequence[Case],
    preprocessing: Preprocessing,
    depth: int,
    fusion: FusionMethod,
    tie: Tie,
    imitates: Sequence[str] = (),
) -> tuple[SliceSet, Preprocessing]:
    """Bring cases to the model's grid and stack their slices, all widened to one size.

    Where the crop is "foreground", it is widened to hold all that raters marked, and slices without any brain or body
    are left out: there is nothing to learn from them.

    Args:
        cases: with one rater or more each.
        preprocessing: as asked for.
        depth: poolings of the network.
        fusion: what training sees as label.
        tie: used by "majority" only.
        imitates: the raters whose numbers labels are to carry; with fusion "none" only.

    Returns:
        The slices, and the preprocessing with that size as its `minimum_size`; one that it had may have grown.

    Raises:
        InputError: a case has no rater.
    """
    for case in cases:
        if not case.rater_names:
            raise InputError(f"{case.name} has no rater's mask, so nothing can be learned from it.")
    prepared = [preprocessing.prepare(case, np.asarray(case.raters.any(axis=0))) for case in cases]
    size = common_size(prepared, depth)
    prepared = [case.widened(size) for case in prepared]
    labels, warnings = [], []
    for case, seen in zip(cases, prepared, strict=True):
        offered = training_labels(case.raters, fusion, tie)
        on_model_grid = np.stack([seen.path.label_to_model(label) for label in offered], axis=1)
        warnings += [*seen.warnings, *_warn_of_vanished(case, seen, offered, on_model_grid)]
        labels.append(on_model_grid if on_model_grid.dtype == np.float32 else on_model_grid.astype(np.uint8))
    most = max(array.shape[1] for array in labels)
    slices = SliceSet(
        images=torch.from_numpy(np.concatenate([case.images for case in prepared])),
        labels=torch.from_numpy(np.concatenate([_pad_labels(array, most) for array in labels])),
        label_counts=np.concatenate([np.full(len(array), array.shape[1], np.intp) for array in labels]),
        label_raters=_label_raters(cases, labels, imitates) if imitates else None,
        warnings=tuple(warnings),
        looks=TrainingLooks.of([Looks.of(case, seen.inside) for case, seen in zip(cases, prepared, strict=True)]),
    )
    return slices, replace(preprocessing, minimum_size=size)


def _label_raters(cases: Sequence[Case], labels: Sequence[NDArray[Any]], imitates: Sequence[str]) -> NDArray[np.intp]:
    """Who drew each label of each slice; a label that a slice lacks is never drawn, so that 0 stands for it."""
    numbers = np.zeros((sum(map(len, labels)), max(array.shape[1] for array in labels)), np.intp)
    first = 0
    for case, array in zip(cases, labels, strict=True):
        own = [imitates.index(rater) for rater in case.rater_names]
        numbers[first : first + len(array), : len(own)] = own
        first += len(array)
    return numbers


def _warn_of_vanished(case: Case, seen: PreparedCase, offered: NDArray[Any], on_model_grid: NDArray[Any]) -> list[str]:
    """What to say of structures that are too small for the pixels of the model's grid."""
    plane = seen.path.plane
    marked = float(offered.sum(dtype=np.float64)) * case.grid.voxel_volume_ml
    left = float(on_model_grid.sum(dtype=np.float64)) * plane.voxel_volume_ml
    if left >= LEFT_VOLUME * marked:
        return []
    return [
        f"{case.name}: of {marked:.3g} mL that the labels mark {left:.3g} mL are left on the model's pixels of "
        f"{plane.spacing[1]:.3g} x {plane.spacing[0]:.3g} mm: the structure is too small for them. Train with a "
        "smaller spacing"
    ]


def _pad_labels(labels: NDArray[Any], count: int) -> NDArray[Any]:
    return np.pad(labels, ((0, 0), (0, count - labels.shape[1]), (0, 0), (0, 0)))
