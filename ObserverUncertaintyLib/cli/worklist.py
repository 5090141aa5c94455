"""The command `worklist`: a folder of patients becomes a manifest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.tables import aligned
from ObserverUncertaintyLib.cli.console import ConsoleProgress, print_result
from ObserverUncertaintyLib.cli.options import Json, path
from ObserverUncertaintyLib.worklist.contours import NO_STRUCTURE
from ObserverUncertaintyLib.worklist.rules import read_rules, shipped_rules, shipped_text
from ObserverUncertaintyLib.worklist.settings import WorklistSettings
from ObserverUncertaintyLib.worklist.worklist import Worklist, make_worklist


def _print_rules(wanted: bool) -> None:
    if wanted:
        typer.echo(shipped_text(), nl=False)
        raise typer.Exit


def worklist(
    folder: Annotated[Path, typer.Argument(parser=path, help="Folder of the patients: DICOM, or image files.")],
    out: Annotated[Path, typer.Option(parser=path, help="Folder for cohort.toml and sources.json.")],
    structure: Annotated[
        list[str] | None,
        typer.Option(
            help="What the raters drew: an ROI or segment whose name has this is a rater's, called by the rest of its "
            "name. May be given several times, for other spellings.",
            metavar="NAME",
        ),
    ] = None,
    sequences: Annotated[
        str | None,
        typer.Option(help="Sequences that every case must have. [those that half of the cases have]", metavar="A,B,C"),
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(parser=path, help="Which description names which sequence, instead of the shipped.")
    ] = None,
    name: Annotated[str, typer.Option(help="The cohort's name; do not name a patient.")] = "Worklist",
    label: Annotated[str | None, typer.Option(help="The structure's name in the manifest. [as --structure]")] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Look again: known patients keep their pseudonyms, new ones are added.")
    ] = False,
    _rules: Annotated[
        bool,
        typer.Option("--print-rules", callback=_print_rules, is_eager=True, help="Print the shipped rules."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a manifest of a folder of patients, with pseudonyms, and tell what could not be matched.

    cohort.toml names neither patients nor paths. sources.json says who is who: it stays with the patients' data.

    \b
    Examples:
      observer-uncertainty worklist patients --out worklist --structure cavity
      observer-uncertainty worklist patients --out worklist --structure cavity --update
    """  # noqa: D301
    wanted = tuple(part.strip() for part in (sequences or "").split(",") if part.strip())
    if sequences is not None and not wanted:
        raise InputError(
            f'--sequences "{sequences}" names no sequence. Give names separated by commas, or leave it out.'
        )
    settings = WorklistSettings(
        shipped_rules() if rules is None else read_rules(rules),
        tuple(text.strip() for text in structure or () if text.strip()),
        wanted,
        name,
        label,
    )
    with ConsoleProgress("Nothing was written.").running() as progress:
        made = make_worklist(folder, out, settings, update=update, progress=progress)
    result = {
        "cases": [asdict(case) for case in made.cases],
        "unmatched": [
            {"what": what, "reason": reason, "count": count} for (what, reason), count in made.unmatched.items()
        ],
        "notes": list(made.notes),
    }
    print_result(result, _text(made), as_json)


def _text(made: Worklist) -> str:
    rows = [
        (case.name, ", ".join(case.sequences) or "-", ", ".join(case.raters) or "-", case.why_not or "listed")
        for case in made.cases
    ]
    parts = [aligned(("case", "sequences", "raters", "in cohort.toml"), rows)]
    notes = [f"{case.name}: {note}" for case in made.cases for note in case.notes]
    notes += made.notes
    if notes:
        parts.append("\n".join(notes))
    if made.unmatched:
        lines = sorted(made.unmatched.items(), key=lambda item: (-item[1], item[0]))
        counts = [(f"{what}: {reason}", str(count)) for (what, reason), count in lines]
        parts.append(aligned(("not used", "count"), counts))
    listed = sum(not case.why_not for case in made.cases)
    hints = [f"{listed} of {len(made.cases)} cases are in cohort.toml."]
    if any(reason == NO_STRUCTURE for _what, reason in made.unmatched):
        hints.append("--structure NAME says which contours are the raters'.")
    hints.append("sources.json says who is who and where each unused file lies; it stays with the patients' data.")
    parts.append("\n".join(hints))
    return "\n\n".join(parts)
