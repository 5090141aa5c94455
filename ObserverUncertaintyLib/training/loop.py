"""The training loop: epochs, losses and checkpoints of one run.

Every epoch draws from generators seeded by (seed, epoch) alone, so a resumed run continues bit for bit on the same
device without any generator's state being stored.

Source: Jungo et al. 2018, sections 3.1 to 3.3: Adam with learning rate 1e-3, the last model is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ObserverUncertaintyLib.base.errors import ObserverUncertaintyError
from ObserverUncertaintyLib.base.machine import cores
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.threads import chosen_by_user
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cpu.unet import unet_for_training
from ObserverUncertaintyLib.model.devices import free_memory, make_deterministic
from ObserverUncertaintyLib.model.precision import autocast, choose_precision
from ObserverUncertaintyLib.model.preprocessing import MISSING, Preprocessing
from ObserverUncertaintyLib.model.settings import Augmentation, FinalActivation, Schedule, TrainingSettings
from ObserverUncertaintyLib.network.probability import final_activation
from ObserverUncertaintyLib.network.rater_input import with_rater
from ObserverUncertaintyLib.network.unet import set_monte_carlo_mode
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.training.checkpoint import Checkpoint
from ObserverUncertaintyLib.training.slices import SliceSet, prepare_slices
from ObserverUncertaintyLib.training.start import Start, imitated_raters
from ObserverUncertaintyLib.training.step import (
    TrainingSteps,
    make_optimiser,
    scheduled_rate,
    set_learning_rate,
    training_loss,
)
from ObserverUncertaintyLib.training.targets import draw_labels

_DATA_SHARE = 0.25
"""Of a GPU's free memory, which the training slices may take; more of them stay in main memory."""

_STEPS_BETWEEN_LOSSES = 16
"""On a GPU, which stands still while its loss is read."""


class TrainingError(ObserverUncertaintyError):
    """Training cannot go on, such as when the loss is no longer a number."""


