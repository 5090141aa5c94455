"""A case from files: read, brought onto one voxel grid, and told what was done to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import count
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.manifest import (
    CaseFiles,
    refuse_shared_files,
)
from ObserverUncertaintyLib.formats import Mask, read_image, read_mask, read_masks
from ObserverUncertaintyLib.formats.marks import ResultKind, result_kind
from ObserverUncertaintyLib.formats.references import split_reference, stem
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
    files = CaseFiles(name, {sequence: str(file) for sequence, file in images.items()}, sources)
    refuse_shared_files(name, {**files.by_role(), **({} if truth is None else {"truth": truth})})
    masks = {rater: read_mask(file) for rater, file in raters.items()}
    _refuse_results(name, masks, sources)
    if not images:
        return _case_from_masks(name, masks, options, sources, truth)
    reference = reference or next(iter(images))
    loader = _Loader(name, reference, options, sources)
    arrays = loader.images(images)
    case = Case(
        name=name,
        grid=loader.grid,
        sequences=tuple(images),
        images=arrays,
        rater_names=tuple(masks),
        raters=loader.raters(masks),
        truth=None if truth is None else loader.mask("truth", read_mask(truth), str(truth)),
    )
    return replace(case, notes=tuple(loader.notes), warnings=tuple(loader.warnings))


def load_raters(files: Sequence[str | Path], options: LoadOptions = LoadOptions()) -> Case:
    """Load raters' masks without images; a file that holds several segments is several raters.

    Args:
        files: mask files or segmentations (`file.seg.nrrd` or `file.seg.nrrd#Segment name`).
        options: what may be resampled; the first mask's grid is the case's grid.

    Raises:
        InputError: a file is missing, unreadable, not a mask, lies on another grid, is given twice, or is a result
            among drawings; or the files' segments are several structures of each rater.
    """
    refuse_shared_files("raters", {f"rater {number}": file for number, file in enumerate(files, 1)})
    read = [(file, read_masks(file)) for file in files]
    warnings = _warn_of_structures(read)
    shared = Counter(mask.name for _file, found in read for mask in found)
    masks: dict[str, Mask] = {}
    sources: dict[str, str] = {}
    for file, found in read:
        path, _selection = split_reference(file)
        for mask in found:
            name = mask.name
            if shared[name] > 1 and name != stem(path):
                name = stem(path) if len(found) == 1 else f"{stem(path)} {name}"
            name = _unused_name(name, path, masks)
            masks[name], sources[name] = mask, str(file)
    _refuse_results("raters", masks, sources)
    case = _case_from_masks("raters", masks, options, sources)
    return replace(case, warnings=warnings + case.warnings)


def _warn_of_structures(read: Sequence[tuple[str | Path, list[Mask]]]) -> tuple[str, ...]:
    """Refuse segments of several files that share their names: these are structures, and no raters."""
    several = [(file, [mask.name for mask in found]) for file, found in read if len(found) > 1]
    if len(read) < 2 or not several:
        return ()
    in_files = Counter(name for _file, found in read for name in {mask.name.casefold() for mask in found})
    for file, names in several:
        if any(in_files[name.casefold()] > 1 for name in names):
            raise InputError(
                f"{file} holds {len(names)} segments ({', '.join(names)}), and another file has one of the same name: "
                "these are structures, not raters. Fuse one structure at a time: pick it in each file, as in "
                f"{Path(file).name}#{names[0]}"
            )
    return tuple(
        f"raters: {', '.join(names)} are segments of one file, and each is taken as a rater; if they are structures, "
        "pick one of them with '#' and its name"
        for _file, names in several
    )


def _refuse_results(case: str, masks: Mapping[str, Mask], sources: Mapping[str, str]) -> None:
    """Refuse what was computed among what was drawn; results alone may be compared and fused like drawings."""
    kinds = {rater: result_kind(sources[rater], mask.array) for rater, mask in masks.items()}
    results = {rater: kind for rater, kind in kinds.items() if kind is not None}
    if not results or len(results) == len(masks):
        return
    rater, kind = next(iter(results.items()))
    raise InputError(
        f"{case}: {sources[rater]} is no rater's drawing, but {_RESULTS[kind]}, a result of this program; beside those "
        "who drew it would count as one more rater. Leave it out. To compare a result with raters, evaluate it; a mask "
        "that is known to be true is the manifest's truth."
    )


def _unused_name(name: str, file: Path, taken: Mapping[str, Mask]) -> str:
    """A rater's name that no other has: two files may be called alike in different folders."""

    def candidates() -> Iterator[str]:
        yield name
        yield f"{file.absolute().parent.name}/{name}"
        yield from (f"{name} ({number})" for number in count(2))

    return next(candidate for candidate in candidates() if candidate not in taken)


