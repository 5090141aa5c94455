"""One step of training: the loss of a batch, and the change of the weights by Adam.

Source: Jungo et al. 2018, sections 3.2 and 3.3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ObserverUncertaintyLib.devices import autocast
from ObserverUncertaintyLib.settings import Loss, Precision


def training_loss(logits: Tensor, target: Tensor, loss: Loss) -> Tensor:
    """The loss of a batch.

    Args:
        logits: shape (slice, 1, row, column).
        target: probability of foreground, same shape, in [0, 1]: a mask or the raters' mean.
        loss: which loss.
    """
    total = torch.zeros((), device=logits.device)
    if loss in (Loss.CROSS_ENTROPY, Loss.SUM):
        total = total + functional.binary_cross_entropy_with_logits(logits, target)
    if loss in (Loss.DICE, Loss.SUM):
        probability = torch.sigmoid(logits)
        overlap = 2 * (probability * target).sum() + 1.0
        total = total + 1.0 - overlap / (probability.sum() + target.sum() + 1.0)
    return total


def make_optimiser(network: nn.Module, learning_rate: float) -> torch.optim.Adam:
    """Adam as the paper has it; one pass over all parameters where torch has that for their device."""
    device = next(network.parameters()).device
    return torch.optim.Adam(network.parameters(), lr=learning_rate, fused=device.type in ("cpu", "cuda"))


def training_step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    images: Tensor,
    target: Tensor,
    loss: Loss,
    precision: Precision,
) -> Tensor:
    """Change the network's weights by what one batch says.

    Args:
        network: in training mode.
        optimiser: of its parameters.
        images: shape (slice, sequence, row, column), on the network's device.
        target: probability of foreground, shape (slice, 1, row, column), in [0, 1].
        loss: which loss.
        precision: number format of the heavy operations.

    Returns:
        The loss before the change, still on the device: reading it makes the program wait for a GPU.
    """
    with autocast(precision, images.device):
        logits = network(images)
    value = training_loss(logits.float(), target, loss)
    optimiser.zero_grad(set_to_none=True)
    value.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return value.detach()
