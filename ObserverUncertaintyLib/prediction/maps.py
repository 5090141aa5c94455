"""A prediction's maps: what they are, what is reported of them, and how they are written to a folder.

Needs no torch, so that what another program predicted becomes a prediction anywhere.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.output_files import write_json
from ObserverUncertaintyLib.formats import write_image
from ObserverUncertaintyLib.formats.marks import ResultKind
from ObserverUncertaintyLib.formats.prediction_files import (
    EXPECTED_DICE,
    NOT_LOOKED_AT,
    ONE_HALF,
    PREDICTED_MAPS,
    REPORT_FILE,
    SAVED_SAMPLES,
    SEGMENTATION_LEVEL,
)
from ObserverUncertaintyLib.formats.prediction_samples import write_samples
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.quality import expected_dice
from ObserverUncertaintyLib.scores.entropy import Uncertainty


@dataclass(frozen=True)
class Prediction:
    """A prediction for one case, on the case's own grid.

    Attributes:
        probability: mean foreground probability of the samples, float32, shape (k, j, i), in [0, 1].
        uncertainty: predictive entropy and its two parts in bits.
        samples: number of samples.
        batch_size: slices that were computed at a time; None where another program did it.
        not_looked_at: bool, shape (k, j, i), where the network saw nothing, and probability and entropies are 0 for
            that reason alone; None if it saw everything.
        notes: what was done to the case (resampled to the model's grid).
        warnings: what the user should know about the case and what the network sees of it.
        unlike_training: in what the case is unlike the training images; None if in nothing, or if nothing is known.
        kept_samples: the first samples in 255ths, uint8, shape (sample, k, j, i), as `write_samples` takes them; as
            many as were asked for.
        level: the probability above which a voxel is segmented: one half, or what a calibration makes of it.
    """

    probability: NDArray[np.float32]
    uncertainty: Uncertainty
    samples: int
    batch_size: int | None = None
    not_looked_at: NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unlike_training: str | None = None
    kept_samples: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 0, 0, 0), np.uint8))
    level: float = ONE_HALF

    @property
    def segmentation(self) -> NDArray[np.bool_]:
        """Voxels with a probability above the level, shape (k, j, i)."""
        return self.probability > self.level


def report_of_maps(prediction: Prediction, grid: Grid) -> dict[str, Any]:
    """What a report says of a prediction's maps.

    Args:
        prediction: the prediction.
        grid: its grid.
    """
    segmented, unseen = prediction.segmentation, prediction.not_looked_at
    dice = expected_dice(prediction.probability, prediction.level)
    return {
        "volume_ml": round(float(np.count_nonzero(segmented)) * grid.voxel_volume_ml, 4),
        EXPECTED_DICE: None if math.isnan(dice) else round(dice, 4),
        "not_looked_at_ml": 0.0 if unseen is None else float(np.count_nonzero(unseen)) * grid.voxel_volume_ml,
        "mean_entropy": float(prediction.uncertainty.predictive.mean()),
        "entropy_unit": "bits: 0 is sure, 1 is the most unsure",
        SEGMENTATION_LEVEL: prediction.level,
    }


def save_prediction(
    folder: Path,
    grid: Grid,
    prediction: Prediction,
    report: dict[str, Any],
    extension: str = ".nii.gz",
    *,
    compress: bool = True,
) -> dict[str, Path]:
    """Write a prediction's maps and kept samples; the report comes last, so that a folder with one is complete.

    Args:
        folder: where the files go; it is made.
        grid: the case's voxel grid.
        prediction: the case's prediction.
        report: what is told of it.
        extension: the maps' format.
        compress: as for `write_image`.

    Returns:
        The files by name: the maps', "report", and "not_looked_at" if there is such a place. Samples that were kept are
        named in the report alone.
    """
    uncertainty = prediction.uncertainty
    arrays = (
        prediction.probability,
        prediction.segmentation,
        uncertainty.predictive,
        uncertainty.expected,
        uncertainty.mutual_information,
    )
    maps: dict[str, np.ndarray[Any, Any]] = dict(zip(PREDICTED_MAPS, arrays, strict=True))
    if prediction.not_looked_at is not None:
        maps[NOT_LOOKED_AT] = prediction.not_looked_at
    files = {name: folder / f"{name}{extension}" for name in maps}
    with ThreadPoolExecutor() as writers:  # compressing takes the time, and threads share it
        for written in [
            writers.submit(write_image, files[name], values, grid, compress=compress, kind=ResultKind.PREDICTED)
            for name, values in maps.items()
        ]:
            written.result()
    unseen = files[NOT_LOOKED_AT].name if NOT_LOOKED_AT in files else None
    kept = prediction.kept_samples
    saved = write_samples(folder, kept, grid, extension, compress=compress) if len(kept) else None
    write_json(folder / REPORT_FILE, {**report, NOT_LOOKED_AT: unseen, SAVED_SAMPLES: saved})
    return {**files, "report": folder / REPORT_FILE}
