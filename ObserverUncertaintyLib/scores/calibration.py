"""Calibration in bins that can be added up: of one case, or of the voxels of many together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class CalibrationBins:
    """What the voxels in each bin of the foreground probability hold; bins of two cases can be added.

    Attributes:
        voxels: number of voxels, shape (bin,).
        probability: sum of their foreground probability, shape (bin,).
        raters: sum of the fraction of raters that marked them, shape (bin,).
    """

    voxels: NDArray[np.int64]
    probability: NDArray[np.float64]
    raters: NDArray[np.float64]

    @classmethod
    def of(cls, probability: NDArray[Any], rater_mean: NDArray[Any], bins: int = CALIBRATION_BINS) -> CalibrationBins:
        """Sort voxels into bins of equal width over [0, 1].

        Args:
            probability: foreground probability of each voxel, any shape, in [0, 1]; exactly 1 is in the last bin.
            rater_mean: fraction of raters that marked it, same shape.
            bins: number of bins.
        """
        p, target = np.ravel(probability).astype(np.float64), np.ravel(rater_mean).astype(np.float64)
        index = np.minimum((p * bins).astype(np.int64), bins - 1)
        return cls(
            np.bincount(index, minlength=bins),
            np.asarray(np.bincount(index, weights=p, minlength=bins), np.float64),
            np.asarray(np.bincount(index, weights=target, minlength=bins), np.float64),
        )

    def __add__(self, other: CalibrationBins) -> CalibrationBins:
        """The bins of the voxels of both together."""
        return CalibrationBins(
            self.voxels + other.voxels, self.probability + other.probability, self.raters + other.raters
        )

    def error(self) -> float:
        """ECE: sum over bins of (voxels in bin / voxels) * |mean probability - mean rater fraction|.

        NaN without voxels.

        Source: Naeini et al., AAAI 2015; Guo et al., ICML 2017; with the raters' mean in the place of a hard label.
        """
        voxels = int(self.voxels.sum())
        return float(np.abs(self.probability - self.raters).sum() / voxels) if voxels else float("nan")

    def to_json(self) -> dict[str, list[float]]:
        """The bins as lists, for `from_json`."""
        return {name: values.tolist() for name, values in vars(self).items()}

    @classmethod
    def from_json(cls, content: dict[str, list[float]]) -> CalibrationBins:
        """Bins from what `to_json` made."""
        return cls(np.array(content["voxels"], np.int64), np.array(content["probability"]), np.array(content["raters"]))
