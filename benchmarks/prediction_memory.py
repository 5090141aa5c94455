"""Peak memory of the paper's cavity network (5 poolings, 48 filters) on a 240x240x155 case of four sequences.

Weights are random: memory does not depend on them. Runs `predict` in a process of its own and reads that process's
peak memory from its result.

    python benchmarks/prediction_memory.py
    python benchmarks/prediction_memory.py --case DATA/open_ms/patient07
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from cost import forward_flops, matmul_rate
from measuring import Floor, Machine, Report, Series, Table, Target, parser, run
from ObserverUncertaintyLib.cohort.loading import load_case
from ObserverUncertaintyLib.formats import write_image
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.model.devices import choose_device
from ObserverUncertaintyLib.model.precision import choose_precision
from ObserverUncertaintyLib.model.settings import Precision
from ObserverUncertaintyLib.network.stored import save_model
from ObserverUncertaintyLib.network.unet import UNet
from random_networks import CAVITY, CAVITY_SEQUENCES, description

SEQUENCES = ("T1", "T1c", "T2", "FLAIR")
LIMIT_MIB = 3072
SIZE = (240, 240, 155)
QUICK_SLICES = 6


def write_model(folder: Path) -> None:
    """A model with the cavity network's architecture and random weights."""
    torch.manual_seed(0)
    save_model(folder, UNet(CAVITY_SEQUENCES, CAVITY), description(CAVITY, SEQUENCES))


def write_head(folder: Path, slices: int) -> None:
    """An ellipsoid as large as a brain, in four sequences; the middle ones of its slices if fewer than 155."""
    columns, rows, whole = SIZE
    k, j, i = np.ogrid[(whole - slices) // 2 : (whole + slices) // 2, :rows, :columns]
    inside = ((k - whole / 2) / 70) ** 2 + ((j - rows / 2) / 88) ** 2 + ((i - columns / 2) / 68) ** 2 < 1
    rng = np.random.default_rng(0)
    for sequence in SEQUENCES:
        write_image(
            folder / f"{sequence}.nii.gz", inside * rng.normal(500, 50, inside.shape), Grid((columns, rows, slices))
        )


def measure(arguments: argparse.Namespace) -> Report:
    """Run the prediction in a process of its own and read memory and time from its result."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_model(folder / "model")
        case = arguments.case
        if case is None:
            case = folder / "case"
            write_head(case, QUICK_SLICES if arguments.quick else SIZE[2])
        files = {sequence: case / f"{sequence}.nii.gz" for sequence in SEQUENCES}
        images = [f"--image={sequence}={file}" for sequence, file in files.items()]
        command = [sys.executable, "-m", "ObserverUncertaintyLib.cli", "predict", str(folder / "model"), *images]
        command += ["--out", str(folder / "out"), "--samples", str(arguments.samples), "--json"]
        command += ["--batch-size", str(arguments.batch_size)] if arguments.batch_size else []
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8")
        prepared = description(CAVITY, SEQUENCES).preprocessing.prepare(load_case("case", files, {}))
    result = json.loads(done.stdout)
    device = choose_device("auto")
    precision = choose_precision(Precision.AUTO, device)
    slices, *size = prepared.path.shape
    operations = (
        forward_flops(CAVITY_SEQUENCES, CAVITY, *size, as_defined=device.type != "cpu") * slices * arguments.samples
    )
    took = Series("seconds", (result["seconds"],))
    floor = Floor(f"the passes, {precision.value}", operations, matmul_rate(device, precision), took)
    found = {"seconds": result["seconds"]}
    found |= {f"peak {place} memory (MiB)": peak for place, peak in result["peak_memory_mib"].items() if peak}
    table = Table((f"{arguments.samples} samples", "found"), tuple((name, f"{x:.0f}") for name, x in found.items()))
    peak = found["peak main memory (MiB)"]
    return Report(
        "Memory of a prediction with the cavity network",
        Machine.here(result["device"]),
        (table, Floor.table([floor])),
        tuple(Series(name, (value,)) for name, value in found.items()),
        notes=("Measured: from the start of the process to its end, so everything beside the passes too.",),
        targets=(Target(f"main memory below {LIMIT_MIB} MiB", f"{peak:.0f} MiB", peak < LIMIT_MIB),),
    )


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--case", type=Path, help="folder with T1, T1c, T2 and FLAIR as .nii.gz")
    options.add_argument("--samples", type=int, default=2)
    options.add_argument("--batch-size", type=int, help="slices computed at a time")
    run(options, measure)
