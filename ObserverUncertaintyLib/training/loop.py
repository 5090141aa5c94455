"""Training the dropout U-Net: the loop, and how it goes on after an interruption.

Every epoch draws from generators seeded by (seed, epoch) alone, so a resumed run continues bit for bit on the same
device without any generator's state being stored.

Source: Jungo et al. 2018, sections 3.1 to 3.3: Adam with learning rate 1e-3, the last model is used.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ObserverUncertaintyLib.base.errors import InputError, ObserverUncertaintyError
from ObserverUncertaintyLib.base.output_files import prepare_output_folder
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.records import to_json
from ObserverUncertaintyLib.base.version import VERSION
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.fingerprints import case_digest, grid_digest, image_digest
from ObserverUncertaintyLib.cpu.unet import unet_for_training
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
    autocast,
    choose_device,
    choose_precision,
    describe_device,
    free_memory,
    make_deterministic,
    out_of_memory_advice,
)
from ObserverUncertaintyLib.model.preprocessing import Preprocessing
from ObserverUncertaintyLib.model.settings import Augmentation, TrainingSettings
from ObserverUncertaintyLib.network.stored import save_model
from ObserverUncertaintyLib.network.unet import set_monte_carlo_mode
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.training.checkpoint import Checkpoint, refuse_other_training
from ObserverUncertaintyLib.training.slices import SliceSet, expectations, prepare_slices
from ObserverUncertaintyLib.training.step import TrainingSteps, make_optimiser, training_loss
from ObserverUncertaintyLib.training.targets import draw_labels

_DATA_SHARE = 0.25
"""Of a GPU's free memory, which the training slices may take; more of them stay in main memory."""

_STEPS_BETWEEN_LOSSES = 16
"""On a GPU, which stands still while its loss is read."""

_LATER_KEYS = ("grids", "sequences", "skull_stripped")
"""Of what decides a training: earlier versions did not note them."""

_MEMORY_ADVICE = "Choose a smaller batch size, fewer filters, or another device."


