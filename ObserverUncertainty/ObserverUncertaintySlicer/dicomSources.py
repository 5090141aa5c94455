"""Which DICOM series a volume of the scene comes from: where contours belong, and what is exported refers to.

It is kept for the session and not in the scene, since paths and UIDs tell who a patient is.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import slicer

from ObserverUncertaintyLib.formats.dicom.space import Space
from ObserverUncertaintySlicer.attributes import DICOM_SOURCE, dicomInstances
from ObserverUncertaintySlicer.volumes import gridOfVolume

_FRAME_OF_REFERENCE, _SERIES = "0020,0052", "0020,000E"

_known: dict[str, tuple[str, str]] = {}
"""What `remember` was told, by a mark of the node that means nothing elsewhere: another scene may have its ID too."""


def remember(volumeNode, reference: str, frameOfReference: str) -> None:
    """Keep where a volume was read from.

    Args:
        volumeNode: the volume.
        reference: of its series, as the library names it.
        frameOfReference: the UID of its patient's space.
    """
    mark = uuid.uuid4().hex
    DICOM_SOURCE.set(volumeNode, mark)
    _known[mark] = (reference, frameOfReference)


def seriesOf(volumeNode) -> str:
    """The series that a volume was read from, as the library names it; "" if that is not known."""
    found = _known.get(DICOM_SOURCE.of(volumeNode, ""))
    if found is not None:
        return found[0]
    database, uid = _database(), _firstInstance(volumeNode)
    file = database.fileForInstance(uid) if database is not None and uid else ""
    return f"{Path(file).parent}#{database.instanceValue(uid, _SERIES)}" if file else ""


def spaceOf(volumeNode) -> Space:
    """Where a volume lies, with its frame of reference where that is known."""
    found = _known.get(DICOM_SOURCE.of(volumeNode, ""))
    if found is not None:
        return Space(gridOfVolume(volumeNode), found[1])
    database, uid = _database(), _firstInstance(volumeNode)
    known = database.instanceValue(uid, _FRAME_OF_REFERENCE) if database is not None and uid else ""
    return Space(gridOfVolume(volumeNode), known)


def _firstInstance(volumeNode) -> str:
    return next(iter(dicomInstances(volumeNode)), "")


def _database():
    """Slicer's DICOM database; None where there is none, or none is open."""
    database = getattr(slicer, "dicomDatabase", None)
    return database if database is not None and database.isOpen else None
