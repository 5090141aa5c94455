"""The files of one case's prediction, by their names in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROBABILITY_FILE = "probability.nii.gz"
"""A prediction's mean foreground probability, `<case>/probability.nii.gz`: all that scoring needs."""

REPORT_FILE = "prediction.json"
"""What `predict` reports beside it: settings, notes and warnings."""

SETTINGS_FILE = "settings.json"
"""In the folder of all cases: what they were predicted with, once there is one."""

MADE_FROM = "made_from"
"""In that report: fingerprints of the images, their grid and the model, and the settings."""

PREDICTED_MAPS = ("probability", "segmentation", "predictive_entropy", "expected_entropy", "mutual_information")
"""The maps of a prediction, by the names of their files beside its report."""

NOT_LOOKED_AT = "not_looked_at"
"""A further mask, and the report's entry that names its file: where the network saw nothing."""

SAMPLES_FOLDER = "samples"
"""A folder beside the maps, with the samples that the prediction kept."""

SAVED_SAMPLES = "saved_samples"
"""The report's entry that names their files and says what they cost; `prediction_samples` reads them."""

EXPECTED_DICE = "expected_dice"
"""The report's entry with the Dice to be expected with the raters' majority; null if nothing is segmented."""

SEGMENTATION_LEVEL = "segmentation_level"
"""The report's entry with the probability above which a voxel is segmented; `segmentation_level` reads it."""

ONE_HALF = 0.5
"""The level of every prediction that is not calibrated."""


def segmentation_level(report: Mapping[str, Any]) -> float:
    """The level that a report names, in (0, 1); one half where it names none.

    Raises:
        ValueError: it names something else.
    """
    level = report.get(SEGMENTATION_LEVEL, ONE_HALF)
    if not isinstance(level, int | float) or not 0 < level < 1:
        raise ValueError(f"{level!r} is no level between 0 and 1")
    return float(level)


def predicted_files(folder: Path) -> list[Path]:
    """The files of one case's prediction in its folder, the report first: it says that the others are complete.

    Of samples those are named that are there, since their number differs.
    """
    maps = [folder / f"{name}.nii.gz" for name in (*PREDICTED_MAPS, NOT_LOOKED_AT)]
    return [folder / REPORT_FILE, *maps, *sorted((folder / SAMPLES_FOLDER).glob("sample*.nii.gz"))]
