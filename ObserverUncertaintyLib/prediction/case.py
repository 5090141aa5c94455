"""One case's prediction with its report: made, and written to a folder that is complete or has no report."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ObserverUncertaintyLib.base.output_files import write_json
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.fingerprints import grid_digest
from ObserverUncertaintyLib.formats import write_image
from ObserverUncertaintyLib.formats.marks import ResultKind
from ObserverUncertaintyLib.formats.prediction_files import (
    EXPECTED_DICE,
    MADE_FROM,
    NOT_LOOKED_AT,
    PREDICTED_MAPS,
    REPORT_FILE,
    SAVED_SAMPLES,
)
from ObserverUncertaintyLib.formats.prediction_samples import write_samples
from ObserverUncertaintyLib.model.description import NOTICE, ModelDescription
from ObserverUncertaintyLib.model.devices import describe_device
from ObserverUncertaintyLib.model.precision import choose_precision
from ObserverUncertaintyLib.model.settings import PredictionSettings
from ObserverUncertaintyLib.prediction.inference import OnSample, Prediction, predict
from ObserverUncertaintyLib.review.quality import expected_dice


def predict_case(
    network: nn.Module,
    description: ModelDescription,
    case: Case,
    settings: PredictionSettings,
    *,
    weights: str,
    made_from: dict[str, Any] | None = None,
    skull_stripped: bool | None = None,
    keep_samples: int = 0,
    progress: Progress | None = None,
    on_sample: OnSample | None = None,
) -> tuple[Prediction, dict[str, Any]]:
    """Predict one case, and say in a report how; notes and warnings are passed on to `progress` too.

    Args:
        network: the model's network, on the device to be used.
        description: the model's description.
        case: the case.
        settings: what decides the prediction.
        weights: digest of the model's weights, for the report.
        made_from: the report's fingerprints, if they are known already.
        skull_stripped: whether the images show the brain only, if known.
        keep_samples: how many of the samples are kept, the first ones; `save_prediction` writes them.
        progress: is told of every batch, and can cancel.
        on_sample: is told of every sample; see `inference.predict`.

    Raises:
        InputError: the model cannot be used on this case, or more samples are to be kept than are drawn.
        DeviceError: the device ran out of memory.
    """
    started = time.monotonic()
    progress = progress or Progress()
    prediction = predict(
        network,
        description,
        case,
        settings,
        skull_stripped=skull_stripped,
        keep_samples=keep_samples,
        progress=progress,
        on_sample=on_sample,
    )
    device = next(network.parameters()).device
    made_from = made_from or prediction_origin(case, description, weights, settings)
    report = _report(case, prediction, description, settings, made_from["images"])
    report["weights"] = weights
    report[MADE_FROM] = made_from
    report["device"] = describe_device(device)
    report["precision_used"] = choose_precision(settings.precision, device).value
    report["seconds"] = round(time.monotonic() - started, 2)
    for text in report["notes"]:
        progress.message(text)
    for text in report["warnings"]:
        progress.warning(text)
    return prediction, report


def save_prediction(
    folder: Path,
    case: Case,
    prediction: Prediction,
    report: dict[str, Any],
    extension: str = ".nii.gz",
    *,
    compress: bool = True,
) -> dict[str, Path]:
    """Write a prediction's maps and kept samples; the report comes last, so that a folder with one is complete.

    Args:
        folder: where the files go; it is made.
        case: the case.
        prediction: its prediction.
        report: what `predict_case` tells of it.
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
            writers.submit(write_image, files[name], values, case.grid, compress=compress, kind=ResultKind.PREDICTED)
            for name, values in maps.items()
        ]:
            written.result()
    unseen = files[NOT_LOOKED_AT].name if NOT_LOOKED_AT in files else None
    kept = prediction.kept_samples
    saved = write_samples(folder, kept, case.grid, extension, compress=compress) if len(kept) else None
    write_json(folder / REPORT_FILE, {**report, NOT_LOOKED_AT: unseen, SAVED_SAMPLES: saved})
    return {**files, "report": folder / REPORT_FILE}


def _report(
    case: Case, prediction: Prediction, description: ModelDescription, settings: PredictionSettings, images: str
) -> dict[str, Any]:
    warnings = list(case.warnings + prediction.warnings)
    if images in description.training["case_images"]:
        warnings.append(f"{case.name} was in the model's training set: its scores say nothing about new cases")
    segmented, unseen = prediction.segmentation, prediction.not_looked_at
    dice = expected_dice(prediction.probability)
    if not segmented.any():
        warnings.append(f"{case.name}: the segmentation is empty")
    return {
        "notice": NOTICE,
        "case": case.name,
        "label": description.label,
        "fusion": description.training["fusion"],
        **asdict(settings),
        "batch_size": prediction.batch_size,
        "sequences": list(description.present(case.sequences)),
        "missing_sequences": list(description.lacking(case.sequences)),
        "volume_ml": round(float(np.count_nonzero(segmented)) * case.grid.voxel_volume_ml, 4),
        EXPECTED_DICE: None if math.isnan(dice) else round(dice, 4),
        "not_looked_at_ml": 0.0 if unseen is None else float(np.count_nonzero(unseen)) * case.grid.voxel_volume_ml,
        "mean_entropy": float(prediction.uncertainty.predictive.mean()),
        "entropy_unit": "bits: 0 is sure, 1 is the most unsure",
        "notes": list(case.notes + prediction.notes),
        "warnings": warnings,
        "unlike_training": prediction.unlike_training,
    }


def prediction_origin(
    case: Case, description: ModelDescription, weights: str, settings: PredictionSettings
) -> dict[str, Any]:
    """What a prediction depends on; a case without the model's sequences is refused."""
    description.check_case(case)
    lacking = description.lacking(case.sequences)
    return {
        "images": case.with_sequences(description.present(case.sequences)).image_digest,
        "grid": grid_digest(case.grid),
        "weights": weights,
        "model": description.digest,
        "settings": asdict(settings),
        # The same image given as another sequence has the same fingerprint.
        **({"missing": list(lacking)} if lacking else {}),
    }
