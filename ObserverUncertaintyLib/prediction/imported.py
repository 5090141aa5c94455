"""Anybody's model: what another program predicted becomes a prediction like ours, with all maps and a report.

One sample after the other is read and added, so that memory does not grow with their number. A sample is a map of the
foreground's probability, or a mask, which is a sample that is sure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.fingerprints import file_digest, grid_digest
from ObserverUncertaintyLib.formats.arrays import is_array_file, read_array
from ObserverUncertaintyLib.formats.errors import InvalidImageError
from ObserverUncertaintyLib.formats.images import not_finite, read_image, read_stored
from ObserverUncertaintyLib.formats.masks import read_mask
from ObserverUncertaintyLib.formats.prediction_files import MADE_FROM
from ObserverUncertaintyLib.formats.prediction_samples import to_levels
from ObserverUncertaintyLib.formats.references import Source, split_reference
from ObserverUncertaintyLib.images.grid import Grid, require_same_grid
from ObserverUncertaintyLib.model.description import NOTICE
from ObserverUncertaintyLib.prediction.maps import Prediction, report_of_maps
from ObserverUncertaintyLib.prediction.sums import MonteCarloSums

Sample = NDArray[np.floating] | NDArray[np.bool_]
"""A probability, float, or a mask, bool; shape (k, j, i)."""

_ROUNDED = 1e-3
"""A softmax in half precision is off 1 by so much, and a probability below 0 or above 1."""

_PROBED = 7
"""Every so many voxels along each axis are looked at to find out what the volumes of a file are."""


class ArrayAxes(StrEnum):
    """In which order an array has the axes of an image: (k, j, i) as SimpleITK's, or (i, j, k) as nibabel's."""

    KJI = "kji"
    IJK = "ijk"


@dataclass(frozen=True)
class SampleFiles:
    """Files of samples, and how they are to be read.

    Attributes:
        files: images (each a sample, or several along a fourth axis), `file.seg.nrrd#Segment`, or arrays (.npy, .npz).
        geometry: an image on whose grid the samples lie; arrays need one, of the others it is checked.
        channel: of files with the probabilities of several classes, the number of the foreground's, from 0.
        label_value: of label maps, the value of the foreground.
        array_axes: of arrays.
    """

    files: tuple[str, ...]
    geometry: str | None = None
    channel: int | None = None
    label_value: int | None = None
    array_axes: ArrayAxes = ArrayAxes.KJI

    def __post_init__(self) -> None:
        """Refuse what cannot be read."""
        if not self.files:
            raise InputError("No file of samples is named. Name one or more.")
        if self.channel is not None and self.channel < 0:
            raise InputError(f"Channel {self.channel} was asked for; channels are numbered from 0.")
        if self.channel is not None and self.label_value is not None:
            raise InputError(
                "A channel and a label value exclude each other: a file holds the probabilities of classes or labels. "
                "Name one of them."
            )

    def samples(self) -> Iterator[tuple[Sample, Grid, tuple[str, ...]]]:
        """The samples one after the other, each with its grid and what should be known of its place.

        Raises:
            InputError: a file cannot be read, lies elsewhere than the others, or holds no samples.
        """
        expected, name = None, ""
        if self.geometry is not None:
            path, selection = split_reference(self.geometry)
            _require_no_selection(self.geometry, path, selection)
            expected, name = read_stored(path, selection).grid, str(self.geometry)
        self._require_different()
        marks: dict[float, str] = {}
        for file in self.files:
            volumes, grid, warnings = self._array(file, expected) if is_array_file(file) else self._image(file)
            if expected is None:
                expected, name = grid, str(file)
            require_same_grid(expected, name, grid, str(file), "Samples lie on one grid; resample them first.")
            for volume in self._of_foreground(file, volumes):
                sample, mark = self._sample(file, volume)
                if mark is not None:
                    marks.setdefault(mark, file)
                    _require_one_mark(marks)
                yield sample, expected, warnings

    def _require_different(self) -> None:
        """Refuse what would count twice."""
        seen: dict[Source, str] = {}
        for file in self.files:
            if (other := seen.get(Source.of(file))) is not None:
                raise InputError(
                    f"{file} is the same as {other}, so that one sample would count twice. Name each file once."
                )
            seen[Source.of(file)] = file

    def _image(self, file: str) -> tuple[NDArray[Any], Grid, tuple[str, ...]]:
        path, selection = split_reference(file)
        if path.name.lower().endswith(".seg.nrrd"):
            mask = read_mask(file)
            return mask.array[None], mask.grid, mask.warnings
        _require_no_selection(file, path, selection)
        stored = read_stored(path, selection, several=True)
        return stored.array, stored.grid, stored.warnings

    def _array(self, file: str, grid: Grid | None) -> tuple[NDArray[Any], Grid, tuple[str, ...]]:
        if grid is None:
            raise InputError(
                f"{file} is an array, which says nothing of where its voxels lie. Name an image with the same voxels "
                "as geometry, such as the one that was segmented."
            )
        array = read_array(file)
        if self.array_axes is ArrayAxes.IJK and array.ndim >= 3:
            array = np.moveaxis(array, (-1, -2, -3), (-3, -2, -1))
        most = 5 if self.channel is not None else 4
        if array.shape[-3:] != grid.shape or array.ndim > most:
            turned = " Its axes may be in the other order." if array.shape[-3:] == grid.shape[::-1] else ""
            raise InvalidImageError(
                f"{file}: the array has the shape {array.shape}; expected {grid.shape}, the (k, j, i) of "
                f"{self.geometry}, and before it one axis of samples{' and one of classes' if most == 5 else ''} at "
                f"most.{turned}"
            )
        return array[None] if array.ndim == 3 else array, grid, ()

    def _of_foreground(self, file: str, volumes: NDArray[Any]) -> NDArray[Any]:
        """The samples among the volumes of a file, shape (sample, k, j, i)."""
        if self.channel is None:
            if len(volumes) > 1 and _are_classes(volumes):
                raise InvalidImageError(
                    f"{file}: its {len(volumes)} volumes add up to 1 in every voxel: they are the probabilities of "
                    "classes, not samples of one. Give the number of the foreground's channel, from 0 (background is "
                    "usually 0, the first structure 1)."
                )
            return volumes
        classes = volumes.shape[-4]
        if self.channel >= classes:
            raise InvalidImageError(
                f"{file}: channel {self.channel} was asked for, and it has {classes}, numbered from 0. Name one of "
                "these, or none if the file holds a single probability."
            )
        chosen = volumes[..., self.channel, :, :, :]
        return chosen[None] if chosen.ndim == 3 else chosen

    def _sample(self, file: str, volume: NDArray[Any]) -> tuple[Sample, float | None]:
        """One sample as a probability or a mask; of a mask with the value that stands for the foreground, if known."""
        if np.iscomplexobj(volume):
            raise InvalidImageError(f"{file}: the file holds complex numbers; expected one real number per voxel.")
        if volume.dtype == bool:
            if self.label_value is not None:
                raise self._without_labels(file, "it is a mask")
            return volume, None
        if bad := not_finite(volume):
            raise InvalidImageError(
                f"{file}: {bad} of {volume.size} voxels are NaN or infinite; expected a probability from 0 to 1 in "
                "every voxel. Find out where they come from; if they mark what was not predicted, replace them by 0."
            )
        low, high = float(volume.min()), float(volume.max())
        is_whole = np.issubdtype(volume.dtype, np.integer) or bool(np.all(volume == np.rint(volume)))
        if self.label_value is not None:
            if not is_whole:
                raise self._without_labels(file, f"its values go from {low:.4g} to {high:.4g}")
            return np.asarray(volume == self.label_value), None
        if is_whole and low >= 0 and (high <= 1 or (len(np.unique(volume)) <= 2 and low == 0)):
            return np.asarray(volume != 0), high or None
        if not (low >= -_ROUNDED and high <= 1 + _ROUNDED):
            raise InvalidImageError(f"{file}: {_unlike_probability(volume, is_whole, low, high)}")
        return np.clip(volume, 0, 1), None

    def _without_labels(self, file: str, found: str) -> InvalidImageError:
        return InvalidImageError(
            f"{file}: label {self.label_value} was asked for, but {found}. Leave the label value out, or give label "
            "maps."
        )


def _require_no_selection(reference: str, path: Path, selection: str | None) -> None:
    if selection is not None and path.is_file():
        read_image(reference)  # says that an image has no parts to pick


def _require_one_mark(marks: Mapping[float, str]) -> None:
    """Refuse masks of which one marks with 1 and another with 2: they may be of two structures. 255 stands for 1."""
    if len(marks) > 1 and not set(marks) <= {1.0, 255.0}:
        shown = ", ".join(f"{value:g} in {file}" for value, file in marks.items())
        raise InvalidImageError(
            f"The masks mark their structure with different values ({shown}), which may be different structures. Give "
            "files of one structure, or the label value that is meant."
        )


def _are_classes(volumes: NDArray[Any]) -> bool:
    """Whether volumes add up to 1 in every voxel that is probed."""
    probe = (slice(None), *(slice(None, None, _PROBED if size > 2 * _PROBED else 1) for size in volumes.shape[1:]))
    total = np.asarray(volumes[probe], np.float64).sum(axis=0)
    return bool(np.all(np.abs(total - 1) < _ROUNDED * len(volumes)))


def _unlike_probability(volume: NDArray[Any], is_whole: bool, low: float, high: float) -> str:
    """What is said of values that are no probability."""
    found = f"it holds values from {low:.4g} to {high:.4g}; a probability lies between 0 and 1. "
    if is_whole and low >= 0 and high <= 255 and len(labels := np.unique(volume)) <= 64:
        shown = ", ".join(f"{label:g}" for label in labels[:8])
        return (
            f"{found}If it is a label map ({shown}{', ...' if len(labels) > 8 else ''}), name the foreground's label "
            "value; if these are per cent or 255ths, divide them first."
        )
    if low < 0:
        return f"{found}If these are logits, apply the sigmoid or softmax first."
    return f"{found}If these are per cent or 255ths, divide them first."


def import_samples(
    source: SampleFiles,
    case_name: str = "case",
    *,
    label: str = "structure",
    tool: str = "another program",
    keep_samples: int = 0,
    progress: Progress | None = None,
) -> tuple[Prediction, Grid, dict[str, Any]]:
    """Make a prediction of samples that another program predicted.

    Args:
        source: the samples.
        case_name: the case's name in the report.
        label: the structure's name.
        tool: the program that predicted them, in words.
        keep_samples: how many of the samples are kept, the first ones.
        progress: is told of every sample, and can cancel.

    Returns:
        The prediction, its grid, and a report of it; `save_prediction` takes the three.

    Raises:
        InputError: a file cannot be read, lies elsewhere than the others, or holds something else; or more samples are
            to be kept than there are.
    """
    progress = progress or Progress()
    sums: MonteCarloSums | None = None
    kept: list[NDArray[np.uint8]] = []
    masks, grid = 0, None
    progress.start(f"import {case_name}", len(source.files))
    places: dict[str, None] = {}
    for sample, grid, found in source.samples():
        places |= dict.fromkeys(found)
        progress.check_cancelled()
        sums = sums or MonteCarloSums(grid.shape)
        sums.add(sample)
        masks += sample.dtype == bool
        if len(kept) < keep_samples:
            kept.append(to_levels(sample.astype(np.float32)))
        progress.advance(1 if sums.samples <= len(source.files) else 0, f"sample {sums.samples}")
    if sums is None or grid is None:
        raise InputError(f"{', '.join(source.files)}: there is no sample in it. Give files with one sample or more.")
    _require_not_classes(source, sums)
    if len(kept) < keep_samples:
        raise InputError(f"{keep_samples} samples are to be saved, but there are {sums.samples}. Save fewer.")
    notes, warnings = _told(case_name, tool, sums.samples, masks)
    warnings = [*(f"{case_name}: {text}" for text in places), *warnings]
    prediction = Prediction(
        sums.mean_probability().astype(np.float32),
        sums.uncertainty(),
        sums.samples,
        notes=notes,
        kept_samples=np.stack(kept) if kept else np.empty((0, *grid.shape), np.uint8),
    )
    if not prediction.segmentation.any():
        warnings.append(f"{case_name}: the segmentation is empty")
    for note in notes:
        progress.message(note)
    for warning in warnings:
        progress.warning(warning)
    report = {
        "notice": NOTICE,
        "case": case_name,
        "label": label,
        "tool": tool,
        "fusion": None,
        "weights": None,
        "samples": sums.samples,
        **report_of_maps(prediction, grid),
        "notes": list(notes),
        "warnings": warnings,
        "unlike_training": None,
        # Names of files may name patients.
        MADE_FROM: {
            "files": [file_digest(path) for file in source.files if (path := split_reference(file)[0]).is_file()],
            "grid": grid_digest(grid),
        },
    }
    return prediction, grid, report


def _require_not_classes(source: SampleFiles, sums: MonteCarloSums) -> None:
    """Refuse as many maps as classes, one a file, that add up to 1."""
    if sums.samples > 1 and bool(np.all(np.abs(sums.mean_probability() * sums.samples - 1) < _ROUNDED * sums.samples)):
        raise InvalidImageError(
            f"{', '.join(source.files)}: these maps add up to 1 in every voxel: they are the probabilities of classes, "
            "not samples of one. Give the foreground's alone."
        )


def _told(case_name: str, tool: str, samples: int, masks: int) -> tuple[tuple[str, ...], list[str]]:
    """Notes and warnings about where a prediction comes from."""
    kinds = [
        f"{count} {what}{'' if count == 1 else 's'}"
        for count, what in ((samples - masks, "probability map"), (masks, "mask"))
        if count
    ]
    notes = [f"{case_name} was predicted by {tool}, imported as {' and '.join(kinds)}"]
    warnings = []
    if samples == 1 and masks:
        warnings.append(
            f"{case_name}: a single mask says nothing of its uncertainty, so every entropy is 0. Import a probability, "
            "or several samples"
        )
    elif samples == 1:
        notes.append(
            "of a single probability it is not known which part of the entropy is epistemic: the mutual information is "
            "0 for that reason alone"
        )
    return tuple(notes), warnings
