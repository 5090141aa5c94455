"""Monte Carlo samples that a prediction keeps: one small image each, beside its maps.

The last digits of a sample are noise, which no compression shortens; rounded to 255ths most of its voxels are 0 or 1,
and its file is fifty times smaller. Each sample is an image as any other, which every viewer opens.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats.images import read_image
from ObserverUncertaintyLib.formats.marks import ResultKind
from ObserverUncertaintyLib.formats.prediction_files import REPORT_FILE, SAMPLES_FOLDER, SAVED_SAMPLES
from ObserverUncertaintyLib.formats.writing import write_image
from ObserverUncertaintyLib.images.grid import Grid, require_same_grid

_LEVELS = np.float32(255)

ROUNDING = 1 / 510
"""By how much a probability of a saved sample may be off."""


@dataclass(frozen=True)
class SavedSamples:
    """The samples that a prediction kept.

    Attributes:
        probability: foreground probability, float32, shape (sample, k, j, i), in [0, 1], off by at most `ROUNDING`;
            where it exceeds one half is exactly where the sample did.
        grid: the case's voxel grid.
    """

    probability: NDArray[np.float32]
    grid: Grid


def to_levels(probability: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A sample in 255ths, of any shape.

    One half is no whole number of 255ths: what exceeds it still does, and what is exactly one half still does not.
    """
    return np.ceil(probability * _LEVELS - np.float32(0.5)).astype(np.uint8)


def write_samples(
    folder: Path, levels: NDArray[np.uint8], grid: Grid, extension: str = ".nii.gz", *, compress: bool = True
) -> dict[str, Any]:
    """Write the samples of one case.

    Args:
        folder: the case's folder of predictions.
        levels: the samples in 255ths, shape (sample, k, j, i).
        grid: the case's voxel grid.
        extension: the files' format.
        compress: as for `write_image`.

    Returns:
        What the prediction's report says of them under `SAVED_SAMPLES`: their files, and what they cost.
    """
    started = time.monotonic()
    names = [f"{SAMPLES_FOLDER}/sample{number + 1:03d}{extension}" for number in range(len(levels))]

    def write(number: int) -> int:
        file = folder / names[number]
        write_image(file, levels[number] / _LEVELS, grid, compress=compress, kind=ResultKind.PREDICTED)
        return file.stat().st_size

    with ThreadPoolExecutor() as writers:
        size = sum(writers.map(write, range(len(names))))
    return {"files": names, "megabytes": round(size / 1e6, 3), "seconds": round(time.monotonic() - started, 3)}


def read_samples(folder: str | Path) -> SavedSamples:
    """Read the samples that a case's prediction kept, in the order in which they were drawn.

    Args:
        folder: the case's folder of predictions.

    Raises:
        InputError: the prediction kept none, or a file is missing, damaged or lies elsewhere.
    """
    folder = Path(folder)
    files = saved_sample_files(folder)
    if not files:
        raise InputError(
            f"{folder} holds a prediction without saved samples; what is asked for needs them. Predict the case again, "
            "and have samples saved."
        )
    volumes = [read_image(file) for file in files]
    for file, volume in zip(files[1:], volumes[1:], strict=True):
        require_same_grid(
            volumes[0].grid,
            str(files[0]),
            volume.grid,
            str(file),
            "Samples of one prediction lie on one grid; predict the case again.",
        )
    return SavedSamples(np.stack([volume.array for volume in volumes]), volumes[0].grid)


def saved_sample_files(folder: Path) -> list[Path]:
    """The files of the samples that a prediction's report names, in the order in which they were drawn.

    Raises:
        InputError: the report cannot be read.
    """
    file = folder / REPORT_FILE
    try:
        saved = json.loads(file.read_text(encoding="utf-8")).get(SAVED_SAMPLES)
        return [folder / str(name) for name in saved["files"]] if saved else []
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{file} cannot be read ({error!r}), so it is not known which samples were saved. Expected the report that "
            "a prediction writes last; predict the case again."
        ) from error
