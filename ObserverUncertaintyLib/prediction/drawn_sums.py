"""The sums over Monte Carlo samples, made where these are drawn: a GPU does not wait for main memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ObserverUncertaintyLib.prediction.sampling import Sampler, drawn_batches
from ObserverUncertaintyLib.prediction.sums import MonteCarloSums


def drawn_sums(
    sampler: Sampler,
    images: Tensor,
    samples: int,
    seed: int,
    batch_size: int,
    advance: Callable[[int], None] | None = None,
    on_sample: Callable[[NDArray[np.float32]], None] | None = None,
) -> MonteCarloSums:
    """The sums over `monte_carlo_samples`.

    Args:
        sampler: the network.
        images: float32, shape (slice, sequence, row, column), normalised.
        samples: how many to draw.
        seed: of the dropout masks.
        batch_size: slices computed at a time.
        advance: called before each batch with the sample's number.
        on_sample: told of each sample, float32, shape (slice, row, column).

    Returns:
        Sums of shape (slice, row, column).
    """
    shape, device = (len(images), *images.shape[-2:]), sampler.device
    exact = torch.device("cpu") if device.type == "mps" else device  # which has no float64
    probability = torch.zeros(shape, dtype=torch.float64, device=exact)
    entropy = torch.zeros_like(probability)
    images = images.to(device)
    for sample in range(samples):
        whole = torch.empty(shape, device=device) if on_sample else None
        for part, drawn in drawn_batches(sampler, images, sample, seed, batch_size, advance):
            p = drawn.to(exact, torch.float64)
            probability[part] += p
            entropy[part] += torch.special.entr(p) + torch.special.entr(1 - p)
            if whole is not None:
                whole[part] = drawn
        if on_sample and whole is not None:
            on_sample(whole.cpu().numpy())
    return MonteCarloSums.of(probability.cpu().numpy(), entropy.cpu().numpy() / np.log(2.0), samples)
