"""Step 1: another program of this computer finds the brain, and the case's images without the rest become nodes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.jobs import INPUTS_FOLDER, BrainExtractionRequest
from ObserverUncertaintyLib.jobs.brain_extraction import program_and_arguments
from ObserverUncertaintySlicer.attributes import LISTED_CASE, ROLE, Role, keepTexts
from ObserverUncertaintySlicer.backgroundJobs import SceneJob, jobFolder, startSceneJob
from ObserverUncertaintySlicer.host import setting
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.listedNodes import markListed
from ObserverUncertaintySlicer.sequenceExport import exportAsTheyAre
from ObserverUncertaintySlicer.volumes import importVolume

COMMAND_SETTING = "BrainExtractionCommand"
"""Name of the application setting that keeps the command."""


class Program(NamedTuple):
    """A program that finds the brain.

    Attributes:
        title: what it is called.
        command: how it is run.
    """

    title: str
    command: str


PROGRAMS = (
    Program("SynthStrip", "mri_synthstrip -i {input} -m {mask}"),
    Program("HD-BET 2", "hd-bet -i {input} -o {output} -device cpu --disable_tta"),
    Program("HD-BET 2, NVIDIA GPU", "hd-bet -i {input} -o {output}"),
    Program("HD-BET 1", "hd-bet -i {input} -o {output} -device cpu -mode fast -tta 0"),
)


@dataclass(frozen=True)
class ExtractedBrain:
    """What came of an extraction.

    Attributes:
        sequences: sequence name to new volume node.
        volumeMl: of the brain that was found.
        notes: what was found and what was done.
    """

    sequences: Mapping[str, Any]
    volumeMl: float
    notes: tuple[str, ...]


def whyNotRun(command: str) -> str:
    """Why a command cannot be run here, and what to do; empty if it can."""
    try:
        program = program_and_arguments(command)[0]
    except InputError as error:
        return str(error)
    if shutil.which(program) is not None:
        return ""
    return _("There is no program {program} on this computer's search path: type where it lies, or install it.").format(
        program=program
    )


def suggestedCommand() -> str:
    """The command that was kept; else that of the first program that is there; else none."""
    return setting(COMMAND_SETTING) or next((each.command for each in PROGRAMS if not whyNotRun(each.command)), "")


def extractBrain(sequences: Mapping[str, Any], command: str = "", reference: str | None = None) -> SceneJob:
    """Let a program such as SynthStrip or HD-BET find the brain, and make copies of sequences with 0 outside it.

    Args:
        sequences: sequence name to volume node, aligned to each other.
        command: a program and its arguments, with `{input}` for the image that it reads and `{output}` for the stripped
            image or `{mask}` for the brain mask that it writes; what was kept last, or is found here, if empty.
        reference: name of the sequence that the program looks at; the first if None.

    Returns:
        A job whose result has a new node for each sequence, on its own grid; the originals stay as they are.

    Raises:
        InputError: no sequence, an unknown reference, no usable command, or a volume that cannot be exported.
    """
    if not sequences:
        raise InputError(_("There is no sequence to find the brain in. Choose a volume in step 1."))
    command = command or suggestedCommand()
    program_and_arguments(command)
    reference = reference or next(iter(sequences))
    name = _("extract the brain of {reference}").format(reference=reference)
    originals = dict(sequences)

    def load(artifacts: Mapping[str, Path]) -> ExtractedBrain:
        report = json.loads(artifacts["report"].read_text(encoding="utf-8"))
        notes = tuple(report["notes"])
        nodes = {
            sequence: _strippedVolume(artifacts[sequence], sequence, original, notes)
            for sequence, original in originals.items()
        }
        return ExtractedBrain(nodes, report["volume_ml"], notes)

    with jobFolder(name) as folder:
        files = exportAsTheyAre(sequences, folder / INPUTS_FOLDER)
        request = BrainExtractionRequest({sequence: str(file) for sequence, file in files.items()}, reference, command)
        return startSceneJob(request, load, name=name, folder=folder)


def _strippedVolume(file: Path, sequence: str, original, notes: tuple[str, ...]):
    # The user may have deleted the original in the meantime.
    beside = original if slicer.mrmlScene.IsNodePresent(original) else None
    title = sequence if beside is None else beside.GetName()
    node = importVolume(file, _("{name} brain").format(name=title), beside)
    ROLE.set(node, Role.STRIPPED_SEQUENCE)
    keepTexts(node, notes, [])
    if beside is not None and LISTED_CASE.of(beside):
        markListed([node], LISTED_CASE.of(beside))
    return node
