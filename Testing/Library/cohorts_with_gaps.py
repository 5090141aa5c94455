"""A cohort of which some cases cannot be predicted, each for another reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cohorts import write_discs

from ObserverUncertaintyLib.formats import read_image, write_image

GOOD = ("case01", "case04", "case06")
BAD = {
    "case02": "incomplete or damaged",
    "case03": "has no image S2",
    "case05": "lies on another voxel grid",
}
"""What is told of the others."""


def write_cohort_with_gaps(folder: Path) -> Path:
    """Six discs with two sequences: one file cut off, one missing, one at another place; returns the manifest."""
    manifest = write_discs(folder, 6, slices=3, sequences=2)
    damaged = folder / "case02" / "S1.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-400])
    (folder / "case03" / "S2.nii.gz").unlink()
    elsewhere = folder / "case05" / "S2.nii.gz"
    image = read_image(elsewhere)
    write_image(elsewhere, image.array, replace(image.grid, origin=(40.0, 0.0, 0.0)))
    return manifest
