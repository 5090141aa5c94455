"""Predicting cases into a folder: one sub-folder a case, each complete or absent, continued after an interruption."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import (
    prepare_output_folder,
    refuse_inputs_as_outputs,
    write_json,
    writing,
)
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.resuming import other_settings, refuse_other_settings
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.case_files import CaseFiles
from ObserverUncertaintyLib.formats.errors import UnreadableFileError
from ObserverUncertaintyLib.formats.integrity import decompressed_size
from ObserverUncertaintyLib.formats.prediction_files import (
    MADE_FROM,
    NOT_LOOKED_AT,
    PREDICTED_MAPS,
    PROBABILITY_FILE,
    REPORT_FILE,
    SETTINGS_FILE,
    predicted_files,
)
from ObserverUncertaintyLib.formats.prediction_samples import saved_sample_files
from ObserverUncertaintyLib.formats.references import split_reference, stem
from ObserverUncertaintyLib.formats.writing import require_writable_grid
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.model.devices import choose_device, describe_device
from ObserverUncertaintyLib.model.settings import PredictionSettings, without_empty_economy
from ObserverUncertaintyLib.prediction.ensemble import Ensemble
from ObserverUncertaintyLib.prediction.inference import require_samples_to_keep
from ObserverUncertaintyLib.prediction.maps import Prediction, save_prediction
from ObserverUncertaintyLib.prediction.queue import QueueProgress, Writer, is_of_its_case, read_ahead, reason_of

_CHANGES = {
    "images": "its images are not those that it was predicted from",
    "grid": "its images lie elsewhere, or have another spacing",
    "weights": "it was predicted by another model",
    "model": "it was predicted by another model",
    "settings": "it was predicted with other settings",
    "missing": "other sequences were missing",
    "calibration": "it was calibrated otherwise",
}
"""What it means that a part of `MADE_FROM` differs."""


OnCase = Callable[[str, str], None]
"""Is told of a case that is complete on the disk, or of one that is left out and why; "" for a complete one."""


@dataclass(frozen=True)
class PredictionRun:
    """What a call predicted.

    Attributes:
        folder: the output folder.
        cases: the names of the cases that are complete.
        device: in words.
        seconds: that it took.
        left_out: why a case was not predicted, by its name; only where the others were to go on.
    """

    folder: Path
    cases: tuple[str, ...]
    device: str
    seconds: float
    left_out: Mapping[str, str] = field(default_factory=dict)


def predict_cases(
    model: str | Path | Sequence[str | Path],
    case_names: Sequence[str],
    load: Callable[[str], Case],
    folder: str | Path,
    settings: PredictionSettings = PredictionSettings(),
    *,
    device: str | torch.device = "auto",
    skull_stripped: bool | None = None,
    calibrated: bool = True,
    save_samples: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    keep_going: bool = False,
    progress: Progress | None = None,
    on_case: OnCase | None = None,
) -> PredictionRun:
    """Predict cases one after the other into `folder/<case>/`.

    Of a case that is done nothing is kept in memory, however many there are.

    Args:
        model: folder of the trained model, or of several that predict together.
        case_names: the cases.
        load: loads a case by its name, such as `Cohort.load_images`.
        folder: the output folder.
        settings: what decides the predictions.
        device: "auto", "cpu", "cuda:N", "mps", or one that was chosen already.
        skull_stripped: whether the images show the brain only, if known.
        calibrated: whether the model's calibration is applied, if it has one.
        save_samples: how many of each case's samples are saved, the first ones; `read_samples` reads them.
        resume: keep the cases that are complete, samples that are to be saved among them, and were made from the same
            images, and predict the others; the model and settings must be the same. What is predicted again for
            another reason is told as a warning.
        overwrite: predict into a folder that holds files.
        keep_going: leave a case out that cannot be predicted, with a warning, and go on with the next one. What is
            wrong with the model, the device, the memory or the disk stops all the same.
        progress: is told of every batch as of one task over all cases, and can cancel.
        on_case: is told of every case that is complete or left out, one after the other, in another thread.

    Raises:
        InputError: the model, a case or the folder cannot be used, or more samples are to be saved than are drawn;
            of cases that are left out, that no case is left.
        DeviceError: the device is absent or ran out of memory.
    """
    started = time.monotonic()
    folder, progress = Path(folder), progress or Progress()
    on_case = on_case or (lambda _name, _why: None)
    require_samples_to_keep(save_samples, settings.samples)
    chosen = choose_device(device)
    ensemble = Ensemble.read(model, chosen, calibrated=calibrated, progress=progress)
    ensemble.require_samples(settings.samples)
    prepare_output_folder(folder, resume=resume, overwrite=overwrite)
    weights, calibration = ensemble.weights, ensemble.calibration(settings, progress)
    record = {
        **asdict(settings),
        "weights": weights,
        "model": ensemble.model_digest,
        "calibration": calibration.map.digest if calibration else None,
    }
    _require_same_settings(folder, record, overwrite)
    queue, left_out = QueueProgress(progress, len(case_names)), dict[str, str]()
    with ThreadPoolExecutor(1) as reader, Writer() as writer:
        for name, read in read_ahead(reader, case_names, load):
            queue.enter(name)
            try:
                case = read.result()
                require_writable_grid(folder / name / PROBABILITY_FILE, case.grid)
                made_from = ensemble.origin(case, settings)
                is_complete = resume and _is_complete(folder / name, made_from, save_samples, queue)
                if is_complete:
                    queue.message(f"{name} is complete already")
                else:
                    _remove_prediction(folder / name)
                    prediction, report = ensemble.predict(
                        case,
                        settings,
                        made_from=made_from,
                        skull_stripped=skull_stripped,
                        keep_samples=save_samples,
                        progress=queue,
                    )
            except Exception as error:
                if not (keep_going and is_of_its_case(error)):
                    raise
                left_out[name] = reason_of(error).removeprefix(f"{name}: ")
                queue.warning(f"{name} is left out: {left_out[name]}")
            if name in left_out or is_complete:
                writer.write(on_case, name, left_out.get(name, ""))
                queue.leave(is_skipped=True)
                # Otherwise asked at every batch, of which these cases have none.
                queue.check_cancelled()
                continue
            # Only now, so that a first call with wrong input leaves nothing behind.
            write_json(folder / SETTINGS_FILE, record)
            writer.write(_save, folder, name, case.grid, prediction, report, on_case)
            queue.leave()
            del case, prediction, report  # they are the writer's now
    complete = tuple(name for name in case_names if name not in left_out)
    if left_out and not complete:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in left_out.items())
        raise InputError(f"None of the cases could be predicted.{reasons}")
    _warn_of_others(folder, case_names, weights, progress)
    return PredictionRun(folder, complete, describe_device(chosen), time.monotonic() - started, left_out)


def refuse_predictions_over_inputs(folder: str | Path, cases: Mapping[str, CaseFiles]) -> None:
    """Refuse a folder where a prediction would take the name of a file of its case.

    Args:
        folder: the output folder of `predict_cases`.
        cases: the cases' files by the cases' names.

    Raises:
        InputError: a file that is read would be overwritten.
    """
    for name, files in cases.items():
        read = {role: split_reference(file)[0] for role, file in files.by_role().items()}
        refuse_inputs_as_outputs(predicted_files(Path(folder) / name), read)


def _save(folder: Path, name: str, grid: Grid, prediction: Prediction, report: dict[str, Any], on_case: OnCase) -> None:
    save_prediction(folder / name, grid, prediction, report)
    on_case(name, "")


def _is_complete(folder: Path, made_from: dict[str, Any], save_samples: int, progress: Progress) -> bool:
    """Whether a case's folder holds a whole prediction made from the same, with so many samples; says why not."""
    if not (folder / REPORT_FILE).exists():
        return False
    try:
        report = dict(json.loads((folder / REPORT_FILE).read_text(encoding="utf-8")))
        before = report.get(MADE_FROM)
        known = dict(before if before is not None else {"weights": report["weights"]})
        saved = saved_sample_files(folder)[:save_samples]
        if "settings" in known:
            known["settings"] = without_empty_economy(known["settings"])
    except (InputError, OSError, AttributeError, KeyError, TypeError, ValueError):
        progress.warning(f"{folder.name} is predicted again: its {REPORT_FILE} cannot be read")
        return False
    _refuse_another_programs(folder, report)
    if len(saved) < save_samples:
        progress.warning(
            f"{folder.name} is predicted again: {save_samples} samples are to be saved, and it has {len(saved)}"
        )
        return False
    maps = (*PREDICTED_MAPS, NOT_LOOKED_AT) if report.get(NOT_LOOKED_AT) else PREDICTED_MAPS
    written = {name: folder / f"{name}.nii.gz" for name in maps} | {stem(file): file for file in saved}
    with ThreadPoolExecutor() as readers:
        whole = list(readers.map(_is_whole, written.values()))
    if not all(whole):
        lost = ", ".join(name for name, is_whole in zip(written, whole, strict=True) if not is_whole)
        progress.warning(f"{folder.name} is predicted again: {lost} is missing, empty or damaged")
        return False
    # What an earlier version did not note is compared no further.
    now = made_from if before is not None else {"weights": made_from["weights"]}
    parts = dict.fromkeys(key.partition(".")[0] for key in other_settings(known, now))
    changed = dict.fromkeys(_CHANGES[part] for part in parts if part in _CHANGES)
    if changed:
        progress.warning(f"{folder.name} is predicted again: {', and '.join(changed)}")
        return False
    if before is None:
        progress.warning(
            f"{folder.name} is kept, but carries no fingerprint, since an earlier version predicted it: whether its "
            "images are the same cannot be checked"
        )
    return True


