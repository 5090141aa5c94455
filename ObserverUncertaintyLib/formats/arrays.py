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
        loaded = np.load(path, mmap_mode="r" if path.suffix.lower() == ".npy" else None, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):  # by what the file is, whatever its ending
            with loaded:
                array: NDArray[Any] = loaded[_chosen(path, loaded.files, name)]
        elif name is not None:
            raise InvalidImageError(
                f"{reference}: '#{name}' would pick an array, but {path.name} holds a single one. Leave the '#' and "
                "what follows it out."
            )
        else:
            array = loaded
    except (OSError, EOFError, MemoryError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        why = "it holds Python objects" if "pickle" in str(error) else str(error) or type(error).__name__
        raise UnreadableFileError(
            f"{path}: the array cannot be read ({why}). Expected a whole file that numpy.save or "
            "numpy.savez_compressed wrote, without Python objects; write it again."
        ) from error
    is_real = array.dtype == bool or np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)
    if not is_real or np.issubdtype(array.dtype, np.timedelta64):
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
