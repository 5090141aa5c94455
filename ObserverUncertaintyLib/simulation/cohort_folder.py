"""Writing cases as a cohort folder with its manifest, so that every command can read them."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import prepare_output_folder, write_json, write_text
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.base.resuming import refuse_other_settings
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.formats import write_image, write_mask
from ObserverUncertaintyLib.simulation.side_by_side import side_by_side

MANIFEST_FILE = "cohort.toml"
_SETTINGS_FILE = "settings.json"
_COMPLETE_FILE = "case.json"


def write_cohort(
    folder: Path,
    make_case: Callable[[int], Case],
    names: Sequence[str],
    settings: Mapping[str, Any],
    *,
    name: str,
    label: str,
    skull_stripped: bool | None = None,
    resume: bool = False,
    overwrite: bool = False,
    processes: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Make cases and write each to its own folder, then the manifest.

    Args:
        folder: the cohort's folder.
        make_case: makes the case of a number from 0; all must have the same sequences and raters. With several
            processes it is sent to them.
        names: the cases' names, in the order of their numbers.
        settings: what decides the cases; kept in the folder, and a resumed run must agree with it.
        name: the cohort's name.
        label: the structure's name.
        skull_stripped: whether the images show the brain only.
        resume: keep the cases that are there and make the others.
        overwrite: write into a folder that holds files.
        processes: how many cases are made at a time.
        progress: is told of every case, and can cancel.

    Returns:
        The manifest's path.

    Raises:
        InputError: the folder is not empty, or a resumed run has other settings.
        DeviceError: a process ended abruptly.
    """
    progress = progress or Progress()
    prepare_output_folder(folder, resume=resume, overwrite=overwrite)
    settings = {"name": name, "label": label, "cases": len(names), **settings}
    settings_file = folder / _SETTINGS_FILE
    if resume and settings_file.exists():
        refuse_other_settings(folder, _settings_before(settings_file), settings)
    write_json(settings_file, settings)
    if not resume:
        for case_name in names:
            (folder / case_name / _COMPLETE_FILE).unlink(missing_ok=True)
    missing = [index for index, case_name in enumerate(names) if not _is_complete(folder / case_name)]
    if not missing and (folder / MANIFEST_FILE).exists():
        progress.message(f"{folder} is complete already")
        return folder / MANIFEST_FILE
    if resume:
        # Another call may be making the same cohort: each in its own order, and seldom both the same case.
        random.Random(os.getpid()).shuffle(missing)
    progress.start(f"simulate {len(names)} cases", len(names), len(names) - len(missing))
    make = partial(_make_and_write, folder, make_case, names)
    for index in side_by_side(make, missing, min(processes, len(missing)), progress):
        progress.advance(1, names[index])
    path = folder / MANIFEST_FILE
    write_manifest(path, names, name=name, label=label, skull_stripped=skull_stripped)
    return path


def write_manifest(
    path: Path,
    names: Sequence[str],
    *,
    name: str,
    label: str,
    skull_stripped: bool | None = None,
    sequences: Sequence[str] | None = None,
) -> None:
    """Write a manifest of cases that lie beside it, as `write_cohort` wrote them.

    Args:
        path: the manifest, in the cohort's folder.
        names: the cases.
        name: the cohort's name.
        label: the structure's name.
        skull_stripped: whether the images show the brain only.
        sequences: only these of the cases' sequences; all if None.
    """
    content = json.loads((path.parent / names[0] / _COMPLETE_FILE).read_text(encoding="utf-8"))
    # JSON strings and lists of strings are TOML as they are.
    lines = [
        "[cohort]",
        f"name = {json.dumps(name)}",
        f"cases = {json.dumps(list(names))}",
        f"label = {json.dumps(label)}",
        "simulated = true",
    ]
    if content["truth"]:
        lines.append('truth = "truth.nii.gz"')
    if skull_stripped is not None:
        lines.append(f"skull_stripped = {str(skull_stripped).lower()}")
    lines += ["", "[images]", *(f'{sequence} = "{sequence}.nii.gz"' for sequence in sequences or content["sequences"])]
    lines += ["", "[raters]", *(f'{rater} = "{rater}.nii.gz"' for rater in content["raters"])]
    write_text(path, "\n".join(lines) + "\n")


def _make_and_write(folder: Path, make_case: Callable[[int], Case], names: Sequence[str], index: int) -> None:
    """Make and write a case, unless another call has done so meanwhile."""
    if not _is_complete(folder / names[index]):
        _write_case(folder / names[index], make_case(index))


def _settings_before(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise InputError(
            f"{file} cannot be read ({error}). Give another folder, or overwrite to begin again."
        ) from error


def _is_complete(folder: Path) -> bool:
    """Whether a case was written as a whole, and none of its files was lost since."""
    try:
        content = json.loads((folder / _COMPLETE_FILE).read_text(encoding="utf-8"))
        names = [*content["sequences"], *content["raters"], *(["truth"] if content["truth"] else [])]
        return all((folder / f"{name}.nii.gz").stat().st_size > 0 for name in names)
    except (OSError, KeyError, TypeError, ValueError):
        return False


def _write_case(folder: Path, case: Case) -> None:
    for sequence, image in zip(case.sequences, case.images, strict=True):
        write_image(folder / f"{sequence}.nii.gz", image, case.grid)
    for rater, mask in zip(case.rater_names, case.raters, strict=True):
        write_mask(folder / f"{rater}.nii.gz", mask, case.grid)
    if case.truth is not None:
        write_mask(folder / "truth.nii.gz", case.truth, case.grid)
    content = {
        "sequences": list(case.sequences),
        "raters": list(case.rater_names),
        "truth": case.truth is not None,
        "notes": list(case.notes),
    }
    # Comes last: a folder with it is complete.
    write_json(folder / _COMPLETE_FILE, content)
