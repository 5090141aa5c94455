"""How long a network computes on this computer's processor: a rough rule, so that nobody waits without knowing.

Measured on a server's processor in float32, for networks between 1 and 62 billion operations a slice: 90 billion
operations of convolutions and 45 million values of dropout, normalisation and activation a second for each logical
processor. The rule takes two thirds of the former, since most computers are slower. It counts the whole image, though a
model may crop it: the true time is rather shorter.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.jobs import JobProgress
from ObserverUncertaintyLib.model.preprocessing import SliceAxis, in_plane_spacing
from ObserverUncertaintyLib.model.settings import TrainingSettings
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.modelCards import ModelCard

OPERATIONS_PER_SECOND = 60e9
VALUES_PER_SECOND = 45e6
PREDICTION_FACTOR = 0.5
"""A pass in prediction, beside the rule for a forward pass in training: about a third was measured for networks of 0.3
to 43 billion operations a slice (`Sampler`, float32); half is taken, since most computers are slower."""
MOST_PROCESSORS = 16
"""More of them do not make one slice faster."""
STARTUP_SECONDS = 10.0
TRAINING_FACTOR = 3.0
"""A training step computes the slice forwards, and twice as much backwards."""
STRUCTURE_PART = 0.25
"""The part of the slices that show the structure, where only a multiple of those is trained on."""

_AXES = {SliceAxis.SAGITTAL: 0, SliceAxis.CORONAL: 1, SliceAxis.AXIAL: 2}


def estimateSeconds(card: ModelCard, grid: Grid, samples: int) -> float:
    """About how long Monte Carlo dropout of a case takes on this computer's processor, in seconds.

    Args:
        card: the model.
        grid: the case's voxel grid.
        samples: T.
    """
    preprocessing = card.description.preprocessing
    slices, pixels = _slices(grid, preprocessing.slice_axis, preprocessing.spacing)
    if preprocessing.minimum_size is not None:
        pixels = max(pixels, preprocessing.minimum_size[0] * preprocessing.minimum_size[1])
    seconds = _secondsPerSlice(card.description.architecture, pixels)
    return STARTUP_SECONDS + PREDICTION_FACTOR * samples * slices * seconds


def estimateTrainingSeconds(settings: TrainingSettings, sequences: int, grid: Grid, cases: int) -> float:
    """About how long a training takes on this computer's processor, in seconds.

    Args:
        settings: of the training.
        sequences: number of input images.
        grid: of a typical case.
        cases: their number.
    """
    slices, pixels = _slices(grid, settings.slice_axis, settings.spacing)
    architecture = {"sequences": sequences, "depth": settings.depth, "filters": settings.filters}
    part = 1.0
    if settings.background_slices is not None:
        part = min(1.0, STRUCTURE_PART * (1 + settings.background_slices))
    steps = settings.epochs * cases * slices * part
    return STARTUP_SECONDS + TRAINING_FACTOR * steps * _secondsPerSlice(architecture, pixels)


def networkCost(architecture: Mapping[str, Any], pixels: float) -> tuple[float, float]:
    """Floating point operations of the convolutions, and values they give, of one slice in the U-Net."""
    operations = values = 0.0
    channels = architecture["sequences"]
    for level in range(architecture["depth"] + 1):
        width = architecture["filters"] * 2**level
        here = pixels / 4**level
        pairs, outputs = channels * width + width * width, 2 * width
        if level < architecture["depth"]:
            # Upsampled from twice as many filters, joined with what was skipped, then two convolutions.
            pairs += 2 * width * width + 2 * width * width + width * width
            outputs += 3 * width
        operations += 2 * 9 * pairs * here
        values += outputs * here
        channels = width
    return operations, values


def durationText(seconds: float) -> str:
    """A duration as people say it: 40 s, 3 min, 2 h 5 min, 3 days."""
    if seconds < 90:
        return _("{seconds} s").format(seconds=round(seconds))
    minutes = round(seconds / 60)
    if minutes < 60:
        return _("{minutes} min").format(minutes=minutes)
    if minutes < 48 * 60:
        return _("{hours} h {minutes} min").format(hours=minutes // 60, minutes=minutes % 60)
    return _("{days} days").format(days=round(minutes / (24 * 60)))


def _secondsPerSlice(architecture: Mapping[str, Any], pixels: float) -> float:
    operations, values = networkCost(architecture, pixels)
    processors = min(os.cpu_count() or 1, MOST_PROCESSORS)
    return (operations / OPERATIONS_PER_SECOND + values / VALUES_PER_SECOND) / processors


def _slices(grid: Grid, axis: SliceAxis, spacing: tuple[float, float] | None) -> tuple[int, float]:
    """Number of slices of a grid in a direction, and the pixels of each at a spacing in mm (its own if None)."""
    if grid.dimension == 2:
        slices, area = 1, grid.size[0] * grid.spacing[0] * grid.size[1] * grid.spacing[1]
    else:
        row = [abs(value) for value in grid.direction[3 * _AXES[axis] : 3 * _AXES[axis] + 3]]
        along = row.index(max(row))
        lengths = [size * step for size, step in zip(grid.size, grid.spacing, strict=True)]
        slices = grid.size[along]
        area = lengths[0] * lengths[1] * lengths[2] / lengths[along]
    rows, columns = spacing or in_plane_spacing(grid, axis)
    return slices, area / (rows * columns)


def progressText(progress: JobProgress) -> str:
    """What a job does and how long it still takes, in one line."""
    parts = [part for part in (progress.task, progress.detail) if part]
    if progress.seconds_left is not None:
        parts.append(_("about {time} left").format(time=durationText(progress.seconds_left)))
    return ", ".join(parts) or _("Starting")
