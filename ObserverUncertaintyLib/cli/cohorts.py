"""Commands that make cases: `simulate cavities` and `demo`."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.machine import processes_that_fit
from ObserverUncertaintyLib.base.paths import identity
from ObserverUncertaintyLib.cli.console import ConsoleProgress, prepare_to_compute, print_result
from ObserverUncertaintyLib.cli.options import Device, Json, Overwrite, Processes, Resume, path

if TYPE_CHECKING:
    from ObserverUncertaintyLib.studies.demo.demo import DemoResult

simulate = typer.Typer(help="Simulate cohorts with several raters.", no_args_is_help=True, rich_markup_mode=None)


@simulate.callback()
def _simulate() -> None:
    """Simulate cohorts with several raters."""


@simulate.command()
def cavities(
    out: Annotated[Path, typer.Option(parser=path, help="Folder for the cohort; its manifest is cohort.toml.")],
    cases: Annotated[int, typer.Option(min=1, help="Number of patients.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same cohort.")] = 0,
    spacing: Annotated[float, typer.Option(help="Voxel size within an axial slice, in mm.")] = 1.5,
    thickness: Annotated[float, typer.Option(help="Distance of axial slices, in mm.")] = 3.0,
    various_scanners: Annotated[
        bool,
        typer.Option(
            "--various-scanners",
            help="A scanner of its own for each case: 1 to 2 mm in the plane, 2 to 6 mm thick, little or much noise.",
        ),
    ] = False,
    anatomy: Annotated[
        list[Path] | None,
        typer.Option(
            parser=path,
            help="Folder of a real patient's skull-stripped images (T1.nii.gz, FLAIR.nrrd, ...) instead of the brain "
            "template; may be given several times, and the cases take them in turn.",
        ),
    ] = None,
    processes: Processes = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Simulate post-operative brain MRI with a resection cavity that three raters drew.

    \b
    Examples:
      observer-uncertainty simulate cavities --out cohort --cases 12
      observer-uncertainty simulate cavities --out cohort --anatomy patient07 --anatomy patient19
    """  # noqa: D301
    from ObserverUncertaintyLib.simulation.cavities import (
        SIMULATION_BYTES,
        CavitySettings,
        case_names,
        simulate_cavity_case,
    )
    from ObserverUncertaintyLib.simulation.cohort_folder import write_cohort
    from ObserverUncertaintyLib.simulation.real_brain import read_real_brain

    for folder in anatomy or ():
        if any(identity(above) == identity(out) for above in (folder, *folder.absolute().parents)):
            raise InputError(
                f"{out} would be written into, but the anatomy {folder} lies in it and is never written over. Give "
                "another folder."
            )
    settings = replace(CavitySettings(), in_plane_spacing_mm=spacing, slice_thickness_mm=thickness)
    settings = replace(settings, various_scanners=various_scanners)
    brains = [read_real_brain(folder) for folder in anatomy or ()]
    if len({brain.sequences for brain in brains}) > 1:
        found = "; ".join(
            f"{folder} has {', '.join(brain.sequences)}" for folder, brain in zip(anatomy or (), brains, strict=True)
        )
        raise InputError(f"All cases of a cohort need the same sequences, but {found}. Leave folders or images out.")
    with ConsoleProgress().running() as progress:
        manifest = write_cohort(
            out,
            partial(simulate_cavity_case, seed=seed, settings=settings, brains=brains),
            case_names(cases),
            {"seed": seed, **asdict(settings), **({"anatomy": [path.name for path in anatomy]} if anatomy else {})},
            name="Simulated post-operative cavities",
            label="resection cavity",
            skull_stripped=True,
            resume=resume,
            overwrite=overwrite,
            processes=processes or processes_that_fit(SIMULATION_BYTES),
            progress=progress,
        )
    text = f"{cases} simulated cases, manifest {manifest}"
    print_result({"out": str(out), "manifest": str(manifest), "cases": cases}, text, as_json)


