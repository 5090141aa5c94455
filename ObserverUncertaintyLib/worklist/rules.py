"""Rules by which a text such as a series' description names a sequence, read from a file that can be changed."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError

_LISTS = ("ignored", "with_contrast", "without_contrast")
_TABLES = ("left_out", "sequence")
_KNOWN: dict[str, dict[str, Any]] = {
    "left_out": {"what": str, "words": list, "image_type": list},
    "sequence": {"name": str, "words": list, "instead_of": list, "with_contrast": str},
}


class RulesError(InputError):
    """A file of rules cannot be read, or has something that is no rule."""


@dataclass(frozen=True)
class Meaning:
    """What a text says of an image.

    Attributes:
        sequences: the sequences that are meant: none, one, or several where the text is unclear.
        left_out: what it is instead, such as "localizer"; "" if it is none of these.
        says_contrast: whether it says that there is contrast agent or none.
    """

    sequences: tuple[str, ...] = ()
    left_out: str = ""
    says_contrast: bool = False

    @property
    def sequence(self) -> str | None:
        """The one sequence that is meant; None if there is none or several."""
        return self.sequences[0] if len(self.sequences) == 1 else None


@dataclass(frozen=True)
class _LeftOut:
    what: str
    words: tuple[str, ...]
    image_type: frozenset[str]


@dataclass(frozen=True)
class _Sequence:
    name: str
    words: tuple[str, ...]
    instead_of: frozenset[str]
    with_contrast: str | None


@dataclass(frozen=True)
class SequenceRules:
    """What a file of rules says; `sequence_rules.toml` explains each of its parts."""

    ignored: tuple[str, ...]
    with_contrast: tuple[str, ...]
    without_contrast: tuple[str, ...]
    left_out: tuple[_LeftOut, ...]
    sequences: tuple[_Sequence, ...]
    modalities: Mapping[str, str]

    @property
    def order(self) -> tuple[str, ...]:
        """The sequences' names in the order in which a manifest lists them."""
        return tuple(dict.fromkeys((*(rule.name for rule in self.sequences), *self.modalities.values())))

    def meaning(self, text: str, image_type: Iterable[str] = ()) -> Meaning:
        """What a text says.

        Args:
            text: a description, or the name of a volume or a file.
            image_type: the values of the DICOM header's ImageType, if there is one.
        """
        rest = _without(_padded(text), self.ignored)
        values = {value.strip().upper() for value in image_type}
        for other in self.left_out:
            if _has(rest, other.words) or values & other.image_type:
                return Meaning(left_out=other.what)
        meant = [rule for rule in self.sequences if _has(rest, rule.words)]
        winners = [rule for rule in meant if {each.name for each in meant if each is not rule} <= rule.instead_of]
        meant = winners or meant
        is_without = _has(rest, self.without_contrast)
        is_with = _has(_without(rest, self.without_contrast), self.with_contrast)
        names: list[str] = []
        for rule in meant:
            if rule.with_contrast is None or is_without or not is_with:
                names.append(rule.name)
            if rule.with_contrast is not None and is_with:
                names.append(rule.with_contrast)
        return Meaning(tuple(dict.fromkeys(names)), says_contrast=is_with or is_without)

    def contrasted(self, sequence: str) -> str | None:
        """What a sequence is called with contrast agent; None if it has no such name."""
        return next((rule.with_contrast for rule in self.sequences if rule.name == sequence), None)


def words_of(text: str) -> list[str]:
    """The words of a text, in small letters without accents: letters and digits that nothing separates."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).lower()
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    plain = re.sub(r"\bt2\s?\*", "t2 star ", plain)
    plain = re.sub(r"\+\s?c\b|\bc\s?\+", " ce ", plain)
    return [word for word in re.split(r"[^0-9a-z]+", plain) if word]


@cache
def shipped_rules() -> SequenceRules:
    """The rules that the program ships with."""
    return _parsed(shipped_text(), "the shipped rules")


def shipped_text() -> str:
    """The file of the shipped rules, to look at and to change."""
    return (files("ObserverUncertaintyLib.worklist") / "sequence_rules.toml").read_text(encoding="utf-8")


def read_rules(path: str | Path) -> SequenceRules:
    """Read a file of rules; raises RulesError with what was found and what was expected."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise RulesError(f"{path}: the rules cannot be read ({reason}). Give a text file like the shipped one.") from (
            error
        )
    return _parsed(text, str(path))


