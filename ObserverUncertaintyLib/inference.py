"""Monte Carlo dropout over a case: T samples in, mean probability and entropies on the case's own grid out.

Source: Jungo et al. 2018, section 2.2; Gal and Ghahramani, ICML 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ObserverUncertaintyLib.cases import Case
from ObserverUncertaintyLib.devices import autocast, choose_precision, out_of_memory_advice, torch_type
from ObserverUncertaintyLib.entropy import MonteCarloSums, Uncertainty
from ObserverUncertaintyLib.model_file import ModelDescription
from ObserverUncertaintyLib.prepared_unet import PreparedUNet, can_prepare
from ObserverUncertaintyLib.progress import Progress
from ObserverUncertaintyLib.settings import DEFAULT_SAMPLES, Precision
from ObserverUncertaintyLib.unet import set_monte_carlo_mode

_MEMORY_ADVICE = "Give a smaller --batch-size, or another --device."


@dataclass(frozen=True)
class Prediction:
    """A model's prediction for one case, on the case's own grid.

    Attributes:
        probability: mean foreground probability of the samples, float32, shape (k, j, i), in [0, 1].
        uncertainty: predictive entropy and its two parts in bits.
        samples: number of Monte Carlo samples.
        notes: what was done to the case (resampled to the model's grid).
        warnings: how the case is unlike the training images.
    """

    probability: NDArray[np.float32]
    uncertainty: Uncertainty
    samples: int
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def segmentation(self) -> NDArray[np.bool_]:
        """Voxels with a probability above one half, shape (k, j, i)."""
        return segmentation_of(self.probability)


def segmentation_of(probability: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The segmentation that a mean probability stands for: voxels above one half."""
    return probability > 0.5


def predict(
    network: nn.Module,
    description: ModelDescription,
    case: Case,
    *,
    samples: int = DEFAULT_SAMPLES,
    seed: int = 0,
    batch_size: int = 4,
    precision: Precision = Precision.AUTO,
    skull_stripped: bool | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Run Monte Carlo dropout over a case.

    Every sample is brought back to the case's grid before its entropy is taken, and only running sums are kept, so
    that memory does not grow with the number of samples.

    Args:
        network: the model's network, on the device to be used.
        description: the model's description.
        case: the case; its images are taken by name, further ones are ignored.
        samples: T, the number of Monte Carlo samples.
        seed: of the dropout masks.
        batch_size: slices computed at a time.
        precision: number format of the network's heavy operations.
        skull_stripped: whether the case's images show the brain only, if known.
        progress: is told of every batch, and can cancel.

    Raises:
        ModelError: the model cannot be used on this case.
        DeviceError: the device ran out of memory.
    """
    if samples < 1:
        raise ValueError("at least one sample is needed")
    progress = progress or Progress()
    warnings = description.check_case(case, skull_stripped)
    device = next(network.parameters()).device
    prepared = description.preprocessing.prepare(case.with_sequences(description.sequences))
    path = prepared.path
    progress.start(f"predict {case.name}", samples * -(-len(prepared.images) // batch_size))

    def advance(sample: int) -> None:
        progress.check_cancelled()
        progress.advance(1, f"sample {sample + 1}/{samples}")

    # Without interpolation the entropies of the model's grid are those of the case's, and 0 outside the crop.
    there: Callable[[NDArray[Any]], NDArray[Any]] = path.to_case if path.interpolates else _same
    back: Callable[[NDArray[Any]], NDArray[Any]] = _same if path.interpolates else path.to_case
    sums = MonteCarloSums(case.grid.shape if path.interpolates else path.shape)
    with out_of_memory_advice(device, _MEMORY_ADVICE):
        images = torch.from_numpy(prepared.images)
        chosen = choose_precision(precision, device)
        for probability in monte_carlo_samples(network, images, samples, seed, batch_size, chosen, advance):
            sums.add(there(probability))
    mean = back(sums.mean_probability().astype(np.float32))
    parts = sums.uncertainty()
    uncertainty = Uncertainty(back(parts.predictive), back(parts.expected), back(parts.mutual_information))
    notes: tuple[str, ...] = ()
    if path.interpolates:
        row, column = path.plane.spacing[1], path.plane.spacing[0]
        notes = (f"{case.name} was resampled in-plane to the model's {row:.3g} x {column:.3g} mm, and back",)
    return Prediction(mean, uncertainty, samples, notes, tuple(warnings))


def monte_carlo_samples(
    network: nn.Module,
    images: Tensor,
    samples: int,
    seed: int,
    batch_size: int,
    precision: Precision,
    advance: Callable[[int], None] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Draw samples of the foreground probability with only the dropout layers stochastic.

    `reference_samples` is what this must agree with.

    Args:
        network: the network, on the device to be used.
        images: float32, shape (slice, sequence, row, column), normalised.
        samples: how many to draw.
        seed: of the dropout masks; the state of torch's generators outside is left as it was.
        batch_size: slices computed at a time; another size draws other masks from the same seed.
        precision: number format of the network's heavy operations.
        advance: called before each batch with the sample's number.

    Yields:
        One sample at a time, float32, shape (slice, row, column), in [0, 1].
    """
    device = next(network.parameters()).device
    logits = _logits_function(network, images.shape[-2], images.shape[-1], precision)
    for sample in range(samples):
        probability = torch.empty((len(images), *images.shape[-2:]))
        with _masks_of_sample(seed, sample, device), torch.inference_mode():
            for start in range(0, len(images), batch_size):
                if advance is not None:
                    advance(sample)
                part = slice(start, start + batch_size)
                probability[part] = torch.sigmoid(logits(images[part]))[:, 0].cpu()
        yield probability.numpy()


def reference_samples(
    network: nn.Module, images: Tensor, samples: int, seed: int, batch_size: int = 1
) -> Iterator[NDArray[np.float32]]:
    """The same as `monte_carlo_samples` as it is defined, slice by slice in float32: slow, to be compared with.

    On a CPU both draw the same masks for the same seed and batches.
    """
    device = next(network.parameters()).device
    set_monte_carlo_mode(network)
    for sample in range(samples):
        drawn = []
        with _masks_of_sample(seed, sample, device), torch.no_grad():
            for batch in torch.split(images, batch_size):
                drawn.append(torch.sigmoid(network(batch.to(device, memory_format=torch.channels_last)))[:, 0].cpu())
        yield torch.cat(drawn).numpy()


def _logits_function(network: nn.Module, rows: int, columns: int, precision: Precision) -> Callable[[Tensor], Tensor]:
    """What makes float32 logits of shape (slice, 1, row, column) of images of shape (slice, sequence, row, column)."""
    if can_prepare(network):
        return PreparedUNet(network, rows, columns, torch_type(precision))
    device = next(network.parameters()).device
    set_monte_carlo_mode(network)

    def logits(images: Tensor) -> Tensor:
        with autocast(precision, device):
            drawn: Tensor = network(images.to(device, memory_format=torch.channels_last))
        return drawn.float()

    return logits


@contextmanager
def _masks_of_sample(seed: int, sample: int, device: torch.device) -> Iterator[None]:
    """Seed torch's generators for one sample, which so does not depend on how many are drawn before it."""
    with torch.random.fork_rng(_cuda_devices(device)):
        torch.manual_seed(int(np.random.default_rng([seed, sample]).integers(2**62)))
        yield


def _same(array: NDArray[Any]) -> NDArray[Any]:
    return array


def _cuda_devices(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []
