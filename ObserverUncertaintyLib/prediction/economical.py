"""Monte Carlo dropout with less work and a small error: fewer samples, and most of them only where it matters.

The first samples are drawn of everything. The others are drawn where the first ones find a structure possible, or in
the slices where they bring the predictive entropy nearer to that of all samples; elsewhere the result is that of the
first ones. A pass without dropout would not do for these: batch normalisation was trained on activations with dropout,
so without it they are too narrow, and large parts of the background rise to some percent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.model.settings import Economy
from ObserverUncertaintyLib.network.dropout import Window
from ObserverUncertaintyLib.prediction.boxes import Box, likely_boxes, whole_boxes
from ObserverUncertaintyLib.prediction.sampling import Sampler
from ObserverUncertaintyLib.scores.entropy import Uncertainty, binary_entropy

FIRST_SAMPLES = 3
"""Samples that are drawn of everything."""

_UNSURE = 0.05
"""Entropy in bits from which a pixel counts when it is decided where samples are needed."""


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
    sums = _Sums.nothing((len(images), *images.shape[-2:]))
    drawing = _Drawing(sampler, images, seed, batch_size, multiple, progress, sums)
    boxes, first = whole_boxes(*sums.probability.shape), min(FIRST_SAMPLES, samples)
    progress.start(f"{task}: everything", first * len(boxes))
    for sample in range(first):
        drawing.add(boxes, sample)
    if economy.likely_only:
        boxes = likely_boxes(sums.probability / first, batch_size, multiple)
    needs = None if economy.entropy_tolerance is None else _Needs(boxes, samples, economy.entropy_tolerance)
    progress.start(f"{task}: where it matters", (samples - first) * len(boxes))
    for sample in range(first, samples):
        if needs:
            left = needs.more_than(sample, sums)
            if len(left) < len(boxes):
                progress.advance((samples - sample) * (len(boxes) - len(left)), "settled")
            boxes = left
        drawing.add(boxes, sample)
    probability = sums.probability / sums.count
    predictive = binary_entropy(probability)
    expected = np.minimum(sums.entropy / sums.count, predictive)
    uncertainty = Uncertainty(predictive, expected, predictive - expected)
    return EconomicalResult(probability, uncertainty, drawing.pixels / (samples * probability.size))


@dataclass
class _Sums:
    """Sums over the samples of each pixel.

    Attributes:
        probability, square, entropy: of the foreground probability, float64, shape (slice, row, column).
        count: how many samples they are, int, same shape.
    """

    probability: NDArray[np.float64]
    square: NDArray[np.float64]
    entropy: NDArray[np.float64]
    count: NDArray[np.int64]

    @classmethod
    def nothing(cls, shape: tuple[int, ...]) -> _Sums:
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape, np.int64))

    def add(self, box: Box, drawn: NDArray[np.float64]) -> None:
        """Add a sample of what a box shows, where it is used."""
        box.of(self.probability)[box.used] += drawn[box.used]
        box.of(self.square)[box.used] += drawn[box.used] ** 2
        box.of(self.entropy)[box.used] += binary_entropy(drawn[box.used])
        box.of(self.count)[box.used] += 1


@dataclass
class _Drawing:
    """Adds samples of boxes to the sums.

    Attributes:
        pixels: how many the network has seen.
    """

    sampler: Sampler
    images: Tensor
    seed: int
    batch_size: int
    multiple: int
    progress: Progress
    sums: _Sums
    pixels: int = 0

    def add(self, boxes: Sequence[Box], sample: int) -> None:
        """Add one sample of each box."""
        for batch in self._batches(boxes):
            self.progress.check_cancelled()
            self.progress.advance(len(batch), f"sample {sample + 1}")
            slices, (rows, columns) = [box.number for box in batch], batch[0].window
            seen = self.images[slices, :, rows, columns]
            drawn = self.sampler.draw(seen, self.seed, sample, slices, self._window(rows, columns)).cpu().numpy()
            for box, each in zip(batch, drawn, strict=True):
                self.sums.add(box, each.astype(np.float64))
                self.pixels += each.size

    def _batches(self, boxes: Sequence[Box]) -> Iterator[list[Box]]:
        """Boxes that show the same window, not too many at a time."""
        alike = defaultdict(list)
        for box in boxes:
            rows, columns = box.window
            alike[rows.start, rows.stop, columns.start, columns.stop].append(box)
        for group in alike.values():
            for start in range(0, len(group), self.batch_size):
                yield group[start : start + self.batch_size]

    def _window(self, rows: slice, columns: slice) -> Window | None:
        """What is seen of whole slices, which the network widens to a multiple of its poolings; None if all of it."""
        height, width = self.images.shape[-2:]
        if (rows, columns) == (slice(0, height), slice(0, width)):
            return None
        return Window(rows.start, columns.start, height + -height % self.multiple, width + -width % self.multiple)


class _Needs:
    """How many samples boxes need for the entropy to be as near to that of all T as is asked for."""

    def __init__(self, boxes: Sequence[Box], samples: int, tolerance: float) -> None:
        """Nothing is known of them yet.

        Args:
            boxes: all in which samples may be drawn.
            samples: T.
            tolerance: the mean error in bits over all unsure pixels of the boxes.
        """
        self._boxes = boxes
        self._samples = samples
        self._tolerance = tolerance
        self._costs = np.array([box.used.size for box in boxes], float)
        self._effects, self._unsure = np.zeros(len(boxes)), np.zeros(len(boxes))
        self._counts = np.zeros(len(boxes))
        self._open = np.ones(len(boxes), bool)

    def more_than(self, count: int, sums: _Sums) -> list[Box]:
        """The boxes that need more samples than they have; one that once needed no more has settled.

        Args:
            count: samples of the boxes that have not settled.
            sums: over them.
        """
        for number, box in enumerate(self._boxes):
            if not self._open[number]:
                continue
            mean, square = (box.of(total)[box.used] / count for total in (sums.probability, sums.square))
            self._effects[number], self._unsure[number] = entropy_effect(mean, square, count)
        self._counts[self._open] = count
        allowed = self._tolerance * self._unsure.sum()
        most = np.where(self._open, self._samples, self._counts)
        needed = needed_samples(self._effects, self._costs, self._counts, most, self._samples, allowed)
        self._open &= needed > count
        return [box for box, is_open in zip(self._boxes, self._open, strict=True) if is_open]


def entropy_effect(mean: NDArray[np.float64], mean_square: NDArray[np.float64], count: int) -> tuple[float, int]:
    """How much the predictive entropy of some pixels scatters with the samples.

    The means of t and of all T samples are of draws of one distribution, so their difference has the variance
    s^2 (1/t - 1/T). The entropy changes by |log2((1 - p) / p)| times as much as the probability.

    Args:
        mean: of the probability over t samples.
        mean_square: of its square.
        count: t, at least two.

    Returns:
        The sum over the pixels whose entropy exceeds 0.05 bits of the expected absolute difference between the entropy
        of t and of T samples, divided by sqrt(1/t - 1/T); and how many pixels these are.
    """
    unsure = binary_entropy(mean) > _UNSURE
    p = mean[unsure]
    deviation = np.sqrt(np.maximum(mean_square[unsure] - p**2, 0) * count / (count - 1))
    # The mean of the absolute value of a normal variable is sqrt(2 / pi) standard deviations.
    return float(np.sqrt(2 / np.pi) * np.sum(np.abs(np.log2((1 - p) / p)) * deviation)), len(p)


def needed_samples(
    effects: NDArray[np.float64],
    costs: NDArray[np.float64],
    fewest: NDArray[np.float64],
    most: NDArray[np.float64],
    samples: int,
    allowed: float,
) -> NDArray[np.float64]:
    """The cheapest numbers of samples with which the error is allowed: Neyman's allocation.

    Args:
        effects: `entropy_effect` of each box.
        costs: of a sample of each.
        fewest: samples of each.
        most: likewise.
        samples: T.
        allowed: sum over the boxes of effect * sqrt(1/t - 1/T).

    Returns:
        For each box a number between `fewest` and `most`, in proportion to (effect / cost)^(2/3) where it lies between
        them, which minimises the cost for a given sum of effect / sqrt(t); `most` if the error exceeds what is allowed
        even so.

    Source: Neyman, Journal of the Royal Statistical Society 97 (1934) 558-625, for variances; here for the errors'
        absolute values, hence another exponent.
    """
    shares = (effects / costs) ** (2 / 3)

    def numbers(factor: float) -> NDArray[np.float64]:
        return np.clip(factor * shares, fewest, most)

    def error(factor: float) -> float:
        return float(np.sum(effects * np.sqrt(np.maximum(1 / numbers(factor) - 1 / samples, 0))))

    low, high = 0.0, samples / min(shares[shares > 0], default=1.0)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if error(middle) <= allowed else (middle, high)
    return numbers(high)


_BISECTIONS = 50