def _refuse_another_programs(folder: Path, report: dict[str, Any]) -> None:
    if tool := report.get("tool"):
        raise InputError(
            f"{folder} holds a result of {tool}, which was imported; to resume would replace it. Predict into another "
            "folder, leave the case out, or overwrite."
        )


def _remove_prediction(folder: Path) -> None:
    """Remove what was predicted before: it must not be taken for this call's if that is interrupted."""
    for file in predicted_files(folder):
        with writing(file):
            file.unlink(missing_ok=True)


def _is_whole(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return decompressed_size(file, stream) > 0
    except (OSError, UnreadableFileError):
        return False


def _warn_of_others(folder: Path, case_names: Sequence[str], weights: str, progress: Progress) -> None:
    """Tell of predictions of another model that lie in the folder from earlier calls."""
    others = []
    for report in sorted(folder.rglob(REPORT_FILE)):
        name = report.parent.relative_to(folder).as_posix()
        try:
            found = dict(json.loads(report.read_text(encoding="utf-8"))).get("weights")
        except (OSError, TypeError, ValueError):
            continue
        if name not in case_names and found != weights:
            others.append(name)
    if others:
        progress.warning(
            f"{folder} also holds predictions of another model, from an earlier call: {', '.join(others)}. Predict "
            "these cases too, or delete their folders, before scores are averaged"
        )


def _require_same_settings(folder: Path, record: dict[str, Any], overwrite: bool) -> None:
    path = folder / SETTINGS_FILE
    if not path.exists() or overwrite:
        return
    try:
        before: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({error}), so it is not known with which settings the predictions beside it were "
            "made. Delete this file to compare each prediction by itself, give another folder, or overwrite."
        ) from error
    refuse_other_settings(folder, {"model": record["model"], **without_empty_economy(before)}, record)
