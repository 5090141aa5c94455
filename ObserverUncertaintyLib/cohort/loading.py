"""A case from files: read, brought onto one voxel grid, and told what was done to it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.case_files import CaseFiles, refuse_shared_files
from ObserverUncertaintyLib.formats import Mask, read_image, read_mask
from ObserverUncertaintyLib.formats.dicom.space import Space
from ObserverUncertaintyLib.formats.marks import ResultKind, result_kind
from ObserverUncertaintyLib.images.foreground import background_value, foreground
from ObserverUncertaintyLib.images.grid import Grid, require_same_grid, same_grid
from ObserverUncertaintyLib.images.registration import register_rigid
from ObserverUncertaintyLib.images.resampling import covering, outside_ml, resample, uncovered_share
from ObserverUncertaintyLib.scores.metrics import dice

MINIMUM_CONTENT_OVERLAP = 0.5
"""Below this Dice of two sequences' foregrounds a warning says that they may not be aligned."""

UNCOVERED_SHARE = 0.01
"""From this fraction of the grid on a warning says that a sequence does not cover it."""

CHANGED_VOLUME = 0.1
"""A warning says when resampling changes a mask's volume by more than this fraction."""

_COMPARED_PIXELS = 100
"""Rows and columns of which the foregrounds are compared, about."""

_RESULTS = {
    ResultKind.FUSED: "a fused mask",
    ResultKind.ENTROPY: "a map of the raters' entropy",
    ResultKind.PREDICTED: "a model's prediction",
}

_RESAMPLE_ADVICE = "Give the files of one grid, or let this one be resampled onto the other's."


class MaskInterpolation(StrEnum):
    """How a mask is brought onto another grid; label-Gaussian gives smoother borders."""

    NEAREST = "nearest"
    LABEL_GAUSSIAN = "label-gaussian"


@dataclass(frozen=True)
class LoadOptions:
    """What may be done to files that do not lie on the case's grid.

    Attributes:
        resample: bring images (linear) and masks onto the reference's grid instead of refusing them.
        mask_interpolation: used for masks where `resample` is set.
        register: align every sequence rigidly to the reference sequence (mutual information).
    """

    resample: bool = False
    mask_interpolation: MaskInterpolation = MaskInterpolation.NEAREST
    register: bool = False


def load_case(
    name: str,
    images: Mapping[str, str | Path],
    raters: Mapping[str, str | Path],
    *,
    truth: str | Path | None = None,
    reference: str | None = None,
    options: LoadOptions = LoadOptions(),
) -> Case:
    """Load one case from files.

    Args:
        name: the case's name.
        images: sequence name to image file, in channel order; may be empty if there are raters.
        raters: rater name to mask file (`file.seg.nrrd#Segment name` picks one segment); may be empty.
        truth: file of the true mask, if one is known.
        reference: the sequence whose grid is the case's grid; the first one if None.
        options: what may be resampled or registered.

    Raises:
        InputError: a file is missing, unreadable, not a mask, lies on another grid, is two things at once, or is a
            result among drawings.
    """
    sources = {rater: str(file) for rater, file in raters.items()}
    shown = {sequence: str(file) for sequence, file in images.items()}
    files = CaseFiles(name, shown, sources, truth=None if truth is None else str(truth))
    refuse_shared_files(name, files.by_role())
    if not images:
        masks = {rater: read_mask(file) for rater, file in raters.items()}
        refuse_results(name, masks, sources)
        return case_from_masks(name, masks, options, sources, truth)
    loader = _Loader(name, reference or next(iter(images)), options, sources)
    arrays = loader.images(images)
    masks = {rater: read_mask(file, loader.space) for rater, file in raters.items()}
    refuse_results(name, masks, sources)
    return loader.case_of(tuple(images), arrays, masks, truth)


def refuse_results(case: str, masks: Mapping[str, Mask], sources: Mapping[str, str]) -> None:
    """Refuse what was computed among what was drawn; results alone may be compared and fused like drawings."""
    kinds = {rater: mask.computed or result_kind(sources[rater], mask.array) for rater, mask in masks.items()}
    results = {rater: kind for rater, kind in kinds.items() if kind is not None}
    if not results or len(results) == len(masks):
        return
    rater, kind = next(iter(results.items()))
    raise InputError(
        f"{case}: {sources[rater]} is no rater's drawing, but {_RESULTS[kind]}, a result of this program; beside those "
        "who drew it would count as one more rater. Leave it out. To compare a result with raters, evaluate it; a mask "
        "that is known to be true is the manifest's truth."
    )


