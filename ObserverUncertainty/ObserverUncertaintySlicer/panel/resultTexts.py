"""Rich text that several steps show: warnings and notes of a result or a job, and samples of outlines."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.palette import Color


def textParagraphs(warnings: Iterable[str], notes: Iterable[str]) -> list[str]:
    """Rich text, a paragraph each: warnings first, each of them once."""
    told = [_("<b>Warning:</b> {text}").format(text=escape(text)) for text in dict.fromkeys(warnings)]
    return [*told, *map(escape, notes)]


def asRichText(paragraphs: Iterable[str]) -> str:
    """Paragraphs below one another."""
    return "".join(f"<p>{text}</p>" for text in paragraphs)


def lineSample(color: Color) -> str:
    """Rich text that shows how an outline of this colour looks in a slice view: on black, whatever the theme is."""
    code = "".join(f"{round(255 * part):02x}" for part in color)
    return f'<span style="background-color:#000000; color:#{code}">&nbsp;▬&nbsp;</span>'
