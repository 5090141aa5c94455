"""Scores as CSV, JSON and text."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.errors import InputError
from ObserverUncertaintyLib.evaluation import Evaluation
from ObserverUncertaintyLib.files import prepare_output_file, write_json, write_text


def score_files(path: Path) -> tuple[Path, Path]:
    """The CSV and the JSON file for an output name that ends in either; raises InputError for another ending."""
    if path.suffix not in (".csv", ".json"):
        raise InputError(f"{path}: the scores' file must end in .csv or .json; the other is written beside it.")
    return path.with_suffix(".csv"), path.with_suffix(".json")


def prepare_score_files(path: Path, *, overwrite: bool) -> None:
    """Refuse to overwrite either file unasked, before any work is done."""
    for file in score_files(path):
        prepare_output_file(file, overwrite=overwrite)


def write_scores(path: Path, evaluation: Evaluation) -> tuple[Path, Path]:
    """Write scores as CSV (a row a case) and JSON (also summary and warnings); undefined ones are blank and null."""
    csv_path, json_path = score_files(path)
    write_csv(csv_path, [{**row, "warnings": "; ".join(row["warnings"])} for row in evaluation.cases])
    content = {"cases": evaluation.cases, "summary": evaluation.summary, "warnings": evaluation.warnings}
    write_json(json_path, without_nan(content))
    return csv_path, json_path


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


def score_table(evaluation: Evaluation) -> str:
    """Each score's mean and standard deviation over cases, with the number of cases where it is defined."""
    rows = [
        [score, number(value["mean"]), number(value["std"]), str(value["n"])]
        for score, value in evaluation.summary.items()
    ]
    return aligned(["score", "mean", "std", "n"], rows)


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


def number(value: float, digits: int = 3) -> str:
    """A number for a table; a dash where it is undefined."""
    return "-" if _is_nan(value) else f"{value:.{digits}f}"


def signed(value: float) -> str:
    """A difference for a table or a sentence, always with its sign; a dash where it is undefined."""
    return "-" if _is_nan(value) else f"{value:+.3f}"


def signed_interval(value: float, low: float, high: float) -> str:
    """A difference with its interval; a dash where it is undefined."""
    return "-" if _is_nan(value) else f"{signed(value)} [{signed(low)}, {signed(high)}]"


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
