"""Peak memory of the paper's cavity network (5 poolings, 48 filters) on a 182x218x182 case of four sequences.

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
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from ObserverUncertaintyLib import __version__
from ObserverUncertaintyLib.formats import write_image
from ObserverUncertaintyLib.geometry import Grid
from ObserverUncertaintyLib.model_file import Expectations, ModelDescription, save_model
from ObserverUncertaintyLib.preprocessing import Preprocessing
from ObserverUncertaintyLib.settings import UNetSettings
from ObserverUncertaintyLib.unet import UNet

SEQUENCES = ("T1", "T1c", "T2", "FLAIR")
LIMIT_MIB = 4096


def write_model(folder: Path) -> None:
    """A model with the cavity network's architecture and random weights."""
    torch.manual_seed(0)
    settings = UNetSettings(sequences=4, depth=5, filters=48)
    description = ModelDescription(
        sequences=SEQUENCES,
        label="resection cavity",
        architecture=asdict(settings),
        preprocessing=Preprocessing(spacing=(1.0, 1.0)),
        expects=Expectations(3, (1.0, 1.0), 1.0, skull_stripped=True),
        training={"fusion": "none", "case_images": []},
        library_version=__version__,
        created="2018-09-16",
    )
    save_model(folder, UNet(settings), description)


def write_head(folder: Path) -> None:
    """An ellipsoid as large as a brain, in four sequences."""
    k, j, i = np.ogrid[:182, :218, :182]
    inside = ((k - 90) / 70) ** 2 + ((j - 109) / 88) ** 2 + ((i - 91) / 68) ** 2 < 1
    rng = np.random.default_rng(0)
    for sequence in SEQUENCES:
        write_image(folder / f"{sequence}.nii.gz", inside * rng.normal(500, 50, inside.shape), Grid((182, 218, 182)))


def main() -> None:
    """Run the prediction and print its memory and time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", type=Path, help="folder with T1, T1c, T2 and FLAIR as .nii.gz")
    parser.add_argument("--samples", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_model(folder / "model")
        case = arguments.case
        if case is None:
            case = folder / "case"
            write_head(case)
        images = [f"--image={sequence}={case / f'{sequence}.nii.gz'}" for sequence in SEQUENCES]
        command = [sys.executable, "-m", "ObserverUncertaintyLib.cli", "predict", str(folder / "model"), *images]
        command += ["--out", str(folder / "out"), "--samples", str(arguments.samples), "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8")
    result = json.loads(done.stdout)
    peak = result["peak_memory_mib"]["main"]
    print(f"device {result['device']}, {arguments.samples} samples: {result['seconds']:.0f} s")
    print(f"peak memory {peak:.0f} MiB of {LIMIT_MIB} MiB allowed")
    sys.exit(peak > LIMIT_MIB)


if __name__ == "__main__":
    main()
