"""A cohort's predicted cases as a list to review: into the scene one by one, and their reviews to the disk."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import slicer.util

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.manifest import read_manifest
from ObserverUncertaintyLib.cohort.reviews import Review, read_reviews
from ObserverUncertaintyLib.formats.prediction_files import MADE_FROM, PREDICTED_MAPS, REPORT_FILE
from ObserverUncertaintyLib.images.grid import require_same_grid, same_grid
from ObserverUncertaintyLib.review.cases import NO_REPORT, CaseToReview, cases_to_review
from ObserverUncertaintySlicer.attributes import AUTHOR, CORRECTED
from ObserverUncertaintySlicer.caseLoading import LoadedCase, loadManifestCase
from ObserverUncertaintySlicer.correctionExport import exportReviewed
from ObserverUncertaintySlicer.host import asFileName
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.knownModels import knownModels
from ObserverUncertaintySlicer.listedNodes import markListed, removeNode
from ObserverUncertaintySlicer.modelCards import readCard
from ObserverUncertaintySlicer.prediction import loadPrediction
from ObserverUncertaintySlicer.volumes import gridOfVolume, voxelsOf

_LONGEST_AUTHOR = 60
"""Characters of an author's name in a file's name."""
_NEEDED = ("label", "fusion", "samples", "weights", "notes", "warnings", "notice")
"""What a report of one model's prediction says."""


@dataclass(frozen=True)
class ListedCase:
    """A case of the list.

    Attributes:
        prediction: what its prediction lets one expect.
        reviewers: who has reviewed it.
    """

    prediction: CaseToReview
    reviewers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The case's name."""
        return self.prediction.case


@dataclass(frozen=True)
class CaseList:
    """Cases to review.

    Attributes:
        cases: the worst first; before them those unlike the training images, whose expected Dice says little.
        leftOut: why a case of the cohort has no place in the list, by its name.
        reviews: the latest of each reviewer and case.
        problem: why the reviews cannot be read; "" if they can.
    """

    cases: tuple[ListedCase, ...]
    leftOut: Mapping[str, str]
    reviews: tuple[Review, ...] = ()
    problem: str = ""

    def __contains__(self, name: str) -> bool:
        """Whether a case of this name is in the list."""
        return any(case.name == name for case in self.cases)

    @property
    def reviewed(self) -> int:
        """How many cases somebody has reviewed."""
        return sum(bool(case.reviewers) for case in self.cases)

    def following(self, name: str, reviewer: str = "") -> str | None:
        """The next case down the list, and on from its top, that is still to be reviewed; None if there is none.

        Args:
            name: of the case to go on from; any other name starts at the top.
            reviewer: who wants to review; without a name nobody is to have reviewed the case.
        """
        names = [case.name for case in self.cases]
        start = names.index(name) + 1 if name in names else 0
        own = _sameName(reviewer)
        for case in [*self.cases[start:], *self.cases[:start]]:
            isDone = own in case.reviewers if own else bool(case.reviewers)
            if not isDone and case.name != name:
                return case.name
        return None


@dataclass(frozen=True)
class OpenedCase:
    """A case of the list in the scene.

    Attributes:
        case: its images and raters.
        results: the prediction's nodes by the keys of `loadPrediction`.
    """

    case: LoadedCase
    results: Mapping[str, Any]


def listCases(manifestPath: str | Path, predictionsFolder: str | Path) -> CaseList:
    """List a cohort's predicted cases, and who has reviewed them.

    Args:
        manifestPath: the cohort's manifest.
        predictionsFolder: `<case>/prediction.json` of each case, as `observer-uncertainty predict` writes it.

    Raises:
        InputError: the manifest cannot be read, or the folder has no prediction of one of its cases.
    """
    found = cases_to_review(predictionsFolder, read_manifest(manifestPath).case_names())
    # The maps alone cannot be opened here: the report says which they are, and of which images.
    listed = [case for case in found.cases if NO_REPORT not in case.warnings]
    leftOut = found.left_out | {case.case: NO_REPORT for case in found.cases if NO_REPORT in case.warnings}
    if not listed:
        raise InputError(_("{folder}: {reason}.").format(folder=predictionsFolder, reason=NO_REPORT))
    reviews, problem = _reviews(reviewsFolder(predictionsFolder))
    reviewers: dict[str, list[str]] = {}
    for review in reviews:
        reviewers.setdefault(review.case, []).append(review.reviewer)
    cases = tuple(ListedCase(case, tuple(reviewers.get(case.case, ()))) for case in listed)
    return CaseList(cases, leftOut, reviews, problem)


def openListedCase(manifestPath: str | Path, predictionsFolder: str | Path, caseName: str) -> OpenedCase:
    """Load a case's images, raters and prediction into the scene, marked as the list's.

    Args:
        manifestPath: the cohort's manifest.
        predictionsFolder: the folder of its predictions.
        caseName: of the case.

    Raises:
        InputError: a file is missing or cannot be used, or the prediction was made from other images; the scene is
            unchanged then.
    """
    folder = Path(predictionsFolder) / caseName
    report, artifacts = _predicted(folder)
    with _allOrNothing(caseName):
        case = loadManifestCase(manifestPath, caseName)
        if not case.sequences:
            raise InputError(_("{manifest} names no image of {case}.").format(manifest=manifestPath, case=caseName))
        reference = next(iter(case.sequences.values()))
        results = loadPrediction(artifacts, caseName, reference, isSimulated=_learntFromSimulation(report["weights"]))
        _requireOfImages(folder, report, case, results["probability"])
        markListed([*case.sequences.values(), *{rater.node for rater in case.raters}, *results.values()], caseName)
    return OpenedCase(case, results)


