"""Small cohorts for tests, written as real files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.simulation.cohort_folder import write_cohort


def disc_case(index: int, *, size: int = 32, slices: int = 1, raters: int = 3, sequences: int = 1) -> Case:
    """A bright ellipsoid on grey noise, drawn by raters who differ in radius; 2-D if there is one slice."""
    rng = np.random.default_rng(index)
    k, j, i = np.mgrid[:slices, :size, :size].astype(float)
    centre = size / 2 + rng.uniform(-3, 3, size=2)
    radius = size / 4 * np.sqrt(np.clip(1 - ((k - (slices - 1) / 2) / slices) ** 2, 0.1, None))
    distance = np.hypot(j - centre[0], i - centre[1]) - radius
    images = np.stack(
        [(40.0 * (n + 1) + 60.0 * (distance < 0) + rng.normal(0, 8, distance.shape)).clip(1) for n in range(sequences)]
    )
    masks = np.stack([distance < offset for offset in np.linspace(-2, 2, raters)])
    grid = Grid((size, size, slices), (1.0, 1.0, 3.0), dimension=2 if slices == 1 else 3)
    return Case(
        name=f"case{index + 1:02d}",
        grid=grid,
        sequences=tuple(f"S{n + 1}" for n in range(sequences)),
        images=images.astype(np.float32),
        rater_names=tuple(f"rater{n + 1}" for n in range(raters)),
        raters=masks,
        truth=distance < 0,
    )


def write_discs(folder: Path, count: int = 4, **options: int) -> Path:
    """Write a cohort of discs; returns its manifest."""
    return write_cohort(
        folder,
        lambda index: disc_case(index, **options),
        [f"case{n + 1:02d}" for n in range(count)],
        dict(options),
        name="Discs",
        label="disc",
        skull_stripped=False,
    )


def discs(count: int, **options: int) -> Sequence[Case]:
    """Cases of a cohort of discs, not written to files."""
    return [disc_case(index, **options) for index in range(count)]