@dataclass
class TrainingRun:
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
        start: Start | None = None,
    ) -> None:
        """Load the data, make the network, or begin with that of a model, and take up the last checkpoint if any."""
        settings, self.sequences = self.settings, cases[0].sequences
        self.imitates = imitated_raters(cases, start) if settings.rater_input else ()
        self.slices, self.preprocessing = prepare_slices(
            cases, preprocessing, settings.network.depth, settings.fusion, settings.tie, self.imitates
        )
        for warning in self.slices.warnings:
            self.progress.warning(warning)
        self.validation: SliceSet | None = None
        if validation:
            self.validation, _ = prepare_slices(
                validation, self.preprocessing, settings.network.depth, FusionMethod.MEAN, settings.tie
            )
        torch.manual_seed(settings.seed)
        channels = len(self.sequences) + len(self.imitates)
        self.network = unet_for_training(channels, settings.network, self.device)
        if start is not None:
            self.network.load_state_dict(start.network.state_dict())
        elif settings.prior_bias:
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
        settings, steps = self.settings, self.steps_per_epoch
        apart = 1 if self.device.type == "cpu" else _STEPS_BETWEEN_LOSSES
        exact = torch.float32 if self.device.type == "mps" else torch.float64  # which mps does not have
        total, seen, mean = torch.zeros((), dtype=exact, device=self.device), 0, 0.0
        learns = final_activation(self.network) is FinalActivation.SIGMOID  # which always has a slope
        for step, (images, target) in enumerate(self._batches(order, rng)):
            self.progress.check_cancelled()
            if settings.schedule is not Schedule.CONSTANT:
                done, planned = epoch * steps + step, settings.epochs * steps
                set_learning_rate(
                    self.optimiser, scheduled_rate(settings.learning_rate, settings.schedule, done, planned)
                )
            total.add_(self.steps(images, target), alpha=len(images))
            seen += len(images)
            if step % apart == 0 or seen == len(order):
                mean = float(total) / seen
                if not np.isfinite(mean):
                    raise TrainingError(
                        f"The loss is not a number in epoch {epoch + 1}. Choose a smaller learning rate, or look for "
                        "extreme values in the images."
                    )
                gradient = self.network.classifier.weight.grad
                learns = learns or gradient is None or bool(gradient.any())
            self.progress.advance(1, f"epoch {epoch + 1}/{self.settings.epochs} loss {mean:.4f}")
        if not learns:
            raise TrainingError(
                f"Nothing is learned any more in epoch {epoch + 1}: no value of the network is above 0, so that its "
                "normalised ReLU is 0 everywhere and has no slope. Train again with another seed or a smaller learning "
                "rate, or with a sigmoid."
            )
        return mean

    def _batches(self, order: NDArray[np.intp], rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of images and targets of slices in this order."""
        slices = self.slices
        drawn = draw_labels(slices.label_counts, rng)
        flipped = rng.random(len(slices)) < (0.5 if self.settings.augmentation is Augmentation.FLIP else 0.0)
        left_out = self._sequences_left_out(len(order), rng)
        # All at once, where the slices lie: a GPU does not wait for small transfers then.
        numbers, labels, mirrored = (
            torch.from_numpy(each).to(slices.images.device) for each in (order, drawn[order], flipped[order])
        )
        raters = None
        if slices.label_raters is not None:
            raters = torch.from_numpy(slices.label_raters[order, drawn[order]]).to(slices.images.device)
        for start in range(0, len(order), self.settings.batch_size):
            part = slice(start, start + self.settings.batch_size)
            images = slices.images[numbers[part]]
            target = slices.labels[numbers[part], labels[part]][:, None].float()
            if flipped[order[part]].any():
                mirror = mirrored[part, None, None, None]
                images, target = (torch.where(mirror, each.flip(-1), each) for each in (images, target))
            if left_out is not None:
                images = images.masked_fill(left_out[part, :, None, None].to(images.device), MISSING)
            if raters is not None:
                images = with_rater(images, raters[part], len(self.imitates))
            yield (
                images.to(self.device, memory_format=torch.channels_last, non_blocking=True),
                target.to(self.device, non_blocking=True),
            )

    def _sequences_left_out(self, count: int, rng: np.random.Generator) -> Tensor | None:
        """Which sequences each of so many slices does without, bool, shape (slice, sequence); None for none of them."""
        names = self.settings.may_be_missing
        if not names:
            return None
        left_out = np.zeros((count, len(self.sequences)), bool)
        ranks = rng.random((count, len(names))).argsort(axis=1).argsort(axis=1)
        numbers = rng.integers(0, len(names) + 1, (count, 1))
        left_out[:, [self.sequences.index(name) for name in names]] = ranks < numbers
        return torch.from_numpy(left_out)

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
        """Mean loss against the raters' mean, one draw with dropout as in a prediction, the raters in turn.

        Without dropout the batch normalisation's variances do not fit, and the loss jumps from epoch to epoch.
        """
        set_monte_carlo_mode(self.network)
        total = 0.0
        with torch.inference_mode():
            for start in range(0, len(slices), self.settings.batch_size):
                part = slice(start, start + self.settings.batch_size)
                images = slices.images[part].to(self.device, memory_format=torch.channels_last)
                if self.imitates:
                    in_turn = torch.arange(start, start + len(images), device=self.device) % len(self.imitates)
                    images = with_rater(images, in_turn, len(self.imitates))
                with autocast(self.precision, self.device):
                    values = self.network(images)
                target = slices.labels[part].float().to(self.device)
                loss = training_loss(values.float(), target, self.settings.loss, final_activation(self.network))
                total += float(loss) * len(images)
        return total / len(slices)

    def _state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "losses": self.losses,
            "validation_losses": self.validation_losses,
            "threads": torch.get_num_threads(),
        }

    def _take_up_checkpoint(self, record: dict[str, Any]) -> None:
        """Check that a resumed run has the settings it began with, and load its last state."""
        if not self.checkpoint.begin(record, self.progress):
            return
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
        self._take_up_threads(state.get("threads"))
        self.progress.message(f"resumed after epoch {len(self.losses)} of {self.settings.epochs}")

    def _take_up_threads(self, threads: int | None) -> None:
        """Compute with as many threads as before, since with another number a CPU rounds otherwise."""
        if self.device.type == "cpu" and threads is not None and not chosen_by_user():
            torch.set_num_threads(min(threads, cores()))
