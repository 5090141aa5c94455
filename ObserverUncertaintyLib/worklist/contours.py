"""Raters by the names of their contours: ROIs of RTSTRUCT files, segments of SEG files.

An ROI counts if its name has the structure; what is left of the name is the rater: "Cavity_Anna" is Anna's. Where
nothing is left, the label of the structure set tells the raters apart, or else a number. Who operated the program is
in the header too, but that is a person, and is not read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from ObserverUncertaintyLib.worklist.found_cases import RATER, FoundCase, Unmatched, quoted, same_name
from ObserverUncertaintyLib.worklist.headers import CONTOURS, UnreadableHeaderError, quiet_pydicom, read_drawn_names
from ObserverUncertaintyLib.worklist.patients import Patient
from ObserverUncertaintyLib.worklist.rules import words_of
from ObserverUncertaintyLib.worklist.scanning import Found, Series
from ObserverUncertaintyLib.worklist.studies import Study

_WORD = re.compile(r"[^\W_]+")

_SAYS_NOTHING = {"seg", "segmentation", "mask", "contour", "label", "roi"}
"""Words beside a structure's name that are no rater's."""

NO_STRUCTURE = "no structure was named, by which raters' contours are known"

_HIDDEN = "a name with the patient's name or ID"


@dataclass(frozen=True)
class Drawn:
    """One rater's contour of the structure: its rater's name ("" if the contour's does not tell), file and label."""

    rater: str
    reference: str
    path: Path
    label: str


def add_raters(studies: Sequence[Study], found: Found, structures: Sequence[str] | None) -> list[Unmatched]:
    """Give the cases their raters; returns what is no rater's contour of one of the structures.

    Args:
        studies: the cases.
        found: what lies in the folder.
        structures: words by which raters' contours are known; None takes every contour for a rater's of its name.
    """
    unmatched: list[Unmatched] = []
    drawn: dict[int, list[Drawn]] = {}
    with quiet_pydicom():
        for series in found.series:
            if not series.header.is_contours:
                continue
            for path in (folder / name for folder, names in series.files.items() for name in names):
                _look_into(path, series, studies, found, structures, drawn, unmatched)
    for index, contours in drawn.items():
        unmatched += name_raters(studies[index].case, contours)
    return unmatched


def _look_into(
    path: Path,
    series: Series,
    studies: Sequence[Study],
    found: Found,
    structures: Sequence[str] | None,
    drawn: dict[int, list[Drawn]],
    unmatched: list[Unmatched],
) -> None:
    header, kind = series.header, CONTOURS[series.header.kind]
    try:
        names = read_drawn_names(str(path))
    except UnreadableHeaderError as error:
        found.leave_out(str(error), path)
        return
    index = _study_of(header.patient, names.series, names.frames_of_reference, studies)
    if index is None:
        unmatched.append(Unmatched(kind, "it refers to no series, or not to one study alone, of its patient", path))
        return
    times = Counter(names.names)
    for name in times:
        reason, rater = "", name if structures is None else picked(name, structures)
        if header.patient.is_named_in(name):
            reason = "its name has the patient's name or ID"
        elif structures is not None and not structures:
            reason = NO_STRUCTURE
        elif rater is None:
            reason = f"it is no {' or '.join(structures or ())}"
        elif times[name] > 1:
            reason = f"{times[name]} of one file have this name"
        if reason:
            told = _HIDDEN if header.patient.is_named_in(name) else quoted(name)
            unmatched.append(Unmatched(f"{kind} {told}", reason, path))
        elif rater is not None:
            place = path.relative_to(found.root).as_posix()
            label = "" if header.patient.is_named_in(header.label) else " ".join(_WORD.findall(header.label))
            drawn.setdefault(index, []).append(Drawn(rater, f"{place}#{name}", path, label))


def _study_of(patient: Patient, series: set[str], frames: set[str], studies: Sequence[Study]) -> int | None:
    """The one study of a patient that contours refer to, by its series or else by its frame of reference."""
    own = [
        (index, study)
        for index, study in enumerate(studies)
        if study.case.patient is not None and study.case.patient.key == patient.key
    ]
    referred = {index for index, study in own for one in study.series if one.header.series_uid in series}
    if not referred:
        referred = {index for index, study in own for one in study.series if one.header.frame_of_reference in frames}
    return referred.pop() if len(referred) == 1 else None


def picked(name: str, structures: Sequence[str]) -> str | None:
    """What a name has besides a structure; None if it has none of them."""
    for structure in sorted(structures, key=len, reverse=True):
        parts = _WORD.findall(structure)
        expression = r"[\W_]*".join(map(re.escape, parts))
        if parts and (match := re.search(expression, name, re.IGNORECASE)):
            rest = _WORD.findall(f"{name[: match.start()]} {name[match.end() :]}")
            return " ".join(word for word in rest if word.casefold() not in _SAYS_NOTHING)
    return None


def name_raters(case: FoundCase, contours: Sequence[Drawn]) -> list[Unmatched]:
    """Name the raters of a case's contours; returns those whose rater drew twice, of which none is taken."""
    unnamed = [one for one in contours if not one.rater]
    labels = [one.label for one in unnamed]
    by_label = len(unnamed) > 1 and all(labels) and len({" ".join(words_of(label)) for label in labels}) == len(labels)
    if unnamed:
        numbered = "numbers, which need not stand for the same person in other cases"
        how = "the labels of their structure sets" if by_label else numbered
        case.notes.append(f"the names of {len(unnamed)} contours tell no rater; their raters are named by {how}")
    taken = {same_name(role) for role in case.files}
    numbers = (name for name in (f"rater{number}" for number in count(1)) if f"{RATER}{name}" not in taken)
    named = [(one.rater or (one.label if by_label else next(numbers)), one) for one in contours]
    times = Counter(same_name(rater) for rater, _one in named)
    unmatched = []
    for rater, one in named:
        if same_name(f"{RATER}{rater}") in taken:
            unmatched.append(Unmatched(f"contour of {rater}", "its rater has another contour in the case", one.path))
        elif times[same_name(rater)] > 1:
            reason = "the same rater has several contours in one case"
            unmatched.append(Unmatched(f"contour of {rater}", reason, one.path))
        else:
            case.files[f"{RATER}{rater}"] = one.reference
    if any(number > 1 for number in times.values()):
        several = dict.fromkeys(rater for rater, _one in named if times[same_name(rater)] > 1)
        case.notes.append(f"several contours of {', '.join(several)}; none of them is taken")
    return unmatched
