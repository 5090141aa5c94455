"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.paths import expand_home
from ObserverUncertaintyLib.cohort.loading import LoadOptions, MaskInterpolation


def path(text: str) -> Path:
    """A path as it was given, with the home folder for a ~ that the shell left, as in --out=~/x."""
    return Path(expand_home(text))


Manifest = Annotated[Path, typer.Argument(parser=path, help="The cohort's manifest, a .toml file (see docs/data.md).")]
Cases = Annotated[
    str | None, typer.Option(help="Only these cases of the manifest, separated by commas.", metavar="A,B,C")
]
Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable result on standard output.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Write over what is there.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda:N or mps.")]
Processes = Annotated[
    int | None, typer.Option(min=1, help="Cases made at a time. [as many as there are cores and memory for]")
]
Resample = Annotated[
    bool,
    typer.Option(
        "--resample", help="Bring images (linear) and masks that lie on another grid onto the case's grid, and say so."
    ),
]
Masks = Annotated[
    MaskInterpolation,
    typer.Option("--mask-interpolation", help="How --resample interpolates masks; label-gaussian is smoother."),
]
Register = Annotated[
    bool, typer.Option("--register", help="Align the images rigidly to the reference (mutual information), and say so.")
]


def load_options(resample: bool, masks: MaskInterpolation, register: bool = False) -> LoadOptions:
    """The library's options for loading cases."""
    return LoadOptions(resample=resample, mask_interpolation=masks, register=register)


def case_list(text: str | None) -> list[str] | None:
    """Split a list of cases given as a,b,c; raises InputError for an empty one, which would mean no case."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f'"{text}" names no case. Give names separated by commas, or leave the option out.')
    return names
