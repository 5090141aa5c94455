"""Step 3: training in the background, on a cohort's manifest or on the cases of the scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.records import changed, field_names, to_json
from ObserverUncertaintyLib.base.resuming import other_settings
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.jobs import INPUTS_FOLDER, TrainRequest
from ObserverUncertaintyLib.model.description import begun_training
from ObserverUncertaintyLib.model.settings import TrainingSettings, UNetSettings
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintySlicer.backgroundJobs import SceneJob, jobFolder, startSceneJob
from ObserverUncertaintySlicer.devices import AUTO, knownDevices
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.sceneCases import SceneCase, exportSceneCohort

PRESETS = {
    "small": TrainingSettings(
        network=UNetSettings(depth=3, filters=14), epochs=60, spacing=(2.0, 2.0), background_slices=0.6
    ),
    "shapes": TrainingSettings(network=UNetSettings(depth=2, filters=16), epochs=100),
    "cavity": TrainingSettings(network=UNetSettings(depth=5, filters=48), epochs=35),
}
"""The paper's two networks (sections 3.2 and 3.3), and a small one that a computer without a GPU can train."""


def trainModel(
    manifestPath: str | Path,
    modelPath: str | Path,
    fusion: FusionMethod | str = FusionMethod.NONE,
    *,
    device: str = "auto",
    keepRunning: bool = False,
    cases: Sequence[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    resample: bool = False,
    preset: str | None = None,
    folder: Path | None = None,
    **settings: Any,
) -> SceneJob:
    """Start training in another process.

    Args:
        manifestPath: the cohort's manifest.
        modelPath: the folder for the model.
        fusion: what training sees as label; "none" draws one rater at random.
        device: "auto", "cpu", "cuda:N" or "mps".
        keepRunning: whether the job goes on when Slicer closes.
        cases: names of the cases to train on; all if None.
        resume: go on from the last epoch of an interrupted training in the same folder.
        overwrite: begin again in a folder that holds files.
        resample: bring files on other grids onto their case's instead of refusing them.
        preset: a key of PRESETS that the other settings start from.
        folder: the job's folder where inputs were put already; a new one if None.
        settings: fields of TrainingSettings, such as epochs, depth, filters and seed.

    Returns:
        A job whose result is the model's folder.

    Raises:
        InputError: the manifest cannot be used, an option or value is unknown, or the training to go on with began
            otherwise.
    """
    cohort = Cohort.open(manifestPath, cases)  # wrong input is told at once, not by a job that fails
    base = PRESETS[preset] if preset else TrainingSettings()
    begun = begun_training(modelPath) if resume else None
    if begun is not None:
        # Where the memory was too small, the training that is gone on with made its batches smaller by itself.
        settings = {"batch_size": begun.get("batch_size", base.batch_size), **settings}
    request = TrainRequest(
        manifest=str(Path(manifestPath).resolve()),
        model=str(Path(modelPath).resolve()),
        settings=_settings(base, {"fusion": fusion, **settings}),
        cases=None if cases is None else tuple(cases),
        device=device,
        resume=resume,
        overwrite=overwrite,
        resample=resample,
    )
    if begun is not None:
        _requireSameTraining(request, cohort, begun)
    how = _("train without fusion on {cohort}")
    if request.settings.fusion is not FusionMethod.NONE:
        how = _("train with fusion {fusion} on {cohort}")
    name = how.format(fusion=request.settings.fusion.value, cohort=cohort.name)
    return startSceneJob(request, _modelFolder, name=name, folder=folder, keepRunning=keepRunning)


def trainOnScene(
    modelPath: str | Path,
    fusion: FusionMethod | str = FusionMethod.NONE,
    *,
    label: str = "structure",
    sceneCases: Sequence[SceneCase] | None = None,
    **options: Any,
) -> SceneJob:
    """Start training on the cases of the scene; they are written to the job's folder and deleted after its end.

    Args:
        modelPath: the folder for the model.
        fusion: what training sees as label; "none" draws one rater at random.
        label: the structure that the raters drew.
        sceneCases: all of the scene if None.
        options: as for `trainModel`.

    Returns:
        A job whose result is the model's folder; its notes and warnings say what was done to the cases.

    Raises:
        InputError: the scene has no case, or its cases cannot be trained on together; an option or value is unknown.
    """
    name = _("cases of the scene")
    with jobFolder(_("train on {cohort}").format(cohort=name)) as folder:
        cohort = exportSceneCohort(folder / INPUTS_FOLDER / "cohort", name, label, sceneCases)
        job = trainModel(cohort.manifest, modelPath, fusion, folder=folder, **options)
    job.notes, job.exportWarnings = cohort.notes, cohort.warnings
    return job


def _modelFolder(artifacts: Mapping[str, Path]) -> Path:
    return artifacts["model"]


def _requireSameTraining(request: TrainRequest, cohort: Cohort, begun: Mapping[str, Any]) -> None:
    """Refuse to go on with a training that began otherwise; the worker compares the images and contours as well."""
    now = {**to_json(request.settings), "cohort": cohort.name, "label": cohort.manifest.label}
    device = _deviceType(request.device)
    if device is not None:
        now["device_type"] = device
    different = other_settings({name: begun.get(name) for name in now}, now)
    before = len(begun.get("cases", ()))
    if before != len(cohort):
        different["cases"] = (before, len(cohort))
    if different:
        words = _words()
        lines = [
            _("{setting}: {before}, now {now}").format(setting=words.get(name, name), before=old, now=new)
            for name, (old, new) in different.items()
        ]
        raise InputError(
            _(
                "{folder} holds a training that began with other settings:\n\n{differences}\n\n"
                'Set them as they were to go on with it. Otherwise choose "begin again", or another folder.'
            ).format(folder=request.model, differences="\n".join(lines))
        )


def _deviceType(name: str) -> str | None:
    """What kind of device a job takes; None if that is not known yet."""
    if name == AUTO:
        report = knownDevices()
        if report is None:
            return None
        name = report.best
    return name.partition(":")[0]


def _words() -> dict[str, str]:
    """The settings as the panel calls them."""
    return {
        "fusion": _("Fusion"),
        "epochs": _("Epochs"),
        "depth": _("Poolings of the preset"),
        "filters": _("Filters of the preset"),
        "spacing": _("Spacing of the preset"),
        "background_slices": _("Slices without the structure, of the preset"),
        "cohort": _("Cohort"),
        "label": _("Structure"),
        "cases": _("Number of cases"),
        "device_type": _("Device"),
    }


def _settings(base: TrainingSettings, given: Mapping[str, Any]) -> TrainingSettings:
    """The base with the given fields changed; texts become the enumeration's member where the field is one."""
    known = field_names(TrainingSettings)
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(
            _("{options}: no such option of training. There are: {known}.").format(
                options=", ".join(unknown), known=", ".join(sorted(known))
            )
        )
    for name, value in given.items():
        try:
            base = changed(base, {name: value})
        except ValueError as error:
            raise InputError(
                _("{name} is {value}: {error}").format(name=name, value=repr(value), error=error)
            ) from error
    return base
