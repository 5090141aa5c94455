"""What a result says of itself in its header, so that it is known again and never taken for a rater's drawing.

The mark holds a checksum of the voxels that are not 0: whoever corrects a result by hand in another program, which may
keep the header's text, has drawn, and the file is a result no longer.
"""

from __future__ import annotations

import gzip
import re
import zlib
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.formats.prediction_files import NOT_LOOKED_AT, PREDICTED_MAPS, REPORT_FILE
from ObserverUncertaintyLib.formats.references import split_reference, stem

_MARK = re.compile(rb"ObserverUncertainty ([a-z]{1,9}) ([0-9a-f]{8}): ")
_NAME_IN_SLICER = re.compile(r"\bof \d+ raters\b")
_HEADER = 1 << 13


class ResultKind(StrEnum):
    """What a file was computed as; nine letters at most, since NIfTI's `descrip` has room for 79 characters."""

    FUSED = "fused"
    ENTROPY = "entropy"
    PREDICTED = "predicted"


def mark(kind: ResultKind, array: NDArray[Any]) -> str:
    """The text for the header of a result with these voxels, shape (k, j, i)."""
    return f"ObserverUncertainty {kind} {_checksum(array):08x}: research use only, not a medical device"


def kind_in_text(text: str) -> ResultKind | None:
    """What a DICOM object's description says that it was computed as; None where it says nothing of the kind.

    There the checksum is not compared: the voxels of a contour depend on the image that it is drawn onto.
    """
    found = _MARK.search(text.encode())
    return ResultKind(found[1].decode()) if found and found[1].decode() in list(ResultKind) else None


def result_kind(reference: str | Path, mask: NDArray[np.bool_]) -> ResultKind | None:
    """What a file was computed as, by its mark, the report beside it or its name; None for what somebody drew.

    Args:
        reference: the file that the mask was read from, or `file#segment`.
        mask: its voxels, shape (k, j, i).
    """
    path, _selection = split_reference(reference)
    if path.is_dir():
        return None
    found = _MARK.search(_start(path))
    if found and found[1].decode() in list(ResultKind) and int(found[2], 16) == _checksum(mask):
        return ResultKind(found[1].decode())
    if found is None and stem(path) in (*PREDICTED_MAPS, NOT_LOOKED_AT) and (path.parent / REPORT_FILE).is_file():
        return ResultKind.PREDICTED
    if _NAME_IN_SLICER.search(stem(path)):
        return ResultKind.FUSED
    return None


def _checksum(array: NDArray[Any]) -> int:
    return zlib.crc32(np.packbits(array != 0).tobytes())


def _start(path: Path) -> bytes:
    """The first bytes of a file, decompressed, where its header lies; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            is_compressed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if is_compressed else path.open("rb") as file:
            return file.read(_HEADER)
    except (OSError, EOFError, zlib.error):
        return b""
