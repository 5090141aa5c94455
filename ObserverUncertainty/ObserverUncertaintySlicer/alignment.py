"""Rigid alignment of the scene's sequences in the background, and the check whether they need it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import slicer

from ObserverUncertaintyLib.cases import MINIMUM_CONTENT_OVERLAP
from ObserverUncertaintyLib.errors import InputError
from ObserverUncertaintyLib.foreground import foreground
from ObserverUncertaintyLib.geometry import resample, same_grid
from ObserverUncertaintyLib.jobs import INPUTS_FOLDER, RegisterRequest
from ObserverUncertaintyLib.metrics import dice
from ObserverUncertaintySlicer.backgroundJobs import SceneJob, jobFolder, startSceneJob
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.sequenceFiles import exportAsTheyAre
from ObserverUncertaintySlicer.volumes import arrayOfVolume, gridOfVolume, importVolume


def registerSequences(sequences: Mapping[str, Any], reference: str | None = None) -> SceneJob:
    """Start the rigid registration (mutual information) of sequences to one of them.

    Args:
        sequences: sequence name to volume node, two or more.
        reference: name of the one that stays; the first if None.

    Returns:
        A job whose result is a dict of sequence name to volume node: new nodes for those that were moved, on the
        reference's grid; the reference itself. The originals stay as they are.

    Raises:
        InputError: fewer than two sequences, an unknown reference, or a volume that cannot be exported.
    """
    if not sequences:
        raise InputError(_("There is no sequence to align. Choose two volumes or more in step 1."))
    reference = reference or next(iter(sequences))
    name = _("align sequences to {reference}").format(reference=reference)
    originals = dict(sequences)

    def load(artifacts: Mapping[str, Path]) -> dict[str, Any]:
        found = json.loads(artifacts["report"].read_text(encoding="utf-8"))["images"]
        result = {}
        for sequence, original in originals.items():
            present = slicer.mrmlScene.IsNodePresent(original)
            if sequence == reference:
                result[sequence] = original
                continue
            title = original.GetName() if present else sequence
            beside = original if present else None
            moved = importVolume(artifacts[sequence], _("{name} aligned").format(name=title), beside)
            moved.SetAttribute("ObserverUncertainty.Role", "AlignedSequence")
            moved.SetAttribute("ObserverUncertainty.Alignment", json.dumps(found[sequence]))
            result[sequence] = moved
        return result

    with jobFolder(name) as folder:
        files = exportAsTheyAre(sequences, folder / INPUTS_FOLDER)
        request = RegisterRequest({sequence: str(file) for sequence, file in files.items()}, reference)
        return startSceneJob(request, load, name=name, folder=folder)


def poorlyOverlapping(sequences: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Sequences whose content hardly overlaps the first one's: name and Dice of the two foregrounds.

    The rule is the library's: below MINIMUM_CONTENT_OVERLAP they are probably not aligned.
    """
    (_first, reference), *others = sequences.items()
    grid = gridOfVolume(reference)
    content = foreground(arrayOfVolume(reference))
    found = []
    for name, node in others:
        array, own = arrayOfVolume(node), gridOfVolume(node)
        if not same_grid(grid, own):
            array = resample(array, own, grid, "linear")
        overlap = dice(content, foreground(array))
        if overlap < MINIMUM_CONTENT_OVERLAP:
            found.append((name, overlap))
    return found
