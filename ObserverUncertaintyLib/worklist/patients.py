"""A patient as a DICOM header names them, and whether a text names them too."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from ObserverUncertaintyLib.worklist.rules import words_of

_PART_OF_A_WORD = 5
"""From so many letters on a name counts inside a longer word too: "CavityMuster"; "ann" in "annotator" does not."""

_PART_OF_AN_ID = 4
"""From so many letters on a part of an ID counts alone: the number of "MRN 0012345"."""

_SHORTEST = 2
"""Names and IDs of fewer letters say nothing: many texts have them."""


@dataclass(frozen=True)
class Patient:
    """What a header says of its patient; "" for what it does not say.

    Attributes:
        id: PatientID.
        issuer: who gave the ID.
        name: PatientName.
        birth_date: PatientBirthDate.
    """

    id: str = ""
    issuer: str = ""
    name: str = ""
    birth_date: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What one patient is told from another by: the ID and its issuer; name and birth date if there is no ID."""
        if self.id:
            return ("id", self.id, self.issuer)
        return ("name", " ".join(words_of(self.name)), self.birth_date)

    @property
    def is_known(self) -> bool:
        """Whether the header says who it is at all."""
        return bool(self.id or words_of(self.name))

    def is_named_in(self, text: str) -> bool:
        """Whether a text has the patient's ID, birth date or a part of the name; in doubt it has."""
        glued = _glued(text)
        for identifier in (self.id, self.birth_date):
            plain = _glued(identifier)
            if len(plain) > _SHORTEST and plain in glued:
                return True
        # "AnnaMuster" as two words too.
        words = {*words_of(text), *words_of(re.sub(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])", " ", text))}
        names = words_of(self.name)
        parts = {*names, *(part for part in words_of(self.id) if len(part) >= _PART_OF_AN_ID)}
        if any(len(part) >= _SHORTEST and part in words for part in parts):
            return True
        # Letters that are none of the Latin ones are no words; there all parts are compared as they are.
        others = [part.casefold() for part in re.split(r"[\s^=,]+", self.name) if part and not part.isascii()]
        return any(len(part) >= _PART_OF_A_WORD and part in glued for part in names) or any(
            len(part) >= _SHORTEST and part in text.casefold() for part in others
        )


def _glued(text: str) -> str:
    """A text's letters and digits, small and without accents."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).casefold()
    return "".join(sign for sign in plain if sign.isalnum())
