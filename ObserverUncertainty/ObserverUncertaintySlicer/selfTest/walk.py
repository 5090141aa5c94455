"""The steps of the self-test, in a clinician's order, and what must hold after each of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import slicer

from ObserverUncertaintyLib.formats import read_mask
from ObserverUncertaintySlicer.dependencies import missingPackages
from ObserverUncertaintySlicer.layoutSwitch import shownRows
from ObserverUncertaintySlicer.raterMasks import raterMask
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.selfTest.byLogic import ByLogic
from ObserverUncertaintySlicer.selfTest.byPanel import ByPanel
from ObserverUncertaintySlicer.volumes import arrayOfVolume, gridOfVolume, matrixOfGrid

_AUTHOR = "self-test"


def runSelfTest(logic, tell: Callable[[str], None], panel=None) -> list[str]:
    """Walk through the module; the model's steps only where torch is installed.

    Args:
        logic: the module's logic, on an empty scene.
        tell: shows what is being done.
        panel: the module's panel, whose own buttons are clicked; without one the logic is called.

    Returns:
        A line a check, and at the end where the pictures are.

    Raises:
        AssertionError: a check failed; the lines so far are in it.
    """
    hands = ByLogic(logic) if panel is None else ByPanel(logic, panel)
    return _Walk(logic, hands, tell).run()


class _Walk:
    def __init__(self, logic, hands, tell: Callable[[str], None]) -> None:
        self.logic, self.hands, self.tell = logic, hands, tell
        self.lines: list[str] = []

    def run(self) -> list[str]:
        """Do everything, in a folder that goes away."""
        with tempfile.TemporaryDirectory() as folder:
            self._case()
            self._disagreement()
            missing = missingPackages()
            if missing:
                self.lines.append(f"not made: the model's steps, for {', '.join(missing)} is not installed")
            else:
                self._uncertainty()
                self._sideBySide()
            self._correction(Path(folder))
            self._secondCase()
            self._scene(Path(folder))
        if self.hands.pictures is not None:
            self.lines.append(f"pictures: {self.hands.pictures}")
        return self.lines

    def _case(self) -> None:
        self.tell("Loading the sample case")
        self.hands.loadSample()
        self._check(len(self.hands.sequences) == 4, "the sample case has four sequences")
        self._check(len(self.hands.raters) == 3, "and three raters")
        self.hands.picture("1 sample case")

    def _disagreement(self) -> None:
        self.tell("Fusing the raters, and the experts' entropy")
        hands = self.hands
        volumes = {}
        for method in ("intersection", "majority", "staple", "union"):
            fused = hands.fuse(method)
            volumes[method] = int(self._mask(fused).sum())
        inOrder = 0 < volumes["intersection"] <= volumes["majority"] <= volumes["union"]
        self._check(inOrder, f"intersection, majority and union grow: {volumes}")
        masks = np.stack([raterMask(rater, self._grid())[0] for rater in hands.raters])
        entropy = arrayOfVolume(hands.expertEntropy())
        disputed = masks.any(axis=0) & ~masks.all(axis=0)
        self._check(np.array_equal(entropy > 0, disputed), "the experts' entropy is above 0 just where they disagree")
        self._check(0.9 < entropy.max() <= 1, f"and at most 1 bit: {entropy.max():.3f}")
        hands.picture("2 disagreement")

    def _uncertainty(self) -> None:
        self.tell("Running the model that ships with the module")
        nodes = self.hands.predict()
        total = arrayOfVolume(nodes["expectedEntropy"]) + arrayOfVolume(nodes["mutualInformation"])
        apart = float(np.abs(arrayOfVolume(nodes["predictiveEntropy"]) - total).max())
        self._check(apart < 1e-5, f"the predictive entropy is the sum of its parts (up to {apart:.1e})")

    def _sideBySide(self) -> None:
        self.tell("Both entropies side by side")
        hands = self.hands
        views = hands.compare()
        self._check(shownRows() == 2 and len(views.sliceNodes) == 6, "six views show both entropies")
        hands.picture("3 side by side")
        views = hands.compare(difference=True)
        predictive, expert, difference = (arrayOfVolume(volume) for volume in views.overlays)
        self._check(np.array_equal(difference, predictive - expert), "the third row is their difference")
        hands.picture("4 difference")
        hands.goToWorstPlace()
        grid = gridOfVolume(views.overlays[0])
        i, j, k = np.rint((np.linalg.inv(matrixOfGrid(grid)) @ [*views.place, 1])[:3]).astype(int)
        around = predictive[max(k - 1, 0) : k + 2, max(j - 1, 0) : j + 2, max(i - 1, 0) : i + 2]
        self._check(around.mean() > predictive.mean(), f"the worst place is uncertain: {around.mean():.2f} bits")
        hands.picture("5 worst place")

    def _correction(self, folder: Path) -> None:
        self.tell("Correcting")
        hands = self.hands
        raters = [raterMask(rater, self._grid())[0] for rater in hands.raters]
        copy = hands.startCopy()
        start = self._mask(copy)
        hands.paint()
        painted = self._mask(copy)
        self._check(not np.array_equal(painted, start), f"painting changed {int((painted ^ start).sum())} voxels")
        hands.picture("6 painted")
        hands.undo()
        self._check(np.array_equal(self._mask(copy), start), "undo took them back")
        hands.paint()
        saved = hands.save(_AUTHOR)
        self._check(saved is not copy and np.array_equal(self._mask(saved), self._mask(copy)), "the correction is kept")
        now = [raterMask(rater, self._grid())[0] for rater in hands.raters]
        self._check(all(map(np.array_equal, raters, now)), "no rater's voxel changed")
        written = self.logic.exportReviewed(saved, folder / "correction.nii.gz")
        self._check(np.array_equal(read_mask(written).array, self._mask(saved)), "the exported file holds it")
        hands.picture("7 saved")

    def _secondCase(self) -> None:
        self.tell("A second patient")
        hands = self.hands
        first = {rater.node for rater in hands.raters}
        hands.loadAnother()
        self._check(not first & {rater.node for rater in hands.raters}, "another patient's raters are there")
        visible = {
            node
            for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
            if node.GetDisplayNode() is not None and node.GetDisplayNode().GetVisibility()
        }
        self._check(not first & visible, "and nothing of the first one is shown")
        hands.picture("8 second case")

    def _scene(self, folder: Path) -> None:
        self.tell("Saving, closing and loading the scene")
        hands = self.hands
        entropy = arrayOfVolume(hands.expertEntropy())
        masks = [raterMask(rater, self._grid())[0] for rater in hands.raters]
        file = folder / "scene.mrb"
        self._check(hands.saveScene(file), "the scene is saved")
        slicer.mrmlScene.Clear(0)
        hands.live()
        self._check(hands.isEmpty(), "after Close Scene nothing is left of it")
        hands.picture("9 scene closed")
        hands.loadScene(file)
        self._check(np.array_equal(arrayOfVolume(hands.expertEntropy()), entropy), "loaded again it has its entropy")
        again = [raterMask(rater, self._grid())[0] for rater in hands.raters]
        self._check(all(map(np.array_equal, again, masks)), "and its raters")
        hands.picture("10 scene loaded")

    def _grid(self):
        return gridOfVolume(next(iter(self.hands.sequences.values())))

    def _mask(self, segmentation) -> np.ndarray:
        return raterMask(ratersOfNode(segmentation)[0], self._grid())[0]

    def _check(self, holds: bool, what: str) -> None:
        if not holds:
            raise AssertionError("\n".join([*self.lines, f"FAILED: {what}"]))
        self.lines.append(f"ok: {what}")
