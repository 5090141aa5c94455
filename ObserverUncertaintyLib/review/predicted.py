"""The maps of one predicted case that a review looks at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.paths import why_absent
from ObserverUncertaintyLib.formats.images import Volume, read_image
from ObserverUncertaintyLib.formats.prediction_files import (
    ONE_HALF,
    PROBABILITY_FILE,
    REPORT_FILE,
    segmentation_level,
)
from ObserverUncertaintyLib.images.grid import Grid, require_same_grid
from ObserverUncertaintyLib.review.checks import require_share


@dataclass(frozen=True)
class PredictedMaps:
    """A predicted case.

    Attributes:
        grid: the voxel grid.
        probability: foreground probability, float32, shape (k, j, i), in [0, 1].
        expected_entropy: mean entropy of the samples in bits, same shape; None where no such map lies there, as of a
            model that draws no samples.
        level: the probability above which a voxel is segmented.
        warnings: what the user should know about the place and the size of the voxels.
    """

    grid: Grid
    probability: NDArray[np.float32]
    expected_entropy: NDArray[np.float32] | None
    level: float = ONE_HALF
    warnings: tuple[str, ...] = ()


def read_predicted_probability(folder: str | Path) -> Volume:
    """Read `probability.nii.gz` of one case; arguments and errors as for `read_predicted`."""
    file = Path(folder) / PROBABILITY_FILE
    if not file.is_file():
        if reason := why_absent(file):
            raise InputError(f"{file} cannot be read: {reason}.")
        raise InputError(
            f"{file} is not there; expected the folder of one predicted case. Of a folder of predictions give one of "
            "the folders in it."
        )
    volume = read_image(file)
    require_share(volume.array, volume.grid, str(file))
    return volume


def read_predicted(folder: str | Path) -> PredictedMaps:
    """Read `probability.nii.gz` of one case, and `expected_entropy.nii.gz` if it lies beside it.

    Args:
        folder: the case's folder, as `predict` or any other program wrote it.

    Raises:
        InputError: there is no probability, or a file holds something else or lies on another grid.
    """
    volume = read_predicted_probability(folder)
    expected = read_predicted_map(folder, "expected_entropy", volume.grid)
    warnings = tuple(f"{Path(folder) / PROBABILITY_FILE}: {warning}" for warning in volume.warnings)
    return PredictedMaps(volume.grid, volume.array, expected, _level(Path(folder) / REPORT_FILE), warnings)


def read_predicted_map(folder: str | Path, name: str, grid: Grid) -> NDArray[np.float32] | None:
    """Read another map of a predicted case; None if it does not lie there.

    Args:
        folder: the case's folder.
        name: of the map, such as "expected_entropy".
        grid: that of its probability.

    Raises:
        InputError: the file holds something else than shares or bits from 0 to 1, or lies on another grid.
    """
    beside = Path(folder) / f"{name}.nii.gz"
    if not beside.is_file():
        return None
    found = read_image(beside)
    advice = "Maps of one prediction lie on one grid; predict the case again."
    require_same_grid(grid, f"the probability in {folder}", found.grid, str(beside), advice)
    require_share(found.array, found.grid, str(beside))
    return found.array


def _level(report: Path) -> float:
    """The level that a report names; one half without a report, as of any other program."""
    try:
        return segmentation_level(json.loads(report.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return ONE_HALF
    except (OSError, AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"{report} cannot be read ({error}), so it is not known at which probability the case was segmented. "
            "Predict the case again, or delete this file for one half."
        ) from error
