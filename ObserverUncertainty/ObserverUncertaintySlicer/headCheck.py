"""Whether the scene's sequences show a head where a model knows brains only, as a prediction will say, but quickly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.images.grid import same_grid
from ObserverUncertaintyLib.model.description import ModelDescription
from ObserverUncertaintyLib.model.likeness import Looks
from ObserverUncertaintySlicer.volumes import arrayOnGrid, gridOfVolume, voxelsOf

_WITHIN_MM, _APART_MM = 2.0, 5.0
"""Voxels within axial slices, and slices, that lie closer are left out in between: a scalp shows all the same.

A whole head is then looked at in less than half a second.
"""


def seemsAHead(sequences: Mapping[str, Any], description: ModelDescription) -> bool:
    """Whether sequences do not seem to be skull-stripped, where the model's training images are.

    Args:
        sequences: sequence name to volume node, the reference first; those that the model does not know are left out.
        description: the model's.

    Raises:
        InputError: a volume cannot be used.
    """
    present = description.present(sequences)
    if not present or not description.expects.skull_stripped or description.expects.looks is None:
        return False
    grid = gridOfVolume(next(iter(sequences.values())))
    upward = int(np.abs(grid.direction[6:]).argmax())
    wanted = [_APART_MM if axis == upward else _WITHIN_MM for axis in range(3)]
    steps = [max(1, int(mm // spacing)) for mm, spacing in zip(wanted, grid.spacing, strict=True)]
    i, j, k = (-(-count // step) for count, step in zip(grid.size, steps, strict=True))
    across, down, up = (spacing * step for spacing, step in zip(grid.spacing, steps, strict=True))
    coarse = replace(grid, size=(i, j, k), spacing=(across, down, up))
    every = tuple(slice(None, None, step) for step in reversed(steps))
    images = [
        voxelsOf(node)[every].astype(np.float32) if same_grid(gridOfVolume(node), grid) else arrayOnGrid(node, coarse)
        for node in (sequences[name] for name in present)
    ]
    case = Case("case", coarse, present, np.stack(images))
    return description.expects.seems_a_head(Looks.of(case, description.preprocessing.prepare(case).inside))
