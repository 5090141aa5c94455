"""Rigid registration of the scene's sequences in the background, and the check whether they need it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.loading import MINIMUM_CONTENT_OVERLAP
from ObserverUncertaintyLib.images.foreground import foreground
from ObserverUncertaintyLib.jobs import INPUTS_FOLDER, RegisterRequest
from ObserverUncertaintyLib.scores.metrics import dice
from ObserverUncertaintySlicer.attributes import REGISTERED_TO, REGISTRATION, ROLE, Role
from ObserverUncertaintySlicer.backgroundJobs import SceneJob, jobFolder, startSceneJob
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.sequenceExport import exportAsTheyAre
from ObserverUncertaintySlicer.volumes import arrayOfVolume, arrayOnGrid, gridOfVolume, importVolume

ALIGNED_WITHIN_MM = 1.0
"""What moves by less lies where it should, and resampling would only blur it; a voxel of the reference counts as much.

Registering sequences that are aligned moves their content by 0.1 to 0.2 mm in the sample case (voxels of 1.5 x 1.5 x 3
mm), and by 0.2 to 0.8 mm in two real exams that others aligned (voxels of 1 mm): less than that tells nothing.
"""


@dataclass(frozen=True)
class Registration:
    """What a registration found for a sequence.

    Attributes:
        rotationDegrees: by how much it was turned.
        shiftMm: how far the centre of the reference moved.
        largestShiftMm: how far what the reference shows moved at most.
        isMoved: False for a sequence that was aligned already and stayed as it is.
    """

    rotationDegrees: float
    shiftMm: float
    largestShiftMm: float
    isMoved: bool


def registerSequences(sequences: Mapping[str, Any], reference: str | None = None) -> SceneJob:
    """Start the rigid registration (mutual information) of sequences to one of them.

    Args:
        sequences: sequence name to volume node, two or more.
        reference: name of the one that stays; the first if None.

    Returns:
        A job whose result is a dict of sequence name to volume node: new nodes for those that were moved, on the
        reference's grid; the reference itself, and what was aligned to it already. The originals stay as they are.

    Raises:
        InputError: fewer than two sequences, an unknown reference, or a volume that cannot be exported.
    """
    if not sequences:
        raise InputError(_("There is no sequence to align. Choose two volumes or more in step 1."))
    reference = reference or next(iter(sequences))
    name = _("align sequences to {reference}").format(reference=reference)
    originals = dict(sequences)
    smallestSide = min(gridOfVolume(sequences[reference]).spacing) if reference in sequences else 0.0

    def load(artifacts: Mapping[str, Path]) -> dict[str, Any]:
        found = json.loads(artifacts["report"].read_text(encoding="utf-8"))["images"]
        threshold = max(ALIGNED_WITHIN_MM, smallestSide)
        result = {}
        for sequence, original in originals.items():
            if sequence == reference:
                result[sequence] = original
                continue
            present = slicer.mrmlScene.IsNodePresent(original)
            isMoved = found[sequence]["largest_shift_mm"] >= threshold
            node = original
            if isMoved or not present:
                title = original.GetName() if present else sequence
                beside = original if present else None
                node = importVolume(artifacts[sequence], _("{name} aligned").format(name=title), beside)
                ROLE.set(node, Role.ALIGNED_SEQUENCE)
            REGISTRATION.set(node, {**found[sequence], "moved": node is not original})
            REGISTERED_TO.set(node, originals[reference])
            result[sequence] = node
        return result

    with jobFolder(name) as folder:
        files = exportAsTheyAre(sequences, folder / INPUTS_FOLDER)
        request = RegisterRequest({sequence: str(file) for sequence, file in files.items()}, reference)
        return startSceneJob(request, load, name=name, folder=folder)


def registrationOf(node, reference) -> Registration | None:
    """What the last registration found for a volume; None if there was none, or none to this reference."""
    found = REGISTRATION.of(node)
    if not found or REGISTERED_TO.of(node) is not reference:
        return None
    return Registration(found["rotation_degrees"], found["translation_mm"], found["largest_shift_mm"], found["moved"])


def poorlyOverlapping(sequences: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Sequences whose content hardly overlaps the first one's: name and Dice of the two foregrounds.

    The rule is the library's: below MINIMUM_CONTENT_OVERLAP they are probably not aligned.
    """
    (_first, reference), *others = sequences.items()
    grid = gridOfVolume(reference)
    content = foreground(arrayOfVolume(reference))
    found = []
    for name, node in others:
        overlap = dice(content, foreground(arrayOnGrid(node, grid)))
        if overlap < MINIMUM_CONTENT_OVERLAP:
            found.append((name, overlap))
    return found
