"""One case's prediction with its report."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from torch import nn

from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.fingerprints import grid_digest
from ObserverUncertaintyLib.formats.prediction_files import MADE_FROM
from ObserverUncertaintyLib.model.calibration import Calibration
from ObserverUncertaintyLib.model.description import NOTICE, ModelDescription
from ObserverUncertaintyLib.model.devices import describe_device
from ObserverUncertaintyLib.model.precision import choose_precision
from ObserverUncertaintyLib.model.settings import PredictionSettings
from ObserverUncertaintyLib.prediction.inference import OnSample, predict
from ObserverUncertaintyLib.prediction.maps import Prediction, report_of_maps


def predict_case(
    network: nn.Module,
    description: ModelDescription,
    case: Case,
    settings: PredictionSettings,
    *,
    weights: str,
    made_from: dict[str, Any] | None = None,
    skull_stripped: bool | None = None,
    calibration: Calibration | None = None,
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
        calibration: the model's, if it is to be applied.
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
        calibration=calibration.map if calibration else None,
        keep_samples=keep_samples,
        progress=progress,
        on_sample=on_sample,
    )
    device = next(network.parameters()).device
    made_from = made_from or prediction_origin(case, description, weights, settings, calibration)
    report = _report(case, prediction, description, settings, made_from["images"], calibration)
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


def _calibration_note(case: Case, prediction: Prediction, calibration: Calibration | None) -> list[str]:
    if calibration is None:
        return []
    return [f"{case.name}: probabilities are {calibration.summary}; the contour lies at {prediction.level:.2f}"]


def _report(
    case: Case,
    prediction: Prediction,
    description: ModelDescription,
    settings: PredictionSettings,
    images: str,
    calibration: Calibration | None,
) -> dict[str, Any]:
    warnings = list(case.warnings + prediction.warnings)
    if images in description.training["case_images"]:
        warnings.append(f"{case.name} was in the model's training set: its scores say nothing about new cases")
    if not prediction.segmentation.any():
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
        **report_of_maps(prediction, case.grid),
        "notes": [*case.notes, *prediction.notes, *_calibration_note(case, prediction, calibration)],
        "warnings": warnings,
        "unlike_training": prediction.unlike_training,
        "calibration": calibration.summary if calibration else None,
    }


def prediction_origin(
    case: Case,
    description: ModelDescription,
    weights: str,
    settings: PredictionSettings,
    calibration: Calibration | None = None,
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
        **({"calibration": calibration.map.digest} if calibration else {}),
        # The same image given as another sequence has the same fingerprint.
        **({"missing": list(lacking)} if lacking else {}),
    }
