"""T = 20 Monte Carlo samples of the paper's cavity network over a 240x240x155 case of four sequences, on this CPU.

The naive loop (float32, whole slices one at a time, torch's own dropout) beside the same work with one lever after the
other. Every repetition is some slices of the brain and some passes, in turn; times of the whole case are scaled from
them, and labelled so. Weights are random: time does not depend on them. `--complete` runs the naive loop and a
prediction over the whole case once, which takes an hour or more.

    python benchmarks/monte_carlo.py
    python benchmarks/monte_carlo.py --complete
"""

from __future__ import annotations

import argparse
import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from cost import forward_flops, matmul_rate
from measuring import CannotRunError, Floor, Machine, Report, Series, Table, Target, interleaved, parser, run
from ObserverUncertaintyLib.base.process_memory import keep_freed_memory
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cpu.unet import cpu_unet
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.model.devices import describe_device
from ObserverUncertaintyLib.model.precision import choose_precision
from ObserverUncertaintyLib.model.preprocessing import Crop, Preprocessing
from ObserverUncertaintyLib.model.settings import DropoutMasks, Precision, PredictionSettings, UNetSettings
from ObserverUncertaintyLib.network.unet import UNet, set_monte_carlo_mode
from ObserverUncertaintyLib.prediction.inference import predict
from ObserverUncertaintyLib.prediction.sampling import Sampler
from ObserverUncertaintyLib.simulation.cavities import CavitySettings, simulate_cavity_case
from random_networks import CAVITY, CAVITY_SEQUENCES, description

CPU = torch.device("cpu")
SAMPLES = 20
SIZE = (240, 240, 155)
BATCH = 8
BALANCED = 5
LARGEST = (224, 192)


class NaiveUNet(UNet):
    """The network as it is defined, from torch's own layers."""

    def __init__(self, sequences: int, settings: UNetSettings) -> None:
        super().__init__(sequences, settings)
        for block in (*self.encoder, *self.decoder):
            for at, layer in enumerate(block):
                if isinstance(layer, nn.Dropout):
                    block[at] = nn.Dropout(layer.p)


@dataclass(frozen=True)
class Lever:
    """A way of drawing, with what it adds to the one before.

    Attributes:
        name: what it is called.
        draw: probabilities of one draw of a batch.
        images: the measured slices, shape (slice, sequence, row, column).
        slices: how many there are in the whole case.
        batch: slices at a time.
        samples: how many are drawn of the whole case.
        keeps_memory: whether freed memory is kept.
    """

    name: str
    draw: Callable[[Tensor], Tensor]
    images: Tensor
    slices: int
    batch: int = 1
    samples: int = SAMPLES
    keeps_memory: bool = False

    def work(self, passes: int) -> None:
        """Some passes over the measured slices."""
        with freed_memory(kept=self.keeps_memory), torch.inference_mode():
            for _ in range(passes):
                for batch in torch.split(self.images, self.batch):
                    self.draw(batch)

    def seconds(self, measured: Series, passes: int) -> Series:
        """Of all samples of the whole case, scaled from passes over the measured slices."""
        scale = self.samples * self.slices / (passes * len(self.images))
        return Series(f"{self.name} (s, scaled)", tuple(scale * each for each in measured.values))


@contextmanager
def freed_memory(*, kept: bool) -> Iterator[None]:
    """Main memory as the command line handles it, or as glibc does by itself."""
    if kept:
        keep_freed_memory()
    else:
        library = ctypes.CDLL(None)
        # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD, the last where glibc moves it by itself.
        for parameter, value in ((-4, 65536), (-1, 64 * 2**20), (-2, 0), (-3, 32 * 2**20)):
            library.mallopt(parameter, value)
        library.malloc_trim(0)
    yield


