"""Predicting cases into a folder: one sub-folder a case, each complete or absent, continued after an interruption."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ObserverUncertaintyLib.cases import Case
from ObserverUncertaintyLib.devices import choose_device, choose_precision, describe_device
from ObserverUncertaintyLib.files import (
    REPORT_FILE,
    prepare_output_folder,
    refuse_other_settings,
    write_json,
)
from ObserverUncertaintyLib.formats import write_image
from ObserverUncertaintyLib.inference import Prediction, predict
from ObserverUncertaintyLib.model_file import NOTICE, WEIGHTS_FILE, ModelDescription, file_digest, load_model
from ObserverUncertaintyLib.progress import Progress
from ObserverUncertaintyLib.settings import PredictionSettings
from ObserverUncertaintyLib.training_data import image_digest

_SETTINGS_FILE = "settings.json"


@dataclass(frozen=True)
class PredictionRun:
    """What a call predicted: the output folder, the cases' names, and the device in words."""

    folder: Path
    cases: tuple[str, ...]
    device: str
    seconds: float


def predict_cases(
    model: str | Path,
    case_names: Sequence[str],
    load: Callable[[str], Case],
    folder: str | Path,
    settings: PredictionSettings = PredictionSettings(),
    *,
    device: str = "auto",
    skull_stripped: bool | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PredictionRun:
    """Predict cases one after the other into `folder/<case>/`.

    Args:
        model: folder of the trained model.
        case_names: the cases.
        load: loads a case by its name, such as `Cohort.load_images`.
        folder: the output folder.
        settings: what decides the predictions.
        device: "auto", "cpu", "cuda:N" or "mps".
        skull_stripped: whether the images show the brain only, if known.
        resume: keep the cases that are complete and predict the others; the model and settings must be the same.
        overwrite: predict into a folder that holds files.
        progress: is told of every batch, and can cancel.

    Raises:
        InputError: the model, a case or the folder cannot be used.
        DeviceError: the device is absent or ran out of memory.
    """
    started = time.monotonic()
    folder, progress = Path(folder), progress or Progress()
    chosen = choose_device(device)
    network, description = load_model(model, chosen)
    prepare_output_folder(folder, resume=resume, overwrite=overwrite)
    weights = file_digest(Path(model) / WEIGHTS_FILE)
    record = {**asdict(settings), "weights": weights}
    _require_same_settings(folder, record, overwrite)
    left = []
    for name in case_names:
        if resume and (folder / name / REPORT_FILE).exists():
            progress.message(f"{name} is complete already")
        else:
            left.append(name)
    # While a case is computed, the next one is read and the one before is written. Leaving waits for what is written.
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        saved: Future[Any] | None = None
        upcoming = reader.submit(load, left[0]) if left else None
        for number, name in enumerate(left):
            assert upcoming is not None
            case = upcoming.result()
            (folder / name / REPORT_FILE).unlink(missing_ok=True)
            upcoming = reader.submit(load, left[number + 1]) if number + 1 < len(left) else None
            prediction, report = predict_case(
                network, description, case, settings, weights=weights, skull_stripped=skull_stripped, progress=progress
            )
            # Only now, so that a first call with wrong input leaves nothing behind.
            write_json(folder / _SETTINGS_FILE, record)
            if saved is not None:
                saved.result()
            saved = writer.submit(save_prediction, folder / name, case, prediction, report)
        if saved is not None:
            saved.result()
    return PredictionRun(folder, tuple(case_names), describe_device(chosen), time.monotonic() - started)


def predict_case(
    network: nn.Module,
    description: ModelDescription,
    case: Case,
    settings: PredictionSettings,
    *,
    weights: str,
    skull_stripped: bool | None = None,
    progress: Progress | None = None,
) -> tuple[Prediction, dict[str, Any]]:
    """Predict one case, and say in a report how; notes and warnings are passed on to `progress` too.

    Args:
        network: the model's network, on the device to be used.
        description: the model's description.
        case: the case.
        settings: what decides the prediction.
        weights: digest of the model's weights, for the report.
        skull_stripped: whether the images show the brain only, if known.
        progress: is told of every batch, and can cancel.

    Raises:
        InputError: the model cannot be used on this case.
        DeviceError: the device ran out of memory.
    """
    started = time.monotonic()
    progress = progress or Progress()
    prediction = predict(network, description, case, **vars(settings), skull_stripped=skull_stripped, progress=progress)
    device = next(network.parameters()).device
    report = _report(case, prediction, description, settings)
    report["weights"] = weights
    report["device"] = describe_device(device)
    report["precision_used"] = choose_precision(settings.precision, device).value
    report["seconds"] = round(time.monotonic() - started, 2)
    for text in report["notes"]:
        progress.message(text)
    for text in report["warnings"]:
        progress.warning(text)
    return prediction, report


def save_prediction(
    folder: Path, case: Case, prediction: Prediction, report: dict[str, Any], extension: str = ".nii.gz"
) -> dict[str, Path]:
    """Write a prediction's maps on the case's grid; the report comes last, so that a folder with one is complete.

    Returns:
        The files by name: the maps', and "report".
    """
    maps = {
        "probability": prediction.probability,
        "segmentation": prediction.segmentation,
        "predictive_entropy": prediction.uncertainty.predictive,
        "expected_entropy": prediction.uncertainty.expected,
        "mutual_information": prediction.uncertainty.mutual_information,
    }
    files = {name: folder / f"{name}{extension}" for name in maps}
    with ThreadPoolExecutor() as writers:  # compressing takes the time, and threads share it
        for written in [writers.submit(write_image, files[name], values, case.grid) for name, values in maps.items()]:
            written.result()
    write_json(folder / REPORT_FILE, report)
    return {**files, "report": folder / REPORT_FILE}


def _report(
    case: Case, prediction: Prediction, description: ModelDescription, settings: PredictionSettings
) -> dict[str, Any]:
    warnings = list(case.warnings + prediction.warnings)
    if image_digest(case.with_sequences(description.sequences)) in description.training["case_images"]:
        warnings.append(f"{case.name} was in the model's training set: its scores say nothing about new cases")
    segmented = prediction.segmentation
    if not segmented.any():
        warnings.append(f"{case.name}: the segmentation is empty")
    return {
        "notice": NOTICE,
        "case": case.name,
        "label": description.label,
        "fusion": description.training["fusion"],
        **asdict(settings),
        "batch_size": prediction.batch_size,
        "sequences": list(description.sequences),
        "volume_ml": round(float(np.count_nonzero(segmented)) * case.grid.voxel_volume_ml, 4),
        "mean_entropy": float(prediction.uncertainty.predictive.mean()),
        "entropy_unit": "bits: 0 is sure, 1 is the most unsure",
        "notes": list(case.notes + prediction.notes),
        "warnings": warnings,
    }


def _require_same_settings(folder: Path, record: dict[str, Any], overwrite: bool) -> None:
    path = folder / _SETTINGS_FILE
    if path.exists() and not overwrite:
        refuse_other_settings(folder, json.loads(path.read_text(encoding="utf-8")), record)