def reviewsFolder(predictionsFolder: str | Path) -> Path:
    """Where the reviews of a folder of predictions are written: beside it."""
    folder = Path(predictionsFolder)
    return folder.with_name(f"{folder.name}-reviews")


def keepReview(node, predictionsFolder: str | Path, caseName: str) -> Path:
    """Write a correction that was saved in the scene to the disk, with its record; nothing is overwritten.

    Args:
        node: the correction.
        predictionsFolder: the folder of predictions that the case was opened from.
        caseName: of the case.

    Returns:
        The mask's file, `<predictionsFolder>-reviews/<case>/<author> <time>.seg.nrrd`.

    Raises:
        InputError: the node is no correction, or it was written before.
        UnwritableFileError: writing fails.
    """
    author, corrected = AUTHOR.of(node), CORRECTED.of(node)
    if author is None or corrected is None:
        raise InputError(
            _("{node} does not say who reviewed it, and when; expected what is saved as reviewed.").format(
                node=node.GetName()
            )
        )
    # Files whose names begin with a dot are hidden, and reviews among them not read.
    plain = asFileName(author)[:_LONGEST_AUTHOR].strip(" .") or "_"
    name = f"{plain} {datetime.fromisoformat(corrected):%Y-%m-%d %H-%M-%S}.seg.nrrd"
    path = exportReviewed(node, reviewsFolder(predictionsFolder) / caseName / name)
    markListed([node], caseName)
    return path


def _reviews(folder: Path) -> tuple[tuple[Review, ...], str]:
    """The reviews of a folder, and why they cannot be read; none before the first one was written."""
    try:
        return (read_reviews(folder).latest, "") if folder.is_dir() else ((), "")
    except InputError as error:
        return (), str(error)


def _sameName(reviewer: str) -> str:
    """A reviewer's name as reviews are read."""
    return " ".join(unicodedata.normalize("NFC", reviewer).split())


def _predicted(folder: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """A prediction's report and its files, by the names of `loadPrediction`."""
    file = folder / REPORT_FILE
    try:
        report = dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise InputError(
            _("{file} cannot be read: {error}. Predict the case again.").format(file=file, error=error)
        ) from error
    lacking = [key for key in _NEEDED if key not in report]
    if lacking:
        raise InputError(
            _("{file} lacks {lacking}; expected the report of one model's prediction. Predict the case again.").format(
                file=file, lacking=", ".join(lacking)
            )
        )
    maps = {name: folder / f"{name}.nii.gz" for name in PREDICTED_MAPS}
    missing = [path.name for path in maps.values() if not path.is_file()]
    if missing:
        raise InputError(
            _("{folder} lacks {missing}, which predict writes beside the report. Predict the case again.").format(
                folder=folder, missing=", ".join(missing)
            )
        )
    return report, {**maps, "report": file}


def _requireOfImages(folder: Path, report: Mapping[str, Any], case: LoadedCase, probability) -> None:
    """Refuse a prediction that lies elsewhere than its case, or was made from other images."""
    reference = next(iter(case.sequences.values()))
    grid = gridOfVolume(reference)
    require_same_grid(
        grid,
        reference.GetName(),
        gridOfVolume(probability),
        str(folder),
        _("The prediction is of other images. Predict the case again."),
    )
    images, known = _imagesDigest(case.sequences, report.get("sequences", ()), grid), report.get(MADE_FROM)
    if images is not None and isinstance(known, dict) and known.get("images") not in (None, images):
        raise InputError(
            _(
                "{folder} was predicted from other images than those that the manifest names now: another patient's, "
                "or changed since. Predict the case again, or give the manifest that it was predicted with."
            ).format(folder=folder)
        )


def _imagesDigest(sequences: Mapping[str, Any], names: Sequence[str], grid) -> str | None:
    """The fingerprint that a report has of its images; None where images are not used as they are."""
    nodes = [sequences.get(name) for name in names]
    if not nodes or any(node is None or not same_grid(gridOfVolume(node), grid) for node in nodes):
        return None
    digest = hashlib.sha256()
    for node in nodes:
        digest.update(np.ascontiguousarray(voxelsOf(node), np.float32).data)
    return digest.hexdigest()[:32]


def _learntFromSimulation(weights: str | None) -> bool:
    """Whether a model with these weights, if this computer knows it, was trained on simulated cases."""
    if weights is None:  # another program's
        return False
    cards = []
    for folder in knownModels():
        try:
            cards.append(readCard(folder))
        except InputError:  # damaged since it was used
            continue
    return any(card.isSimulated and card.description.weights_digest == weights for card in cards)


@contextmanager
def _allOrNothing(caseName: str) -> Iterator[None]:
    """Take out of the scene again what comes of a case in the block, if that fails."""
    before = {node.GetID() for node in _storable()}
    try:
        yield
    except Exception:
        for node in _storable():
            if node.GetID() not in before:
                removeNode(node, caseName)
        raise


def _storable() -> list[Any]:
    return list(slicer.util.getNodesByClass("vtkMRMLStorableNode"))
