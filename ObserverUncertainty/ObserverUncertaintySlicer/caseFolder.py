"""What the files of a plain folder are: sequences, or raters' masks.

The rule, for files directly in the folder (a name's words are what letters and digits make of it, "T1_post" has two):

1. A file with segments (`.seg.nrrd`) holds raters: each segment is one.
2. A file with one of the words seg, segmentation, rater, mask, label, contour, annotator, observer, expert, reader
   (digits may follow, as in rater2) is a rater.
3. A file named after a sequence (T1, T1w, T1c, T1ce, T1gd, T1 post, T2, T2w, FLAIR, T2 FLAIR, ...) is that sequence.
4. Every other file is looked into: a binary mask is a rater, anything else a sequence with the file's name.

What stays unclear is refused: a mask named like a sequence, an empty image that no name explains, two files for one
sequence or one rater. Then a manifest says what is meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ObserverUncertaintyLib.errors import InputError
from ObserverUncertaintyLib.formats import Mask, Volume, read_image, read_masks
from ObserverUncertaintyLib.formats.references import EXTENSIONS, extension, stem
from ObserverUncertaintySlicer.host import tr as _

RATER_WORDS = {
    *("seg", "segmentation", "rater", "raters", "mask", "label", "labels", "contour"),
    *("annotator", "observer", "expert", "reader"),
}
SEQUENCE_ORDER = ("T1", "T1c", "T2", "FLAIR")

_SEQUENCE_WORDS = {
    **dict.fromkeys(("t1", "t1w", "t1n", "mprage"), "T1"),
    **dict.fromkeys(("t1c", "t1ce", "t1gd", "t1km", "t1wce", "t1post", "t1wks"), "T1c"),
    **dict.fromkeys(("t2", "t2w"), "T2"),
    **dict.fromkeys(("flair", "t2flair", "t2f"), "FLAIR"),
}
_CONTRAST_WORDS = {"c", "ce", "gd", "gad", "post", "contrast", "km"}


@dataclass
class FolderFiles:
    """What a case's folder holds, read.

    Attributes:
        name: the folder's name.
        images: sequence name to image, in the order T1, T1c, T2, FLAIR, others.
        masks: rater name to mask.
        notes: what was left out.
    """

    name: str
    images: dict[str, Volume] = field(default_factory=dict)
    masks: dict[str, Mask] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def sortFolder(folder: Path) -> FolderFiles:
    """Read a folder's files and sort them into sequences and raters by the rule above.

    Raises:
        InputError: there is no image, a file cannot be read, or it is unclear what a file is.
    """
    if not folder.is_dir():
        raise InputError(_("{folder}: there is no such folder. Choose the folder of one case.").format(folder=folder))
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    files = [entry for entry in entries if entry.is_file() and extension(entry)]
    if not files:
        raise InputError(
            _(
                "{folder}: the folder holds no image file; expected files ending in {extensions} directly in it. A "
                "case spread over several folders, or in DICOM, is named by a manifest (docs/data.md)."
            ).format(folder=folder, extensions=", ".join(EXTENSIONS))
        )
    found = FolderFiles(folder.resolve().name)
    left = [entry.name for entry in entries if entry not in files and entry.suffix not in (".raw", ".zraw")]
    if left:
        found.notes.append(_("left out, since they are no image files: {names}").format(names=", ".join(left)))
    for file in files:
        _sortFile(file, found)
    order = [name for name in SEQUENCE_ORDER if name in found.images]
    order += [name for name in found.images if name not in SEQUENCE_ORDER]
    found.images = {name: found.images[name] for name in order}
    return found


def sequenceOf(name: str) -> str | None:
    """The sequence that a file's name means: T1, T1c, T2 or FLAIR; None if it names none.

    Raises:
        InputError: it names several.
    """
    words = _words(name)
    meant = {_SEQUENCE_WORDS[word] for word in words if word in _SEQUENCE_WORDS}
    if meant == {"T2", "FLAIR"}:
        meant = {"FLAIR"}
    if meant == {"T1"} and any(word in _CONTRAST_WORDS for word in words):
        meant = {"T1c"}
    if len(meant) > 1:
        raise InputError(
            _(
                "{name}: the name speaks of {sequences}; expected one sequence. Rename the file, or write a manifest "
                "with, for example,\n[images]\n{line}"
            ).format(name=name, sequences=_(" and ").join(sorted(meant)), line=_imageLine(name))
        )
    return meant.pop() if meant else None


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^0-9a-z]+", name.lower()) if word]


def _isRaterName(name: str) -> bool:
    return any(word.rstrip("0123456789") in RATER_WORDS for word in _words(name))


def _sortFile(file: Path, found: FolderFiles) -> None:
    name = stem(file)
    if file.name.lower().endswith(".seg.nrrd") or _isRaterName(name):
        for mask in read_masks(file):
            _addMask(file, mask.name, mask, found)
        return
    sequence = sequenceOf(name)
    image = read_image(file)
    values = np.unique(image.array)
    looksBinary = len(values) <= 2 and values.min() == 0
    if looksBinary and (sequence is not None or len(values) == 1):
        what = _("a binary mask") if len(values) == 2 else _("empty (0 everywhere)")
        raise InputError(
            _(
                "{file}: it is {what}, and its name does not say whose mask it is; expected an image, or a name such "
                "as rater1 for a mask. Rename it, or write a manifest with [images] and, for example,\n[raters]\n"
                'anna = "{name}"'
            ).format(file=file, what=what, name=file.name)
        )
    if looksBinary:
        _addMask(file, name, Mask(name, image.array != 0, image.grid), found)
        return
    sequence = sequence or name
    if sequence in found.images:
        raise InputError(
            _(
                "{file}: another file of the folder is {sequence} too; expected one for each sequence. Move one of "
                "them away, or write a manifest with, for example,\n[images]\n{line}"
            ).format(file=file, sequence=sequence, line=_imageLine(file.name, sequence))
        )
    found.images[sequence] = image


def _addMask(file: Path, name: str, mask: Mask, found: FolderFiles) -> None:
    if name in found.masks:
        raise InputError(
            _(
                "{file}: the folder holds two raters named {name}; expected different names. Rename one, or write a "
                'manifest with, for example,\n[raters]\nanna = "{filename}"'
            ).format(file=file, name=name, filename=file.name)
        )
    found.masks[name] = mask


def _imageLine(filename: str, sequence: str = "T1") -> str:
    return f'{sequence} = "{filename}"'