def case_from_masks(
    name: str,
    masks: Mapping[str, Mask],
    options: LoadOptions,
    sources: Mapping[str, str],
    truth: str | Path | None = None,
) -> Case:
    """A case without images, on the first mask's grid.

    Args:
        name: the case's name.
        masks: rater name to mask.
        options: what may be resampled; the grid is enlarged then, so that it holds all that was drawn.
        sources: rater name to file, for errors.
        truth: file of the true mask, if one is known.
    """
    if not masks:
        raise InputError(f"{name}: neither images nor raters are given.")
    first = next(iter(masks))
    loader = _Loader(name, first, options, sources)
    loader.grid = masks[first].grid
    if options.resample:
        loader.enlarge_grid(masks)
    return loader.case_of((), np.zeros((0, *loader.grid.shape), np.float32), masks, truth)


class _Loader:
    """Brings one case's files onto the reference's grid and keeps the record of what was done.

    Files are named in errors only: notes and warnings go into results, which keep no path.
    """

    def __init__(self, name: str, reference: str, options: LoadOptions, sources: Mapping[str, str]) -> None:
        self.name = name
        self.reference = reference
        self.options = options
        self.sources = sources
        self.grid: Grid
        self.frame_of_reference = ""
        self.notes: list[str] = []
        self.warnings: list[str] = []

    @property
    def space(self) -> Space:
        """Where the reference lies, for contours that are drawn onto it."""
        return Space(self.grid, self.frame_of_reference)

    def case_of(
        self,
        sequences: tuple[str, ...],
        images: NDArray[np.float32],
        masks: Mapping[str, Mask],
        truth: str | Path | None,
    ) -> Case:
        """The case of images that lie on the grid, with the masks brought onto it."""
        raters = self.raters(masks)
        true_mask = None if truth is None else self.mask("truth", read_mask(truth, self.space), str(truth))
        notes, warnings = tuple(self.notes), tuple(self.warnings)
        return Case(self.name, self.grid, sequences, images, tuple(masks), raters, true_mask, notes, warnings)

    def images(self, files: Mapping[str, str | Path]) -> NDArray[np.float32]:
        """Read every sequence; shape (sequence, k, j, i) on the reference's grid."""
        with ThreadPoolExecutor() as readers:
            volumes = dict(zip(files, readers.map(read_image, files.values()), strict=True))
        fixed = volumes[self.reference]
        self.grid, self.frame_of_reference = fixed.grid, fixed.frame_of_reference
        arrays = []
        for sequence, volume in volumes.items():
            self.warnings.extend(f"{self.name}: image {sequence}: {warning}" for warning in volume.warnings)
            if sequence == self.reference or (same_grid(self.grid, volume.grid) and not self.options.register):
                arrays.append(volume.array)
                continue
            transform: sitk.Transform | None = None
            if self.options.register:
                alignment = register_rigid(volume.array, volume.grid, fixed.array, fixed.grid)
                transform = alignment.transform
                self.notes.append(
                    f"{self.name}: image {sequence} was registered rigidly to {self.reference} (rotation "
                    f"{alignment.rotation_degrees:.2f} degrees, shift {alignment.translation_mm:.2f} mm)"
                )
            elif self.options.resample:
                self.notes.append(f"{self.name}: image {sequence} was resampled linearly to {self.reference}'s grid")
            else:
                self._refuse(f"image {sequence} ({files[sequence]})", volume.grid)
            outside = background_value(volume.array)
            self._warn_of_smaller_view(sequence, uncovered_share(volume.grid, self.grid, transform), outside)
            arrays.append(resample(volume.array, volume.grid, self.grid, "linear", transform, outside))
        self._warn_of_blank(dict(zip(volumes, arrays, strict=True)))
        self._warn_of_poor_overlap(dict(zip(volumes, arrays, strict=True)))
        return np.stack(arrays)

    def enlarge_grid(self, masks: Mapping[str, Mask]) -> None:
        """Enlarge the first mask's grid where others reach beyond it, as cropped segmentations do."""
        others = [(mask.array, mask.grid) for mask in masks.values() if mask.grid.dimension == self.grid.dimension]
        enlarged = covering(self.grid, others)
        if enlarged != self.grid:
            before, after = (" x ".join(map(str, grid.size)) for grid in (self.grid, enlarged))
            self.notes.append(
                f"{self.name}: {self.reference}'s grid was enlarged from {before} to {after} voxels, to hold all that "
                "the others drew"
            )
            self.grid = enlarged

    def raters(self, masks: Mapping[str, Mask]) -> NDArray[np.bool_]:
        """Every rater's mask on the reference's grid, shape (rater, k, j, i)."""
        arrays = [self.mask(f"rater {rater}", mask, self.sources[rater]) for rater, mask in masks.items()]
        return np.stack(arrays) if arrays else np.zeros((0, *self.grid.shape), bool)

    def mask(self, role: str, mask: Mask, file: str) -> NDArray[np.bool_]:
        """One mask on the reference's grid."""
        array = mask.array
        self.warnings.extend(f"{self.name}: {role}: {warning}" for warning in mask.warnings)
        if not same_grid(self.grid, mask.grid):
            if not self.options.resample:
                self._refuse(f"{role} ({file})", mask.grid)
            method = self.options.mask_interpolation
            array = resample(mask.array, mask.grid, self.grid, method)
            self.notes.append(f"{self.name}: {role} was resampled ({method}) to {self.reference}'s grid")
            self._warn_of_lost_voxels(role, mask, array)
        if not mask.array.any():
            self.warnings.append(f"{self.name}: {role} drew nothing (empty mask)")
        elif mask.array.all():
            self.warnings.append(
                f"{self.name}: {role} marks every voxel; the file may be an image of one value, and no mask"
            )
        return array

    def _warn_of_lost_voxels(self, role: str, mask: Mask, array: NDArray[np.bool_]) -> None:
        drawn = np.count_nonzero(mask.array) * mask.grid.voxel_volume_ml
        outside = outside_ml(mask.array, mask.grid, self.grid)
        left = np.count_nonzero(array) * self.grid.voxel_volume_ml
        grid = f"{self.reference}'s grid"
        if drawn and not left:
            self.warnings.append(
                f"{self.name}: {role} is empty on {grid}, though its file is not: of {drawn:.3g} mL drawn "
                f"{outside:.3g} mL lie outside"
            )
        elif outside:
            self.warnings.append(
                f"{self.name}: {outside:.3g} of the {drawn:.3g} mL that {role} drew lie outside {grid} and are lost"
            )
        if left and abs(left - (drawn - outside)) > CHANGED_VOLUME * (drawn - outside):
            self.warnings.append(
                f"{self.name}: {role} has {left:.3g} mL on {grid}, {drawn - outside:.3g} mL as drawn: it is too small "
                "for this grid, or for the way of resampling"
            )

    def _warn_of_smaller_view(self, sequence: str, share: float, value: float) -> None:
        if share >= UNCOVERED_SHARE:
            self.warnings.append(
                f"{self.name}: image {sequence} does not cover {100 * share:.0f} % of {self.reference}'s grid; its "
                f"background value {value:g} stands there"
            )

    def _refuse(self, what: str, grid: Grid) -> None:
        require_same_grid(self.grid, f"{self.name}: {self.reference}", grid, f"{self.name}: {what}", _RESAMPLE_ADVICE)

    def _warn_of_blank(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        for sequence, array in arrays.items():
            if array.min() == array.max():
                self.warnings.append(
                    f"{self.name}: image {sequence} has the same value everywhere ({array.flat[0]:g}): it shows "
                    "nothing. Look at its file; it may have been exported wrongly"
                )

    def _warn_of_poor_overlap(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        if len(arrays) < 2:
            return
        # A look at some of the rows and columns of a large image is enough to compare places.
        step = max(1, min(self.grid.shape[1:]) // _COMPARED_PIXELS)
        with ThreadPoolExecutor() as finders:
            seen = (np.ascontiguousarray(array[:, ::step, ::step]) for array in arrays.values())
            contents = dict(zip(arrays, finders.map(foreground, seen), strict=True))
        for sequence, content in contents.items():
            overlap = dice(contents[self.reference], content)
            if overlap < MINIMUM_CONTENT_OVERLAP:
                self.warnings.append(
                    f"{self.name}: {sequence} and {self.reference} lie on one grid but show different places "
                    f"(Dice of their contents {overlap:.2f}); they may not be aligned. Try to register them"
                )
