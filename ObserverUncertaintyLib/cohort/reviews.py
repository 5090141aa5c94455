"""Reviewed contours in a folder: who corrected which case, when, and from which model's segmentation."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.paths import identity, why_absent
from ObserverUncertaintyLib.cohort.case_files import REVIEWED_BY

MASKS = (".nrrd", ".nii.gz")
"""How a mask's file ends; that of a segmentation, `.seg.nrrd`, ends so too."""

RECORD = ".json"
"""What the name of the record beside a mask has more than the mask's: `a.nrrd.json` for `a.nrrd`."""

_LAYOUT = (
    "A folder of reviews has a folder for each case, with masks as 3D Slicer's module exports them, such as a.nrrd, "
    "and the record a.nrrd.json beside each"
)


@dataclass(frozen=True)
class Review:
    """One reviewer's contour of one case.

    Attributes:
        case: the case's name: its folder below that of the reviews.
        reviewer: who made it.
        corrected: when, with a time zone.
        mask: file of the contour.
        model: fingerprint of the weights of the model that was reviewed; None if the record names none.
    """

    case: str
    reviewer: str
    corrected: datetime
    mask: Path
    model: str | None = None

    @property
    def rater(self) -> str:
        """The name that the reviewer has among a cohort's raters."""
        return f"{REVIEWED_BY}{self.reviewer}"


@dataclass(frozen=True)
class Reviews:
    """What a folder of reviews holds.

    Attributes:
        latest: of each reviewer and case the latest one, sorted by case and reviewer.
        notes: what else lies there and does not count.
    """

    latest: tuple[Review, ...]
    notes: tuple[str, ...] = ()


def read_reviews(folder: str | Path) -> Reviews:
    """Read a folder of reviews, `folder/<case>/<name>.nrrd` (or .seg.nrrd, .nii.gz) with `<name>.nrrd.json` beside it.

    The record is a dictionary with "Author", "Corrected" (ISO 8601; without a time zone it is this machine's) and, if a
    model's segmentation was reviewed, "ReviewModel" or "Model", the fingerprint of its weights. The masks are not read.
    Links are followed; a file that is neither mask nor record is noted, but for hidden ones.

    Raises:
        InputError: there is no such folder or no review in it, a folder cannot be looked into, a record cannot be read
            or lacks who or when, or two reviews of one reviewer and case were made at the same time.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder of reviews. {_LAYOUT}.")
    notes: list[str] = []
    latest: dict[tuple[str, str], Review] = {}
    for mask in _files(folder):
        name = mask.relative_to(folder).as_posix()
        if not mask.name.lower().endswith(MASKS):
            if not _is_record(mask):
                notes.append(
                    f"{name} is left out: it is no mask that ends in {' or '.join(MASKS)}, nor the record of one"
                )
            continue
        if not mask.is_file():
            notes.append(f"{name} is left out: {why_absent(mask) or 'it is no file'}")
            continue
        if mask.parent == folder:
            notes.append(f"{name} is left out: it lies in no case's folder")
            continue
        record = mask.with_name(mask.name + RECORD)
        if not record.is_file():
            notes.append(f"{name} is left out: no {record.name} beside it says who reviewed the case, and when")
            continue
        review = _read(mask, record, mask.parent.relative_to(folder).as_posix())
        key = (review.case, review.reviewer)
        other = latest.setdefault(key, review)
        if other is review:
            continue
        if other.corrected == review.corrected:
            raise InputError(
                f"{other.mask} and {mask} are both reviews of {review.case} by {review.reviewer} of "
                f"{review.corrected.isoformat()}, so that neither is the later one. Remove the one that is not meant."
            )
        older, latest[key] = sorted((other, review), key=lambda each: each.corrected)
        notes.append(
            f"{older.mask.relative_to(folder).as_posix()} does not count: {review.reviewer} reviewed {review.case} "
            f"again later, in {latest[key].mask.name}"
        )
    if not latest:
        listing = "".join(f"\n  {note}" for note in notes)
        raise InputError(f"{folder} holds no review. {_LAYOUT}.{listing}")
    return Reviews(tuple(latest[key] for key in sorted(latest)), tuple(notes))


def _files(folder: Path) -> Iterator[Path]:
    """The files at any depth, sorted; hidden ones are of the system or of an interrupted copy."""

    def refuse(error: OSError) -> None:
        raise InputError(
            f"{error.filename}: this folder cannot be looked into ({error.strerror}). Check who may read it."
        )

    entered: set[tuple[object, ...]] = set()
    for parent, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        own = identity(parent)
        # A link may lead back up.
        folders[:] = [] if own in entered else sorted(name for name in folders if not name.startswith("."))
        if own not in entered:
            yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))
        entered.add(own)


def _is_record(file: Path) -> bool:
    """Whether a file is the record of a mask beside it."""
    return file.name.lower().endswith(tuple(mask + RECORD for mask in MASKS)) and os.path.lexists(file.with_suffix(""))


def _read(mask: Path, record: Path, case: str) -> Review:
    try:
        content = dict(json.loads(record.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{record} cannot be read: {error.strerror or error}. Check who may read it.") from error
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{record} cannot be read: {error}. Expected what 3D Slicer's module writes beside a correction; export it "
            "again, or remove the file and its mask."
        ) from error
    reviewer = " ".join(unicodedata.normalize("NFC", str(content.get("Author") or "")).split())
    if not reviewer:
        raise InputError(f'{record} does not say who reviewed the case: "Author" is missing. Add it: "Author": "…".')
    try:
        corrected = datetime.fromisoformat(str(content.get("Corrected")))
    except ValueError:
        raise InputError(
            f'{record} does not say when the case was reviewed: "Corrected" is {content.get("Corrected")!r}, expected '
            "a time such as 2026-05-04T12:30:00+02:00. Correct it."
        ) from None
    model = content.get("ReviewModel") or content.get("Model")
    return Review(case, reviewer, corrected.astimezone(), mask, None if model is None else str(model))
