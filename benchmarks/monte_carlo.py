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

import numpy as np
import torch
from torch import Tensor, nn

from measuring import CannotRunError, Machine, Report, Series, Table, Target, interleaved, parser, run
from ObserverUncertaintyLib import __version__
from ObserverUncertaintyLib.cases import Case
from ObserverUncertaintyLib.cost import forward_flops, matmul_rate
from ObserverUncertaintyLib.devices import choose_precision, describe_device, torch_type
from ObserverUncertaintyLib.geometry import Grid
from ObserverUncertaintyLib.inference import predict
from ObserverUncertaintyLib.memory import keep_freed_memory
from ObserverUncertaintyLib.model_file import Expectations, ModelDescription
from ObserverUncertaintyLib.prepared_unet import PreparedUNet
from ObserverUncertaintyLib.preprocessing import Crop, Preprocessing
from ObserverUncertaintyLib.settings import Precision, UNetSettings
from ObserverUncertaintyLib.simulation.cavities import CavitySettings, simulate_cavity_case
from ObserverUncertaintyLib.unet import UNet, set_monte_carlo_mode

CPU = torch.device("cpu")
SAMPLES = 20
SIZE = (240, 240, 155)
SETTINGS = UNetSettings(sequences=4, depth=5, filters=48)
BATCH = 8


class NaiveUNet(UNet):
    """The network as it is defined, from torch's own layers."""

    def __init__(self, settings: UNetSettings) -> None:
        super().__init__(settings)
        for block in (*self.encoder, *self.decoder):
            for at, layer in enumerate(block):
                if isinstance(layer, nn.Dropout):
                    block[at] = nn.Dropout(layer.p)
        self.upsampling = nn.ModuleList(nn.Sequential(*layers) for layers in self.upsampling)