class TrainingError(ObserverUncertaintyError):
    """Training cannot go on, such as when the loss is no longer a number."""


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
    device: str = "auto",
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
        device: "auto", "cpu", "cuda:N" or "mps".
        resume: go on from the last checkpoint of a run with the same settings and data.
        overwrite: begin again in a folder that holds files.
        progress: is told of every step, and can cancel.

    Raises:
        InputError: the cases cannot be trained on, the folder is not empty, or a resumed run has other settings.
        DeviceError: the device is absent or ran out of memory.
        Cancelled: `progress` asked to stop; the last epoch's checkpoint is kept.
    """
    started = time.monotonic()
    folder, progress = Path(folder), progress or Progress()
    _check(cases, settings)
    chosen = choose_device(device)
    prepare_output_folder(folder, resume=resume, overwrite=overwrite)
    record = _record(cases, validation, settings, cohort_name, label, skull_stripped, chosen)
    if overwrite:
        _remove_model(folder)
    _refuse_other_cases(folder, cases, record)
    if (folder / DESCRIPTION_FILE).exists():
        finished = read_description(folder)
        _warn_of_unknown(refuse_other_training(folder, finished.training, record, _LATER_KEYS), folder, progress)
        require_own_weights(folder, finished)
        if (warning := fingerprint_warning(folder, finished)) is not None:
            progress.warning(warning)
        progress.message(f"{folder} is trained already; there is nothing to resume")
        return TrainingResult(folder, finished, describe_device(chosen), time.monotonic() - started)
    if settings.fusion is FusionMethod.NONE and all(len(case.rater_names) < 2 for case in cases):
        progress.warning("every case has one rater only: there is no disagreement to learn")
    run = _Run(folder, settings, chosen, progress)
    expects = expectations(cases, settings.slice_axis, skull_stripped)
    preprocessing = Preprocessing(
        settings.slice_axis, settings.spacing or expects.in_plane_spacing, settings.crop, settings.intensity_norm
    )
    run.prepare(cases, validation, preprocessing, record)
    with out_of_memory_advice(chosen, _MEMORY_ADVICE):
        run.train()
    description = _describe(cases[0].sequences, label, expects, run, {**record, "simulated": simulated})
    description = save_model(folder, run.network, description)
    run.checkpoint.remove()
    return TrainingResult(folder, description, describe_device(chosen), time.monotonic() - started)


@dataclass
class _Run:
    """One training run: its network, optimiser, data and the losses so far."""

    folder: Path
    settings: TrainingSettings
    device: torch.device
    progress: Progress
    losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        make_deterministic()
        self.precision = choose_precision(self.settings.precision, self.device)
        self.checkpoint = Checkpoint(self.folder)

    def prepare(
        self,
        cases: Sequence[Case],
        validation: Sequence[Case],
        preprocessing: Preprocessing,
        record: dict[str, Any],
    ) -> None:
        """Load the data, make the network, and take up the last checkpoint if there is one."""
        settings = self.settings
        self.slices, self.preprocessing = prepare_slices(
            cases, preprocessing, settings.network.depth, settings.fusion, settings.tie
        )
        for warning in self.slices.warnings:
            self.progress.warning(warning)
        self.validation: SliceSet | None = None
        if validation:
            self.validation, _ = prepare_slices(
                validation, self.preprocessing, settings.network.depth, FusionMethod.MEAN, settings.tie
            )
        torch.manual_seed(settings.seed)
        self.network = unet_for_training(len(cases[0].sequences), settings.network, self.device)
        if settings.prior_bias:
            self._begin_at_prior(self.network.classifier)
        self.optimiser = make_optimiser(self.network, settings.learning_rate)
        self.steps = TrainingSteps(self.network, self.optimiser, settings.loss, self.precision)
        self._take_up_checkpoint(record)
        free = free_memory(self.device)
        if free is not None and self.slices.nbytes < _DATA_SHARE * free:
            self.slices = self.slices.to(self.device)

    def _begin_at_prior(self, classifier: nn.Conv2d) -> None:
        """Set the last bias to the log-odds of the share of foreground that an epoch sees; 0 % and 100 % have none."""
        labels = self.slices.labels.flatten(2).mean(dim=2, dtype=torch.float32).sum(dim=1).numpy()
        foreground = (labels / self.slices.label_counts).sum()
        share = torch.tensor(foreground / len(self._slices_of_epoch(np.random.default_rng())))
        if classifier.bias is not None and 0 < share < 1:
            with torch.no_grad():
                classifier.bias.fill_(torch.logit(share))

    def train(self) -> None:
        """Run the epochs that are not done yet, with a checkpoint after each unless epochs are short beside it."""
        steps, epochs, done = self.steps_per_epoch, self.settings.epochs, len(self.losses)
        self.progress.start("train", epochs * steps, done * steps)
        for epoch in range(done):
            self._tell_losses(epoch)
        for epoch in range(done, epochs):
            self.losses.append(self._epoch(epoch))
            if self.validation is not None:
                self.validation_losses.append(self._validation_loss(self.validation))
            if self.checkpoint.is_due():
                self.checkpoint.save(self._state())
            self._tell_losses(epoch)

    @property
    def steps_per_epoch(self) -> int:
        """Of the optimiser; each epoch has as many slices."""
        return -(-len(self._slices_of_epoch(np.random.default_rng())) // self.settings.batch_size)

    def _tell_losses(self, epoch: int) -> None:
        self.progress.metric("loss", self.losses[epoch])
        if self.validation_losses:
            self.progress.metric("validation_loss", self.validation_losses[epoch])

    def _epoch(self, epoch: int) -> float:
        """One pass over all slices; returns the mean loss."""
        rng = np.random.default_rng([self.settings.seed, epoch])
        torch.manual_seed(int(rng.integers(2**62)))
        self.network.train()
        order = rng.permutation(self._slices_of_epoch(rng))
        apart = 1 if self.device.type == "cpu" else _STEPS_BETWEEN_LOSSES
        exact = torch.float32 if self.device.type == "mps" else torch.float64  # which mps does not have
        total, seen, mean = torch.zeros((), dtype=exact, device=self.device), 0, 0.0
        for step, (images, target) in enumerate(self._batches(order, rng)):
            self.progress.check_cancelled()
            total.add_(self.steps(images, target), alpha=len(images))
            seen += len(images)
            if step % apart == 0 or seen == len(order):
                mean = float(total) / seen
                if not np.isfinite(mean):
                    raise TrainingError(
                        f"The loss is not a number in epoch {epoch + 1}. Choose a smaller learning rate, or look for "
                        "extreme values in the images."
                    )
            self.progress.advance(1, f"epoch {epoch + 1}/{self.settings.epochs} loss {mean:.4f}")
        return mean

    def _batches(self, order: NDArray[np.intp], rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of images and targets of slices in this order."""
        slices = self.slices
        drawn = draw_labels(slices.label_counts, rng)
        flipped = rng.random(len(slices)) < (0.5 if self.settings.augmentation is Augmentation.FLIP else 0.0)
        # All at once, where the slices lie: a GPU does not wait for small transfers then.
        numbers, labels, mirrored = (
            torch.from_numpy(each).to(slices.images.device) for each in (order, drawn[order], flipped[order])
        )
        for start in range(0, len(order), self.settings.batch_size):
            part = slice(start, start + self.settings.batch_size)
            images = slices.images[numbers[part]]
            target = slices.labels[numbers[part], labels[part]][:, None].float()
            if flipped[order[part]].any():
                mirror = mirrored[part, None, None, None]
                images, target = (torch.where(mirror, each.flip(-1), each) for each in (images, target))
            yield (
                images.to(self.device, memory_format=torch.channels_last, non_blocking=True),
                target.to(self.device, non_blocking=True),
            )

    def _slices_of_epoch(self, rng: np.random.Generator) -> NDArray[np.intp]:
        """The slices that an epoch sees: all with the structure, and as many of the others as the settings ask for."""
        ratio = self.settings.background_slices
        with_structure = self.slices.with_structure
        background = np.flatnonzero(~with_structure)
        if ratio is not None:
            count = min(len(background), round(ratio * int(with_structure.sum())))
            background = rng.choice(background, count, replace=False)
        return np.concatenate([np.flatnonzero(with_structure), background])

    def _validation_loss(self, slices: SliceSet) -> float:
        """Mean loss against the raters' mean, one draw with dropout as in a prediction.

        Without dropout the batch normalisation's variances do not fit, and the loss jumps from epoch to epoch.
        """
        set_monte_carlo_mode(self.network)
        total = 0.0
        with torch.inference_mode():
            for start in range(0, len(slices), self.settings.batch_size):
                part = slice(start, start + self.settings.batch_size)
                images = slices.images[part].to(self.device, memory_format=torch.channels_last)
                with autocast(self.precision, self.device):
                    logits = self.network(images)
                target = slices.labels[part].float().to(self.device)
                total += float(training_loss(logits.float(), target, self.settings.loss)) * len(images)
        return total / len(slices)

    def _state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "losses": self.losses,
            "validation_losses": self.validation_losses,
        }

    def _take_up_checkpoint(self, record: dict[str, Any]) -> None:
        """Check that a resumed run has the settings it began with, and load its last state."""
        unknown = self.checkpoint.begin(record, _LATER_KEYS)
        if unknown is None:
            return
        _warn_of_unknown(unknown, self.folder, self.progress)
        if not self.checkpoint.exists:
            self.progress.message("no epoch was complete: training begins at the first one")
            return
        state = self.checkpoint.load(self.device)
        try:
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.losses, self.validation_losses = list(state["losses"]), list(state["validation_losses"])
        except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise self.checkpoint.damaged(error) from error
        self.progress.message(f"resumed after epoch {len(self.losses)} of {self.settings.epochs}")


