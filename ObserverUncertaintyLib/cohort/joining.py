"""A cohort with reviewers as further raters: a new manifest, while the old one and its raters stay as they are."""

from __future__ import annotations

import glob
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError, in_work
from ObserverUncertaintyLib.base.output_files import prepare_output_folder, write_text
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.manifest_text import manifest_text
from ObserverUncertaintyLib.cohort.reviews import Review, Reviews, read_reviews
from ObserverUncertaintyLib.formats import read_image, read_mask, write_mask
from ObserverUncertaintyLib.images.grid import Grid, require_same_grid

MANIFEST_FILE = "cohort.toml"

MASKS_FOLDER = "reviewed"

_LONGEST = 60
"""Characters of a reviewer's name in a file's name."""


@dataclass(frozen=True)
class JoinedCohort:
    """A cohort that reviewers joined.

    Attributes:
        manifest: its manifest file.
        corrected: the reviewed cases, each with the names that its reviewers have as raters.
        reviews: what was read.
    """

    manifest: Path
    corrected: Mapping[str, tuple[str, ...]]
    reviews: Reviews


@dataclass(frozen=True)
class Joining:
    """Reviews that were looked at and can join a cohort; nothing is written yet.

    Attributes:
        cohort: the cohort.
        reviews: what was read.
        folder: where the new manifest and the masks will go.
    """

    cohort: Cohort
    reviews: Reviews
    folder: Path

    @property
    def corrected(self) -> dict[str, tuple[str, ...]]:
        """The reviewed cases, each with the names that its reviewers have as raters."""
        found: dict[str, tuple[str, ...]] = {}
        for review in self.reviews.latest:
            found[review.case] = (*found.get(review.case, ()), review.rater)
        return found

    def write(self, progress: Progress) -> JoinedCohort:
        """Write masks and manifest; raises InputError if the folder is not empty."""
        raters = dict.fromkeys(review.rater for review in self.reviews.latest)
        files = {rater: f"{number}-{_plain(rater)}.nrrd" for number, rater in enumerate(raters, 1)}
        prepare_output_folder(self.folder, resume=None, overwrite=None)
        progress.start("join reviews", len(self.reviews.latest))
        for review in self.reviews.latest:
            progress.check_cancelled()
            mask, grid = _read(review, self.cohort)
            write_mask(self.folder / MASKS_FOLDER / review.case / files[review.rater], mask, grid)
            progress.advance(1, review.case)
        masks = glob.escape(f"{(self.folder / MASKS_FOLDER).as_posix()}/")
        patterns = {rater: f"{masks}{{case}}/{glob.escape(file)}" for rater, file in files.items()}
        write_text(self.folder / MANIFEST_FILE, _manifest_text(self.cohort, patterns))
        return JoinedCohort(self.folder / MANIFEST_FILE, self.corrected, self.reviews)


def join_reviews(
    manifest: str | Path, reviews: str | Path, folder: str | Path, progress: Progress | None = None
) -> JoinedCohort:
    """Write a cohort in which each reviewer is a further rater, "reviewed by NAME", in the cases that they reviewed.

    The new manifest refers to images and raters where they lie; only the reviewed masks are copied. Neither the old
    manifest nor any file that it names is changed.

    Args:
        manifest: the cohort's manifest.
        reviews: the folder of reviews; see `read_reviews`.
        folder: where the new manifest and the masks go, `cohort.toml` and `reviewed/<case>/`.
        progress: is told of every case, and can cancel.

    Raises:
        InputError: a review is of a case that the cohort does not have, lies on another grid than the case, or is by
            somebody who is a rater already; the folder is not empty; or a file cannot be used. Nothing is written
            before every review was looked at.
    """
    progress = progress or Progress()
    return check_reviews(manifest, reviews, folder, progress).write(progress)


def check_reviews(manifest: str | Path, reviews: str | Path, folder: str | Path, progress: Progress) -> Joining:
    """Look at every review before anything is written; arguments and errors as for `join_reviews`."""
    folder = Path(folder).absolute()
    joining = Joining(Cohort.open(manifest), read_reviews(reviews), folder)
    found = joining.reviews
    _refuse(joining.cohort, found, list(dict.fromkeys(review.rater for review in found.latest)), Path(reviews))
    if Path(reviews).resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{reviews} lies in {folder}, which would be written into. Give another folder.")
    if "#" in str(folder) or "{case}" in str(folder):
        raise InputError(f"{folder}: a folder with # or {{case}} in its path cannot stand in a manifest. Give another.")
    for note in found.notes:
        progress.message(note)
    progress.start("check reviews", len(found.latest))
    for review in found.latest:
        progress.check_cancelled()
        _read(review, joining.cohort)
        progress.advance(1, review.case)
    return joining


def _refuse(cohort: Cohort, found: Reviews, raters: list[str], folder: Path) -> None:
    manifest = cohort.manifest.path
    unknown = list(dict.fromkeys(review.case for review in found.latest if review.case not in cohort.case_names))
    if unknown:
        raise InputError(
            f"{folder} has reviews of {', '.join(unknown)}, which {manifest} does not have; its cases are "
            f"{', '.join(cohort.case_names)}. A case's folder of reviews is called like the case: rename it, add the "
            "case to the manifest, or take the folder away."
        )
    known = {unicodedata.normalize("NFC", rater): rater for rater in cohort.manifest.raters}
    there = [known[rater] for rater in raters if rater in known]
    if there:
        raise InputError(
            f'{manifest} has the rater "{there[0]}" already, and a rater is never written over. Give the manifest that '
            "the reviews did not join yet, and all reviews in one folder."
        )


def _read(review: Review, cohort: Cohort) -> tuple[NDArray[np.bool_], Grid]:
    """A reviewed mask and its case's grid; refuses one that lies on another."""
    reference = cohort.manifest.reference or cohort.sequences[0]
    with in_work(review.mask):
        image = read_image(cohort.files(review.case).images[reference])
        mask = read_mask(review.mask, image.space)
    advice = "A review lies on the grid of the case's image: export it from the case that was reviewed."
    require_same_grid(image.grid, f"{review.case}: {reference}", mask.grid, str(review.mask), advice)
    return mask.array, image.grid


def _plain(name: str) -> str:
    """A name for files that every system takes."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:_LONGEST]


def _manifest_text(cohort: Cohort, reviewers: Mapping[str, str]) -> str:
    # By name: a pattern may find other cases another day.
    manifest = replace(cohort.manifest, cases=cohort.case_names)
    return manifest_text(replace(manifest, raters={**manifest.raters, **reviewers}), root=manifest.root)
