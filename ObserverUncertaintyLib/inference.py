"""Monte Carlo dropout over a case: T samples in, mean probability and entropies on the case's own grid out.

Source: Jungo et al. 2018, section 2.2; Gal and Ghahramani, ICML 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ObserverUncertaintyLib.cases import Case
from ObserverUncertaintyLib.devices import autocast, choose_precision, out_of_memory_advice
from ObserverUncertaintyLib.entropy import MonteCarloSums, Uncertainty
from ObserverUncertaintyLib.model_file import ModelDescription
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

    sums = MonteCarloSums(case.grid.shape)
    with out_of_memory_advice(device, _MEMORY_ADVICE):
        images = torch.from_numpy(prepared.images)
        chosen = choose_precision(precision, device)
        for probability in monte_carlo_samples(network, images, samples, seed, batch_size, chosen, advance):
            sums.add(path.to_case(probability))
    mean = sums.mean_probability().astype(np.float32)
    notes: tuple[str, ...] = ()
    if path.interpolates:
        row, column = path.plane.spacing[1], path.plane.spacing[0]
        notes = (f"{case.name} was resampled in-plane to the model's {row:.3g} x {column:.3g} mm, and back",)
    return Prediction(mean, sums.uncertainty(), samples, notes, tuple(warnings))


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
    set_monte_carlo_mode(network)
    for sample in range(samples):
        probability = torch.empty((len(images), *images.shape[-2:]))
        # One generator per sample: a sample does not depend on how many are drawn before it.
        with torch.random.fork_rng(_cuda_devices(device)), torch.inference_mode():
            torch.manual_seed(int(np.random.default_rng([seed, sample]).integers(2**62)))
            for start in range(0, len(images), batch_size):
                if advance is not None:
                    advance(sample)
                part = slice(start, start + batch_size)
                batch = images[part].to(device, memory_format=torch.channels_last)
                with autocast(precision, device):
                    logits = network(batch)
                probability[part] = torch.sigmoid(logits.float())[:, 0].cpu()
        yield probability.numpy()


def _cuda_devices(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []
