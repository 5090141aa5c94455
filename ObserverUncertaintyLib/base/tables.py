"""Rows of numbers as text and CSV, for people and for spreadsheets."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.base.output_files import write_text


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of one kind as CSV; not-a-number becomes a blank."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if _is_nan(value) else value for key, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def rounded(rows: Sequence[Mapping[str, Any]], digits: int = 6) -> list[dict[str, Any]]:
    """Rows with shorter numbers: the last digits depend on the order in which a machine adds."""
    return [
        {key: round(value, digits) if isinstance(value, float) else value for key, value in row.items()} for row in rows
    ]


def without_nan(content: Any) -> Any:
    """The same nested lists and dictionaries with None for not-a-number, which JSON does not have."""
    if isinstance(content, Mapping):
        return {key: without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_nan(value) for value in content]
    return None if _is_nan(content) else content


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A text table for a terminal, first column left-aligned, the others right-aligned."""
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    table = (header, ["---"] * len(header), *rows)
    return ["|" + "".join(f" {cell} |" if cell else " |" for cell in cells) for cells in table]


def number(value: float, digits: int = 3) -> str:
    """A number for a table; a dash where it is undefined."""
    return "-" if _is_nan(value) else f"{value:.{digits}f}"


def signed_interval(value: float, low: float, high: float) -> str:
    """A difference with its interval, always with signs; a dash where it is undefined."""
    return "-" if _is_nan(value) else f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
