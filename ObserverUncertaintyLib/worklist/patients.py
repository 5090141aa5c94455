"""A patient as a DICOM header names them, and whether a text names them too."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from ObserverUncertaintyLib.worklist.rules import words_of

_PART_OF_A_WORD = 5
"""From so many letters on a name counts inside a longer word too: "CavityMuster"; "ann" in "annotator" does not."""

_PART_OF_AN_ID = 4
"""From so many letters on a part of an ID counts alone: the number of "MRN 0012345"."""

_STROKES = str.maketrans({"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ß": "ss"})
_DIGRAPHS = str.maketrans(
    {
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
        "Ä": "Ae",
        "Ö": "Oe",
        "Ü": "Ue",
        "ß": "ss",
        "ø": "oe",
        "Ø": "Oe",
        "å": "aa",
        "Å": "Aa",
        "æ": "ae",
        "Æ": "Ae",
        "œ": "oe",
        "Œ": "Oe",
    }
)

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
        if _has_date(text, self.birth_date):
            return True
        return any(
            self._is_written_in(spelt, fold) for fold in (_without_accents, _in_german) for spelt in _spellings(text)
        )

    def _is_written_in(self, text: str, fold: Callable[[str], str]) -> bool:
        """The same for one way to write a text and to put other letters in place of those with accents."""
        glued = _glued(text)
        number = _glued(self.id).lstrip("0")
        if len(number) > _SHORTEST and number in glued:
            return True
        # "AnnaMuster" as two words too.
        words = {*words_of(text), *words_of(re.sub(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])", " ", text))}
        names = words_of(fold(self.name))
        parts = {*names, *(part for part in words_of(self.id) if len(part) >= _PART_OF_AN_ID)}
        if any(len(part) >= _SHORTEST and part in words for part in parts):
            return True
        # "JDoe", "libo": both names, or one with the other's first letter, without a sign between them.
        joined = {a + b for a in names for b in (*names, *(name[0] for name in names)) if a != b}
        joined |= {a[0] + b for a in names for b in names if a != b}
        if any(len(each) > _SHORTEST and each in words for each in joined):
            return True
        # Letters that are none of the Latin ones are no words; there all parts are compared as they are.
        others = [part.casefold() for part in re.split(r"[\s^=,]+", self.name) if part and not part.isascii()]
        return any(len(part) >= _PART_OF_A_WORD and part in glued for part in names) or any(
            len(part) >= _SHORTEST and part in text.casefold() for part in others
        )


def _without_accents(text: str) -> str:
    """ü as u, ø as o: what is left when accents are."""
    plain = unicodedata.normalize("NFKD", text.translate(_STROKES))
    return "".join(sign for sign in plain if not unicodedata.combining(sign))


def _in_german(text: str) -> str:
    """ü as ue, ø as oe, å as aa, as names are written where these letters are missing."""
    return _without_accents(unicodedata.normalize("NFC", text).translate(_DIGRAPHS))


def _spellings(text: str) -> tuple[str, ...]:
    return text, _without_accents(text), _in_german(text)


def _has_date(text: str, date: str) -> bool:
    """Whether a text has a date (YYYYMMDD), in any order of day, month and year, with two digits of the year too."""
    if not re.fullmatch(r"\d{8}", date):
        return bool(date) and len(_glued(date)) > _SHORTEST and _glued(date) in _glued(text)
    year, month, day = date[:4], date[4:6], date[6:]
    orders = [(year, month, day), (day, month, year), (month, day, year)]
    orders += [(y[2:] if len(y) == 4 else y, m, d[2:] if len(d) == 4 else d) for y, m, d in orders]
    digits = re.findall(r"\d+", text)
    if any("".join(order) in digits for order in orders):
        return True
    wanted = sorted((int(year) % 100, int(month), int(day)))
    found = re.findall(r"(?<!\d)(\d{1,4})[-./_ ](\d{1,2})[-./_ ](\d{1,4})(?!\d)", text)
    return any(sorted(int(part) % 100 for part in parts) == wanted for parts in found)


def _glued(text: str) -> str:
    """A text's letters and digits, small and without accents."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).casefold()
    return "".join(sign for sign in plain if sign.isalnum())
