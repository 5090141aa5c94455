"""Commands that run whole studies: `experiment synthetic` and `experiment cavity`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cli.console import ConsoleProgress, prepare_to_compute, print_result
from ObserverUncertaintyLib.cli.options import Device, Json, Masks, Register, Resample, Resume, load_options, path
from ObserverUncertaintyLib.cohort.loading import MaskInterpolation
from ObserverUncertaintyLib.model.preprocessing import IntensityNorm
from ObserverUncertaintyLib.model.settings import DEFAULT_SAMPLES, DropoutKind, FeatureNorm, Loss
from ObserverUncertaintyLib.studies.cavity.arms import ARMS, read_arm
from ObserverUncertaintyLib.studies.cavity.settings import PRESETS, Preset

_T = TypeVar("_T")

experiment = typer.Typer(help="Run the paper's experiments.", no_args_is_help=True, rich_markup_mode=None)


@experiment.callback()
def _experiment() -> None:
    """Run the paper's experiments."""


@experiment.command()
def synthetic(
    out: Annotated[Path, typer.Option(parser=path, help="Folder for samples, models, tables and figures.")],
    parts: Annotated[
        str, typer.Option(help="What to do, of table1, extras and sweeps, separated by commas.")
    ] = "table1",
    only: Annotated[
        str | None,
        typer.Option(
            help="Only these arms of the parts, separated by commas; patterns such as sweep-T-* are names too."
        ),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Seeds, separated by commas; each has samples and models of its own. [0,1,2]")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A small version: 64 pixels, one seed, 60 test samples, 60 epochs.")
    ] = False,
    width: Annotated[int | None, typer.Option(min=16, help="Pixels in a row of Table 1's images. [256]")] = None,
    side_width: Annotated[int, typer.Option(min=16, help="The same for the extras and sweeps.")] = 64,
    train: Annotated[int | None, typer.Option(min=1, help="Training samples of each seed. [80]")] = None,
    test: Annotated[int | None, typer.Option(min=2, help="Test samples of each seed. [200]")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the training samples. [100]")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples in a step.")] = 8,
    samples: Annotated[int, typer.Option(min=1, help="T, the number of Monte Carlo samples.")] = DEFAULT_SAMPLES,
    dropout_kind: Annotated[
        DropoutKind, typer.Option(help="Drop single activations or whole channels.")
    ] = DropoutKind.ELEMENT,
    feature_norm: Annotated[
        FeatureNorm, typer.Option(help="Normalisation after each convolution.")
    ] = FeatureNorm.BATCH,
    intensity_norm: Annotated[IntensityNorm, typer.Option(help="Normalisation of each image.")] = IntensityNorm.IMAGE,
    loss: Annotated[Loss, typer.Option(help="A Dice loss makes the model overconfident.")] = Loss.CROSS_ENTROPY,
    radius: Annotated[
        float, typer.Option(min=0.05, max=0.3, help="Of the circle, as a fraction of the image's width.")
    ] = 0.2,
    device: Device = "auto",
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """The paper's Experiment 1: synthetic shapes, five ways of fusing their observers, both image states.

    Writes table1.csv, table1_summary.csv, differences.csv, per_sample.csv, report.md, figure2.png, figure4a.png,
    reliability.png, samples.png, and the samples as cohorts; for the extras and the sweeps extras.csv,
    sweeps.csv, reliability_extras.png and sweeps.png. Every arm and seed is a unit that is done or not: with --resume
    a second call goes on, adds parts and seeds, or helps one that is running.

    \b
    Examples:
      observer-uncertainty experiment synthetic --out quick --quick
      observer-uncertainty experiment synthetic --out study --width 128 --seeds 0
      observer-uncertainty experiment synthetic --out study --width 128 --seeds 0 --parts extras,sweeps --resume
    """  # noqa: D301
    from ObserverUncertaintyLib.studies.synthetic.settings import TRAINING, Part, SyntheticSettings

    base = SyntheticSettings()
    if quick:
        shapes = replace(base.shapes, width=64)
        base = replace(base, seeds=(0,), test=60, shapes=shapes, training=replace(TRAINING, epochs=60))
    settings = replace(
        base,
        parts=tuple(_listed("--parts", parts, Part, ", ".join(Part))),
        seeds=base.seeds if seeds is None else tuple(_listed("--seeds", seeds, _number, "numbers of 0 or more")),
        shapes=replace(base.shapes, width=width or base.shapes.width, radius=radius),
        train=train or base.train,
        test=test or base.test,
        samples=samples,
        side_width=side_width,
        training=replace(
            base.training,
            epochs=epochs or base.training.epochs,
            batch_size=batch_size,
            network=replace(base.training.network, dropout_kind=dropout_kind, feature_norm=feature_norm),
            intensity_norm=intensity_norm,
            loss=loss,
        ),
    )
    patterns = () if only is None else _listed("--only", only, str, "names of arms")
    # Loads torch, which a mistake in the options need not wait for.
    prepare_to_compute()
    from ObserverUncertaintyLib.base.tables import without_nan
    from ObserverUncertaintyLib.studies.synthetic.study import run_synthetic

    with ConsoleProgress().running() as progress:
        result = run_synthetic(out, settings, only=patterns, device=device, resume=resume, progress=progress)
    report = {
        "out": str(out),
        "summary": without_nan(result.summary),
        "findings": [
            {
                "state": each.state,
                "claim": each.claim,
                "holds": each.holds,
                "held": each.held,
                "comparisons": len(each.differences),
            }
            for each in result.findings
        ],
        "elsewhere": list(result.elsewhere),
    }
    print_result(report, _told(result.text, out, result.elsewhere), as_json)


