"""Monte Carlo dropout with less work and a small error: fewer samples, and most of them only where it matters.

The first samples are drawn of everything. Where they find a structure possible, boxes are drawn around it, and the
other samples are drawn in these; elsewhere the result is that of the first ones. In a box, drawing ends when the
predictive entropy has settled. A pass without dropout would not do for the first ones: batch normalisation was trained
on activations with dropout, so without it they are too narrow, and large parts of the background rise to some percent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ObserverUncertaintyLib.boxes import Box, likely_boxes, whole_box
from ObserverUncertaintyLib.entropy import Uncertainty, binary_entropy
from ObserverUncertaintyLib.network.dropout import Window
from ObserverUncertaintyLib.progress import Progress
from ObserverUncertaintyLib.sampling import Sampler
from ObserverUncertaintyLib.settings import Economy

FIRST_SAMPLES = 3
"""Samples that are drawn of everything."""

_FEWEST_SAMPLES = 6
_UNSURE = 0.05
"""Entropy in bits from which a pixel counts when it is decided whether the samples are enough."""


@dataclass(frozen=True)
class EconomicalResult:
    """What came out, and the work it took.

    Attributes:
        probability: mean foreground probability, float64, shape (slice, row, column).
        uncertainty: entropies in bits, same shape.
        work: pixels that the network saw, as a fraction of those of T samples of everything.
    """

    probability: NDArray[np.float64]
    uncertainty: Uncertainty
    work: float


@dataclass
class _Sums:
    """Sums over the samples of some pixels, and how many samples they are.

    Attributes:
        probability, square, entropy: of the foreground probability, float64, all of one shape.
        count: samples.
    """

    probability: NDArray[np.float64]
    square: NDArray[np.float64]
    entropy: NDArray[np.float64]
    count: int = 0

    @classmethod
    def nothing(cls, shape: tuple[int, ...]) -> _Sums:
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape))

    def of(self, box: Box) -> _Sums:
        return _Sums(box.of(self.probability), box.of(self.square), box.of(self.entropy), self.count)

    def add(self, part: slice, drawn: NDArray[np.float64]) -> None:
        """Add a sample of some slices; `count` is the caller's to raise when it has all of them."""
        self.probability[part] += drawn
        self.square[part] += drawn**2
        self.entropy[part] += binary_entropy(drawn)


def economical_uncertainty(
    sampler: Sampler,
    images: Tensor,
    samples: int,
    seed: int,
    batch_size: int,
    economy: Economy,
    multiple: int,
    task: str,
    progress: Progress,
) -> EconomicalResult:
    """Probability and entropies of all slices with less than T samples of everything.

    Args:
        sampler: the network.
        images: float32, shape (slice, sequence, row, column), normalised.
        samples: T, the most samples drawn anywhere.
        seed: of the dropout masks.
        batch_size: slices computed at a time.
        economy: what is saved.
        multiple: pixels that the network pools into one.
        task: what the progress is called.
        progress: is told of every batch, and can cancel.
    """
    everywhere = _Sums.nothing((len(images), *images.shape[-2:]))
    first = min(FIRST_SAMPLES, samples) if economy.likely_only else 0
    batches = [range(start, min(start + batch_size, len(images))) for start in range(0, len(images), batch_size)]
    if first:
        progress.start(f"{task}: where", first * len(batches))
    for sample in range(first):
        for batch in batches:
            progress.check_cancelled()
            progress.advance(1)
            part = slice(batch.start, batch.stop)
            everywhere.add(part, _drawn(sampler.draw(images[part], seed, sample, batch)))
        everywhere.count += 1
    if first:
        boxes = likely_boxes(everywhere.probability / first, batch_size, multiple)
    else:
        boxes = [whole_box(batch, *images.shape[-2:]) for batch in batches]
    probability, entropy = (total / max(first, 1) for total in (everywhere.probability, everywhere.entropy))
    pixels = first * probability.size
    progress.start(task, (samples - first) * len(boxes))
    for box in boxes:
        found = _settled(sampler, images, samples, seed, box, everywhere.of(box), multiple, economy, progress)
        at = (list(box.slices), box.rows, box.columns)
        probability[at] = np.where(box.used, found.probability / found.count, probability[at])
        entropy[at] = np.where(box.used, found.entropy / found.count, entropy[at])
        pixels += (found.count - first) * box.used.size
    predictive = binary_entropy(probability)
    expected = np.minimum(entropy, predictive)
    return EconomicalResult(
        probability, Uncertainty(predictive, expected, predictive - expected), pixels / (samples * probability.size)
    )


def _settled(
    sampler: Sampler,
    images: Tensor,
    samples: int,
    seed: int,
    box: Box,
    sums: _Sums,
    multiple: int,
    economy: Economy,
    progress: Progress,
) -> _Sums:
    """Add as many samples of a box as are needed to those that there are."""
    rows, columns = images.shape[-2:]
    window = None
    if box.used.shape[1:] != (rows, columns):
        window = Window(box.rows.start, box.columns.start, rows + -rows % multiple, columns + -columns % multiple)
    seen = images[list(box.slices), :, box.rows, box.columns]
    for sample in range(sums.count, samples):
        progress.check_cancelled()
        progress.advance(1, f"slice {box.slices[0] + 1}, sample {sample + 1}/{samples}")
        sums.add(slice(None), _drawn(sampler.draw(seen, seed, sample, box.slices, window)))
        sums.count += 1
        tolerance, count = economy.entropy_tolerance, sums.count
        if tolerance is None or not _FEWEST_SAMPLES <= count < samples:
            continue
        mean, square = (total[box.used] / count for total in (sums.probability, sums.square))
        if entropy_error(mean, square, count, samples) <= tolerance:
            progress.advance(samples - count, "settled")
            break
    return sums


def _drawn(sample: Tensor) -> NDArray[np.float64]:
    return sample.cpu().numpy().astype(np.float64)


def entropy_error(mean: NDArray[np.float64], mean_square: NDArray[np.float64], count: int, samples: int) -> float:
    """How far the predictive entropy of the samples so far may be from that of all T, in bits.

    Both are means over draws of one distribution, so their difference has the variance s^2 (1/t - 1/T). The entropy
    changes by |log2((1 - p) / p)| times as much as the probability.

    Args:
        mean: of the probability over t samples.
        mean_square: of its square.
        count: t.
        samples: T.

    Returns:
        The expected absolute difference, as a mean over pixels whose entropy is above 0.05 bits; 0 if there is none.
    """
    unsure = binary_entropy(mean) > _UNSURE
    if not unsure.any():
        return 0.0
    p = mean[unsure]
    variance = np.maximum(mean_square[unsure] - p**2, 0) * count / (count - 1)
    spread = np.sqrt(variance * (1 / count - 1 / samples))
    # The mean of the absolute value of a normal variable is sqrt(2 / pi) standard deviations.
    return float(np.sqrt(2 / np.pi) * np.mean(np.abs(np.log2((1 - p) / p)) * spread))
