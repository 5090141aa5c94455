"""What the files of a plain folder are: sequences, raters' masks, or something else that is left out.

The rule, for files directly in the folder (a name's words are what letters and digits make of it, "T1_post" has two):

1. Left out, and said, is what no rater drew: a file or segment with one of the words truth, gt, gold, reference,
   consensus, fused, majority, staple, union, intersection, prediction, probability, entropy, uncertainty, ...; what
   the module calls its own results ("... of 3 raters", "... (working copy)"); a correction with its .json file beside
   it; a prediction's maps beside prediction.json; a brain mask, unless its name speaks of a rater. An image that is
   named after a sequence stays one although its name has a word such as reference.
2. A file with segments (`.seg.nrrd`) holds raters: each segment is one.
3. A file with one of the words seg, segmentation, rater, mask, label, contour, annotator, observer, expert, reader
   (digits may follow, as in rater2) is a rater.
4. A file named after a sequence (T1, T1w, T1c, T1ce, T1gd, T1 post, T2, T2w, FLAIR, T2 FLAIR, ...) is that sequence.
5. Every other file is looked into: a binary mask is taken as a rater, which is said, since it may be anything;
   everything else is a sequence with the file's name.

A rater is called after its segment, or after the file where the segment's name is no help ("Segment_1", or one that
several files have).

A folder without such files may hold a DICOM study, in itself or in folders below: its series are named by the rules of
a worklist, and each region of an RTSTRUCT or segment of a SEG is a rater.

What stays unclear is refused: a mask named like a sequence, an empty image that no name explains, two files for one
sequence or one rater. Then a manifest says what is meant.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import Mask, Volume, read_image, read_mask, read_masks
from ObserverUncertaintyLib.formats.marks import result_kind
from ObserverUncertaintyLib.formats.references import EXTENSIONS, extension, stem
from ObserverUncertaintyLib.worklist.file_names import FileKind, is_computed_name, is_reference_name, kind_by_name
from ObserverUncertaintyLib.worklist.one_study import find_one_study
from ObserverUncertaintyLib.worklist.rules import shipped_rules
from ObserverUncertaintySlicer.host import tr as _

SEQUENCE_ORDER = ("T1", "T1c", "T2", "FLAIR")

_UNNAMED_SEGMENT = re.compile(r"segment[ _]?\d*", re.IGNORECASE)


@dataclass
class FolderFiles:
    """What a case's folder holds, read.

    Attributes:
        name: the folder's name.
        images: sequence name to image, in the order T1, T1c, T2, FLAIR, others.
        masks: rater name to mask.
        notes: what was left out, and what was taken as a rater though no name says so.
        series: of images from DICOM, by sequence name, the series.
    """

    name: str
    images: dict[str, Volume] = field(default_factory=dict)
    masks: dict[str, Mask] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    series: dict[str, str] = field(default_factory=dict)


def sortFolder(folder: Path) -> FolderFiles:
    """Read a folder's files and sort them into sequences and raters by the rule above.

    Raises:
        InputError: there is no image, a file cannot be read, or it is unclear what a file is.
    """
    if not folder.is_dir():
        raise InputError(_("{folder}: there is no such folder. Choose the folder of one case.").format(folder=folder))
    folder = folder.resolve()
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    files = [entry for entry in entries if entry.is_file() and extension(entry)]
    if not files:
        found = _readStudy(folder)
        if found is not None:
            return found
        raise InputError(
            _(
                "{folder}: the folder holds no image file; expected files ending in {extensions} directly in it, or a "
                "DICOM study. Choose the folder that holds the files of one case. A case spread over several folders: "
                "{advice}"
            ).format(folder=folder, extensions=", ".join(EXTENSIONS), advice=_manifestAdvice(folder))
        )
    sorting = _Sorting()
    for file in files:
        sorting.add(file)
    notes = sorting.notes()
    # An image's data or what is said about it, which nobody misses.
    besides = (".raw", ".zraw", ".json")
    left = [entry.name for entry in entries if entry not in files and entry.suffix not in besides]
    if left:
        notes.append(_("left out, since they are no image files: {names}").format(names=", ".join(left)))
    if not sorting.images and not sorting.drawn:
        raise InputError(
            _(
                "{folder}: nothing in it is an image or a rater's contour; {notes}. Choose the folder that holds the "
                "images and the raters' contours of one case. A file that was left out by mistake: rename it."
            ).format(folder=folder, notes="; ".join(notes))
        )
    order = [name for name in SEQUENCE_ORDER if name in sorting.images]
    order += [name for name in sorting.images if name not in SEQUENCE_ORDER]
    images = {name: sorting.images[name] for name in order}
    return FolderFiles(folder.name, images, _named(sorting.drawn), notes)


def meantSequences(name: str) -> list[str]:
    """The sequences that a volume's or a file's name speaks of: none, one, or several if it is unclear."""
    return sorted(shipped_rules().meaning(name).sequences)


def _readStudy(folder: Path) -> FolderFiles | None:
    """Read the DICOM study of a folder and those in it; None if there is none.

    The case is not called after the folder, which is often called after the patient.
    """
    study = find_one_study(folder)
    if study is None:
        return None
    if not study.images:
        raise InputError(
            _(
                "{folder}: no series of this DICOM study is a sequence that the rules know; {notes}. Load its series "
                "in Slicer's module DICOM, and choose them in step 1."
            ).format(folder=folder, notes="; ".join(study.notes))
        )
    images = {sequence: read_image(file) for sequence, file in study.images.items()}
    space = next(iter(images.values())).space
    masks, notes = {}, list(study.notes)
    for rater, file in study.raters.items():
        mask = read_mask(file, space)
        if mask.computed:
            notes.append(_("left out, since it is a result and no rater's: {name}").format(name=rater))
        else:
            masks[rater] = mask
    return FolderFiles(_("DICOM case"), images, masks, notes, study.images)


class _Sorting:
    """Takes one file after the other.

    Attributes:
        images: sequence name to image.
        drawn: raters' masks with the files that hold them.
    """

    def __init__(self) -> None:
        self.images: dict[str, Volume] = {}
        self.drawn: list[tuple[Path, Mask]] = []
        self._notDrawn: list[str] = []
        self._unexplained: list[str] = []

    def notes(self) -> list[str]:
        """What was left out, and what was taken as a rater without a telling name."""
        notes = []
        if self._unexplained:
            notes.append(
                _(
                    "taken as raters, since they are masks, though their names do not say so: {names}. Remove below "
                    "what no rater drew"
                ).format(names=", ".join(self._unexplained))
            )
        if self._notDrawn:
            notes.append(
                _("left out, since they are results or references and no rater's: {names}").format(
                    names=", ".join(self._notDrawn)
                )
            )
        return notes

    def add(self, file: Path) -> None:
        """Read a file and keep what it is; raises InputError where that is unclear."""
        name, meant = stem(file), meantSequences(stem(file))
        kind = kind_by_name(file)
        if kind is FileKind.NOT_DRAWN:
            self._notDrawn.append(file.name)
            return
        if kind is FileKind.MASKS:
            self._addMasks(file)
            return
        if kind is FileKind.UNCLEAR:
            raise InputError(
                _("{file}: the name speaks of {sequences}; expected one sequence. Rename the file, or {advice}").format(
                    file=file, sequences=_(" and ").join(meant), advice=_manifestAdvice(file.parent, file)
                )
            )
        image = read_image(file)
        values = np.unique(image.array)
        looksBinary = len(values) <= 2 and values.min() == 0
        if looksBinary and is_reference_name(name):
            self._notDrawn.append(file.name)
        elif looksBinary and (meant or len(values) == 1):
            what = _("a binary mask") if len(values) == 2 else _("empty (0 everywhere)")
            raise InputError(
                _(
                    "{file}: it is {what}, and its name does not say whose mask it is; expected an image, or a name "
                    "such as rater1 for a mask. Rename it, or {advice}"
                ).format(file=file, what=what, advice=_manifestAdvice(file.parent, rater=file))
            )
        elif looksBinary and result_kind(file, image.array != 0) is not None:
            self._notDrawn.append(file.name)
        elif looksBinary:
            self._unexplained.append(file.name)
            self.drawn.append((file, Mask(name, image.array != 0, image.grid)))
        else:
            self._addImage(file, meant[0] if meant else name, image)

    def _addMasks(self, file: Path) -> None:
        for mask in read_masks(file):
            isResult = is_computed_name(mask.name) or result_kind(file, mask.array) is not None
            if isResult or is_reference_name(mask.name):
                isWhole = mask.name == stem(file)
                part = _("{segment} in {file}").format(segment=mask.name, file=file.name)
                self._notDrawn.append(file.name if isWhole else part)
            else:
                self.drawn.append((file, mask))

    def _addImage(self, file: Path, sequence: str, image: Volume) -> None:
        if sequence in self.images:
            raise InputError(
                _(
                    "{file}: another file of the folder is {sequence} too; expected one for each sequence. Move one of "
                    "them away, or {advice}"
                ).format(file=file, sequence=sequence, advice=_manifestAdvice(file.parent, file, sequence))
            )
        self.images[sequence] = image


def _named(drawn: Iterable[tuple[Path, Mask]]) -> dict[str, Mask]:
    """Masks by names that tell the raters apart; raises InputError where two files do not."""
    drawn = list(drawn)
    sharing, segments = Counter(mask.name for _file, mask in drawn), Counter(file for file, _mask in drawn)
    masks: dict[str, Mask] = {}
    for file, mask in drawn:
        name = mask.name
        if sharing[name] > 1 or _UNNAMED_SEGMENT.fullmatch(name):
            name = stem(file) if segments[file] == 1 else f"{stem(file)} {mask.name}"
        if name in masks:
            raise InputError(
                _(
                    "{file}: the folder holds two raters named {name}; expected different names. Rename one, or "
                    "{advice}"
                ).format(file=file, name=name, advice=_manifestAdvice(file.parent, rater=file))
            )
        masks[name] = mask
    return masks


def _manifestAdvice(folder: Path, image: Path | None = None, sequence: str = "T1", rater: Path | None = None) -> str:
    """How to say by a manifest what the files of a folder are, as the end of a sentence with "or"."""
    isBareKey = re.fullmatch(r"[A-Za-z0-9_-]+", sequence) is not None
    lines = [
        "[cohort]",
        f"name = {_quoted(_('My cohort'))}",
        f"cases = [{_quoted(folder.name)}]",
        "[images]",
        f"{sequence if isBareKey else _quoted(sequence)} = {_quoted(image.name if image else 't1.nii.gz')}",
        "[raters]",
        f"anna = {_quoted(rater.name if rater else 'anna.nii.gz')}",
    ]
    return _(
        "write a text file cohort.toml into {place} that names the files, for example\n{example}\nand open it with "
        "Load from cohort"
    ).format(place=folder.parent, example="\n".join(lines))


def _quoted(text: str) -> str:
    """A text as TOML quotes it, which is as JSON does."""
    return json.dumps(text, ensure_ascii=False)