def _case_from_masks(
    name: str,
    masks: Mapping[str, Mask],
    options: LoadOptions,
    sources: Mapping[str, str],
    truth: str | Path | None = None,
) -> Case:
    if not masks:
        raise InputError(f"{name}: neither images nor raters are given.")
    first = next(iter(masks))
    loader = _Loader(name, first, options, sources)
    loader.grid = masks[first].grid
    if options.resample:
        loader.enlarge_grid(masks)
    raters = loader.raters(masks)
    true_mask = None if truth is None else loader.mask("truth", read_mask(truth), str(truth))
    return Case(
        name=name,
        grid=loader.grid,
        sequences=(),
        images=np.zeros((0, *loader.grid.shape), np.float32),
        rater_names=tuple(masks),
        raters=raters,
        truth=true_mask,
        notes=tuple(loader.notes),
        warnings=tuple(loader.warnings),
    )


class _Loader:
    """Brings one case's files onto the reference's grid and keeps the record of what was done.

    Files are named in errors only: notes and warnings go into results, which keep no path.
    """

    def __init__(self, case: str, reference: str, options: LoadOptions, sources: Mapping[str, str]) -> None:
        self.case = case
        self.reference = reference
        self.options = options
        self.sources = sources
        self.grid: Grid
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def images(self, files: Mapping[str, str | Path]) -> NDArray[np.float32]:
        """Read every sequence; shape (sequence, k, j, i) on the reference's grid."""
        with ThreadPoolExecutor() as readers:
            volumes = dict(zip(files, readers.map(read_image, files.values()), strict=True))
        fixed = volumes[self.reference]
        self.grid = fixed.grid
        arrays = []
        for sequence, volume in volumes.items():
            self.warnings.extend(f"{self.case}: image {sequence}: {warning}" for warning in volume.warnings)
            if sequence == self.reference or (same_grid(self.grid, volume.grid) and not self.options.register):
                arrays.append(volume.array)
                continue
            transform: sitk.Transform | None = None
            if self.options.register:
                alignment = register_rigid(volume.array, volume.grid, fixed.array, fixed.grid)
                transform = alignment.transform
                self.notes.append(
                    f"{self.case}: image {sequence} was registered rigidly to {self.reference} (rotation "
                    f"{alignment.rotation_degrees:.2f} degrees, shift {alignment.translation_mm:.2f} mm)"
                )
            elif self.options.resample:
                self.notes.append(f"{self.case}: image {sequence} was resampled linearly to {self.reference}'s grid")
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
                f"{self.case}: {self.reference}'s grid was enlarged from {before} to {after} voxels, to hold all that "
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
        self.warnings.extend(f"{self.case}: {role}: {warning}" for warning in mask.warnings)
        if not same_grid(self.grid, mask.grid):
            if not self.options.resample:
                self._refuse(f"{role} ({file})", mask.grid)
            method = self.options.mask_interpolation
            array = resample(mask.array, mask.grid, self.grid, method)
            self.notes.append(f"{self.case}: {role} was resampled ({method}) to {self.reference}'s grid")
            self._warn_of_lost_voxels(role, mask, array)
        if not mask.array.any():
            self.warnings.append(f"{self.case}: {role} drew nothing (empty mask)")
        elif mask.array.all():
            self.warnings.append(
                f"{self.case}: {role} marks every voxel; the file may be an image of one value, and no mask"
            )
        return array

    def _warn_of_lost_voxels(self, role: str, mask: Mask, array: NDArray[np.bool_]) -> None:
        drawn = np.count_nonzero(mask.array) * mask.grid.voxel_volume_ml
        outside = outside_ml(mask.array, mask.grid, self.grid)
        left = np.count_nonzero(array) * self.grid.voxel_volume_ml
        grid = f"{self.reference}'s grid"
        if drawn and not left:
            self.warnings.append(
                f"{self.case}: {role} is empty on {grid}, though its file is not: of {drawn:.3g} mL drawn "
                f"{outside:.3g} mL lie outside"
            )
        elif outside:
            self.warnings.append(
                f"{self.case}: {outside:.3g} of the {drawn:.3g} mL that {role} drew lie outside {grid} and are lost"
            )
        if left and abs(left - (drawn - outside)) > CHANGED_VOLUME * (drawn - outside):
            self.warnings.append(
                f"{self.case}: {role} has {left:.3g} mL on {grid}, {drawn - outside:.3g} mL as drawn: it is too small "
                "for this grid, or for the way of resampling"
            )

    def _warn_of_smaller_view(self, sequence: str, share: float, value: float) -> None:
        if share >= UNCOVERED_SHARE:
            self.warnings.append(
                f"{self.case}: image {sequence} does not cover {100 * share:.0f} % of {self.reference}'s grid; its "
                f"background value {value:g} stands there"
            )

    def _refuse(self, what: str, grid: Grid) -> None:
        require_same_grid(self.grid, f"{self.case}: {self.reference}", grid, f"{self.case}: {what}", _RESAMPLE_ADVICE)

    def _warn_of_blank(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        for sequence, array in arrays.items():
            if array.min() == array.max():
                self.warnings.append(
                    f"{self.case}: image {sequence} has the same value everywhere ({array.flat[0]:g}): it shows "
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
                    f"{self.case}: {sequence} and {self.reference} lie on one grid but show different places "
                    f"(Dice of their contents {overlap:.2f}); they may not be aligned. Try to register them"
                )
