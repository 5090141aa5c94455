"""A patient's own brain MRI as the anatomy of simulated patients: its tissue, and its images as relative signals."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.cluster.vq import kmeans2

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.loading import load_case
from ObserverUncertaintyLib.formats.references import EXTENSIONS, extension, stem
from ObserverUncertaintyLib.simulation.anatomy import Anatomy
from ObserverUncertaintyLib.simulation.appearance import SIGNAL
from ObserverUncertaintyLib.simulation.cavity_contents import SEQUENCES
from ObserverUncertaintyLib.simulation.random_fields import Field

TISSUES = ("grey", "white", "csf")
_SHARES = (0.5, 0.35, 0.15)
"""About how much of a brain each tissue is."""

_BRAIN_ML = (600.0, 2200.0)
_MOST_OF_THE_EDGE = 0.05
"""Of the voxels at the image's edge, more than these are not black where the skull is still there."""

_VOXELS = 100_000
"""Enough to find three classes."""


@dataclass(frozen=True)
class RealBrain:
    """A healthy brain, or one whose lesions are small, on the grid of its images.

    Attributes:
        anatomy: how much of each voxel is grey matter, white matter and CSF.
        sequences: those of `SEQUENCES` that there are, in that order.
        signals: relative signals as in `appearance.SIGNAL`, 0 outside the brain, shape (sequence, k, j, i).
    """

    anatomy: Anatomy
    sequences: tuple[str, ...]
    signals: Field


def read_real_brain(folder: str | Path) -> RealBrain:
    """Read a folder of skull-stripped images on one grid, named after their sequences: T1.nii.gz, FLAIR.nrrd.

    Raises:
        InputError: no image has such a name, the grids differ, the head is not skull-stripped, or an image does not
            look like the sequence that it is named after.
    """
    folder = Path(folder)
    files = _image_files(folder)
    case = load_case(folder.name or "anatomy", files, {})
    brain = _brain(case, folder)
    anatomy = _tissue(case, brain)
    signals = np.stack(
        [_relative(image, anatomy, name, files[name]) for name, image in zip(case.sequences, case.images, strict=True)]
    )
    return RealBrain(anatomy, case.sequences, signals)


def _image_files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder. Give one with a patient's images, such as T1.nii.gz.")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if extension(path):
            found.setdefault(stem(path).upper(), []).append(path)
    files = {}
    for sequence in SEQUENCES:
        candidates = found.get(sequence.upper(), [])
        if len(candidates) > 1:
            raise InputError(f"{folder} has {' and '.join(path.name for path in candidates)}. Keep one of them.")
        if candidates:
            files[sequence] = candidates[0]
    if not files:
        raise InputError(
            f"{folder} has no image named after a sequence. Name one or more {', '.join(SEQUENCES)}, with one of the "
            f"endings {', '.join(EXTENSIONS)}."
        )
    return files


def _brain(case: Case, folder: Path) -> NDArray[np.bool_]:
    """The largest piece that is not black on any sequence, without holes."""
    seen: NDArray[np.bool_] = np.logical_or.reduce(case.images > 0, axis=0)
    edge = np.ones(seen.shape, bool)
    edge[1:-1, 1:-1, 1:-1] = False
    if seen[edge].mean() > _MOST_OF_THE_EDGE:
        raise InputError(
            f"{folder}: {100 * seen[edge].mean():.0f} % of the image's edge is not black. Give skull-stripped images, "
            "exactly 0 outside the brain."
        )
    labels, count = ndimage.label(ndimage.binary_opening(seen, iterations=2))
    sizes = np.bincount(labels.ravel(), minlength=2)[1:]
    brain = ndimage.binary_fill_holes(labels == 1 + int(np.argmax(sizes))) if count else seen
    volume = np.count_nonzero(brain) * case.grid.voxel_volume_ml
    if not _BRAIN_ML[0] <= volume <= _BRAIN_ML[1]:
        raise InputError(
            f"{folder}: {volume:.0f} mL are not black; a brain has {_BRAIN_ML[0]:.0f} to {_BRAIN_ML[1]:.0f}. Give "
            "skull-stripped images of a whole brain."
        )
    return np.asarray(brain, bool)


def _tissue(case: Case, brain: NDArray[np.bool_]) -> Anatomy:
    """Three classes by brightness, and how near each voxel is to each (fuzzy c-means, m = 2).

    By T1 if there is one, since lesions and oedema change it least; else by the first of the other sequences.
    """
    first = case.with_sequences(case.sequences[:1])
    values = first.images[:, brain].T.astype(np.float64)
    values = values / np.median(values, axis=0)
    expected = np.array([[SIGNAL[tissue][SEQUENCES.index(first.sequences[0])]] for tissue in TISSUES])
    expected = expected / (np.array(_SHARES) @ expected)
    spread = expected.std(axis=0)
    some = values[:: max(1, len(values) // _VOXELS)]
    centres, _ = kmeans2(some / spread, expected / spread, minit="matrix", iter=30)
    # Squared distances, a voxel's own class at 1 where it lies on the centre.
    distance = np.stack([np.square(values / spread - centre).sum(axis=1) for centre in centres]) + 1e-6
    share = 1 / distance
    share /= share.sum(axis=0)
    maps = np.zeros((3, *case.grid.shape), np.float32)
    maps[:, brain] = share
    return Anatomy(case.grid, *maps)


def _relative(image: Field, anatomy: Anatomy, sequence: str, file: Path) -> Field:
    """An image whose grey matter, white matter and CSF have the medians of `SIGNAL`, straight lines between."""
    found = _medians(image, {name: getattr(anatomy, name) for name in TISSUES})
    wanted = {name: SIGNAL[name][SEQUENCES.index(sequence)] for name in TISSUES}
    order = sorted(TISSUES, key=lambda name: wanted[name])
    steps = [0.0, *(found[name] for name in order)]
    if not all(low < high for low, high in itertools.pairwise(steps)):
        seen = ", ".join(f"{name} {found[name]:.4g}" for name in sorted(TISSUES, key=lambda name: found[name]))
        raise InputError(
            f"{file} does not look like {sequence}: from dark to bright it should be {', '.join(order)}; found {seen}. "
            "Is it another sequence, or not skull-stripped?"
        )
    levels = [0.0, *(wanted[name] for name in order)]
    # Beyond the brightest tissue the last line goes on.
    slope = (levels[-1] - levels[-2]) / (steps[-1] - steps[-2])
    signal = np.interp(image, steps, levels) + slope * np.maximum(image - steps[-1], 0)
    return np.where(anatomy.brain, np.maximum(signal, 1e-3), 0).astype(np.float32)


def _medians(image: Field, tissue: Mapping[str, Field]) -> dict[str, float]:
    return {name: float(np.median(image[share > 0.8])) for name, share in tissue.items()}
