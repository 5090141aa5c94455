"""What a result says about its making, kept in its node and so in the scene: notes and warnings."""

from __future__ import annotations

import json
from collections.abc import Iterable

_NOTES = "ObserverUncertainty.Notes"
_WARNINGS = "ObserverUncertainty.Warnings"


def keepTexts(node, notes: Iterable[str], warnings: Iterable[str]) -> None:
    """Keep in a result what was done to its input (notes) and what the user should know (warnings)."""
    node.SetAttribute(_NOTES, json.dumps(list(notes)))
    node.SetAttribute(_WARNINGS, json.dumps(list(warnings)))


def textsOf(node) -> tuple[list[str], list[str]]:
    """The notes and warnings of a result; empty lists if it has none."""
    notes, warnings = (json.loads(node.GetAttribute(name) or "[]") for name in (_NOTES, _WARNINGS))
    return notes, warnings
