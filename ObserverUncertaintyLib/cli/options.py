"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ObserverUncertaintyLib.cases import LoadOptions, MaskInterpolation

Manifest = Annotated[Path, typer.Argument(help="The cohort's manifest, a .toml file (see docs/data.md).")]
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
    """Split a list of cases given as a,b,c."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
