"""Datasets of DICOM fields, in fewer words than pydicom's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset


def fields(**values: Any) -> Dataset:
    """A dataset with these fields, by their keywords."""
    from pydicom import Dataset

    found = Dataset()
    for name, value in values.items():
        setattr(found, name, value)
    return found


def sequence(items: Iterable[Dataset]) -> Any:
    """A field's value that holds datasets."""
    from pydicom.sequence import Sequence as DicomSequence

    return DicomSequence(items)
