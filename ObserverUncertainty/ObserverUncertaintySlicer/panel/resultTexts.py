"""Warnings and notes of a result or a job, as step 3 and step 4 show them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ObserverUncertaintySlicer.host import tr as _


def textParagraphs(warnings: Iterable[str], notes: Iterable[str]) -> list[str]:
    """Rich text, a paragraph each: warnings first, each of them once."""
    told = [_("<b>Warning:</b> {text}").format(text=escape(text)) for text in dict.fromkeys(warnings)]
    return [*told, *map(escape, notes)]


def asRichText(paragraphs: Iterable[str]) -> str:
    """Paragraphs below one another."""
    return "".join(f"<p>{text}</p>" for text in paragraphs)
