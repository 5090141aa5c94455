"""A case as it is found in a folder: its files, how its patient is recognised, and what is told of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.base.privacy import without_uids
from ObserverUncertaintyLib.worklist.patients import Patient

IMAGE, RATER = "image ", "rater "
"""Before a sequence's or a rater's name: what a file is to its case, as a manifest's sources have it."""


@dataclass(frozen=True)
class Unmatched:
    """Something that is used for no case, or not as it might be.

    Attributes:
        what: what it is, without a word that tells of the patient: a description, the name of an ROI, "file".
        reason: why it is not used.
        path: where it lies; for the file that identifies patients, and not for a terminal.
    """

    what: str
    reason: str
    path: Path


@dataclass
class FoundCase:
    """One case.

    Attributes:
        patient: the patient of a DICOM study; None where a plain folder is the case.
        study_uid: of a DICOM study.
        study_date: of a DICOM study.
        folder: where a plain folder is the case, its path from the root.
        files: file references from the root by what they are to the case ("image T1", "rater anna").
        notes: what is told of the case, without a word that tells of the patient.
    """

    patient: Patient | None = None
    study_uid: str = ""
    study_date: str = ""
    folder: str = ""
    files: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def person(self) -> tuple[str, ...]:
        """What tells the patient from others; cases with the same one are a patient's."""
        if self.patient is None:
            return ("folder", self.folder)
        return self.patient.key if self.patient.is_known else ("study", self.study_uid)

    @property
    def key(self) -> tuple[str, ...]:
        """What tells the case from others."""
        return (*self.person, self.study_uid)

    def names(self, kind: str) -> list[str]:
        """The names of its images or raters."""
        return [role.removeprefix(kind) for role in self.files if role.startswith(kind)]

    def record(self) -> dict[str, Any]:
        """What the sources keep of it."""
        if self.patient is None:
            return {"folder": self.folder, "files": self.files}
        study = {"uid": self.study_uid, "date": self.study_date}
        return {"patient": asdict(self.patient), "study": study, "files": self.files}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> FoundCase:
        """A case as the sources keep it; raises KeyError or TypeError if they are damaged."""
        files = dict(record["files"])
        if "folder" in record:
            return cls(folder=record["folder"], files=files)
        return cls(Patient(**record["patient"]), record["study"]["uid"], record["study"]["date"], files=files)


def shown(text: str, patient: Patient) -> str:
    """A text of a header as it may be told: not if it names the patient."""
    if not text:
        return "without description"
    return "a description that names the patient" if patient.is_named_in(text) else quoted(text)


def quoted(text: str) -> str:
    """A text of a header for a terminal, which takes some signs for orders; without UIDs, which find a patient."""
    text = without_uids(text)
    return '"' + "".join(sign if sign.isprintable() else " " for sign in text) + '"'


def same_name(name: str) -> str:
    """What two spellings of one name have in common."""
    return unicodedata.normalize("NFC", name).casefold()
