"""What a job is asked to do, as plain values that travel through `job.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, get_args

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.records import from_json, to_json
from ObserverUncertaintyLib.model.settings import (
    DEFAULT_LEARNING,
    DEFAULT_SAMPLES,
    DropoutMasks,
    LearningSettings,
    TrainingSettings,
)
from ObserverUncertaintyLib.prediction.imported import SampleFiles


@dataclass(frozen=True)
class PredictRequest:
    """Run a model on one case.

    The job's artifacts are `probability`, `segmentation`, `predictive_entropy`, `expected_entropy` and
    `mutual_information` (NRRD files on the case's grid) and `report` (prediction.json), and `not_looked_at` (a mask) if
    the network did not see everything.

    Attributes:
        images: sequence name to image file, all on one grid.
        model: folder of the trained model.
        case_name: the case's name in the report.
        samples: T, the number of Monte Carlo samples.
        seed: of the dropout masks.
        batch_size: slices computed at a time, fewer where the device's memory is too small; None chooses by the memory.
        device: "auto", "cpu", "cuda:N" or "mps".
        skull_stripped: whether the images show the brain only, if known.
        dropout_masks: how those of several samples are drawn.
        calibrated: whether the model's calibration is applied, if it has one.
    """

    kind: ClassVar[str] = "predict"
    images: Mapping[str, str]
    model: str
    case_name: str = "case"
    samples: int = DEFAULT_SAMPLES
    seed: int = 0
    batch_size: int | None = None
    device: str = "auto"
    skull_stripped: bool | None = None
    dropout_masks: DropoutMasks = DropoutMasks.INDEPENDENT
    calibrated: bool = True

    def __post_init__(self) -> None:
        """Refuse values that no prediction can be made with."""
        if not self.images:
            raise InputError("A prediction needs the image of one sequence or more; none is given.")
        if self.samples < 1 or (self.batch_size is not None and self.batch_size < 1) or self.seed < 0:
            raise InputError(
                f"samples is {self.samples}, batch size {self.batch_size} and seed {self.seed}; expected at least 1, "
                "1 and 0."
            )

    def resolved(self) -> PredictRequest:
        """The same request with absolute paths: a worker runs in another folder."""
        return replace(self, images=_absolute(self.images), model=str(Path(self.model).absolute()))


@dataclass(frozen=True)
class PredictCohortRequest:
    """Run a model on the cases of a cohort, one after the other; one that cannot be predicted is left out.

    The job's artifact is `outcome` (JSON; see `CohortOutcome`), which is brought up to date after every case.

    Attributes:
        manifest: the cohort's manifest file.
        model: folder of the trained model.
        out: folder for the predictions, one sub-folder a case.
        samples: T, the number of Monte Carlo samples.
        seed: of the dropout masks.
        device: "auto", "cpu", "cuda:N" or "mps".
        dropout_masks: how those of several samples are drawn.
        calibrated: whether the model's calibration is applied, if it has one.
        resume: go on in `out`, and keep the cases that are complete.
        resample: bring images that lie on another grid onto the case's instead of leaving the case out.
    """

    kind: ClassVar[str] = "predict_cohort"
    manifest: str
    model: str
    out: str
    samples: int = DEFAULT_SAMPLES
    seed: int = 0
    device: str = "auto"
    dropout_masks: DropoutMasks = DropoutMasks.INDEPENDENT
    calibrated: bool = True
    resume: bool = False
    resample: bool = False

    def __post_init__(self) -> None:
        """Refuse values that no prediction can be made with."""
        if self.samples < 1 or self.seed < 0:
            raise InputError(f"samples is {self.samples} and seed {self.seed}; expected at least 1 and 0.")

    def resolved(self) -> PredictCohortRequest:
        """The same request with absolute paths: a worker runs in another folder."""
        manifest, model, out = (str(Path(path).absolute()) for path in (self.manifest, self.model, self.out))
        return replace(self, manifest=manifest, model=model, out=out)


@dataclass(frozen=True)
class ImportRequest:
    """Make a prediction of what another program predicted; the job's artifacts are those of `PredictRequest`.

    Attributes:
        source: the samples.
        case_name: the case's name in the report.
        label: the structure's name.
        tool: the program that predicted them, in words.
    """

    kind: ClassVar[str] = "import"
    source: SampleFiles
    case_name: str = "case"
    label: str = "structure"
    tool: str = "another program"

    def resolved(self) -> ImportRequest:
        """The same request with absolute paths: a worker runs in another folder."""
        files = tuple(str(Path(file).absolute()) for file in self.source.files)
        geometry = None if self.source.geometry is None else str(Path(self.source.geometry).absolute())
        return replace(self, source=replace(self.source, files=files, geometry=geometry))


@dataclass(frozen=True)
class TrainRequest:
    """Train a model on a cohort; the job's artifact is `model`, the model's folder.

    Attributes:
        manifest: the cohort's manifest file.
        model: folder for the model, outside or inside the job's folder.
        settings: everything that decides the weights, besides the data; its batch size is halved where the device's
            memory is too small for the first epoch.
        cases: the cases to train on; all if None.
        device: "auto", "cpu", "cuda:N" or "mps".
        resume: go on from the last checkpoint in `model`.
        overwrite: begin again in a `model` folder that holds files.
        resample: bring files that lie on another grid onto the case's instead of refusing them.
        start_from: folder of a model whose weights training starts from; random ones if None.
    """

    kind: ClassVar[str] = "train"
    manifest: str
    model: str
    settings: TrainingSettings = TrainingSettings()
    cases: tuple[str, ...] | None = None
    device: str = "auto"
    resume: bool = False
    overwrite: bool = False
    resample: bool = False
    start_from: str | None = None

    def resolved(self) -> TrainRequest:
        """The same request with absolute paths: a worker runs in another folder."""
        start_from = None if self.start_from is None else str(Path(self.start_from).absolute())
        manifest, model = str(Path(self.manifest).absolute()), str(Path(self.model).absolute())
        return replace(self, manifest=manifest, model=model, start_from=start_from)


@dataclass(frozen=True)
class LearnRequest:
    """Train a model on, on its cohort with the reviews that correct it, and compare both models.

    The job's artifacts are `model`, the new model's folder, and `comparison` (JSON; see `Comparison.to_json`). The old
    model is only read.

    Attributes:
        manifest: the cohort's manifest file.
        reviews: folder of the reviews; see `read_reviews`.
        model: folder of the old model.
        out: folder for all that is made, outside or inside the job's folder; it must be new or empty unless resumed.
        settings: what decides the learning, besides the settings of the old model's training.
        device: "auto", "cpu", "cuda:N" or "mps".
        resume: go on in `out`, where the same was begun.
        resample: bring files that lie on another grid onto the case's instead of refusing them.
    """

    kind: ClassVar[str] = "learn"
    manifest: str
    reviews: str
    model: str
    out: str
    settings: LearningSettings = DEFAULT_LEARNING
    device: str = "auto"
    resume: bool = False
    resample: bool = False

    def resolved(self) -> LearnRequest:
        """The same request with absolute paths: a worker runs in another folder."""
        manifest, reviews, model, out = (
            str(Path(path).absolute()) for path in (self.manifest, self.reviews, self.model, self.out)
        )
        return replace(self, manifest=manifest, reviews=reviews, model=model, out=out)


@dataclass(frozen=True)
class RegisterRequest:
    """Bring every other image rigidly onto the reference's grid.

    The job's artifacts are one NRRD file for each image moved, under its sequence's name, and `report` (JSON).

    Attributes:
        images: sequence name to image file.
        reference: the sequence that stays where it is.
    """

    kind: ClassVar[str] = "register"
    images: Mapping[str, str]
    reference: str

    def __post_init__(self) -> None:
        """Refuse a reference that is not among the images, and a reference alone."""
        if self.reference not in self.images:
            raise InputError(f"The reference {self.reference} is none of the images: {', '.join(self.images)}.")
        if len(self.images) < 2:
            raise InputError(f"There is nothing to register: {self.reference} is the only image.")
        if "report" in self.images:
            raise InputError('A sequence cannot be called "report": the job\'s report has that name. Rename it.')

    def resolved(self) -> RegisterRequest:
        """The same request with absolute paths: a worker runs in another folder."""
        return replace(self, images=_absolute(self.images))


@dataclass(frozen=True)
class BrainExtractionRequest:
    """Let a program of this computer find the brain, and set everything else to 0.

    The job's artifacts are one NRRD file for each image, on its own grid and under its sequence's name, `brain_mask` on
    the reference's grid, and `report` (JSON).

    Attributes:
        images: sequence name to image file.
        reference: the sequence that the program looks at; the others are aligned to it.
        command: what is run, without a shell: a program and its arguments, with `{input}` for the image (.nii.gz) and
            `{output}` for the stripped image or `{mask}` for the brain mask that it writes.
    """

    kind: ClassVar[str] = "extract_brain"
    images: Mapping[str, str]
    reference: str
    command: str

    def __post_init__(self) -> None:
        """Refuse a reference that is not among the images, and names that artifacts have."""
        if self.reference not in self.images:
            raise InputError(f"The reference {self.reference} is none of the images: {', '.join(self.images)}.")
        for name in ("report", "brain_mask"):
            if name in self.images:
                raise InputError(f'A sequence cannot be called "{name}": a result of the job has that name. Rename it.')

    def resolved(self) -> BrainExtractionRequest:
        """The same request with absolute paths: a worker runs in another folder."""
        return replace(self, images=_absolute(self.images))


@dataclass(frozen=True)
class SimulateRequest:
    """Simulate one post-operative cavity case; the job's artifact is `manifest`, a cohort.toml of this case.

    Attributes:
        index: number of the case in its cohort, from 0.
        seed: seed of the cohort.
    """

    kind: ClassVar[str] = "simulate"
    index: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse negative numbers."""
        if self.index < 0 or self.seed < 0:
            raise InputError(f"index is {self.index} and seed {self.seed}; expected 0 or more.")

    def resolved(self) -> SimulateRequest:
        """The same request; it names no file."""
        return self


@dataclass(frozen=True)
class ProbeRequest:
    """Find out which devices, memory and packages the worker's Python has; the artifact is `report` (JSON)."""

    kind: ClassVar[str] = "probe"

    def resolved(self) -> ProbeRequest:
        """The same request; it names no file."""
        return self


Request = (
    PredictRequest
    | PredictCohortRequest
    | ImportRequest
    | TrainRequest
    | LearnRequest
    | RegisterRequest
    | BrainExtractionRequest
    | SimulateRequest
    | ProbeRequest
)
_REQUESTS: dict[str, type[Request]] = {request.kind: request for request in get_args(Request)}


def request_to_json(request: Request) -> dict[str, Any]:
    """The request as JSON can hold it."""
    return {"kind": request.kind, **to_json(request)}


def request_from_json(content: dict[str, Any]) -> Request:
    """Read what `request_to_json` made; raises KeyError, TypeError, ValueError or InputError if it is not such."""
    values = dict(content)
    return from_json(_REQUESTS[values.pop("kind")], values)


def _absolute(images: Mapping[str, str]) -> dict[str, str]:
    return {sequence: str(Path(file).absolute()) for sequence, file in images.items()}
