"""Drawing Monte Carlo samples of slices that are prepared for the network.

Source: Jungo et al. 2018, section 2.2; Gal and Ghahramani, ICML 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ObserverUncertaintyLib.cpu.passes import prepare_passes
from ObserverUncertaintyLib.model.devices import free_memory
from ObserverUncertaintyLib.model.precision import autocast, torch_type
from ObserverUncertaintyLib.model.settings import DropoutMasks, FinalActivation, Precision, UNetSettings
from ObserverUncertaintyLib.network.dropout import ChannelDropout, ElementDropout, rotations
from ObserverUncertaintyLib.network.probability import final_activation, foreground_probability, share_of_largest
from ObserverUncertaintyLib.network.rater_input import with_rater
from ObserverUncertaintyLib.network.unet import UNet, set_monte_carlo_mode

_CPU_SLICES = 8
"""More slices at a time are no faster (2 cores) and take more memory."""

_MOST_SLICES = 64
_GPU_SHARE = 0.8
"""Of the free memory; the rest is left to the allocator's gaps and to the libraries' workspaces."""

_FEATURE_MAPS = 12
"""Memory of a slice at the worst moment, as full-resolution float32 features of the first block."""


def choose_batch_size(network: nn.Module, rows: int, columns: int) -> int:
    """How many slices to compute at a time: on a GPU what its free memory holds.

    Args:
        network: on the device to be used.
        rows: of the slices.
        columns: likewise.
    """
    free = free_memory(next(network.parameters()).device)
    if free is None or not isinstance(network, UNet):
        return _CPU_SLICES
    return slices_that_fit(free, network.settings, rows, columns)


def slices_that_fit(free: int, settings: UNetSettings, rows: int, columns: int) -> int:
    """How many slices a network computes at a time in `free` bytes of a GPU; one if it may be too little for that."""
    slice_bytes = _FEATURE_MAPS * settings.filters * rows * columns * 4
    return max(1, min(int(_GPU_SHARE * free) // slice_bytes, _MOST_SLICES))


class Sampler:
    """Draws foreground probabilities of batches of slices, with only the dropout layers stochastic.

    Element-wise dropout draws masks for each slice: on a CPU a slice's sample does not depend on the batch it is in, on
    a GPU it does, since the device draws for the whole batch at once. Channel-wise dropout draws one set of channels
    for each sample, whatever the slice: one set of weights W_t for the whole volume, as in Jungo et al. 2018, section
    2.2.
    """

    def __init__(
        self,
        network: nn.Module,
        rows: int,
        columns: int,
        precision: Precision,
        masks: DropoutMasks = DropoutMasks.INDEPENDENT,
        draws_as: DrawsAs | None = None,
        flip: bool = False,
    ) -> None:
        """Prepare the network; it must not change while this is in use.

        Args:
            network: on the device to be used.
            rows: of the slices; others work too, perhaps more slowly.
            columns: likewise.
            precision: number format of the network's heavy operations, not "auto".
            masks: how those of several samples are drawn.
            draws_as: of a network that is told whose drawing it makes, whose.
            flip: whether every second sample sees the slices mirrored along the rows.
        """
        self._flip = flip
        self.activation = final_activation(network)
        self._draws_as = draws_as
        self.device = next(network.parameters()).device
        self._network = prepare_passes(network, rows, columns, torch_type(precision))
        self._precision = precision
        self._masks = masks

    def draw(self, images: Tensor, seed: int, sample: int, slices: Sequence[int]) -> Tensor:
        """One sample of a batch; torch's generators outside are left as they were.

        Args:
            images: float32, shape (slice, sequence, row, column), normalised.
            seed: with `sample` and the slices' numbers it decides the dropout masks.
            sample: the sample's number.
            slices: number of each slice.

        Returns:
            float32, shape (slice, row, column), on the network's device: in [0, 1], or with a normalised ReLU the part
            above 0, of which all slices together make a probability; see `drawn_batches`.
        """
        masks = _SampleMasks.of(self._network, seed, sample, self._masks)
        set_monte_carlo_mode(self._network)
        if self._draws_as is not None:
            images = self._draws_as.given(images, sample)
        is_mirrored = self._flip and sample % 2 == 1
        with torch.inference_mode(), masks.drawn(self._network, slices, self.device):
            values = self._values(images.flip(-1) if is_mirrored else images)
            values = values.flip(-1) if is_mirrored else values
            return torch.sigmoid(values) if self.activation is FinalActivation.SIGMOID else torch.relu(values)

    def deterministic(self, images: Tensor) -> Tensor:
        """The probability without dropout, in main memory: one pass of the network in evaluation mode."""
        self._network.eval()
        with torch.inference_mode():
            return foreground_probability(self._values(images), self.activation).cpu()

    def _values(self, images: Tensor) -> Tensor:
        with autocast(self._precision, self.device):
            values: Tensor = self._network(images.to(self.device, memory_format=torch.channels_last))
        return values.float()[:, 0]


@dataclass(frozen=True)
class DrawsAs:
    """Whose drawing a network makes that was told whose it saw.

    Attributes:
        raters: how many it can draw as.
        rater: the number of the one that it draws as; None draws as each of them in turn, sample by sample.
    """

    raters: int
    rater: int | None = None

    def given(self, images: Tensor, sample: int) -> Tensor:
        """Images with the rater of a sample; shapes as for `with_rater`."""
        rater = sample % self.raters if self.rater is None else self.rater
        return with_rater(images, torch.full((len(images),), rater, device=images.device), self.raters)


@dataclass(frozen=True)
class _SampleMasks:
    """What decides the masks of a sample.

    Attributes:
        seed: of all of them.
        number: of the random numbers, which rotated masks share.
        rotation: of the masks, in [0, 1); None where they are drawn each for itself.
    """

    seed: int
    number: int
    rotation: float | None

    @classmethod
    def of(cls, network: nn.Module, seed: int, sample: int, masks: DropoutMasks) -> _SampleMasks:
        """Of a sample of a network.

        Raises:
            ValueError: balanced masks are asked for, and there is a dropout layer that cannot rotate its masks.
        """
        if masks is DropoutMasks.INDEPENDENT:
            return cls(seed, sample, None)
        layers = [module for module in network.modules() if isinstance(module, nn.Dropout | nn.Dropout2d)]
        if not all(isinstance(layer, (ElementDropout, ChannelDropout)) for layer in layers):
            raise ValueError("balanced masks need ElementDropout or ChannelDropout in place of torch's own layers")
        group = min((rotations(layer.p) for layer in layers), default=1)
        return cls(seed, sample // group, sample % group / group)

    def slice_generators(self, slices: Sequence[int]) -> list[torch.Generator]:
        """For each slice of a batch a generator that nothing else decides than the seed, the number and the slice."""
        return [torch.Generator().manual_seed(_mixed(self.seed, self.number, at)) for at in slices]

    @contextmanager
    def drawn(self, network: nn.Module, slices: Sequence[int], device: torch.device) -> Iterator[None]:
        """Let a network's dropout draw these masks for a batch of slices; afterwards it draws as in training."""
        channelwise = [module for module in network.modules() if isinstance(module, ChannelDropout)]
        elementwise = [module for module in network.modules() if isinstance(module, ElementDropout)]
        rng = np.random.default_rng((self.seed, self.number))
        generators = self.slice_generators(slices) if device.type == "cpu" else None
        try:
            for layer in channelwise:
                turned = (rng.random(layer.channels) + (self.rotation or 0.0)) % 1
                layer.kept = torch.from_numpy(turned >= layer.p)
            for each in elementwise:
                each.generators, each.rotation = generators, self.rotation
            with _seeded(device, self.seed, self.number, *slices[:1]):
                yield
        finally:
            for layer in channelwise:
                layer.kept = None
            for each in elementwise:
                each.generators = each.rotation = None


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
        batch_size: slices computed at a time.
        advance: called before each batch with the sample's number.

    Yields:
        One sample at a time, float32, shape (slice, row, column), in [0, 1].
    """
    for sample in range(samples):
        probability = torch.empty((len(images), *images.shape[-2:]))
        for part, drawn in drawn_batches(sampler, images, sample, seed, batch_size, advance):
            probability[part] = drawn  # to main memory, wherever it was drawn
        yield probability.numpy()


def drawn_batches(
    sampler: Sampler,
    images: Tensor,
    sample: int,
    seed: int,
    batch_size: int,
    advance: Callable[[int], None] | None,
) -> Iterator[tuple[slice, Tensor]]:
    """One sample's probability, batch by batch: the slices, and what was drawn for them, on the network's device."""

    def drawn() -> Iterator[tuple[slice, Tensor]]:
        for start in range(0, len(images), batch_size):
            if advance is not None:
                advance(sample)
            part = slice(start, min(start + batch_size, len(images)))
            yield part, sampler.draw(images[part], seed, sample, range(part.start, part.stop))

    if sampler.activation is FinalActivation.SIGMOID:
        return drawn()
    batches = list(drawn())
    largest = torch.stack([values.max() for _part, values in batches]).max()
    return iter([(part, share_of_largest(values, largest)) for part, values in batches])


def reference_samples(
    network: nn.Module,
    images: Tensor,
    samples: int,
    seed: int,
    masks: DropoutMasks = DropoutMasks.INDEPENDENT,
    draws_as: DrawsAs | None = None,
) -> Iterator[NDArray[np.float32]]:
    """The same as `monte_carlo_samples` as it is defined, slice by slice by the plain network in float32.

    Slow, to be compared with. On a CPU both draw the same masks for the same seed.
    """
    device = next(network.parameters()).device
    for sample in range(samples):
        set_monte_carlo_mode(network)
        own, values = _SampleMasks.of(network, seed, sample, masks), []
        for number, image in enumerate(torch.split(images if draws_as is None else draws_as.given(images, sample), 1)):
            with torch.no_grad(), own.drawn(network, [number], device):
                values.append(network(image.to(device, memory_format=torch.channels_last)).float())
        yield foreground_probability(torch.cat(values), final_activation(network))[:, 0].cpu().numpy()


@contextmanager
def _seeded(device: torch.device, *seed: int) -> Iterator[None]:
    """Seed torch's generators with these numbers alone, and leave them as they were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(_mixed(*seed))
        yield


def _mixed(*numbers: int) -> int:
    """One seed from several numbers."""
    return int(np.random.default_rng(numbers).integers(2**62))
