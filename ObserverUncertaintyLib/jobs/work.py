"""What is done for each kind of request; everything heavy is imported where it is needed, in the worker only."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ObserverUncertaintyLib.base.errors import DeviceError, InputError
from ObserverUncertaintyLib.base.machine import main_memory_mib
from ObserverUncertaintyLib.base.output_files import refuse_inputs_as_outputs, write_json
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.threads import leave_busy_cores, told
from ObserverUncertaintyLib.jobs.failures import DEVICE, OUT_OF_MEMORY, WorkError
from ObserverUncertaintyLib.jobs.folder import RESULT_FOLDER, image_file
from ObserverUncertaintyLib.jobs.outcome import CohortOutcome, outcome_file
from ObserverUncertaintyLib.jobs.packages import lacking
from ObserverUncertaintyLib.jobs.requests import (
    BrainExtractionRequest,
    ImportRequest,
    LearnRequest,
    PredictCohortRequest,
    PredictRequest,
    RegisterRequest,
    Request,
    SimulateRequest,
    TrainRequest,
)

if TYPE_CHECKING:
    import torch

_Result = TypeVar("_Result")

_SECOND_ATTEMPT = 4
"""Slices at a time after the memory was too small for what was chosen by it."""


class Reporter(Progress):
    """Progress that can also be told of artifacts."""

    def artifact(self, name: str, path: Path) -> None:
        """A file or folder that is complete and in place."""


def do(request: Request, folder: Path, reporter: Reporter) -> None:
    """Do what is asked for; results go below `folder`, and each is told of when it is complete."""
    result = folder / RESULT_FOLDER
    if (
        isinstance(request, PredictRequest | PredictCohortRequest | TrainRequest | LearnRequest)
        and (threads := leave_busy_cores()) is not None
    ):
        reporter.message(told(threads))
    if isinstance(request, PredictRequest):
        _predict(request, result, reporter)
    elif isinstance(request, PredictCohortRequest):
        _predict_cohort(request, folder, reporter)
    elif isinstance(request, ImportRequest):
        _import(request, result, reporter)
    elif isinstance(request, TrainRequest):
        _train(request, reporter)
    elif isinstance(request, LearnRequest):
        _learn(request, reporter)
    elif isinstance(request, RegisterRequest):
        _register(request, result, reporter)
    elif isinstance(request, BrainExtractionRequest):
        _extract_brain(request, result, reporter)
    elif isinstance(request, SimulateRequest):
        _simulate(request, result, reporter)
    else:
        _probe(result, reporter)


def _predict(request: PredictRequest, result: Path, reporter: Reporter) -> None:
    from ObserverUncertaintyLib.cohort.loading import load_case
    from ObserverUncertaintyLib.model.settings import PredictionSettings
    from ObserverUncertaintyLib.prediction.ensemble import Ensemble
    from ObserverUncertaintyLib.prediction.maps import Prediction, save_prediction

    ensemble = Ensemble.read(request.model, _device(request.device), calibrated=request.calibrated, progress=reporter)
    case = load_case(request.case_name, request.images, {})

    def predict(batch_size: int | None) -> tuple[Prediction, dict[str, Any]]:
        settings = PredictionSettings(request.samples, request.seed, batch_size, dropout_masks=request.dropout_masks)
        return ensemble.predict(case, settings, skull_stripped=request.skull_stripped, progress=reporter)

    prediction, report = _with_less_memory(predict, request.batch_size, reporter)
    # Read again at once, on the same machine.
    for name, file in save_prediction(result, case.grid, prediction, report, ".nrrd", compress=False).items():
        reporter.artifact(name, file)


def _predict_cohort(request: PredictCohortRequest, folder: Path, reporter: Reporter) -> None:
    from ObserverUncertaintyLib.cohort.cohort import Cohort
    from ObserverUncertaintyLib.cohort.loading import LoadOptions
    from ObserverUncertaintyLib.model.settings import PredictionSettings
    from ObserverUncertaintyLib.prediction.folder import predict_cases, refuse_predictions_over_inputs

    file, outcome = outcome_file(folder), CohortOutcome()

    def keep(case: str, why: str) -> None:
        nonlocal outcome
        outcome = outcome.of(case, why)
        outcome.write(file)

    device = _device(request.device)
    cohort = Cohort.open(request.manifest, incomplete=True)
    refuse_inputs_as_outputs([Path(request.out)], {"the model": request.model})
    refuse_predictions_over_inputs(request.out, cohort.files_by_case)
    predict_cases(
        request.model,
        cohort.case_names,
        lambda case: cohort.load_images(case, LoadOptions(resample=request.resample)),
        request.out,
        PredictionSettings(request.samples, request.seed, dropout_masks=request.dropout_masks),
        device=device,
        skull_stripped=cohort.manifest.skull_stripped,
        calibrated=request.calibrated,
        resume=request.resume,
        keep_going=True,
        progress=reporter,
        on_case=keep,
    )
    reporter.artifact("outcome", file)


def _import(request: ImportRequest, result: Path, reporter: Reporter) -> None:
    from ObserverUncertaintyLib.prediction.imported import import_samples
    from ObserverUncertaintyLib.prediction.maps import save_prediction

    prediction, grid, report = import_samples(
        request.source, request.case_name, label=request.label, tool=request.tool, progress=reporter
    )
    for name, file in save_prediction(result, grid, prediction, report, ".nrrd", compress=False).items():
        reporter.artifact(name, file)


def _simulate(request: SimulateRequest, result: Path, reporter: Reporter) -> None:
    from ObserverUncertaintyLib.simulation.cavities import case_names, simulate_cavity_case
    from ObserverUncertaintyLib.simulation.cohort_folder import write_cohort

    manifest = write_cohort(
        result,
        lambda _: simulate_cavity_case(request.index, request.seed),
        case_names(request.index + 1)[request.index :],
        {"seed": request.seed, "index": request.index},
        name="Simulated post-operative cavity",
        label="resection cavity",
        skull_stripped=True,
        progress=reporter,
    )
    reporter.artifact("manifest", manifest)


def _train(request: TrainRequest, reporter: Reporter) -> None:
    from ObserverUncertaintyLib.cohort.cohort import Cohort
    from ObserverUncertaintyLib.cohort.loading import LoadOptions
    from ObserverUncertaintyLib.training.checkpoint import Checkpoint
    from ObserverUncertaintyLib.training.train import train

    device = _device(request.device)
    cohort = Cohort.open(request.manifest, request.cases)
    cases = cohort.load_all(LoadOptions(resample=request.resample), reporter)
    folder = Path(request.model)
    begun = request.overwrite

    def train_with(batch_size: int) -> None:
        nonlocal begun
        resume = request.resume and not begun
        try:
            train(
                cases,
                folder,
                replace(request.settings, batch_size=batch_size),
                cohort_name=cohort.name,
                label=cohort.manifest.label,
                skull_stripped=cohort.manifest.skull_stripped,
                simulated=cohort.manifest.simulated,
                start_from=request.start_from,
                device=device,
                resume=resume,
                overwrite=begun,
                progress=reporter,
            )
        except DeviceError as error:
            if Checkpoint(Path(folder)).exists:
                # Another batch size would be another training than the one whose epochs are done.
                raise WorkError(
                    OUT_OF_MEMORY, f"{error} The epochs that are complete are kept: training can be resumed."
                ) from error
            begun = True  # what lies in the folder now is this job's own
            raise

    _with_less_memory(train_with, request.settings.batch_size, reporter)
    reporter.artifact("model", folder)


def _learn(request: LearnRequest, reporter: Reporter) -> None:
    from ObserverUncertaintyLib.cohort.loading import LoadOptions
    from ObserverUncertaintyLib.evaluation.learning import learn_from_reviews

    learned = learn_from_reviews(
        request.manifest,
        request.reviews,
        request.model,
        request.out,
        request.settings,
        options=LoadOptions(resample=request.resample),
        device=_device(request.device),
        resume=request.resume,
        progress=reporter,
    )
    reporter.artifact("model", learned.model)
    reporter.artifact("comparison", learned.comparison_file)


def _register(request: RegisterRequest, result: Path, reporter: Reporter) -> None:
    from ObserverUncertaintyLib.formats import read_image, write_image
    from ObserverUncertaintyLib.images.foreground import background_value
    from ObserverUncertaintyLib.images.registration import register_rigid
    from ObserverUncertaintyLib.images.resampling import resample
    from ObserverUncertaintyLib.model.description import NOTICE

    reporter.start("register", len(request.images) - 1)
    fixed = read_image(request.images[request.reference])
    found, notes, files = {}, [], {}
    for number, (sequence, file) in enumerate(request.images.items(), 1):
        if sequence == request.reference:
            continue
        reporter.check_cancelled()
        moving = read_image(file)
        alignment = register_rigid(moving.array, moving.grid, fixed.array, fixed.grid)
        outside = background_value(moving.array)
        moved = resample(moving.array, moving.grid, fixed.grid, "linear", alignment.transform, outside)
        found[sequence] = {
            "rotation_degrees": alignment.rotation_degrees,
            "translation_mm": alignment.translation_mm,
            "largest_shift_mm": alignment.largest_shift_mm,
        }
        notes.append(
            f"image {sequence} was registered rigidly to {request.reference} (rotation "
            f"{alignment.rotation_degrees:.2f} degrees, shift {alignment.translation_mm:.2f} mm)"
        )
        reporter.message(notes[-1])
        files[sequence] = image_file(result, number, sequence)
        write_image(files[sequence], moved, fixed.grid, compress=False)
        reporter.advance(1, sequence)
    files["report"] = result / "registration.json"
    write_json(files["report"], {"notice": NOTICE, "reference": request.reference, "images": found, "notes": notes})
    for name, written in files.items():
        reporter.artifact(name, written)


def _extract_brain(request: BrainExtractionRequest, result: Path, reporter: Reporter) -> None:
    from ObserverUncertaintyLib.jobs.brain_extraction import extract_brain

    for name, written in extract_brain(request, result, reporter).items():
        reporter.artifact(name, written)


def _probe(result: Path, reporter: Reporter) -> None:
    total, free = main_memory_mib()
    devices = [{"name": "cpu", "description": platform.processor() or "CPU", "memory_mib": total, "free_mib": free}]
    lacks = lacking()
    version, problems = None, []
    if not any(lack.name == "torch" and lack.found is None for lack in lacks):
        try:
            version = _probe_torch(devices)
        except (ImportError, OSError, RuntimeError) as error:  # a package that is damaged, or does not fit the driver
            problems.append(f"torch cannot be used: {error}")
    report = {
        "devices": devices,
        "torch": version,
        "lacking": [asdict(lack) for lack in lacks],
        "problems": problems,
        "python": platform.python_version(),
        "executable": sys.executable,
    }
    write_json(result / "probe.json", report)
    reporter.artifact("report", result / "probe.json")


def _probe_torch(devices: list[dict[str, Any]]) -> str:
    """Add the devices that torch can use; returns its version."""
    import torch

    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        devices.append(
            {
                "name": f"cuda:{index}",
                "description": torch.cuda.get_device_name(index),
                "memory_mib": round(total / 2**20),
                "free_mib": round(free / 2**20),
            }
        )
    if torch.backends.mps.is_available():
        memory = round(torch.mps.recommended_max_memory() / 2**20)
        devices.append({"name": "mps", "description": "Apple GPU", "memory_mib": memory, "free_mib": None})
    return torch.__version__


def _device(name: str) -> torch.device:
    from ObserverUncertaintyLib.model.devices import choose_device

    try:
        return choose_device(name)
    except InputError as error:
        raise WorkError(DEVICE, str(error)) from error


def _with_less_memory(work: Callable[[Any], _Result], batch_size: int | None, reporter: Reporter) -> _Result:
    """Do work with a batch size, and again with half of it each time that the memory is too small, down to 1.

    Where the work itself chose the size (None), half of it is not known; the second attempt has `_SECOND_ATTEMPT`.
    """
    while True:
        try:
            return work(batch_size)
        except DeviceError as error:
            if batch_size == 1:
                raise
            # Kept until here, the failed attempt's tensors would stay in memory during the next one.
            told = str(error)
        batch_size = batch_size // 2 if batch_size else _SECOND_ATTEMPT
        _free_device_memory()
        reporter.warning(
            f"Out of memory: {told} Trying again with a batch size of {batch_size}; the results differ slightly from "
            "those of another batch size."
        )


def _free_device_memory() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
