"""Cases from files into the scene: one case of a cohort manifest, or a folder whose files tell what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.manifest import Manifest, ManifestError, read_manifest
from ObserverUncertaintyLib.formats import Mask, Volume, read_image, read_mask
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintySlicer.caseFolder import sortFolder
from ObserverUncertaintySlicer.dicomSources import remember
from ObserverUncertaintySlicer.hierarchy import addFolder, placeBeside, placeUnder
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.palette import RATER_COLORS
from ObserverUncertaintySlicer.placement import placed
from ObserverUncertaintySlicer.raterMasks import placementWarning
from ObserverUncertaintySlicer.raters import Rater
from ObserverUncertaintySlicer.sceneCases import SceneCase, markCase
from ObserverUncertaintySlicer.segments import addEmptySegmentation, addSegment, setReferenceGrid, setSegment
from ObserverUncertaintySlicer.volumes import addVolume, matrixOfGrid


@dataclass(frozen=True)
class LoadedCase:
    """A case that was loaded into the scene.

    Attributes:
        name: the case's name.
        sequences: sequence name to volume node, each on its own grid.
        raters: segments of one segmentation node.
        notes: what was done to the files (resampled, left out).
        warnings: what the user should know (empty masks, missing raters).
    """

    name: str
    sequences: dict[str, Any]
    raters: list[Rater]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadedContours:
    """Contours that were loaded into the scene.

    Attributes:
        raters: segments of one segmentation node.
        notes: what was done to them (resampled).
        warnings: what the user should know (between slices, outside the image).
    """

    raters: list[Rater]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ManifestCase:
    """A case as the list of a cohort shows it.

    Attributes:
        name: the case's name.
        lacks: what is missing of it, in few words; "" if nothing is.
        problem: why it cannot be loaded, and what to do; "" if it can.
    """

    name: str
    lacks: str = ""
    problem: str = ""


def manifestCases(manifestPath: str | Path) -> list[ManifestCase]:
    """The cases of a manifest, also those whose files are not all there.

    Raises:
        InputError: the manifest cannot be read, or a rater has no file in any case.
    """
    manifest = read_manifest(manifestPath)
    Cohort(manifest, [])  # what is wrong with the manifest itself
    return [_manifestCase(manifest, name) for name in manifest.case_names()]


def _manifestCase(manifest: Manifest, name: str) -> ManifestCase:
    try:
        missing = manifest.files(name).missing_raters
    except ManifestError as error:
        return ManifestCase(name, _lackingImages(manifest, name), str(error))
    return ManifestCase(name, _("no rater {names}").format(names=", ".join(missing)) if missing else "")


def _lackingImages(manifest: Manifest, name: str) -> str:
    try:
        missing = manifest.missing_images(name)
    except ManifestError:
        missing = ()
    return _("no image {names}").format(names=", ".join(missing)) if missing else _("its files are unclear")


def loadManifestCase(manifestPath: str | Path, caseName: str) -> LoadedCase:
    """Load one case of a cohort manifest into the scene.

    Sequences keep their own grids, the reference comes first; raters are drawn on the reference's,
    resampled to it if need be.

    Raises:
        InputError: the manifest or a file cannot be used; the scene is unchanged then.
    """
    manifest = read_manifest(manifestPath)
    Cohort(manifest, [caseName])
    files = manifest.files(caseName)
    missing = [_("rater {rater} has no file for this case").format(rater=rater) for rater in files.missing_raters]
    images = {name: read_image(file) for name, file in files.images.items()}
    reference = manifest.reference or next(iter(images))
    masks = {name: read_mask(file, images[reference].space) for name, file in files.raters.items()}
    return _addCase(caseName, images, masks, reference, files.images, warnings=missing, isSimulated=manifest.simulated)


def loadCaseFolder(folder: str | Path) -> LoadedCase:
    """Load a case from a folder of image and mask files, told apart by `caseFolder.sortFolder`'s rule.

    Raises:
        InputError: the files cannot be told apart or used; the scene is unchanged then.
    """
    files = sortFolder(Path(folder))
    return _addCase(files.name, files.images, files.masks, None, files.series, notes=files.notes)


def _addCase(
    name: str,
    images: Mapping[str, Volume],
    masks: Mapping[str, Mask],
    reference: str | None,
    files: Mapping[str, str],
    notes: Sequence[str] = (),
    warnings: Sequence[str] = (),
    isSimulated: bool = False,
) -> LoadedCase:
    """Make the nodes of a case; everything is read by now, so that a damaged file leaves no half case behind."""
    folder = addFolder(name)
    reference = reference or next(iter(images), None)
    sequences = {}
    # The panel takes the first one as the reference; models find theirs by name.
    for sequence in sorted(images, key=lambda sequence: sequence != reference):
        volume = images[sequence]
        sequences[sequence] = addVolume(volume.array, volume.grid, f"{name} {sequence}")
        placeUnder(sequences[sequence], folder)
        if volume.frame_of_reference and sequence in files:
            remember(sequences[sequence], files[sequence], volume.frame_of_reference)
    contours = LoadedContours([])
    if masks:
        grid = images[reference].grid if reference else next(iter(masks.values())).grid
        contours = addRaters(masks, grid, _("{case} raters").format(case=name), sequences.get(reference))
        placeUnder(contours.raters[0].node, folder)
    markCase(SceneCase(name, sequences, contours.raters, isSimulated))
    return LoadedCase(name, sequences, contours.raters, (*notes, *contours.notes), (*warnings, *contours.warnings))


def addRaters(masks: Mapping[str, Mask], grid: Grid, name: str, referenceVolume=None) -> LoadedContours:
    """Make a segmentation node of masks, each a rater's segment.

    Args:
        masks: by the raters' names; what lies on another grid is resampled, which is noted.
        grid: that they are drawn on.
        name: of the node.
        referenceVolume: the volume that they were drawn on, beside which the node is placed.
    """
    node = addEmptySegmentation(grid, name)
    setReferenceGrid(node, grid, referenceVolume)
    placeBeside(node, referenceVolume)
    raters: list[Rater] = []
    notes: list[str] = []
    warnings: list[str] = []
    for index, (rater, mask) in enumerate(masks.items()):
        warnings += [_("rater {rater}: {text}").format(rater=rater, text=text) for text in mask.warnings]
        raters.append(_addRater(node, rater, index, mask, grid, notes, warnings))
    return LoadedContours(raters, tuple(notes), tuple(warnings))


def _addRater(node, name: str, index: int, mask: Mask, grid: Grid, notes: list[str], warnings: list[str]) -> Rater:
    placement = placed(mask.array, matrixOfGrid(mask.grid), grid)
    if placement.isResampled:
        notes.append(
            _("rater {rater} was resampled to the nearest voxel from {source} to the reference's grid").format(
                rater=name, source=mask.grid.describe()
            )
        )
    warning = placementWarning(name, mask.array, placement)
    if warning:
        warnings.append(warning)
    segmentID = addSegment(node, name, RATER_COLORS[index % len(RATER_COLORS)])
    setSegment(node, segmentID, placement.mask, grid)
    return Rater(node, segmentID)
