"""Fingerprints of what a result was made from: another's or an older one's input is known by them.

They are of values as they are used (voxels and voxel grid), so that they depend neither on compression nor on the name
of a file, and they tell nothing of a patient.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.case_files import CaseFiles
from ObserverUncertaintyLib.formats import Mask, Volume, read_image, read_mask
from ObserverUncertaintyLib.formats.dicom.space import Space
from ObserverUncertaintyLib.images.grid import Grid

_LENGTH = 32
_DECIMALS = 3
"""Of millimetres: formats store positions as text, as single or as double precision."""


def case_digest(case: Case) -> str:
    """A fingerprint of a case's images and masks."""
    return _arrays_digest(case.images, case.raters)


def grid_digest(grid: Grid) -> str:
    """A fingerprint of where a voxel grid lies."""
    # Single precision first, so that a value in the middle of two roundings is the same from every format.
    numbers = np.array([*grid.spacing, *grid.origin, *grid.direction], np.float32).astype(float)
    rounded = [float(number) for number in np.round(numbers, _DECIMALS) + 0.0]  # no -0
    return content_digest([grid.dimension, *grid.size, *rounded])


def file_digests(files: CaseFiles) -> dict[str, str]:
    """A fingerprint of every file of a case, by its role, as it lies on the disk: before anything is resampled."""
    images = {f"image {name}": read_image(file) for name, file in files.images.items()}
    # Contours need an image to be drawn onto; whether it is theirs is looked at where the case is loaded.
    space = Space(next(iter(images.values())).grid) if images else None
    masks = {f"rater {name}": read_mask(file, space) for name, file in files.raters.items()}
    if files.truth is not None:
        masks["truth"] = read_mask(files.truth, space)
    volumes: dict[str, Volume | Mask] = {**images, **masks}
    return {
        role: content_digest([_arrays_digest(volume.array), grid_digest(volume.grid)])
        for role, volume in volumes.items()
    }


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs between two sets of fingerprints, in words such as "image T1 is another"."""
    return [
        f"{key} is {'new' if key not in before else 'gone' if key not in now else 'another'}"
        for key in dict.fromkeys([*before, *now])
        if before.get(key) != now.get(key)
    ]


def content_digest(content: Any) -> str:
    """A fingerprint of plain values, whatever the order of their names."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:_LENGTH]


def _arrays_digest(*arrays: NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:_LENGTH]


def file_digest(path: Path) -> str:
    """A fingerprint of a file's content, to tell two models' weights apart."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
