"""What is said or refused where a file's header gives the place or the size of its voxels badly or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ObserverUncertaintyLib.formats.errors import InvalidImageError

NO_VOXEL_SIZE = "the file's header gives no voxel size; 1 mm is taken, so volumes and distances may be wrong"

NO_PLACE = (
    "the file's header gives neither position nor orientation; it is taken to lie at the origin along the patient's "
    "axes, as 3D Slicer does, so left and right may be swapped"
)

_MILLIMETRES = ("mm", "millimeter", "millimetre", "millimeters", "millimetres", "", "?", "unknown")


def require_millimetres(path: Path, units: Iterable[str]) -> None:
    """Raise InvalidImageError if an axis in space is measured in another unit, which ITK passes over."""
    for unit in units:
        if unit.strip().lower() not in _MILLIMETRES:
            raise InvalidImageError(
                f"{path}: the header gives distances in '{unit}'; expected mm. Convert the file, or correct its header."
            )
