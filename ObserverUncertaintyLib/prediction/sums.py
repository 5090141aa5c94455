"""Mean probability and entropies of samples, of which only running sums are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ObserverUncertaintyLib.scores.entropy import Uncertainty

_SLAB = 2**14
"""Voxels at a time, which stay in the processor's cache between the steps of an entropy: a third of the time."""

_LEAST = np.finfo(np.float64).tiny


class MonteCarloSums:
    """Running sums over samples, so that memory does not grow with their number."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.samples = 0
        self._probability = np.zeros(shape, np.float64)
        self._entropy = np.zeros(shape, np.float64)

    @classmethod
    def of(cls, probability: NDArray[np.float64], entropy: NDArray[np.float64], samples: int) -> MonteCarloSums:
        """Sums that were made elsewhere.

        Args:
            probability: sum of the samples' foreground probability.
            entropy: sum of their entropies in bits, same shape.
            samples: how many there were.
        """
        sums = cls(())
        sums._probability, sums._entropy, sums.samples = probability, entropy, samples
        return sums

    def add(self, probability: NDArray[Any]) -> None:
        """Add one sample of the foreground probability, shape as given to the constructor, in [0, 1], or a mask."""
        if probability.shape != self._probability.shape:
            raise ValueError(f"a sample has shape {probability.shape}, the sums {self._probability.shape}")
        self.samples += 1
        if probability.dtype == bool:  # which is sure everywhere
            self._probability += probability
            return
        given, total, entropy = (each.reshape(-1) for each in (probability, self._probability, self._entropy))
        for part in _slabs(given.size):
            p = given[part].astype(np.float64)
            total[part] += p
            entropy[part] += _entropy(p)

    def mean_probability(self) -> NDArray[np.float64]:
        """The mean of the samples so far: the approximate p(y = 1 | I) of Jungo et al. 2018, section 2.2."""
        if self.samples == 0:
            raise ValueError("no sample was added yet")
        return self._probability / self.samples

    def uncertainty(self) -> Uncertainty:
        """Predictive entropy of the mean, and its two parts."""
        mean = self.mean_probability()
        predictive = np.empty_like(mean)
        for part in _slabs(mean.size):
            predictive.reshape(-1)[part] = _entropy(mean.reshape(-1)[part])
        # By Jensen's inequality the expected entropy cannot exceed the predictive one; rounding can.
        expected = np.minimum(self._entropy / self.samples, predictive)
        return Uncertainty(predictive, expected, predictive - expected)


def _slabs(size: int) -> Iterator[slice]:
    return (slice(start, start + _SLAB) for start in range(0, size, _SLAB))


def _entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """`binary_entropy` of what is float64 already, by fewer steps; equal but for rounding."""
    return _times_log(p) + _times_log(1.0 - p)


def _times_log(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """-p log2 p, which is 0 at 0."""
    logs = np.log(np.maximum(p, _LEAST))
    logs *= p
    logs *= -1 / np.log(2.0)
    return logs