def _check(cases: Sequence[Case], settings: TrainingSettings) -> None:
    if not cases:
        raise InputError("There is no case to train on.")
    if settings.epochs < 1 or settings.batch_size < 1 or not 0 < settings.learning_rate < np.inf:
        raise InputError("Epochs and batch size must be at least 1, and the learning rate above 0.")
    if settings.background_slices is not None and settings.background_slices < 0:
        raise InputError("The background slices must be 0 or more.")
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
) -> dict[str, Any]:
    """What decides the weights: a resumed run must agree with it in everything. Names of cases are left out."""
    raters = dict.fromkeys(rater for case in cases for rater in case.rater_names)
    return {
        **to_json(settings),
        "cohort": cohort_name,
        "label": label,
        "raters": list(raters),
        "cases": [case_digest(case) for case in cases],
        "case_images": [image_digest(case) for case in cases],
        "validation_cases": [case_digest(case) for case in validation],
        "grids": [grid_digest(case.grid) for case in (*cases, *validation)],
        "sequences": list(cases[0].sequences),
        "skull_stripped": skull_stripped,
        "device_type": device.type,
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


def _warn_of_unknown(unknown: Sequence[str], folder: Path, progress: Progress) -> None:
    if unknown:
        progress.warning(
            f"{folder} was begun by an earlier version, which kept no fingerprint of {', '.join(unknown)}: whether "
            "they are the same cannot be checked"
        )


def _describe(
    sequences: tuple[str, ...],
    label: str,
    expects: Expectations,
    run: _Run,
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
        library_version=VERSION,
        created=datetime.date.today().isoformat(),
    )


def _remove_model(folder: Path) -> None:
    """Remove what an earlier training wrote, and nothing else that lies in the folder."""
    Checkpoint(folder).remove()
    for name in (DESCRIPTION_FILE, WEIGHTS_FILE):
        (folder / name).unlink(missing_ok=True)
