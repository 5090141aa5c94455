"""Whether the data part of a file is whole: ITK reads damaged compressed data without a word.

Measured with SimpleITK 2.5: one flipped byte in a gzip-compressed NRRD gave 692 wrong voxels of 1287 and no error.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO

from ObserverUncertaintyLib.formats.errors import UnreadableFileError

_CHUNK = 1 << 22
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


def damaged(path: Path, reason: str) -> UnreadableFileError:
    """The error for a file that is cut off or damaged; `reason` says how that shows."""
    return UnreadableFileError(
        f"{path}: the file is incomplete or damaged: {reason}. Expected a whole file; copy or export it again, "
        "and check that the disk was not full."
    )


def require_data_file(path: Path, name: str) -> Path:
    """The data file that a header names, looked up beside the header.

    Raises:
        UnreadableFileError: if it is missing, or if the header spreads the data over several files.
    """
    if name.upper().startswith("LIST") or "%" in name:
        raise UnreadableFileError(
            f"{path}: the header spreads the data over several files ({name}); expected one. Open it in 3D Slicer "
            "and save it as one .nrrd file."
        )
    data_file = path.parent / name
    if not data_file.is_file():
        raise UnreadableFileError(
            f"{path}: the file is only a header; the voxels are expected in {data_file}, which does not exist. Put "
            "that file beside the header, or save the image as one .nrrd or .mha file."
        )
    return data_file


def decompressed_size(path: Path, file: BinaryIO) -> int:
    """Decompress gzip or zlib data from the file's position to its checksum and count the bytes.

    Raises:
        UnreadableFileError: naming `path`, if the stream ends early or its checksum is wrong.
    """
    count = 0
    stream = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        while chunk := file.read(_CHUNK):
            count += len(stream.decompress(chunk))
            if stream.eof:
                return count
    except zlib.error as error:
        raise damaged(path, f"the compressed data cannot be decompressed ({error})") from error
    raise damaged(path, f"the compressed data ends early, after {count} bytes of voxels")
