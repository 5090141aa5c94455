"""What kind of DICOM object a file holds, and its header without pydicom's words about the values in it."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ObserverUncertaintyLib.base.errors import ObserverUncertaintyError
from ObserverUncertaintyLib.formats.errors import UnreadableFileError

if TYPE_CHECKING:
    from pydicom import FileDataset

_HEADER_BYTES = 1024

_DEFLATED = "1.2.840.10008.1.2.1.99"

_UNDEFINED = 0xFFFFFFFF
"""In place of a sequence's length; it ends with a delimiter then."""

_DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"

_CATCHING = threading.RLock()

_CUT = re.compile(r"[Ee]nd of file|No tag to read")


class DicomKind(StrEnum):
    """Kinds of DICOM file that are no slice of a series, by their storage class."""

    STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
    SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
    LABELMAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"
    PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"

    @property
    def words(self) -> str:
        """The kind in words."""
        if self is DicomKind.STRUCTURE_SET:
            return "a DICOM RTSTRUCT"
        return "a DICOM parametric map" if self is DicomKind.PARAMETRIC_MAP else "a DICOM SEG"

    @property
    def holds_contours(self) -> bool:
        """Whether it holds what somebody drew."""
        return self is not DicomKind.PARAMETRIC_MAP


def is_dicom_file(path: Path) -> bool:
    """Whether the file has the mark "DICM" at byte 128."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def dicom_kind(path: Path) -> DicomKind | None:
    """The kind of object in a DICOM file; None for a slice, or for a file of another format."""
    found = storage_class(path)
    return DicomKind(found) if found in list(DicomKind) else None


def storage_class(path: Path) -> str:
    """The media storage SOP class UID (0002,0002) from the head of a DICOM file; empty if there is none."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    place = head.find(b"\x02\x00\x02\x00UI")
    if place < 0:
        return ""
    length = int.from_bytes(head[place + 6 : place + 8], "little")
    return head[place + 8 : place + 8 + length].rstrip(b"\0 ").decode("ascii", "replace")


def dicom_package(name: str, path: Path, what: str) -> ModuleType:
    """Import pydicom or highdicom, which an older Slicer lacks.

    Args:
        name: of the package.
        path: the file that needs it.
        what: the file holds, such as "a DICOM SEG".

    Raises:
        UnreadableFileError: it is not installed.
    """
    try:
        with quiet_pydicom():
            return import_module(name)
    except ImportError as error:
        raise UnreadableFileError(
            f"{path}: this is {what}, for which the package {name} is needed ({error}). 3D Slicer has it from 5.12 on; "
            f"elsewhere: pip install {name}. Or save the segmentation as .seg.nrrd in 3D Slicer."
        ) from error


@contextmanager
def quiet_pydicom() -> Iterator[list[warnings.WarningMessage]]:
    """Keep what pydicom warns of to oneself: it quotes values of the header, which would carry a patient into logs."""
    # Warnings are caught for the whole process at once.
    with _CATCHING, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


@contextmanager
def damaged_object(path: Path, what: str) -> Iterator[None]:
    """Turn what pydicom and highdicom raise for a damaged object into one error that quotes no value of the header.

    pydicom only warns of a file that ends too early, and gives what came before.
    """
    cut = UnreadableFileError(
        f"{path}: this is {what}, but it ends too early; expected a whole file. Copy or export it again."
    )
    try:
        with quiet_pydicom() as caught:
            yield
    except EOFError:
        raise cut from None
    except ObserverUncertaintyError:
        raise
    except Exception as error:  # noqa: BLE001  (what a damaged value leads to has no common class)
        raise UnreadableFileError(
            f"{path}: this is {what}, but it is damaged or lacks what belongs to it ({type(error).__name__}); "
            "expected a whole object. Export it again."
        ) from None
    if any(_CUT.search(str(each.message)) for each in caught):
        raise cut


def read_object(path: Path, what: str) -> FileDataset:
    """Read a DICOM object without pixels, to the end of its file; `what` it is, for errors.

    Raises:
        UnreadableFileError: pydicom is missing, or the file is damaged.
    """
    pydicom = dicom_package("pydicom", path, what)
    with damaged_object(path, what):
        dataset: FileDataset = pydicom.dcmread(path)
        # Where a file ends within the few bytes before an element, pydicom says nothing.
        if dataset.file_meta.TransferSyntaxUID != _DEFLATED and not _ends_with(dataset, path.read_bytes()):
            raise EOFError
        return dataset


def _ends_with(dataset: FileDataset, content: bytes) -> bool:
    """Whether a file goes on to the end of its last element, with nothing but zeros behind it."""
    last = dataset.get_item(max(dataset.keys()))
    length = getattr(last, "length", _UNDEFINED)
    if length in (_UNDEFINED, None) or not hasattr(last, "value_tell"):
        return content.rstrip(b"\0").endswith(_DELIMITER.rstrip(b"\0"))
    end = last.value_tell + length
    return end <= len(content) and not content[end:].strip(b"\0")
