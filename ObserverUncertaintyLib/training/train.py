"""Training a dropout U-Net on cases: from a cohort and settings to a model's folder, also after an interruption."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import prepare_output_folder, refuse_inputs_as_outputs
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.records import to_json
from ObserverUncertaintyLib.base.version import VERSION
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.fingerprints import case_digest, grid_digest
from ObserverUncertaintyLib.model.calibration import CALIBRATION_FILE, remove_work
from ObserverUncertaintyLib.model.description import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    Expectations,
    ModelDescription,
    begun_training,
    fingerprint_warning,
    read_description,
    require_own_weights,
)
from ObserverUncertaintyLib.model.devices import (
    choose_device,
    describe_device,
    out_of_memory_advice,
)
from ObserverUncertaintyLib.model.preprocessing import Preprocessing
from ObserverUncertaintyLib.model.settings import TrainingSettings
from ObserverUncertaintyLib.network.stored import save_model
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.training.checkpoint import Checkpoint, refuse_other_training
from ObserverUncertaintyLib.training.loop import TrainingRun
from ObserverUncertaintyLib.training.slices import expectations
from ObserverUncertaintyLib.training.start import Start

_MEMORY_ADVICE = "Choose a smaller batch size, fewer filters, or another device."


@dataclass(frozen=True)
class TrainingResult:
    """Where the model is and what its training took.

    Attributes:
        folder: the model's folder.
        description: the model's description, with the loss of every epoch.
        device: the device, in words.
        seconds: time of this call; a resumed run counts from its resumption.
    """

    folder: Path
    description: ModelDescription
    device: str
    seconds: float


def train(
    cases: Sequence[Case],
    folder: str | Path,
    settings: TrainingSettings = TrainingSettings(),
    *,
    cohort_name: str = "",
    label: str = "structure",
    skull_stripped: bool | None = None,
    simulated: bool = False,
    validation: Sequence[Case] = (),
    start_from: str | Path | None = None,
    device: str | torch.device = "auto",
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a model on cases and write it to a folder.

    Args:
        cases: training cases, all with the same sequences in the same order; each with one rater or more.
        folder: where the model goes; a checkpoint lies there while training, and is removed at the end.
        settings: everything that decides the weights, besides the data.
        cohort_name: kept in the model's description.
        label: the structure's name, kept in the model's description.
        skull_stripped: whether the images show the brain only, if known.
        simulated: whether the cases are made up; kept in the model's description.
        validation: cases whose loss against the raters' mean is recorded after each epoch; they decide nothing.
        start_from: folder of a model whose weights training starts from, instead of random ones; it is only read. Its
            network, sequences and preprocessing must be those asked for; a spacing that is None is the model's.
        device: "auto", "cpu", "cuda:N", "mps", or one that was chosen already.
        resume: go on from the last checkpoint of a run with the same settings and data.
        overwrite: begin again in a folder that holds files.
        progress: is told of every step, and can cancel.

    Raises:
        InputError: the cases cannot be trained on, the folder is not empty, a resumed run has other settings, or the
            model to start from is no such.
        DeviceError: the device is absent or ran out of memory.
        Cancelled: `progress` asked to stop; the last epoch's checkpoint is kept.
    """
    started = time.monotonic()
    folder, progress = Path(folder), progress or Progress()
    _check(cases, settings)
    chosen = choose_device(device)
    start = None if start_from is None else Start.read(start_from, cases[0].sequences, settings)
    if start_from is not None:
        refuse_inputs_as_outputs([folder], {"the model that training starts from": start_from})
    prepare_output_folder(folder, resume=resume, overwrite=overwrite)
    record = _record(cases, validation, settings, cohort_name, label, skull_stripped, chosen, start)
    if overwrite:
        _remove_model(folder)
    _refuse_other_cases(folder, cases, record)
    if (folder / DESCRIPTION_FILE).exists():
        finished = read_description(folder)
        refuse_other_training(folder, finished.training, record, progress)
        require_own_weights(folder, finished)
        if (warning := fingerprint_warning(folder, finished)) is not None:
            progress.warning(warning)
        progress.message(f"{folder} is trained already; there is nothing to resume")
        return TrainingResult(folder, finished, describe_device(chosen), time.monotonic() - started)
    if settings.fusion is FusionMethod.NONE and all(len(case.rater_names) < 2 for case in cases):
        progress.warning("every case has one rater only: there is no disagreement to learn")
    run = TrainingRun(folder, settings, chosen, progress)
    expects = expectations(cases, settings.slice_axis, skull_stripped)
    preprocessing = Preprocessing(
        settings.slice_axis, settings.spacing or expects.in_plane_spacing, settings.crop, settings.intensity_norm
    )
    if start is not None:
        # With what the settings do not decide: the least size of a slice, and what stands for padding.
        preprocessing = start.description.preprocessing
        simulated = simulated or bool(start.description.training.get("simulated"))
    run.prepare(cases, validation, preprocessing, record, start)
    with out_of_memory_advice(chosen, _MEMORY_ADVICE):
        run.train()
    looks = run.slices.looks
    if looks is None and start is not None:
        looks = start.description.expects.looks
    expects = replace(expects, looks=looks)
    description = _describe(cases[0].sequences, label, expects, run, {**record, "simulated": simulated})
    description = save_model(folder, run.network, description)
    run.checkpoint.remove()
    return TrainingResult(folder, description, describe_device(chosen), time.monotonic() - started)


