"""DICOM studies as cases: which of a study's series is which sequence.

Of several series for one sequence the one is taken that is original and not derived; of these the one with most slices;
of these the one with the thinnest. Are they alike in all of that, none is taken, and this is told.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ObserverUncertaintyLib.worklist.found_cases import IMAGE, FoundCase, Unmatched, shown
from ObserverUncertaintyLib.worklist.patients import Patient
from ObserverUncertaintyLib.worklist.rules import SequenceRules, words_of
from ObserverUncertaintyLib.worklist.scanning import Found, Series, shared_uids

_NO_AGENT = {
    "no",
    "none",
    "non",
    "n",
    "0",
    "ohne",
    "kein",
    "keine",
    "keines",
    "nein",
    "nessuno",
    "without",
    "aucun",
    "na",
}


@dataclass(frozen=True)
class Study:
    """A case with the series of its study, those that are not used too."""

    case: FoundCase
    series: tuple[Series, ...]


def find_studies(found: Found, rules: SequenceRules) -> tuple[list[Study], list[Unmatched]]:
    """The studies of all patients that have an image, with their sequences; and the series that are none."""
    by_study: dict[tuple[object, ...], list[Series]] = {}
    for series in found.series:
        if not series.header.is_contours:
            by_study.setdefault((series.header.patient.key, series.header.study_uid), []).append(series)
    shared = shared_uids(found.series)
    alone = Counter(folder for series in found.series for folder in series.files)
    studies: list[Study] = []
    unmatched: list[Unmatched] = []
    for members in by_study.values():
        header = members[0].header
        case = FoundCase(header.patient, header.study_uid, header.study_date)
        chooser = _Chooser(case, header.patient, rules)
        for series in members:
            chooser.add(series, shared)
        if not any(_is_image(series, rules) for series in members):
            unmatched += chooser.unmatched  # plans, doses and reports may be a study of their own
            continue
        for sequence, series in chooser.chosen().items():
            case.files[f"{IMAGE}{sequence}"] = reference(series, found.root, alone)
        if not header.patient.is_known:
            case.notes.append("the header names no patient, so each study is taken for a patient of its own")
        studies.append(Study(case, tuple(members)))
        unmatched += chooser.unmatched
    return studies, unmatched


def reference(series: Series, root: Path, alone: Counter[Path]) -> str:
    """How a series is named: its folder, with its UID if the folder holds others; or its one file of many frames."""
    if series.header.frames > 1:
        return series.first.relative_to(root).as_posix()
    (folder,) = series.files
    place = folder.relative_to(root).as_posix()
    return place if alone[folder] == 1 else f"{place}#{series.header.series_uid}"


class _Chooser:
    """Takes one series of a study after the other."""

    def __init__(self, case: FoundCase, patient: Patient, rules: SequenceRules) -> None:
        self._case, self._patient, self._rules = case, patient, rules
        self._candidates: dict[str, list[Series]] = {}
        self.unmatched: list[Unmatched] = []

    def add(self, series: Series, shared: Counter[tuple[Path, str]]) -> None:
        """Find a series' sequence, or why it has none."""
        sequence, reason = self._sequence(series)
        if sequence is None:
            self._leave(series, reason)
        elif any(shared[folder, series.header.series_uid] > 1 for folder in series.files):
            self._leave(series, f"{sequence}: the files of several patients or studies have one series UID")
        elif len(series.files) > 1:
            self._leave(series, f"{sequence}: its files lie in several folders; put them into one, without copies")
        elif series.header.frames > 1 and len(next(iter(series.files.values()))) > 1:
            self._leave(series, f"{sequence}: several files of many frames each")
        else:
            self._candidates.setdefault(sequence, []).append(series)

    def chosen(self) -> dict[str, Series]:
        """The series of each sequence, in the rules' order; tells what was left."""
        chosen = {}
        for sequence in sorted(self._candidates, key=self._rules.order.index):
            first, *others = sorted(self._candidates[sequence], key=_rank)
            if others and _rank(others[0]) == _rank(first):
                alike = [series for series in (first, *others) if _rank(series) == _rank(first)]
                self._case.notes.append(f"{sequence} is unclear: {self._listed(alike)} are alike; none is taken")
                for series in (first, *others):
                    self._leave(series, f"{sequence}: several series are alike")
                continue
            chosen[sequence] = first
            if others:
                self._case.notes.append(f"{sequence} is {self._listed([first])}; left: {self._listed(others)}")
                for series in others:
                    self._leave(series, f"{sequence}: another series was taken")
            elif _is_derived(first):
                self._case.notes.append(f"{sequence} is {self._listed([first])}, a derived image")
        return chosen

    def _sequence(self, series: Series) -> tuple[str | None, str]:
        header, rules = series.header, self._rules
        if header.is_no_scan:
            return None, "screen capture or report"
        meaning = rules.meaning(header.description, header.image_type)
        if header.modality != "MR":
            sequence = rules.modalities.get(header.modality)
            return (None, meaning.left_out) if meaning.left_out else (sequence, "of a kind that the rules do not name")
        if not (meaning.sequences or meaning.left_out):
            meaning = rules.meaning(header.protocol, header.image_type)
        if meaning.left_out:
            return None, meaning.left_out
        if not meaning.sequences:
            return None, "no rule knows it"
        if meaning.sequence is None:
            return None, f"it may be {' or '.join(meaning.sequences)}"
        contrasted = rules.contrasted(meaning.sequence)
        if contrasted and not meaning.says_contrast and set(words_of(header.contrast_agent)) - _NO_AGENT:
            self._case.notes.append(
                f"{shown(header.description, self._patient)} is taken for {contrasted}, since the header names a "
                "contrast agent; the description does not"
            )
            return contrasted, ""
        return meaning.sequence, ""

    def _leave(self, series: Series, reason: str) -> None:
        self.unmatched.append(Unmatched(shown(series.header.description, self._patient), reason, series.first))

    def _listed(self, series: list[Series]) -> str:
        return ", ".join(f"{shown(one.header.description, self._patient)} ({one.slices} slices)" for one in series)


def _is_image(series: Series, rules: SequenceRules) -> bool:
    modality = series.header.modality
    return not series.header.is_no_scan and (modality == "MR" or modality in rules.modalities)


def _is_derived(series: Series) -> bool:
    return bool(series.header.image_type) and series.header.image_type[0].upper() == "DERIVED"


def _rank(series: Series) -> tuple[bool, int, float]:
    """The smallest one is taken."""
    return (_is_derived(series), -series.slices, series.header.thickness or float("inf"))