def case_of_240() -> Case:
    """A simulated patient on the BraTS challenges' grid, 240x240x155, with a brain of the size that is usual there.

    The template's brain is a large one. These voxels make of it what 1 mm makes of a usual one: 138x169x138 is the
    median of 484 patients (Isensee et al. 2018, arXiv 1809.10486, "BrainTumour").
    """
    made = simulate_cavity_case(0, 0, CavitySettings(in_plane_spacing_mm=1.08, slice_thickness_mm=1.12))
    images = np.zeros((len(made.images), *SIZE[::-1]), np.float32)
    into, out_of = [], []
    for wanted, there in zip(images.shape[1:], made.images.shape[1:], strict=True):
        length = min(wanted, there)
        into.append(slice((wanted - length) // 2, (wanted - length) // 2 + length))
        out_of.append(slice((there - length) // 2, (there - length) // 2 + length))
    images[(slice(None), *into)] = made.images[(slice(None), *out_of)]
    return Case("simulated", Grid(SIZE), made.sequences, images)


def plain(network: UNet) -> Callable[[Tensor], Tensor]:
    """Draws of the network itself."""
    set_monte_carlo_mode(network)
    return lambda images: torch.sigmoid(network(images))


def prepared(
    network: UNet,
    slices: Tensor,
    precision: Precision = Precision.FLOAT32,
    masks: DropoutMasks = DropoutMasks.INDEPENDENT,
) -> Callable[[Tensor], Tensor]:
    """Draws as `predict` makes them: the second of a group, whose masks are rotated if they are balanced."""
    rows, columns = slices.shape[-2:]
    sampler = Sampler(network, rows, columns, precision, masks)
    return lambda images: sampler.draw(images, 0, 1, range(len(images)))


@dataclass(frozen=True)
class Slices:
    """Some slices of the case, spread over the brain, as the levers see them."""

    whole: Tensor
    brain: Tensor
    wide: Tensor
    of_whole: int
    of_brain: int

    @classmethod
    def of(cls, case: Case, count: int) -> Slices:
        """Whole slices, the crop to the brain, and this in the size that the largest brain of a cohort may ask for."""
        preprocessing = Preprocessing(spacing=(1.0, 1.0))
        cropped = preprocessing.prepare(case)
        whole = replace(preprocessing, crop=Crop.NONE).prepare(case)
        chosen = (np.linspace(0.1, 0.9, count) * len(cropped.images)).astype(int)
        return cls(
            torch.from_numpy(whole.images[chosen + cropped.path.crop[0].start]),
            torch.from_numpy(cropped.images[chosen]).to(memory_format=torch.channels_last),
            torch.from_numpy(cropped.widened(LARGEST).images[chosen]).to(memory_format=torch.channels_last),
            len(whole.images),
            len(cropped.images),
        )


def ladder_of(slices: Slices, precision: Precision) -> tuple[list[Lever], UNet]:
    """From the naive loop to what `predict` does; the network of the last."""
    torch.manual_seed(0)
    naive = NaiveUNet(CAVITY_SEQUENCES, CAVITY)
    two_steps, one_step = (make(CAVITY_SEQUENCES, CAVITY) for make in (UNet, cpu_unet))
    for network in (two_steps, one_step):
        network.load_state_dict(naive.state_dict())
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    brain = slices.brain.contiguous()
    fast = prepared(one_step, brain)
    cheap = f"+ {BATCH} slices, channels last, cheap masks"
    made = [
        Lever("naive", plain(naive), slices.whole, slices.of_whole),
        Lever("+ crop to the brain", plain(naive), brain, slices.of_brain),
        Lever(cheap, plain(two_steps), slices.brain, slices.of_brain, BATCH),
        Lever("+ upsampling in one step", plain(one_step), slices.brain, slices.of_brain, BATCH),
        Lever("+ folded, in place, fewer products", fast, slices.brain, slices.of_brain, BATCH),
        Lever("+ freed memory kept", fast, slices.brain, slices.of_brain, BATCH, keeps_memory=True),
    ]
    if precision is not Precision.FLOAT32:
        made.append(replace(made[-1], name=f"+ {precision.value}", draw=prepared(one_step, brain, precision)))
    return made, one_step


def measure(arguments: argparse.Namespace) -> Report:
    """All levers in turn, the floor, and the whole case once if asked for."""
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        raise CannotRunError("How freed memory is handled can be changed on Linux with glibc only.")
    precision = choose_precision(Precision.AUTO, CPU)
    case = case_of_240()
    count, passes, repetitions = (2, 1, 1) if arguments.quick else (8, 2, 5)
    slices = Slices.of(case, count)
    ladder, network = ladder_of(slices, precision)
    best = ladder[-1]
    wide = replace(best, name=f"the last, {LARGEST[0]}x{LARGEST[1]}", images=slices.wide)
    rotated = prepared(network, slices.brain, precision, DropoutMasks.BALANCED)
    fewer = replace(best, name=f"{BALANCED} samples with balanced masks", draw=rotated, samples=BALANCED)
    levers = [*ladder, wide, fewer]
    works: dict[str, Callable[[], object]] = {lever.name: partial(lever.work, passes) for lever in levers}
    measured = {series.name: series for series in interleaved(works, repetitions)}
    keep_freed_memory()
    totals = {lever.name: lever.seconds(measured[lever.name], passes) for lever in levers}
    gains = {name: totals["naive"].over(total, f"naive / {name}") for name, total in totals.items()}
    rows = []
    for lever in levers:
        total, size = totals[lever.name], "x".join(map(str, lever.images.shape[-2:]))
        minutes = (f"{seconds / 60:.3g}" for seconds in (total.median, min(total.values), max(total.values)))
        rows.append((lever.name, f"{lever.slices} of {size}", *minutes, f"{gains[lever.name].median:.2f}"))
    header = ("whole case, scaled", "slices", "median (min)", "least (min)", "most (min)", "naive / this")
    operations = forward_flops(CAVITY_SEQUENCES, CAVITY, *best.images.shape[-2:]) * best.slices * SAMPLES
    rate = matmul_rate(CPU, precision)
    floor = Floor(f"the work that is left, {precision.value}", operations, rate, totals[best.name])
    tables = [Table(header, tuple(rows)), Floor.table([floor])]
    if arguments.complete:
        tables.append(_complete(ladder[0], network, case))
    gain, with_fewer = gains[best.name].median, gains[fewer.name].median
    return Report(
        "Monte Carlo inference: T = 20 over 240x240x155, four sequences, 5 poolings and 48 filters",
        Machine.here(describe_device(CPU)),
        tuple(tables),
        (*measured.values(), *totals.values(), *gains.values()),
        (
            f"A repetition is {count} slices and {passes} passes, {repetitions} repetitions, in turn.",
            f"All rows are T = {SAMPLES} but one: {BALANCED} samples with balanced masks.",
            "The network's passes alone: reading, preparing, entropies and writing are in no row.",
            f"A model's slices have the size of its largest training brain, here no more than the case's own; "
            f"{LARGEST[0]}x{LARGEST[1]} is what large brains take.",
        ),
        (
            Target("all levers: at least 5 times the naive loop", f"{gain:.2f}", gain >= 5),
            Target(f"{fewer.name}: at least 20 times the naive loop", f"{with_fewer:.1f}", with_fewer >= 20),
            Target("at most 1.5 times the floor of the work that is left", f"{floor.ratio:.2f}", floor.ratio <= 1.5),
        ),
    )


def _complete(naive: Lever, network: UNet, case: Case) -> Table:
    """The naive loop and `predict` over the whole case, once each."""
    images = torch.from_numpy(Preprocessing(spacing=(1.0, 1.0), crop=Crop.NONE).prepare(case).images)
    started = time.perf_counter()
    replace(naive, images=images).work(SAMPLES)
    middle = time.perf_counter()
    predict(network, description(CAVITY, case.sequences), case, PredictionSettings(samples=SAMPLES))
    ended = time.perf_counter()
    rows = (
        ("naive loop", f"{(middle - started) / 60:.3g}"),
        ("predict, with entropies", f"{(ended - middle) / 60:.3g}"),
    )
    return Table(("whole case, T = 20, run once", "minutes"), rows)


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--complete", action="store_true", help="also run the whole case once each, an hour or more")
    run(options, measure)
