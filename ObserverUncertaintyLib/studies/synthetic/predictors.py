"""Ways to a foreground probability besides Monte Carlo dropout, for comparison with it.

Deep ensembles: Lakshminarayanan et al., NeurIPS 2017. Temperature scaling: Guo et al., ICML 2017. Isotonic
calibration: Zadrozny and Elkan, KDD 2002. Test-time augmentation: Wang et al., Neurocomputing 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize_scalar
from scipy.special import expit, logit
from torch import Tensor, nn
from torch.nn import functional

from ObserverUncertaintyLib.model.precision import choose_precision
from ObserverUncertaintyLib.model.settings import Precision
from ObserverUncertaintyLib.prediction.drawn_sums import drawn_sums
from ObserverUncertaintyLib.prediction.sampling import Sampler

Probabilities = NDArray[np.float64]
"""Foreground probabilities of several images, shape (image, row, column), in [0, 1]."""

BATCH_SIZE = 8
AUGMENTATIONS = 20
_ROTATION_DEGREES = 10.0
_SHIFT = 0.05
"""As a fraction of the image's half width."""


def dropout_mean(
    network: nn.Module, images: Tensor, samples: int, seed: int, advance: Callable[[int], None]
) -> Probabilities:
    """Mean of T Monte Carlo samples.

    Args:
        network: on the device to be used.
        images: float32, shape (image, sequence, row, column).
        samples: T.
        seed: of the dropout masks.
        advance: called with the number of images before each batch.
    """
    sampler = _sampler(network, images)
    sums = drawn_sums(sampler, images, samples, seed, BATCH_SIZE, lambda _sample: advance(BATCH_SIZE))
    return sums.mean_probability()


def deterministic(network: nn.Module, images: Tensor, advance: Callable[[int], None]) -> Probabilities:
    """One pass in evaluation mode, without dropout."""
    sampler = _sampler(network, images)
    parts = []
    for batch in torch.split(images, BATCH_SIZE):
        advance(len(batch))
        parts.append(sampler.deterministic(batch).numpy())
    return np.concatenate(parts).astype(np.float64)


def _sampler(network: nn.Module, images: Tensor) -> Sampler:
    device = next(network.parameters()).device
    return Sampler(network, images.shape[-2], images.shape[-1], choose_precision(Precision.AUTO, device))


def ensemble(networks: Sequence[nn.Module], images: Tensor, advance: Callable[[int], None]) -> Probabilities:
    """Mean over networks that were trained from different seeds, each without dropout."""
    return np.asarray(np.mean([deterministic(network, images, advance) for network in networks], axis=0))


def augmented_mean(network: nn.Module, images: Tensor, seed: int, advance: Callable[[int], None]) -> Probabilities:
    """Mean over turned, shifted and up-down mirrored versions of the images, each brought back.

    Not from left to right: the right side of these images is unlike the left.
    """
    rng = np.random.default_rng(seed)
    total = np.zeros((len(images), *images.shape[-2:]))
    for _ in range(AUGMENTATIONS):
        there, back = _random_motion(rng)
        moved = _moved(images, there)
        probability = torch.from_numpy(deterministic(network, moved, advance))[:, None].float()
        total += _moved(probability, back)[:, 0].numpy()
    return np.asarray(np.clip(total / AUGMENTATIONS, 0, 1))


def fitted_temperature(probability: Probabilities, rater_mean: NDArray[Any]) -> float:
    """The temperature that makes raters' votes likeliest on samples that were not trained on.

    Args:
        probability: foreground probability, any shape.
        rater_mean: share of raters who marked each pixel, same shape.
    """
    z = _logit(probability)

    def cross_entropy(log_temperature: float) -> float:
        p = np.clip(expit(z / np.exp(log_temperature)), 1e-12, 1 - 1e-12)
        return float(-np.mean(rater_mean * np.log(p) + (1 - rater_mean) * np.log1p(-p)))

    return float(np.exp(minimize_scalar(cross_entropy, bounds=(-3, 3), method="bounded").x))


def with_temperature(probability: Probabilities, temperature: float) -> Probabilities:
    """The probability with its log-odds divided by the temperature."""
    return np.asarray(expit(_logit(probability) / temperature))


def isotonic(probability: Probabilities, rater_mean: NDArray[Any]) -> Callable[[Probabilities], Probabilities]:
    """The increasing function of the probability that is nearest to the raters' votes on samples not trained on.

    Args:
        probability: foreground probability, any shape.
        rater_mean: share of raters who marked each pixel, same shape.

    Returns:
        What corrects probabilities of any shape; constant beyond the probabilities it was fitted on.
    """
    order = np.argsort(probability, axis=None)
    x = probability.ravel()[order]
    fitted = isotonic_regression(rater_mean.ravel()[order]).x
    return lambda given: np.asarray(np.interp(given, x, fitted))


def _logit(probability: Probabilities) -> Probabilities:
    return np.asarray(logit(np.clip(probability, 1e-6, 1 - 1e-6)))


def _random_motion(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A rotation with shift and perhaps a mirror, and its inverse, as 2x3 matrices."""
    angle = np.deg2rad(rng.uniform(-_ROTATION_DEGREES, _ROTATION_DEGREES))
    matrix = np.eye(3)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:2, 2] = rng.uniform(-_SHIFT, _SHIFT, 2)
    if rng.random() < 0.5:
        matrix = matrix @ np.diag([1.0, -1.0, 1.0])
    return torch.tensor(matrix[:2]).float(), torch.tensor(np.linalg.inv(matrix)[:2]).float()


def _moved(images: Tensor, matrix: Tensor) -> Tensor:
    grid = functional.affine_grid(matrix.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
