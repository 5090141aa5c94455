"""A folder with one DICOM study as one case: its sequences by the rules, and every contour of it as a rater's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.worklist.contours import add_raters
from ObserverUncertaintyLib.worklist.found_cases import IMAGE, RATER
from ObserverUncertaintyLib.worklist.rules import shipped_rules
from ObserverUncertaintyLib.worklist.scanning import scan
from ObserverUncertaintyLib.worklist.studies import find_studies


@dataclass(frozen=True)
class OneStudy:
    """What a study's folder holds.

    Attributes:
        images: sequence name to the series, `folder` or `folder#SeriesInstanceUID`.
        raters: name of a region or segment to `file.dcm#name`.
        notes: which series was chosen, and what was left out, without a word that tells of the patient.
    """

    images: dict[str, str]
    raters: dict[str, str]
    notes: tuple[str, ...]


def find_one_study(folder: Path) -> OneStudy | None:
    """Look through a folder and those in it; None if there is no DICOM image.

    Raises:
        InputError: there are several studies.
    """
    found = scan(folder.resolve(), Progress())
    studies, unmatched = find_studies(found, shipped_rules())
    if not studies:
        return None
    if len(studies) > 1:
        raise InputError(
            f"{folder}: the folder holds {len(studies)} DICOM studies; expected one, which is one case. Choose the "
            "folder of one study, or make a worklist of all of them (docs/worklist.md) and open it with Load from "
            "cohort."
        )
    unmatched += add_raters(studies, found, None)
    case = studies[0].case
    left = dict.fromkeys(f"{one.what} ({one.reason})" for one in unmatched)
    left |= dict.fromkeys(f"{len(paths)} {reason}" for reason, paths in found.others.items())
    notes = [*case.notes, *([f"left out: {'; '.join(left)}"] if left else [])]
    # As text: a name behind the # may have slashes that a path would lose.
    files = {role: os.path.join(found.root, reference) for role, reference in case.files.items()}  # noqa: PTH118
    return OneStudy(
        {role.removeprefix(IMAGE): file for role, file in files.items() if role.startswith(IMAGE)},
        {role.removeprefix(RATER): file for role, file in files.items() if role.startswith(RATER)},
        tuple(notes),
    )