def _parsed(text: str, source: str) -> SequenceRules:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesError(f"{source}: not a readable TOML file: {error}. Compare it with the shipped one.") from error
    unknown = sorted(set(content) - {*_LISTS, *_TABLES, "modality"})
    if unknown:
        known = ", ".join((*_LISTS, *_TABLES, "modality"))
        raise RulesError(f"{source}: unknown: {', '.join(unknown)}. Known: {known}.")
    rules = {table: _entries(source, content.get(table, []), table) for table in _TABLES}
    modalities = content.get("modality", {})
    if not isinstance(modalities, dict) or not all(isinstance(name, str) and name for name in modalities.values()):
        raise RulesError(f'{source}: [modality] must name sequences, as in CT = "CT".')
    if not rules["sequence"] and not modalities:
        raise RulesError(f"{source}: the rules name no sequence. Write at least one [[sequence]] with name and words.")
    names = {entry["name"] for entry in rules["sequence"]}
    for entry in rules["sequence"]:
        strange = sorted(set(entry.get("instead_of", ())) - names)
        if strange:
            raise RulesError(f"{source}: instead_of of {entry['name']} names {', '.join(strange)}; expected sequences.")
    return SequenceRules(
        **{key: _phrases(source, key, content.get(key, [])) for key in _LISTS},
        left_out=tuple(
            _LeftOut(
                entry["what"],
                _phrases(source, entry["what"], entry.get("words", [])),
                frozenset(value.upper() for value in _texts(source, entry["what"], entry.get("image_type", []))),
            )
            for entry in rules["left_out"]
        ),
        sequences=tuple(
            _Sequence(
                entry["name"],
                _phrases(source, entry["name"], entry.get("words", [])),
                frozenset(entry.get("instead_of", ())),
                entry.get("with_contrast"),
            )
            for entry in rules["sequence"]
        ),
        modalities=modalities,
    )


def _entries(source: str, entries: Any, table: str) -> list[dict[str, Any]]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise RulesError(f"{source}: {table} must be written as [[{table}]], once for each rule.")
    title = next(iter(_KNOWN[table]))
    for entry in entries:
        unknown = sorted(set(entry) - set(_KNOWN[table]))
        if unknown:
            known = ", ".join(_KNOWN[table])
            raise RulesError(f"{source}: unknown in [[{table}]]: {', '.join(unknown)}. Known: {known}.")
        for key, value in entry.items():
            if not value or not isinstance(value, _KNOWN[table][key]):
                raise RulesError(f"{source}: {key} in [[{table}]] has the wrong type or is empty: {value!r}.")
        if title not in entry:
            raise RulesError(f'{source}: a [[{table}]] has no "{title}".')
    return entries


def _texts(source: str, where: str, texts: Any) -> list[str]:
    if not isinstance(texts, list) or not all(isinstance(text, str) and text.strip() for text in texts):
        raise RulesError(f"{source}: {where} must be a list of texts in quotes, not {texts!r}.")
    return texts


def _phrases(source: str, where: str, texts: Any) -> tuple[str, ...]:
    """Texts as they are compared, the longest first, so that "pre gd" is taken out before "pre"."""
    phrases = {_padded(text) for text in _texts(source, where, texts)}
    return tuple(sorted(phrases, key=lambda phrase: (-len(phrase), phrase)))


def _padded(text: str) -> str:
    return f" {' '.join(words_of(text))} "


def _has(text: str, phrases: Iterable[str]) -> bool:
    return any(phrase in text for phrase in phrases)


def _without(text: str, phrases: Iterable[str]) -> str:
    for phrase in phrases:
        while phrase in text:
            text = text.replace(phrase, " ")
    return text