@experiment.command()
def cavity(
    out: Annotated[Path, typer.Option(parser=path, help="Folder for models, predictions, tables and figures.")],
    manifest: Annotated[
        Path | None, typer.Argument(parser=path, help="The cohort's manifest, a .toml file (see docs/data.md).")
    ] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Simulated patients instead of a manifest.")] = False,
    preset: Annotated[
        Preset, typer.Option(help="full: the paper's study, a GPU's work. small: for two cores, a call on each.")
    ] = Preset.FULL,
    arms: Annotated[
        str,
        typer.Option(
            help="What to compare, separated by commas; none is one of them. Fusion methods, ensemble (five models), "
            "per-rater (a model for each rater), softseg (regression of their mean), rater-input (the network is "
            "told whose drawing it sees), forecaster (ideal, of simulated patients)."
        ),
    ] = "none,majority",
    seeds: Annotated[
        str, typer.Option(help="Seeds, separated by commas; each has folds, models and simulated patients of its own.")
    ] = "0",
    folds: Annotated[int | None, typer.Option(min=2, help="Parts of the cross-validation. [6]")] = None,
    patients: Annotated[
        int | None, typer.Option(min=2, help="Simulated patients of each seed. [30; small: 18]")
    ] = None,
    thickness: Annotated[
        float | None, typer.Option(help="Distance of simulated axial slices, in mm. [1; small: 4]")
    ] = None,
    spacing: Annotated[
        float | None, typer.Option(help="Voxel size within a simulated axial slice, in mm. [1; small: 2]")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the training slices. [35; small: 16]")] = None,
    depth: Annotated[int | None, typer.Option(min=0, max=8, help="Pooling steps. [5; small: 4]")] = None,
    filters: Annotated[int | None, typer.Option(min=1, help="Filters of the first block. [48; small: 8]")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Slices in a training step. [4; small: 2]")] = None,
    samples: Annotated[int, typer.Option(min=1, help="T, the number of Monte Carlo samples.")] = DEFAULT_SAMPLES,
    device: Device = "auto",
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Threads of each unit, and patients simulated at a time: all cores, or for units with --ray 1.",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            help="Do the units on a Ray cluster: its address, auto for the one of this machine, or local to start one "
            "for the study.",
            metavar="ADDRESS",
        ),
    ] = None,
    gpus: Annotated[
        float, typer.Option(min=0, help="GPUs that a unit claims with --ray; 0.5 lets two units share one.")
    ] = 0.0,
    only_folds: Annotated[
        str | None,
        typer.Option(help="Folds to work on now, numbers from 1 separated by commas; --resume does the others."),
    ] = None,
    resample: Resample = False,
    masks: Masks = MaskInterpolation.NEAREST,
    register: Register = False,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """The paper's Experiment 2: resection cavities, training without fusion against majority vote, cross-validated.

    Writes per_case.csv, summary.csv, wme_by_dice.csv, wme_differences.csv, paired_tests.csv, agreement.csv, units.csv,
    report.md, figure3.png and figure4b.png. Every fold and arm and every case is a unit that is done or not: with
    --resume a second call goes on, adds seeds and arms, or helps one that is running.

    \b
    Examples:
      observer-uncertainty experiment cavity --simulate --preset small --out small --threads 1 --resume
      observer-uncertainty experiment cavity cohort.toml --out study
      observer-uncertainty experiment cavity cohort.toml --out study --arms none,majority,mean --resume
      observer-uncertainty experiment cavity cohort.toml --out /shared/study --ray auto --threads 4 --gpus 1
    """  # noqa: D301
    if simulate == (manifest is not None):
        raise InputError("Give either a manifest, or --simulate for made-up patients.")
    if gpus and ray is None:
        raise InputError("--gpus is a unit's share on a Ray cluster. Add --ray, or give --device.")
    base = PRESETS[preset]
    settings = replace(
        base,
        seeds=tuple(_listed("--seeds", seeds, _number, "numbers of 0 or more")),
        arms=tuple(_listed("--arms", arms, read_arm, ", ".join(ARMS))),
        folds=folds or base.folds,
        patients=patients or base.patients,
        scanner=replace(
            base.scanner,
            in_plane_spacing_mm=base.scanner.in_plane_spacing_mm if spacing is None else spacing,
            slice_thickness_mm=base.scanner.slice_thickness_mm if thickness is None else thickness,
        ),
        training=replace(
            base.training,
            epochs=epochs or base.training.epochs,
            network=replace(
                base.training.network,
                depth=base.training.network.depth if depth is None else depth,
                filters=filters or base.training.network.filters,
            ),
            batch_size=batch_size or base.training.batch_size,
        ),
        samples=samples,
        loading=load_options(resample, masks, register),
    )
    # Loads torch, which a mistake in the options need not wait for.
    if threads is None:
        prepare_to_compute()
    from ObserverUncertaintyLib.base.machine import processes_that_fit
    from ObserverUncertaintyLib.base.tables import without_nan
    from ObserverUncertaintyLib.simulation.cavities import SIMULATION_BYTES
    from ObserverUncertaintyLib.studies.cavity.study import run_cavity
    from ObserverUncertaintyLib.studies.ray_units import Cluster

    with ConsoleProgress().running() as progress:
        result = run_cavity(
            out,
            settings,
            manifest,
            device=device,
            threads=threads,
            cluster=None if ray is None else Cluster(ray, threads or 1, gpus),
            only_folds=None if only_folds is None else _listed("--only-folds", only_folds, _number, "numbers from 1"),
            processes=threads or processes_that_fit(SIMULATION_BYTES),
            resume=resume,
            progress=progress,
        )
    report = {"out": str(out), "cases": without_nan(result.cases), "elsewhere": list(result.elsewhere)}
    print_result(report, _told(result.text, out, result.elsewhere), as_json)


def _told(text: str, out: Path, elsewhere: Sequence[str]) -> str:
    """A study's report, and where to find the rest."""
    missing = f"\nnot in it: {len(elsewhere)} units that another call is working on" if elsewhere else ""
    return f"{text}\nEverything is in {out}{missing}"


def _listed(option: str, text: str, read: Callable[[str], _T], expected: str) -> list[_T]:
    """The values of a list given as a,b,c; raises InputError for one that cannot be read, or for none."""
    try:
        values = [read(part.strip()) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise InputError(f"{option} {text}: {error}. Give {expected}, separated by commas.") from None
    if not values:
        raise InputError(f"{option} is empty. Give {expected}, separated by commas.")
    return values


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f'"{text}" is no number')
    return int(text)
