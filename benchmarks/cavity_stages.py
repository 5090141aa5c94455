"""Time and peak main memory of every stage of the cavity study, and how a training grows with its patients.

Each stage is a process of its own on one thread, as a unit of the study is. The stages of the small preset are run in
full. Those of the full preset are a GPU's work: one epoch of one patient, and one sample of one patient, scaled to the
preset's and labelled so.

    python benchmarks/cavity_stages.py
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from growth import Fit

from measuring import CannotRunError, Machine, Report, Series, Table, parser, run
from ObserverUncertaintyLib.studies.cavity.settings import PRESETS, CavityStudySettings, Preset

_TINY = ("--epochs", "1", "--depth", "1", "--filters", "2", "--samples", "2")
"""A network whose study is quickly done, to see what its tables and figures take."""


@dataclass(frozen=True)
class Stage:
    """What a stage took: seconds, what they are multiplied by, and the process's peak main memory in MiB."""

    preset: str
    name: str
    seconds: float
    memory: float
    factor: int = 1

    def row(self) -> tuple[str, ...]:
        """Its line in the table."""
        scaled = f"{self.seconds:.1f} × {self.factor}" if self.factor > 1 else f"{self.seconds:.1f}"
        return (self.preset, self.name, scaled, f"{self.seconds * self.factor / 60:.1f}", f"{self.memory:.0f}")

    def series(self) -> list[Series]:
        """Its figures as measured."""
        name = f"{self.preset}: {self.name}"
        return [Series(f"{name} (s)", (self.seconds,)), Series(f"{name} (MiB)", (self.memory,))]


