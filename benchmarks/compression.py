"""Writing a map of 240x240x155 voxels as .nii.gz: SimpleITK, isal, and gzip in blocks on all cores.

A probability, its entropy and its segmentation as the shipped model predicts them on a simulated case. The five maps of
a case are written side by side, as a prediction's are; the other rows are one map alone.

    python benchmarks/compression.py
"""

from __future__ import annotations

import argparse
import struct
import tempfile
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measuring import CannotRunError, Machine, Report, Table, Target, interleaved, parser, run
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.formats import read_image, writing
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.images.resampling import resample
from ObserverUncertaintyLib.model.settings import PredictionSettings
from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintyLib.network.stored import load_model
from ObserverUncertaintyLib.prediction.inference import predict
from ObserverUncertaintyLib.simulation.cavities import simulate_cavity_case

MODEL = shipped_model()
ALONE = ("probability", "entropy", "segmentation")
SIZE = (240, 240, 155)
MOST_LOST = 2.0
BLOCK = 1 << 20


def predicted_maps(size: tuple[int, int, int]) -> tuple[Grid, dict[str, NDArray[Any]]]:
    """The five maps of a simulated case that was resampled to so many voxels."""
    network, description = load_model(MODEL)
    simulated = simulate_cavity_case(0, 7)
    own = simulated.grid
    x, y, z = (s * n / wanted for s, n, wanted in zip(own.spacing, own.size, size, strict=True))
    grid = Grid(size, (x, y, z), own.origin, own.direction)
    images = np.stack([resample(image, own, grid, "linear") for image in simulated.images])
    prediction = predict(
        network, description, Case("case", grid, simulated.sequences, images), PredictionSettings(samples=3)
    )
    uncertainty = prediction.uncertainty
    return grid, {
        "probability": prediction.probability,
        "entropy": uncertainty.predictive,
        "segmentation": prediction.segmentation,
        "expected entropy": uncertainty.expected,
        "mutual information": uncertainty.mutual_information,
    }


def write_in_blocks(path: Path, array: NDArray[Any], grid: Grid) -> None:
    """One gzip member whose blocks do not depend on each other, as Adler's pigz makes it; a thread for each core."""
    uncompressed = path.with_suffix("")
    writing.write_image(uncompressed, array, grid)
    content = uncompressed.read_bytes()
    uncompressed.unlink()
    blocks = [content[start : start + BLOCK] for start in range(0, len(content), BLOCK)]
    with path.open("wb") as target, ThreadPoolExecutor() as threads:
        target.write(b"\x1f\x8b\x08" + bytes(5) + b"\x00\xff")
        for compressed in threads.map(_compressed, blocks):
            target.write(compressed)
        target.write(b"\x03\x00" + struct.pack("<II", zlib.crc32(content), len(content) % 2**32))


def _compressed(block: bytes) -> bytes:
    compressor = zlib.compressobj(3, wbits=-zlib.MAX_WBITS)
    return compressor.compress(block) + compressor.flush(zlib.Z_SYNC_FLUSH)


def write_with(library: Any) -> Callable[[Path, NDArray[Any], Grid], None]:
    """The library's own writer with isal, or without it (None)."""

    def write(path: Path, array: NDArray[Any], grid: Grid) -> None:
        writing.isal_zlib = library
        writing.write_image(path, array, grid)

    return write


def measure(arguments: argparse.Namespace) -> Report:
    """Every writer in turn, one map alone and all five side by side."""
    if writing.isal_zlib is None:
        raise CannotRunError("isal is not installed: pip install isal")
    writers = {"SimpleITK": write_with(None), "isal": write_with(writing.isal_zlib), "blocks": write_in_blocks}
    grid, maps = predicted_maps((96, 96, 8) if arguments.quick else SIZE)
    repetitions = 1 if arguments.quick else arguments.repetitions
    rows, all_series, lost = [], [], 0.0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)

        def write(name: str, chosen: tuple[str, ...]) -> None:
            with ThreadPoolExecutor() as threads:
                list(threads.map(lambda key: writers[name](folder / f"{name} {key}.nii.gz", maps[key], grid), chosen))

        for title, chosen in (*((key, (key,)) for key in ALONE), ("five maps", tuple(maps))):
            calls = {name: partial(write, name, chosen) for name in writers}
            waited = interleaved(calls, repetitions)
            computed = interleaved(calls, repetitions, clock=time.process_time)
            for wall, cores in zip(waited, computed, strict=True):
                size = sum((folder / f"{wall.name} {key}.nii.gz").stat().st_size for key in chosen) / 1e6
                seconds = (f"{value:.3g}" for value in (wall.median, min(wall.values), max(wall.values), cores.median))
                rows.append((title, wall.name, *seconds, f"{size:.3g}"))
                all_series += [replace(wall, name=f"{title}, {wall.name} (s)")]
                all_series += [replace(cores, name=f"{title}, {cores.name}, all cores together (s)")]
            if title in ("probability", "entropy"):
                lost = max(lost, waited[0].over(waited[2], "").median)
        different = [
            f"{name} {key}"
            for name in writers
            for key in maps
            if not np.array_equal(read_image(folder / f"{name} {key}.nii.gz").array, maps[key].astype(np.float32))
        ]
    header = ("map", "writer", "median (s)", "min", "max", "all cores together (s)", "file (MB)")
    return Report(
        f"Writing maps of {'x'.join(map(str, grid.size))} voxels as .nii.gz",
        Machine.here(peers=("isal",)),
        (Table(header, tuple(rows)),),
        tuple(all_series),
        (
            f"Files whose voxels are not the map's: {', '.join(different) or 'none'}.",
            "Other work on the machine lengthens the seconds, but hardly what all cores together take.",
        ),
        (
            Target(
                f"SimpleITK writes one map in less than {MOST_LOST:g} times what blocks on all cores take",
                f"{lost:.2f} times",
                lost < MOST_LOST,
            ),
        ),
    )


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--repetitions", type=int, default=7, help="how often each writer writes each map")
    run(options, measure)