def _check(cases: Sequence[Case], settings: TrainingSettings) -> None:
    if not cases:
        raise InputError("There is no case to train on.")
    if settings.epochs < 1 or settings.batch_size < 1 or not 0 < settings.learning_rate < np.inf:
        raise InputError("Epochs and batch size must be at least 1, and the learning rate above 0.")
    if settings.background_slices is not None and settings.background_slices < 0:
        raise InputError("The background slices must be 0 or more.")
    unknown = [name for name in settings.may_be_missing if name not in cases[0].sequences]
    if unknown:
        raise InputError(
            f"{', '.join(unknown)} may be missing, but the cases have {', '.join(cases[0].sequences)} only. Name "
            "some of these."
        )
    if set(settings.may_be_missing) == set(cases[0].sequences):
        raise InputError(
            f"All sequences ({', '.join(cases[0].sequences)}) may be missing, which leaves nothing to predict from. "
            "Name all but those that every case has."
        )
    for case in cases:
        if case.sequences != cases[0].sequences:
            raise InputError(
                f"{case.name} has the sequences {', '.join(case.sequences)}, {cases[0].name} has "
                f"{', '.join(cases[0].sequences)}. All cases of a model need the same ones."
            )


def _record(
    cases: Sequence[Case],
    validation: Sequence[Case],
    settings: TrainingSettings,
    cohort_name: str,
    label: str,
    skull_stripped: bool | None,
    device: torch.device,
    start: Start | None,
) -> dict[str, Any]:
    """What decides the weights: a resumed run must agree with it in everything. Names of cases are left out."""
    images = [case.image_digest for case in cases]
    if start is not None:
        # So that a prediction knows these too for cases that the weights learned from.
        images += [image for image in start.description.training["case_images"] if image not in images]
    raters = dict.fromkeys(rater for case in cases for rater in case.rater_names)
    return {
        **to_json(settings),
        "cohort": cohort_name,
        "label": label,
        "raters": list(raters),
        "cases": [case_digest(case) for case in cases],
        "case_images": images,
        "validation_cases": [case_digest(case) for case in validation],
        "grids": [grid_digest(case.grid) for case in (*cases, *validation)],
        "sequences": list(cases[0].sequences),
        "skull_stripped": skull_stripped,
        "device_type": device.type,
        "start_from": start.fingerprint if start else None,
    }


def _refuse_other_cases(folder: Path, cases: Sequence[Case], record: dict[str, Any]) -> None:
    """Name the cases that are not as they were when a training began; all other differences are told elsewhere."""
    before = begun_training(folder) or {}
    if len(before.get("cases", ())) != len(cases):
        return
    known = [key for key in ("cases", "grids") if len(before.get(key, ())) >= len(cases)]
    changed = [
        case.name
        for number, case in enumerate(cases)
        if any(before[key][number] != record[key][number] for key in known)
    ]
    if changed and before.get("cohort") == record["cohort"]:
        raise InputError(
            f"{folder} cannot be resumed: of its {len(cases)} cases, the images or masks of {', '.join(changed)} are "
            "not those that it began with. Give the files as they were, another folder, or overwrite to begin again."
        )


def _describe(
    sequences: tuple[str, ...],
    label: str,
    expects: Expectations,
    run: TrainingRun,
    record: dict[str, Any],
) -> ModelDescription:
    return ModelDescription(
        sequences=sequences,
        label=label,
        architecture=run.settings.network,
        preprocessing=run.preprocessing,
        expects=expects,
        training={
            **record,
            "slices": len(run.slices),
            "steps": run.settings.epochs * run.steps_per_epoch,
            "device": describe_device(run.device),
            "precision_used": run.precision.value,
            "torch": torch.__version__,
            "losses": run.losses,
            "validation_losses": run.validation_losses,
        },
        may_be_missing=run.settings.may_be_missing,
        imitates=run.imitates,
        library_version=VERSION,
        created=datetime.date.today().isoformat(),
    )


def _remove_model(folder: Path) -> None:
    """Remove what an earlier training wrote, and nothing else that lies in the folder."""
    Checkpoint(folder).remove()
    for name in (DESCRIPTION_FILE, WEIGHTS_FILE, CALIBRATION_FILE):
        (folder / name).unlink(missing_ok=True)
    remove_work(folder)