def took(*arguments: object) -> tuple[float, float]:
    """Seconds and peak memory in MiB of one command of the program in a process of its own."""
    command = [sys.executable, "-m", "ObserverUncertaintyLib.cli", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    assert process.stderr is not None
    said = process.stderr.read()  # until the process ends
    _pid, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{said.decode(errors='replace')}")
    return seconds, usage.ru_maxrss / (1024 if sys.platform.startswith("linux") else 1024**2)


def simulate(folder: Path, settings: CavityStudySettings, patients: int) -> tuple[float, float]:
    """Simulated patients of a preset."""
    scanner = settings.scanner
    size = ("--spacing", scanner.in_plane_spacing_mm, "--thickness", scanner.slice_thickness_mm)
    return took("simulate", "cavities", "--out", folder, "--cases", patients, "--processes", 1, *size)


def train(cohort: Path, out: Path, settings: CavityStudySettings, patients: int, epochs: int) -> tuple[float, float]:
    """A training of a preset on some of a cohort's patients."""
    training = settings.training
    options: list[object] = ["--depth", training.network.depth, "--filters", training.network.filters]
    options += ["--batch-size", training.batch_size, "--epochs", epochs, "--prior-bias", "--device", "cpu"]
    if training.background_slices is not None:
        options += ["--background-slices", training.background_slices]
    cases = ",".join(f"case{number:02d}" for number in range(1, patients + 1))
    return took("train", cohort / "cohort.toml", "--out", out, "--fusion", "none", "--cases", cases, *options)


def stages(folder: Path, preset: Preset, quick: bool) -> list[Stage]:
    """The stages of a preset up to the scores of a patient."""
    settings = PRESETS[preset]
    whole = preset is Preset.SMALL
    trained = settings.patients * (settings.folds - 1) // settings.folds
    patients = (3 if quick else trained) if whole else 1
    epochs = settings.training.epochs if whole and not quick else 1
    samples = settings.samples if whole and not quick else 1
    cohort, model = folder / "cohort", folder / "model"
    seconds, memory = simulate(cohort, settings, patients + 1)
    found = [Stage(preset, "simulate a patient", seconds / (patients + 1), memory)]
    # All patients of a fold have as many slices as this many of the first.
    factor = round(trained / patients * settings.training.epochs / epochs)
    name = f"train a fold and arm ({trained} patients, {settings.training.epochs} epochs)"
    found.append(Stage(preset, name, *train(cohort, model, settings, patients, epochs), factor))
    tested = f"case{patients + 1:02d}"
    predicted = ("predict", model, cohort / "cohort.toml", "--out", folder / "out", "--cases", tested)
    batch = ("--batch-size", settings.prediction_batch, "--samples", samples, "--device", "cpu")
    name = f"predict a patient (T = {settings.samples})"
    found.append(Stage(preset, name, *took(*predicted, *batch), settings.samples // samples))
    scored = ("evaluate", folder / "out", cohort / "cohort.toml", "--cases", tested, "--out", folder / "scores.csv")
    found.append(Stage(preset, "score a patient", *took(*scored)))
    return found


def tables(folder: Path, quick: bool) -> Stage:
    """Tables and figures of a finished study of the small preset."""
    size = ("--preset", "small", "--patients", 4 if quick else 18, "--folds", 2)
    study = ("experiment", "cavity", "--simulate", "--out", folder, *size, *_TINY, "--threads", "1", "--resume")
    took(*study)
    return Stage("small", "tables and figures of a finished study", *took(*study))


def growth(folder: Path, quick: bool) -> tuple[Table, list[Series]]:
    """One epoch of the small preset's training against the number of patients."""
    settings = PRESETS[Preset.SMALL]
    sizes = [1, 2, 3, 4] if quick else [2, 4, 8, 16, 24]
    simulate(folder / "cohort", settings, sizes[-1])
    found = [train(folder / "cohort", folder / f"model{size}", settings, size, 1) for size in sizes]
    seconds, memory = zip(*found, strict=True)
    per_patient = (memory[-1] - memory[0]) / (sizes[-1] - sizes[0])
    series = [
        each
        for size, point in zip(sizes, found, strict=True)
        for each in Stage("small", f"one epoch of {size} patients", *point).series()
    ]
    rows = [(str(size), f"{s:.1f}", f"{m:.0f}") for size, s, m in zip(sizes, seconds, memory, strict=True)]
    rows.append(("exponent", str(Fit.of(sizes, seconds)), str(Fit.of(sizes, memory))))
    rows.append(
        ("for each patient", f"{(seconds[-1] - seconds[0]) / (sizes[-1] - sizes[0]):.2f}", f"{per_patient:.1f}")
    )
    return Table(("patients", "one epoch (s)", "peak memory (MiB)"), tuple(rows)), series


def measure(arguments: argparse.Namespace) -> Report:
    """Every stage of both presets."""
    if not hasattr(os, "wait4"):
        raise CannotRunError("a process's peak memory is read by wait4, which this system does not have")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        found = stages(folder / "small", Preset.SMALL, arguments.quick)
        found.append(tables(folder / "study", arguments.quick))
        if not arguments.quick:
            found += stages(folder / "full", Preset.FULL, arguments.quick)
        grown, series = growth(folder / "growth", arguments.quick)
    header = ("preset", "stage", "seconds", "minutes", "peak memory (MiB)")
    settings = PRESETS[Preset.SMALL]
    return Report(
        "Stages of the cavity study",
        Machine.here("cpu (1 thread a process)"),
        (Table(header, tuple(stage.row() for stage in found)), grown),
        (*(each for stage in found for each in stage.series()), *series),
        (
            "Seconds include the start of the process, about 3. Those multiplied are scaled: of the full preset one "
            "epoch of one patient and one sample were run; its training's memory grows with its patients.",
            f"A study has folds × arms × seeds trainings and patients × arms × seeds predictions: small, one seed, "
            f"{settings.folds * len(settings.arms)} and {settings.patients * len(settings.arms)}, shared by as many "
            "processes as there are cores.",
        ),
    )


if __name__ == "__main__":
    run(parser(__doc__), measure)