@dataclass(frozen=True)
class Lever:
    """A way of drawing, with what it adds to the one before."""

    name: str
    draw: Callable[[Tensor], Tensor]
    images: Tensor  # the measured slices, shape (slice, sequence, row, column)
    slices: int  # of the whole case
    batch: int
    keeps_memory: bool = False

    def work(self, passes: int) -> None:
        """Some passes over the measured slices."""
        with freed_memory(kept=self.keeps_memory), torch.inference_mode():
            for _ in range(passes):
                for batch in torch.split(self.images, self.batch):
                    torch.sigmoid(self.draw(batch))


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
    """A simulated patient at 1 mm, on the grid of the BraTS challenges: 240x240x155."""
    made = simulate_cavity_case(0, 0, CavitySettings(in_plane_spacing_mm=1.0, slice_thickness_mm=1.0))
    images = np.zeros((len(made.images), *SIZE[::-1]), np.float32)
    into, out_of = [], []
    for wanted, there in zip(images.shape[1:], made.images.shape[1:], strict=True):
        length = min(wanted, there)
        into.append(slice((wanted - length) // 2, (wanted - length) // 2 + length))
        out_of.append(slice((there - length) // 2, (there - length) // 2 + length))
    images[(slice(None), *into)] = made.images[(slice(None), *out_of)]
    return Case("simulated", Grid(SIZE), made.sequences, images)


def description(case: Case) -> ModelDescription:
    """What `predict` has to know of the network."""
    return ModelDescription(
        sequences=case.sequences,
        label="resection cavity",
        architecture=vars(SETTINGS),
        preprocessing=Preprocessing(spacing=(1.0, 1.0)),
        expects=Expectations(3, (1.0, 1.0), 1.0, skull_stripped=True),
        training={"fusion": "none", "case_images": []},
        library_version=__version__,
        created="2018-09-16",
    )


def prepared(network: UNet, rows: int, columns: int, dtype: torch.dtype = torch.float32) -> Callable[[Tensor], Tensor]:
    """Draws of the prepared network, with masks that follow from nothing but the slice's place in its batch."""
    unet = PreparedUNet(network, rows, columns, dtype)
    return lambda images: unet(images, [torch.Generator().manual_seed(number) for number in range(len(images))])


def levers(case: Case, precision: Precision, slices: int) -> tuple[list[Lever], UNet]:
    """The naive loop and what comes after it; the slices are spread over the brain."""
    torch.manual_seed(0)
    naive = NaiveUNet(SETTINGS)
    plain = UNet(SETTINGS).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    plain.load_state_dict(naive.state_dict())
    two_steps = UNet(SETTINGS).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    two_steps.load_state_dict(naive.state_dict())
    for layer in two_steps.upsampling:
        layer.forward = layer.two_steps
    for network in (naive, plain, two_steps):
        set_monte_carlo_mode(network)
    preprocessing = Preprocessing(spacing=(1.0, 1.0))
    cropped = preprocessing.prepare(case)
    whole = replace(preprocessing, crop=Crop.NONE).prepare(case)
    rows, columns = cropped.images.shape[-2:]
    chosen = np.linspace(0.1, 0.9, slices) * len(cropped.images)
    brain = torch.from_numpy(cropped.images[chosen.astype(int)])
    last = brain.to(memory_format=torch.channels_last)
    same = torch.from_numpy(whole.images[(chosen + cropped.path.crop[0].start).astype(int)])
    all_slices, left = len(whole.images), len(cropped.images)
    made = [
        Lever("naive", naive, same, all_slices, 1),
        Lever("+ crop to the brain", naive, brain, left, 1),
        Lever(f"+ {BATCH} slices, channels last, cheap masks", two_steps, last, left, BATCH),
        Lever("+ upsampling in one step", plain, last, left, BATCH),
        Lever("+ folded, in place, fewer products", prepared(plain, rows, columns), last, left, BATCH),
    ]
    made.append(replace(made[-1], name="+ freed memory kept", keeps_memory=True))
    if precision is not Precision.FLOAT32:
        rounding = prepared(plain, rows, columns, torch_type(precision))
        made.append(replace(made[-1], name=f"+ {precision.value}", draw=rounding))
    return made, plain


def measure(arguments: argparse.Namespace) -> Report:
    """All levers in turn, the floor, and the whole case once if asked for."""
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        raise CannotRunError("How freed memory is handled can be changed on Linux with glibc only.")
    precision = choose_precision(Precision.AUTO, CPU)
    case = case_of_240()
    slices, passes, repetitions = (2, 1, 1) if arguments.quick else (8, 2, 5)
    ladder, network = levers(case, precision, slices)
    seconds = interleaved({lever.name: lambda lever=lever: lever.work(passes) for lever in ladder}, repetitions)
    keep_freed_memory()
    rows, series, naive_total = [], [], None
    for lever, measured in zip(ladder, seconds, strict=True):
        scale = SAMPLES * lever.slices / (passes * len(lever.images))
        total = Series(f"{measured.name} (s, scaled)", tuple(scale * value for value in measured.values))
        naive_total = naive_total or total
        gain = naive_total.over(total, f"naive / {measured.name}")
        series += [measured, total, gain]
        size = "x".join(map(str, lever.images.shape[-2:]))
        figures = (f"{total.median / 60:.3g}", f"{min(total.values) / 60:.3g}", f"{max(total.values) / 60:.3g}")
        rows.append((lever.name, f"{lever.slices} of {size}", *figures, f"{gain.median:.2f}"))
    header = ("T = 20, scaled", "slices", "median (min)", "least (min)", "most (min)", "naive / this")
    best = series[-2]
    operations = forward_flops(SETTINGS, *ladder[-1].images.shape[-2:]) * ladder[-1].slices * SAMPLES
    rate = matmul_rate(CPU, precision)
    floor = operations / rate
    tables = [Table(header, tuple(rows)), _floor_table(operations, rate, best, precision)]
    if arguments.complete:
        tables.append(_complete(ladder[0], network, case))
    return Report(
        "Monte Carlo inference: T = 20 over 240x240x155, four sequences, 5 poolings and 48 filters",
        Machine.here(describe_device(CPU)),
        tuple(tables),
        tuple(series),
        (
            f"A repetition is {slices} slices and {passes} passes, {repetitions} repetitions, in turn.",
            "The network's passes alone: reading, preparing, entropies and writing are in no row.",
        ),
        (
            Target("at least 5 times the naive loop", f"{series[-1].median:.2f}", series[-1].median >= 5),
            Target(
                "at most 1.5 times the floor of the work that is left",
                f"{best.median / floor:.2f}",
                best.median <= 1.5 * floor,
            ),
        ),
    )


def _floor_table(operations: float, rate: float, best: Series, precision: Precision) -> Table:
    floor = operations / rate
    header = ("the work that is left", "TFLOP", "matmul GFLOP/s", "floor (min)", "measured (min)", "measured / floor")
    figures = (operations / 1e12, rate / 1e9, floor / 60, best.median / 60, best.median / floor)
    return Table(header, ((precision.value, *(f"{figure:.3g}" for figure in figures)),))


def _complete(naive: Lever, network: UNet, case: Case) -> Table:
    """The naive loop and `predict` over the whole case, once each."""
    images = torch.from_numpy(Preprocessing(spacing=(1.0, 1.0), crop=Crop.NONE).prepare(case).images)
    started = time.perf_counter()
    replace(naive, images=images).work(SAMPLES)
    middle = time.perf_counter()
    predict(network, description(case), case, samples=SAMPLES)
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
