"""Which of a file's structures is meant: a segment, or a region of interest."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from ObserverUncertaintyLib.formats.errors import InvalidMaskError


class Named(Protocol):
    """A structure with a name for people and an identifier that no other structure of the file has."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def identifier(self) -> str:
        """Its ID or number."""


_Item = TypeVar("_Item", bound=Named)


def pick(path: Path, items: Sequence[_Item], selection: str, kind: str = "segment") -> _Item:
    """The one structure of that name or, if none has it, of that ID.

    Args:
        path: the file.
        items: its structures.
        selection: a name or an ID.
        kind: what its structures are called.

    Raises:
        InvalidMaskError: if no structure or more than one fits.
    """
    found = [item for item in items if item.name == selection]
    found = found or [item for item in items if item.identifier == selection]
    if len(found) == 1:
        return found[0]
    if not found:
        names = ", ".join(f"'{item.name}'" for item in items)
        looks = unicodedata.normalize("NFC", selection)
        if any(unicodedata.normalize("NFC", item.name) == looks for item in items):
            names += ", one of which only looks alike, in another Unicode form"
        raise InvalidMaskError(
            f"{path}: the file has no {kind} '{selection}'; expected one of: {names}. Give one of these "
            f"names, as in {path.name}#{items[0].name}"
        )
    raise InvalidMaskError(
        f"{path}: {len(found)} {kind}s are named '{selection}'; expected one. Rename them in the program that drew "
        f"them, or pick one by its ID: {', '.join(f'{path.name}#{item.identifier}' for item in found)}"
    )
