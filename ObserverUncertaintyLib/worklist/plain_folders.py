"""Folders of NIfTI, NRRD and MetaImage files: each is a case, or holds the masks of a DICOM study's raters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_image
from ObserverUncertaintyLib.formats.marks import result_kind
from ObserverUncertaintyLib.formats.references import stem
from ObserverUncertaintyLib.worklist.contours import Drawn, name_raters, picked
from ObserverUncertaintyLib.worklist.file_names import FileKind, is_computed_name, is_reference_name, kind_by_name
from ObserverUncertaintyLib.worklist.found_cases import IMAGE, FoundCase, Unmatched
from ObserverUncertaintyLib.worklist.patients import Patient
from ObserverUncertaintyLib.worklist.rules import SequenceRules
from ObserverUncertaintyLib.worklist.scanning import Found
from ObserverUncertaintyLib.worklist.studies import Study

_SEGMENT_NAME = re.compile(r"Segment\d+_Name")
_UNNAMED_SEGMENT = re.compile(r"segment[ _]?\d*", re.IGNORECASE)
_NO_RATER = "a result or a reference, and no rater's"


def find_folders(
    found: Found, studies: Sequence[Study], rules: SequenceRules, structures: Sequence[str]
) -> tuple[list[FoundCase], list[Unmatched]]:
    """The cases that plain folders are. Masks at or above the folders of one DICOM study become its raters."""
    cases: list[FoundCase] = []
    unmatched: list[Unmatched] = []
    below = _studies_below(studies)
    for folder, files in sorted(found.images.items()):
        inside = [studies[index] for index in sorted(below.get(folder, ()))]
        if len(inside) > 1:
            reason = "it lies above several DICOM studies, so that it is unclear whose it is"
            unmatched += [Unmatched("file", reason, file) for file in files]
            continue
        case = inside[0].case if inside else FoundCase(folder=folder.relative_to(found.root).as_posix())
        # Any folder's name above a file may be the patient's.
        patient = case.patient or Patient(id=folder.name, name="^".join(folder.relative_to(found.root).parts))
        sorting = _Sorting(case, patient, found.root, rules, structures)
        for file in files:
            sorting.add(file, is_beside_dicom=bool(inside))
        sorting.finish()
        unmatched += sorting.unmatched
        if not inside and sorting.has_images:
            cases.append(case)
        elif not inside:
            unmatched += [Unmatched("file", "a mask in a folder without image", file) for file in files]
    return cases, unmatched


def _studies_below(studies: Sequence[Study]) -> dict[Path, set[int]]:
    """The studies, by their places in the list, that have files in a folder or below it."""
    below: dict[Path, set[int]] = {}
    for index, study in enumerate(studies):
        for place in {place for series in study.series for place in series.files}:
            for folder in (place, *place.parents):
                below.setdefault(folder, set()).add(index)
    return below


class _Sorting:
    """Takes one file of a folder after the other."""

    def __init__(
        self, case: FoundCase, patient: Patient, root: Path, rules: SequenceRules, structures: Sequence[str]
    ) -> None:
        self._case, self._patient, self._root, self._rules = case, patient, root, rules
        self._structures = structures
        self._images: dict[str, list[Path]] = {}
        self._drawn: list[tuple[str, str, Path]] = []
        self.unmatched: list[Unmatched] = []
        self.has_images = False

    def add(self, file: Path, *, is_beside_dicom: bool) -> None:
        """Find out what a file is."""
        kind = kind_by_name(file, self._rules)
        if kind is FileKind.NOT_DRAWN:
            self._leave(file, _NO_RATER)
        elif kind is FileKind.MASKS:
            self._add_masks(file)
        elif is_beside_dicom:
            self._leave(file, "an image file beside a DICOM study")
        elif kind is FileKind.UNCLEAR:
            self.has_images = True
            meant = self._rules.meaning(stem(file)).sequences
            self._leave(file, f"it may be {' or '.join(meant)}")
        elif kind is FileKind.SEQUENCE:
            self._images.setdefault(self._rules.meaning(stem(file)).sequences[0], []).append(file)
        else:
            self._add_unknown(file)

    def finish(self) -> None:
        """Give the case its files."""
        self.has_images |= bool(self._images)
        for sequence, files in sorted(self._images.items(), key=lambda item: self._place(item[0])):
            if len(files) > 1:
                self._case.notes.append(f"{sequence} is unclear: {len(files)} files are called so; none is taken")
                for file in files:
                    self._leave(file, f"{sequence}: several files are called so")
            else:
                self._case.files[f"{IMAGE}{sequence}"] = self._reference(files[0])
        picks = [picked(name, self._structures) for name, _reference, _path in self._drawn]
        # A structure that no file's name has is what all of them show.
        is_named = any(rater is not None for rater in picks)
        contours = []
        for (name, reference, path), pick in zip(self._drawn, picks, strict=True):
            rater = pick if is_named else name
            if rater is None:
                self._leave(path, f"it is no {' or '.join(self._structures)}")
            elif self._patient.is_named_in(rater):
                self._leave(path, "what would be the rater's name has the patient's name or ID")
            else:
                contours.append(Drawn(rater, reference, path, ""))
        self.unmatched += name_raters(self._case, contours)

    def _place(self, sequence: str) -> tuple[int, str]:
        order = self._rules.order
        return (order.index(sequence) if sequence in order else len(order), sequence)

    def _add_masks(self, file: Path) -> None:
        segments = _segments(file)
        if not segments:
            self._drawn.append((self._own_name(stem(file)), self._reference(file), file))
        for segment in segments:
            if is_computed_name(segment) or is_reference_name(segment):
                self._leave(file, _NO_RATER)
                continue
            name = segment
            if _UNNAMED_SEGMENT.fullmatch(segment):
                name = self._own_name(stem(file)) if len(segments) == 1 else f"{self._own_name(stem(file))} {segment}"
            reference = self._reference(file) if len(segments) == 1 else f"{self._reference(file)}#{segment}"
            self._drawn.append((name, reference, file))

    def _add_unknown(self, file: Path) -> None:
        """Look into a file whose name tells nothing."""
        try:
            image = read_image(file)
        except InputError:
            self._leave(file, "it cannot be read")
            return
        name = self._own_name(stem(file))
        if self._patient.is_named_in(name) or not name:
            self._leave(file, "its name tells nothing but the folder's")
            return
        values = np.unique(image.array)
        if len(values) > 2 or values.min() != 0:
            self._images.setdefault(name, []).append(file)
        elif len(values) == 1 or is_reference_name(name) or result_kind(file, image.array != 0) is not None:
            self._leave(file, _NO_RATER if len(values) == 2 else "it is empty (0 everywhere)")
        else:
            self._case.notes.append(f"{name} is taken for a rater, since it is a mask; its name does not say so")
            self._drawn.append((name, self._reference(file), file))

    def _own_name(self, name: str) -> str:
        """A file's name without that of its folder, which differs from case to case and may be the patient's."""
        folder = self._patient.id
        if self._case.patient is None and len(folder) > 1 and folder.casefold() in name.casefold():
            start = name.casefold().index(folder.casefold())
            name = (name[:start] + name[start + len(folder) :]).strip(" _-.")
        return name

    def _reference(self, file: Path) -> str:
        return file.relative_to(self._root).as_posix()

    def _leave(self, file: Path, reason: str) -> None:
        self.unmatched.append(Unmatched("file", reason, file))


def _segments(file: Path) -> list[str]:
    """The names of a Slicer segmentation's segments; none for another file, or one that cannot be read."""
    if not file.name.lower().endswith(".seg.nrrd"):
        return []
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return []
    keys = [key for key in reader.GetMetaDataKeys() if _SEGMENT_NAME.fullmatch(key)]
    return [reader.GetMetaData(key).strip() for key in sorted(keys, key=lambda key: int(re.sub(r"\D", "", key)))]
