"""Drawing Monte Carlo samples of slices that are prepared for the network.

Source: Jungo et al. 2018, section 2.2; Gal and Ghahramani, ICML 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ObserverUncertaintyLib.devices import autocast, torch_type
from ObserverUncertaintyLib.prepared_unet import PreparedUNet, can_prepare
from ObserverUncertaintyLib.settings import Precision
from ObserverUncertaintyLib.unet import set_monte_carlo_mode


class Sampler:
    """Draws foreground probabilities of batches of slices, with only the dropout layers stochastic."""

    def __init__(self, network: nn.Module, rows: int, columns: int, precision: Precision) -> None:
        """Prepare the network; it must not change while this is in use.

        Args:
            network: on the device to be used.
            rows: of the slices; others work too, perhaps more slowly.
            columns: likewise.
            precision: number format of the network's heavy operations, not "auto".
        """
        self._network = network
        self._device = next(network.parameters()).device
        self._precision = precision
        self._prepared: PreparedUNet | None = None
        if can_prepare(network):
            self._prepared = PreparedUNet(network, rows, columns, torch_type(precision))

    def draw(self, images: Tensor, *seed: int) -> Tensor:
        """One sample of a batch.

        Args:
            images: float32, shape (slice, sequence, row, column), normalised.
            seed: numbers that decide the dropout masks; torch's generators outside are left as they were.

        Returns:
            float32, shape (slice, row, column), in [0, 1], in main memory.
        """
        with _masks(self._device, *seed), torch.inference_mode():
            if self._prepared is not None:
                logits = self._prepared(images)
            else:
                set_monte_carlo_mode(self._network)
                logits = self._plain(images)
            return torch.sigmoid(logits)[:, 0].cpu()

    def deterministic(self, images: Tensor) -> Tensor:
        """The same without dropout: one pass of the network in evaluation mode."""
        with torch.inference_mode():
            if self._prepared is not None:
                logits = self._prepared(images, dropout=False)
            else:
                self._network.eval()
                logits = self._plain(images)
            return torch.sigmoid(logits)[:, 0].cpu()

    def _plain(self, images: Tensor) -> Tensor:
        with autocast(self._precision, self._device):
            logits: Tensor = self._network(images.to(self._device, memory_format=torch.channels_last))
        return logits.float()


def monte_carlo_samples(
    sampler: Sampler,
    images: Tensor,
    samples: int,
    seed: int,
    batch_size: int,
    advance: Callable[[int], None] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Draw samples of all slices; `reference_samples` is what this must agree with.

    Args:
        sampler: the network.
        images: float32, shape (slice, sequence, row, column), normalised.
        samples: how many to draw.
        seed: of the dropout masks.
        batch_size: slices computed at a time; another size draws other masks from the same seed.
        advance: called before each batch with the sample's number.

    Yields:
        One sample at a time, float32, shape (slice, row, column), in [0, 1].
    """
    for sample in range(samples):
        probability = torch.empty((len(images), *images.shape[-2:]))
        for start in range(0, len(images), batch_size):
            if advance is not None:
                advance(sample)
            part = slice(start, start + batch_size)
            probability[part] = sampler.draw(images[part], seed, sample, start)
        yield probability.numpy()


def reference_samples(
    network: nn.Module, images: Tensor, samples: int, seed: int, batch_size: int = 1
) -> Iterator[NDArray[np.float32]]:
    """The same as `monte_carlo_samples` as it is defined, by the plain network in float32: slow, to be compared with.

    On a CPU both draw the same masks for the same seed and batches.
    """
    device = next(network.parameters()).device
    set_monte_carlo_mode(network)
    for sample in range(samples):
        drawn = []
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size].to(device, memory_format=torch.channels_last)
            with _masks(device, seed, sample, start), torch.no_grad():
                drawn.append(torch.sigmoid(network(batch))[:, 0].cpu())
        yield torch.cat(drawn).numpy()


@contextmanager
def _masks(device: torch.device, *seed: int) -> Iterator[None]:
    """Dropout masks that follow from these numbers alone, whatever was drawn before."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(np.random.default_rng(seed).integers(2**62)))
        yield
