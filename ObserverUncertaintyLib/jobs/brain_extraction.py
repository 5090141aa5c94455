"""The brain as another program on this computer finds it (SynthStrip, HD-BET), and images without the rest."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import write_json
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.formats import Volume, read_image, write_image, write_mask
from ObserverUncertaintyLib.images.grid import same_grid
from ObserverUncertaintyLib.images.resampling import resample
from ObserverUncertaintyLib.jobs.environment import OF_ONE_PYTHON
from ObserverUncertaintyLib.jobs.folder import image_file
from ObserverUncertaintyLib.jobs.processes import describe_exit, end_below, start_below
from ObserverUncertaintyLib.jobs.requests import BrainExtractionRequest
from ObserverUncertaintyLib.model.description import NOTICE

INPUT, OUTPUT, MASK = "{input}", "{output}", "{mask}"
"""Placeholders of a command: the image that is given to the program, and the files that it is to write."""

_POLL_SECONDS = 0.2
_QUOTED = 8
"""So many of the last lines that the program printed are told where it fails."""


def extract_brain(request: BrainExtractionRequest, result: Path, progress: Progress) -> dict[str, Path]:
    """Do what is asked for; returns the artifacts, name to file in `result`.

    Raises:
        InputError: an image cannot be read, or the program finds no brain; see `brain_mask_by`.
    """
    program = Path(program_and_arguments(request.command)[0]).name
    reference = read_image(request.images[request.reference])
    progress.start(f"{program} looks for the brain", 0)
    # A folder that is gone at the end, whichever it is: it holds the patient's image.
    with TemporaryDirectory(dir=result.parent, prefix="program-", ignore_cleanup_errors=True) as folder:
        brain = brain_mask_by(request.command, reference, Path(folder), progress.check_cancelled)
    volume = float(brain.sum()) * reference.grid.voxel_volume_ml
    notes = [f"{program} found the brain in {request.reference}: {volume:.0f} mL"]
    progress.start("set everything else to 0", len(request.images))
    files, resampled = {}, []
    for number, (sequence, file) in enumerate(request.images.items(), 1):
        progress.check_cancelled()
        image = read_image(file)
        inside = brain
        if not same_grid(image.grid, reference.grid):
            inside = resample(brain, reference.grid, image.grid, "nearest")
            resampled.append(sequence)
        files[sequence] = image_file(result, number, sequence)
        write_image(files[sequence], np.where(inside, image.array, np.float32(0)), image.grid, compress=False)
        progress.advance(1, sequence)
    if resampled:
        notes.append(f"the brain mask was resampled (nearest) onto the grid of {', '.join(resampled)}")
    files["brain_mask"] = result / "brain_mask.nrrd"
    write_mask(files["brain_mask"], brain, reference.grid)
    report = {"reference": request.reference, "command": request.command, "volume_ml": volume, "notes": notes}
    files["report"] = result / "brain_extraction.json"
    write_json(files["report"], {"notice": NOTICE, **report})
    return files


def program_and_arguments(command: str, *, windows: bool = sys.platform == "win32") -> list[str]:
    """A command's words, of which the first is the program; quotes hold a word with spaces together.

    Args:
        command: such as `mri_synthstrip -i {input} -m {mask}`.
        windows: whether a backslash stands for itself, as in Windows' paths.

    Raises:
        InputError: a quote is not closed, or the command names no program, no input or no file to write.
    """
    try:
        words = shlex.split(command, posix=not windows)
    except ValueError as error:
        raise InputError(
            f"The command for brain extraction cannot be read ({error}): {command}\nExpected each quote to be closed."
        ) from error
    if windows:
        words = [word[1:-1] if len(word) > 1 and word[0] == word[-1] == '"' else word for word in words]
    if not words or INPUT not in command or not (OUTPUT in command or MASK in command):
        raise InputError(
            f'The command for brain extraction is "{command}"; expected a program with {INPUT} for the image that it '
            f"reads and {OUTPUT} for the stripped image or {MASK} for the brain mask that it writes, such as "
            f"mri_synthstrip -i {INPUT} -m {MASK}"
        )
    return words


def brain_mask_by(command: str, image: Volume, folder: Path, check_cancelled: Callable[[], None]) -> NDArray[np.bool_]:
    """Let a program find the brain.

    Args:
        command: what is run, without a shell; see `program_and_arguments`. What it prints is printed.
        image: what it looks at.
        folder: an empty one for its files (NIfTI).
        check_cancelled: is called while it runs; what it raises ends the program.

    Returns:
        Shape (k, j, i), on the image's grid: where the mask, or the stripped image if the command names no mask, is not
        0, with what it encloses.

    Raises:
        InputError: the program is not there or fails, or what it wrote is no brain mask on the image's grid.
    """
    words = program_and_arguments(command)
    files = {INPUT: folder / "input.nii.gz", OUTPUT: folder / "output.nii.gz", MASK: folder / "mask.nii.gz"}
    # Programs put 0 or the lowest value around the brain: with nothing below 0 it is 0 either way.
    write_image(files[INPUT], image.array - min(0.0, float(image.array.min())), image.grid)
    for placeholder, file in files.items():
        words = [word.replace(placeholder, str(file)) for word in words]
    printed = _run(words, folder, check_cancelled)
    written = files[MASK] if MASK in command else files[OUTPUT]
    if not written.is_file():
        others = ", ".join(sorted(file.name for file in folder.iterdir() if file != files[INPUT]))
        raise InputError(
            f"{words[0]} ended without an error, but wrote no {written.name}{f', only {others}' if others else ''}. "
            f"Change the command so that it writes its stripped image to {OUTPUT}, or its brain mask to {MASK}."
            f"{_quoted(printed)}"
        )
    found = read_image(written)
    if not same_grid(found.grid, image.grid):
        raise InputError(
            f"{words[0]} wrote an image on another grid: {found.grid.describe()}; expected that of the image it was "
            f"given: {image.grid.describe()}. Change the command so that it keeps the image's grid."
        )
    return _require_brain(found.array != 0, words[0])


def _require_brain(marked: NDArray[np.bool_], program: str) -> NDArray[np.bool_]:
    # A voxel of the brain may be 0 in the image itself.
    brain = ndimage.binary_fill_holes(marked)
    share = float(brain.mean())
    if share == 0.0:
        raise InputError(
            f"{program} found no brain: what it wrote is 0 everywhere. See whether the image shows a head, and whether "
            "the program was made for such images."
        )
    if share == 1.0:
        raise InputError(
            f"{program} took everything for brain: what it wrote is 0 nowhere around it. See whether its output is "
            f"the stripped image; a program that writes a mask has {MASK} in its command."
        )
    return brain


def _run(words: Sequence[str], folder: Path, check_cancelled: Callable[[], None]) -> list[str]:
    """Run a program to its end; returns the last lines that it printed."""
    try:
        process = start_below(words, folder, _without_this_python(os.environ))
    except (OSError, ValueError) as error:
        raise InputError(
            f"The program {words[0]} for brain extraction cannot be started ({error}). Install it, or name it with its "
            "whole path in the command."
        ) from error
    printed: deque[str] = deque(maxlen=_QUOTED)
    reader = threading.Thread(target=_pass_on, args=(process, printed), daemon=True)
    reader.start()
    try:
        while process.poll() is None:
            check_cancelled()
            time.sleep(_POLL_SECONDS)
    finally:
        end_below(process)
    reader.join(1.0)  # what the program leaves behind may hold the pipe open
    if process.returncode != 0:
        raise InputError(f"{words[0]} ended with {describe_exit(process.returncode)}.{_quoted(list(printed))}")
    return list(printed)


def _pass_on(process: subprocess.Popen[str], printed: deque[str]) -> None:
    for line in process.stdout or ():
        sys.stdout.write(line)
        sys.stdout.flush()
        if line.strip():
            printed.append(line.strip())


def _quoted(printed: Sequence[str]) -> str:
    return "\n".join([" It printed:", *printed, ""]) if printed else " It printed nothing."


def _without_this_python(environment: Mapping[str, str]) -> dict[str, str]:
    """Without what Slicer sets for its own Python, and what the job's was given: another program has its own."""
    return {name: value for name, value in environment.items() if name not in OF_ONE_PYTHON}
