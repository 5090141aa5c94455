"""The self-test that Slicer runs: the sample case through every step, values checked against what must hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ObserverUncertaintySlicer.dependencies import missingPackages
from ObserverUncertaintySlicer.modelCards import shippedModel
from ObserverUncertaintySlicer.volumes import arrayOfVolume


def runSelfTest(logic, tell: Callable[[str], None]) -> None:
    """Run the steps that need nothing installed and, where torch is there, the model too.

    Args:
        logic: the module's logic, on an empty scene.
        tell: shows what is being done.
    """
    tell("Loading the sample case")
    case = logic.loadSampleCase()
    reference = next(iter(case.sequences.values()))
    _require(len(case.raters) >= 2, "the sample case has several raters")

    tell("Fusing the raters")
    volumes = {}
    for method in ("intersection", "majority", "staple", "union"):
        fused = logic.fuseRaters(case.raters, method, reference)
        table = logic.metrics(fused, logic.expertEntropy(case.raters, reference), case.raters)
        _require(table.GetNumberOfRows() > 0, f"{method} has scores")
        volumes[method] = _segmentVolume(fused, reference)
    _require(
        volumes["intersection"] <= volumes["majority"] <= volumes["union"],
        f"intersection, majority and union grow: {volumes}",
    )

    tell("Computing the experts' entropy")
    expert = logic.expertEntropy(case.raters, reference)
    entropy = arrayOfVolume(expert)
    _require(entropy.min() >= 0 and 0.9 < entropy.max() <= 1, f"entropy lies in bits: {entropy.min()}, {entropy.max()}")

    tell("Correcting")
    source = logic.fuseRaters(case.raters, "majority", reference)
    copy = logic.startCorrection(source, reference, expert)
    _require(len(logic.rankedSlices(expert)) > 0, "there are slices to look at")
    saved = logic.saveAsCorrected(copy, "self-test")
    _require(saved is not source and saved is not copy.node, "a correction is a node of its own")

    if missingPackages():
        tell("torch is not installed: the model was not run")
        return
    tell("Running the model that ships with the module")
    nodes = logic.predict(case.sequences, shippedModel(), samples=2, device="cpu")
    total = arrayOfVolume(nodes["expectedEntropy"]) + arrayOfVolume(nodes["mutualInformation"])
    difference = np.abs(arrayOfVolume(nodes["predictiveEntropy"]) - total).max()
    _require(difference < 1e-5, f"predictive entropy is the sum of its parts up to {difference}")
    logic.compare(reference, nodes["predictiveEntropy"], expert, case.raters).restoreLayout()
    tell("All steps passed")


def _segmentVolume(segmentation, reference) -> float:
    """Voxels of the first segment on the reference's grid."""
    from ObserverUncertaintySlicer.raters import raterMask, ratersOfNode
    from ObserverUncertaintySlicer.volumes import gridOfVolume

    mask, _note = raterMask(ratersOfNode(segmentation)[0], gridOfVolume(reference))
    return float(mask.sum())


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(f"Self-test: {what}")
