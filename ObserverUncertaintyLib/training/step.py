"""One step of training: the loss of a batch, and the change of the weights by Adam.

Source: Jungo et al. 2018, sections 3.2 and 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from ObserverUncertaintyLib.model.precision import autocast
from ObserverUncertaintyLib.model.settings import FinalActivation, Loss, Precision, Schedule
from ObserverUncertaintyLib.network.probability import final_activation, foreground_probability

_WING_OMEGA, _WING_THETA, _WING_EPSILON, _WING_ALPHA = 14.0, 0.5, 1.0, 2.1
"""The published values, which SoftSeg's code takes too."""


def training_loss(
    values: Tensor, target: Tensor, loss: Loss, activation: FinalActivation = FinalActivation.SIGMOID
) -> Tensor:
    """The loss of a batch.

    Args:
        values: the network's last values, shape (slice, 1, row, column); logits where the activation is a sigmoid.
        target: probability of foreground, same shape, in [0, 1]: a mask or the raters' mean.
        loss: which loss; one with a cross-entropy takes the values for logits.
        activation: what makes a probability of the values.
    """
    total = torch.zeros((), device=values.device)
    if loss in (Loss.CROSS_ENTROPY, Loss.SUM):
        total = total + functional.binary_cross_entropy_with_logits(values, target)
    if loss in (Loss.DICE, Loss.SUM):
        probability = foreground_probability(values, activation)
        overlap = 2 * (probability * target).sum() + 1.0
        total = total + 1.0 - overlap / (probability.sum() + target.sum() + 1.0)
    if loss is Loss.ADAPTIVE_WING:
        total = total + adaptive_wing_loss(foreground_probability(values, activation), target)
    return total


def adaptive_wing_loss(probability: Tensor, target: Tensor) -> Tensor:
    """The mean adaptive wing loss, with parameters as published.

    Args:
        probability: of foreground, any shape, in [0, 1].
        target: same shape, in [0, 1].

    Source: Wang et al., ICCV 2019, arXiv 1904.07399, equations 3 and 4.
    """
    difference, power = (target - probability).abs(), _WING_ALPHA - target
    ratio = torch.full_like(target, _WING_THETA / _WING_EPSILON)
    slope = _WING_OMEGA / (1 + ratio**power) * power * ratio ** (power - 1) / _WING_EPSILON
    offset = _WING_THETA * slope - _WING_OMEGA * torch.log1p(ratio**power)
    near = _WING_OMEGA * torch.log1p((difference / _WING_EPSILON) ** power)
    return torch.where(difference < _WING_THETA, near, slope * difference - offset).mean()


def make_optimiser(network: nn.Module, learning_rate: float) -> torch.optim.Adam:
    """Adam as the paper has it; one pass over all parameters where torch has that for their device."""
    device = next(network.parameters()).device
    on_gpu = device.type == "cuda"
    # On a GPU a tensor there, so that a step that was recorded sees it change.
    rate = torch.tensor(learning_rate, device=device) if on_gpu else learning_rate
    return torch.optim.Adam(network.parameters(), lr=rate, fused=device.type in ("cpu", "cuda"), capturable=on_gpu)


def scheduled_rate(first: float, schedule: Schedule, step: int, steps: int) -> float:
    """The learning rate of a step, a number from 0, of so many steps in all, of a training that begins with `first`."""
    if schedule is Schedule.CONSTANT:
        return first
    return first * 0.5 * (1 + math.cos(math.pi * step / steps))


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Let the optimiser's next steps have this learning rate."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def training_step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    images: Tensor,
    target: Tensor,
    loss: Loss,
    precision: Precision,
    activation: FinalActivation = FinalActivation.SIGMOID,
) -> Tensor:
    """Change the network's weights by what one batch says.

    Args:
        network: in training mode.
        optimiser: of its parameters.
        images: shape (slice, sequence, row, column), on the network's device.
        target: probability of foreground, shape (slice, 1, row, column), in [0, 1].
        loss: which loss.
        precision: number format of the heavy operations.
        activation: what makes a probability of the network's last values.

    Returns:
        The loss before the change, still on the device: reading it makes the program wait for a GPU.
    """
    with autocast(precision, images.device):
        values = network(images)
    value = training_loss(values.float(), target, loss, activation)
    optimiser.zero_grad(set_to_none=True)
    value.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return value.detach()


_Step: TypeAlias = Callable[[Tensor, Tensor], Tensor]

_STEPS_BEFORE_RECORDING = 3
"""In which libraries choose their algorithms and reserve their memory, which cannot be recorded."""


class TrainingSteps:
    """Steps of one training. On a CUDA device they are recorded and replayed, the same numbers in less time.

    Python takes longer to start the operations of a step than a large GPU takes to do them. A CUDA graph starts all of
    them at once. It holds the shape of the first batch; batches of another shape, such as an epoch's last one, are
    computed one operation after the other.
    """

    def __init__(self, network: nn.Module, optimiser: torch.optim.Optimizer, loss: Loss, precision: Precision) -> None:
        """Steps of a network that is on its device, in training mode, and stays there."""

        def step(images: Tensor, target: Tensor) -> Tensor:
            return training_step(network, optimiser, images, target, loss, precision, final_activation(network))

        self._step: _Step = step
        self._shape: torch.Size | None = None
        self._done = 0
        self._recorded: _RecordedStep | None = None

    def __call__(self, images: Tensor, target: Tensor) -> Tensor:
        """What `training_step` does; the loss that is returned is valid until the next step."""
        self._shape = self._shape or images.shape
        if images.device.type != "cuda" or images.shape != self._shape:
            return self._step(images, target)
        if self._done < _STEPS_BEFORE_RECORDING:
            self._done += 1
            return _on_side_stream(self._step, images, target)
        if self._recorded is None:
            self._recorded = _RecordedStep(self._step, images, target)
        return self._recorded(images, target)


def _on_side_stream(step: _Step, images: Tensor, target: Tensor) -> Tensor:
    """Do a step as it will be recorded, away from the default stream."""
    current = torch.cuda.current_stream(images.device)
    stream = torch.cuda.Stream(images.device)  # type: ignore[no-untyped-call]
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        loss = step(images, target)
    current.wait_stream(stream)
    return loss


class _RecordedStep:
    """A step as a CUDA graph, with the memory that it reads its batch from."""

    def __init__(self, step: _Step, images: Tensor, target: Tensor) -> None:
        """Record a step, which does not do it."""
        self._images, self._target = images.clone(), target.clone()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._loss = step(self._images, self._target)

    def __call__(self, images: Tensor, target: Tensor) -> Tensor:
        self._images.copy_(images)
        self._target.copy_(target)
        self._graph.replay()
        return self._loss
