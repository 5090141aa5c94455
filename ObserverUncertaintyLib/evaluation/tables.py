"""Scores of cases as tables and files."""

from __future__ import annotations

from pathlib import Path

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import prepare_output_file, write_json
from ObserverUncertaintyLib.base.tables import aligned, number, without_nan, write_csv
from ObserverUncertaintyLib.evaluation.scoring import Evaluation


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


def score_table(evaluation: Evaluation) -> str:
    """Each score's mean and standard deviation over cases, with the number of cases where it is defined.

    The last column is the error over the voxels of all cases together, of the score that has it.
    """
    rows = [
        [
            score,
            number(value["mean"]),
            number(value["std"]),
            str(value["n"]),
            number(value["pooled"]) if "pooled" in value else "",
        ]
        for score, value in evaluation.summary.items()
    ]
    return aligned(["score", "mean", "std", "n", "pooled"], rows)
