"""Mean probability and entropies of Monte Carlo samples, of which only running sums are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ObserverUncertaintyLib.prediction.sampling import Sampler, drawn_batches
from ObserverUncertaintyLib.scores.entropy import Uncertainty, binary_entropy


class MonteCarloSums:
    """Running sums over Monte Carlo samples, so that memory does not grow with their number."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.samples = 0
        self._probability = np.zeros(shape, np.float64)
        self._entropy = np.zeros(shape, np.float64)

    def add(self, probability: NDArray[Any]) -> None:
        """Add one sample of the foreground probability, shape as given to the constructor, in [0, 1]."""
        self._probability += probability
        self._entropy += binary_entropy(probability)
        self.samples += 1

    @classmethod
    def drawn(
        cls,
        sampler: Sampler,
        images: Tensor,
        samples: int,
        seed: int,
        batch_size: int,
        advance: Callable[[int], None] | None = None,
        on_sample: Callable[[NDArray[np.float32]], None] | None = None,
    ) -> MonteCarloSums:
        """The sums over `monte_carlo_samples`, made where these are drawn: a GPU does not wait for main memory.

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
        sums = cls(())
        sums.samples = samples
        sums._probability, sums._entropy = probability.cpu().numpy(), entropy.cpu().numpy() / np.log(2.0)
        return sums

    def mean_probability(self) -> NDArray[np.float64]:
        """The mean of the samples so far: the approximate p(y = 1 | I) of Jungo et al. 2018, section 2.2."""
        if self.samples == 0:
            raise ValueError("no sample was added yet")
        return self._probability / self.samples

    def uncertainty(self) -> Uncertainty:
        """Predictive entropy of the mean, and its two parts."""
        predictive = binary_entropy(self.mean_probability())
        # By Jensen's inequality the expected entropy cannot exceed the predictive one; rounding can.
        expected = np.minimum(self._entropy / self.samples, predictive)
        return Uncertainty(predictive, expected, predictive - expected)
