"""Names for cases that say nothing of the patient, and the same ones when a folder is looked through again."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence

from ObserverUncertaintyLib.worklist.found_cases import FoundCase

_PSEUDONYM = re.compile(r"patient(\d+)(?:-(\d+))?")


def with_pseudonyms(cases: Sequence[FoundCase], known: Mapping[str, FoundCase]) -> dict[str, FoundCase]:
    """Name cases patient001, patient002, ..., and a patient's further studies patient001-2, ..., by their date.

    Args:
        cases: what was found.
        known: cases that have names already; of these a found one keeps its name, and a patient's new study follows
            the patient's others.

    Returns:
        The found cases by their names, in the names' order. New patients are numbered by chance: their order in the
        folder is often that of their names.
    """
    names = {case.key: name for name, case in known.items()}
    patients = {case.person: _parts(name)[0] for name, case in known.items()}
    studies: dict[int, int] = {}
    for name in known:
        number, study = _parts(name)
        studies[number] = max(studies.get(number, 0), study)
    new = list(dict.fromkeys(case.person for case in cases if case.person not in patients))
    random.SystemRandom().shuffle(new)
    patients |= {person: number for number, person in enumerate(new, max(studies, default=0) + 1)}
    named = {}
    for case in sorted(cases, key=lambda case: (case.study_date, case.study_uid)):
        if case.key in names:
            named[names[case.key]] = case
            continue
        number = patients[case.person]
        studies[number] = studies.get(number, 0) + 1
        named[f"patient{number:03d}" + (f"-{studies[number]}" if studies[number] > 1 else "")] = case
    return {name: named[name] for name in in_order(named)}


def in_order(names: Iterable[str]) -> list[str]:
    """Names of cases, sorted by their numbers."""
    return sorted(names, key=lambda name: (*_parts(name), name))


def _parts(name: str) -> tuple[int, int]:
    match = _PSEUDONYM.fullmatch(name)
    return (int(match[1]), int(match[2] or 1)) if match else (0, 0)
