"""Numpy's own files (.npy, .npz), which hold numbers and no place; files that would run code are refused."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.formats.errors import InvalidImageError, UnreadableFileError
from ObserverUncertaintyLib.formats.references import split_reference

ARRAY_EXTENSIONS = (".npy", ".npz")

_USUAL_NAMES = ("probabilities", "softmax")
"""Under which nnU-Net keeps them, version 2 and version 1."""


def is_array_file(reference: str | Path) -> bool:
    """Whether a reference names such a file, by its ending."""
    return split_reference(reference)[0].suffix.lower() in ARRAY_EXTENSIONS


def read_array(reference: str | Path) -> NDArray[Any]:
    """Read one array; of a .npy file its voxels are read when they are used.

    Args:
        reference: the file; of a .npz with several arrays `file.npz#name`, or the one called "probabilities" or
            "softmax".

    Raises:
        UnreadableFileError: the file is damaged, or holds Python objects.
        InvalidImageError: it holds several arrays, none by the name, or no real numbers.
    """
    path, name = split_reference(reference)
    try:
        if path.suffix.lower() == ".npy":
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            with np.load(path, allow_pickle=False) as arrays:
                array = arrays[_chosen(path, arrays.files, name)]
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UnreadableFileError(
            f"{path}: the array cannot be read ({error}). Expected a whole file that numpy.save or "
            "numpy.savez_compressed wrote, without Python objects; write it again."
        ) from error
    if (array.dtype != bool and not np.issubdtype(array.dtype, np.number)) or np.iscomplexobj(array):
        raise InvalidImageError(f"{path}: the array holds {array.dtype}; expected one real number per voxel.")
    return array


def _chosen(path: Path, found: list[str], name: str | None) -> str:
    usual = [known for known in _USUAL_NAMES if known in found]
    wanted = name if name is not None else found[0] if len(found) == 1 else usual[0] if usual else None
    if wanted in found:
        return str(wanted)
    listing = ", ".join(found) or "none"
    raise InvalidImageError(
        f"{path}: the arrays in it are {listing}; expected {f'one called {name}' if name else 'a single one'}. Name "
        f"the one that is meant, as in {path.name}#{found[0] if found else 'probabilities'}"
    )
