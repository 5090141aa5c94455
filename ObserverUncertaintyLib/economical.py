"""Monte Carlo dropout with less work and a small error: fewer samples, and only where a structure is possible.

A pass without dropout finds where anything but background is possible. Samples are drawn in boxes around that;
elsewhere the result is that one pass. In a box, drawing ends when the predictive entropy has settled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ObserverUncertaintyLib.entropy import Uncertainty, binary_entropy
from ObserverUncertaintyLib.progress import Progress
from ObserverUncertaintyLib.sampling import Sampler
from ObserverUncertaintyLib.settings import Economy

POSSIBLE = 0.01
"""Foreground probability without dropout above which a pixel may be more than background."""

GROWTH = 8
"""Pixels around possible ones, and one slice on either side, where samples are drawn too."""

CONTEXT = 24
"""Pixels around those that the network sees, so that a box's edge does not show in the result."""

_FEWEST_SAMPLES = 6
_UNSURE = 0.05
"""Entropy in bits from which a pixel counts when it is decided whether the samples are enough."""


@dataclass(frozen=True)
class Box:
    """Consecutive slices, what the network sees of them, and where its samples are used; all index the images.

    Attributes:
        slices: the slices.
        seen: rows and columns that the network sees.
        used: rows and columns whose samples are used, inside `seen`.
    """

    slices: slice
    seen: tuple[slice, slice]
    used: tuple[slice, slice]

    @property
    def inside(self) -> tuple[slice, slice, slice]:
        """`used`, counted from where `seen` begins."""
        rows, columns = (
            slice(used.start - seen.start, used.stop - seen.start)
            for used, seen in zip(self.used, self.seen, strict=True)
        )
        return (slice(None), rows, columns)


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
        multiple: what the network wants image sides to be divisible by.
        task: what the progress is called.
        progress: is told of every batch, and can cancel.
    """
    batches = range(0, len(images), batch_size)
    probability = np.zeros((len(images), *images.shape[-2:]))
    if economy.likely_only:
        progress.start(f"{task}: where", len(batches))
        for start in batches:
            progress.check_cancelled()
            progress.advance(1)
            part = slice(start, start + batch_size)
            probability[part] = sampler.deterministic(images[part]).numpy()
        boxes = likely_boxes(probability, batch_size, multiple)
    else:
        everything = (slice(0, images.shape[-2]), slice(0, images.shape[-1]))
        boxes = [Box(slice(start, min(start + batch_size, len(images))), everything, everything) for start in batches]
    progress.start(task, samples * len(boxes))
    expected = binary_entropy(probability)
    pixels = probability.size if economy.likely_only else 0
    for box in boxes:
        mean, entropy, drawn = _settled(
            sampler, images[box.slices, :, *box.seen], samples, seed, box, economy, progress
        )
        used = (box.slices, *box.used)
        probability[used], expected[used] = mean[box.inside], entropy[box.inside]
        pixels += drawn * mean.size
    predictive = binary_entropy(probability)
    expected = np.minimum(expected, predictive)
    return EconomicalResult(
        probability, Uncertainty(predictive, expected, predictive - expected), pixels / (samples * probability.size)
    )


def likely_boxes(probability: NDArray[np.float64], batch_size: int, multiple: int) -> list[Box]:
    """Boxes around everything that may be more than background.

    Args:
        probability: of a pass without dropout, shape (slice, row, column).
        batch_size: most slices in a box.
        multiple: of which the sides of what the network sees are, where the image is large enough.

    Returns:
        Boxes of different slices; none where nothing is possible.
    """
    possible = ndimage.binary_dilation(probability > POSSIBLE, np.ones((3, 1, 1), bool))
    boxes = []
    for start in range(0, len(possible), batch_size):
        found = ndimage.find_objects(possible[start : start + batch_size].astype(np.uint8))
        if not found:
            continue
        slices, *sides = found[0]
        used, seen = zip(*map(_grown, sides, probability.shape[1:], [multiple] * 2), strict=True)
        boxes.append(Box(slice(start + slices.start, start + slices.stop), seen, used))
    return boxes


def _grown(side: slice, length: int, multiple: int) -> tuple[slice, slice]:
    """A side with its growth, and with the context that brings it to a multiple; both cut at the image's edge."""
    used = slice(max(side.start - GROWTH, 0), min(side.stop + GROWTH, length))
    wanted = used.stop - used.start + 2 * CONTEXT
    wanted = min(-(-wanted // multiple) * multiple, length)
    start = min(max((used.start + used.stop - wanted) // 2, 0), length - wanted)
    return used, slice(start, start + wanted)


def _settled(
    sampler: Sampler,
    images: Tensor,
    samples: int,
    seed: int,
    box: Box,
    economy: Economy,
    progress: Progress,
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Mean probability and mean entropy of as many samples as are needed, and their number."""
    total = np.zeros((len(images), *images.shape[-2:]))
    squares, entropies = np.zeros_like(total), np.zeros_like(total)
    for sample in range(samples):
        progress.check_cancelled()
        progress.advance(1, f"slice {box.slices.start + 1}, sample {sample + 1}/{samples}")
        drawn = sampler.draw(images, seed, sample, box.slices.start).cpu().numpy().astype(np.float64)
        total += drawn
        squares += drawn**2
        entropies += binary_entropy(drawn)
        count = sample + 1
        tolerance = economy.entropy_tolerance
        if tolerance is None or not _FEWEST_SAMPLES <= count < samples:
            continue
        if entropy_error(total / count, squares / count, count, samples) <= tolerance:
            progress.advance(samples - count, "settled")
            break
    return total / count, entropies / count, count


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