@simulate.command()
def shapes(
    out: Annotated[Path, typer.Option(parser=path, help="Folder for the cohort; its manifest is cohort.toml.")],
    cases: Annotated[int, typer.Option(min=1, help="Number of samples.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same cohort.")] = 0,
    width: Annotated[int, typer.Option(min=16, help="Pixels in a row and in a column.")] = 256,
    observers: Annotated[int, typer.Option(min=1, help="Raters of each sample.")] = 5,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Simulate the paper's synthetic shapes, each with five observers, an unperturbed and a perturbed image.

    \b
    Example:
      observer-uncertainty simulate shapes --out shapes
    """  # noqa: D301
    from ObserverUncertaintyLib.simulation.cohort_folder import write_cohort
    from ObserverUncertaintyLib.simulation.shapes import ShapeSettings, simulate_shape

    settings = ShapeSettings(width=width, observers=observers)
    with ConsoleProgress().running() as progress:
        manifest = write_cohort(
            out,
            lambda index: simulate_shape(index, seed, settings),
            [f"shape{number:03d}" for number in range(1, cases + 1)],
            {"seed": seed, **asdict(settings)},
            name="Synthetic shapes",
            label="shape",
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    text = f"{cases} simulated samples, manifest {manifest}"
    print_result({"out": str(out), "manifest": str(manifest), "cases": cases}, text, as_json)


def demo(
    out: Annotated[Path, typer.Option(parser=path, help="Folder for everything the demo makes.")],
    seed: Annotated[int, typer.Option(min=0, help="Of the patients, the training and the dropout masks.")] = 0,
    device: Device = "auto",
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Look at one patient, then train without fusion and with majority vote on a simulated cohort, and compare.

    The first picture is there within a minute, all of it within five on two idle cores.

    \b
    Example:
      observer-uncertainty demo --out demo-output
    """  # noqa: D301
    prepare_to_compute()
    from ObserverUncertaintyLib.base.tables import without_nan
    from ObserverUncertaintyLib.simulation.cavities import SIMULATION_BYTES
    from ObserverUncertaintyLib.studies.demo.demo import run_demo
    from ObserverUncertaintyLib.studies.demo.settings import DemoSettings

    with ConsoleProgress().running() as progress:
        progress.message("First one patient to look at, within a minute; then two trainings, some minutes more.")
        result = run_demo(
            out,
            DemoSettings(seed=seed),
            device=device,
            resume=resume,
            overwrite=overwrite,
            processes=processes_that_fit(SIMULATION_BYTES),
            progress=progress,
            on_first_look=lambda look: progress.message(f"\n{look.table}\nThe first picture: {look.figure}\n"),
        )
    report = {
        "out": str(out),
        "first_look": str(result.first_look.figure),
        "figure": str(result.figure),
        "summary": {fusion.value: without_nan(scores.summary) for fusion, scores in result.evaluations.items()},
    }
    print_result(report, f"{result.table}\n\n{_where_to_look(result)}", as_json)


def _where_to_look(result: DemoResult) -> str:
    """The pictures in words, and how to go on."""
    # As it was called: by its name, or as a module of Python.
    by_name = not sys.argv[0].endswith(".py")
    program = shlex.join([sys.argv[0]] if by_name else [sys.executable, "-m", "ObserverUncertaintyLib.cli"])
    manifest = shlex.quote(str(result.folder / "cohort" / "cohort.toml"))
    return f"""Pictures to open:
  {result.first_look.figure}
    One patient: the contours that three experts drew, where they disagree, and where the model that ships with the
    program is unsure. Dark: sure. Bright: the experts are split, or the model could decide either way.
  {result.figure}
    Two patients that no model had seen: the same, for a model trained on all experts (no fusion) and one trained on
    their majority vote. Look whether the model is unsure where the experts disagree.
To do the same with your own data, put your files into a manifest like {manifest} (docs/data.md) and give it here
(with the patients above it takes about half an hour on two cores):
  {program} experiment cavity {manifest} --preset small --folds 3 --out my-study"""
