"""The steps of the self-test by the module's logic, as a script does them: where there is no panel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer

from ObserverUncertaintyLib.model.shipped import shipped_model
from ObserverUncertaintySlicer.backgroundJobs import startSceneJob
from ObserverUncertaintySlicer.compareViews import presentViews
from ObserverUncertaintySlicer.correctionEditor import CorrectionEditor
from ObserverUncertaintySlicer.places import mostUncertainPoint
from ObserverUncertaintySlicer.sceneCases import sceneCases
from ObserverUncertaintySlicer.segments import keptGrid

SAMPLES = 2
ANOTHER_SEED = 7


class ByLogic:
    """Holds what the steps need of one another.

    Attributes:
        pictures: the folder of pictures; None, since there is nothing to be seen.
    """

    pictures: Path | None = None

    def __init__(self, logic) -> None:
        self.logic = logic
        self.sequences: dict[str, Any] = {}
        self.raters: list[Any] = []
        self._nodes: dict[str, Any] = {}
        self._expert = None
        self._editor: CorrectionEditor | None = None

    @property
    def reference(self):
        """The case's first volume."""
        return next(iter(self.sequences.values()))

    def loadSample(self) -> None:
        """Load the sample case."""
        self._use(self.logic.loadSampleCase())

    def loadAnother(self) -> None:
        """Load another patient, simulated now, and show it."""
        from ObserverUncertaintySlicer.caseDisplay import showCase

        case = anotherCase(self.logic)
        showCase(case)
        self._use(case)

    def fuse(self, method: str):
        """Fuse the raters; returns the segmentation node."""
        return self.logic.fuseRaters(self.raters, method, self.reference)

    def expertEntropy(self):
        """The experts' entropy; computed where it is not there yet."""
        if self._expert is None:
            self._expert = self.logic.expertEntropy(self.raters, self.reference)
        return self._expert

    def predict(self) -> dict[str, Any]:
        """Run the shipped model; returns the nodes of its result."""
        self._nodes = self.logic.predict(self.sequences, shipped_model(), samples=SAMPLES, device="cpu")
        return self._nodes

    def compare(self, difference: bool = False):
        """Lay both entropies out, with the difference row if wanted; returns the views."""
        predictive, expert = self._nodes["predictiveEntropy"], self.expertEntropy()
        third = self.logic.difference(predictive, expert) if difference else None
        return self.logic.compare(self.reference, predictive, expert, self.raters, third)

    def goToWorstPlace(self) -> None:
        """Show the place where the model is most unsure."""
        presentViews().jumpTo(mostUncertainPoint(self._nodes["predictiveEntropy"]))

    def startCopy(self):
        """Start a working copy of the majority vote; returns its node."""
        copy = self.logic.startCorrection(self.fuse("majority"), self.reference, self.expertEntropy())
        self._copy, self._editor = copy, CorrectionEditor(copy)
        return copy.node

    def paint(self) -> None:
        """Draw a block of voxels in the image's corner, where there is no contour."""
        mask = np.zeros(keptGrid(self._copy.node).shape, bool)
        mask[:2, :5, :5] = True
        self._editor.add(mask)

    def undo(self) -> None:
        """Take the last stroke back."""
        self._editor.undo()

    def save(self, author: str):
        """Keep the working copy as a correction; returns its node."""
        self._editor.close()
        return self.logic.saveAsReviewed(self._copy, author)

    def saveScene(self, file: Path) -> bool:
        """Save the scene; whether that worked."""
        return bool(slicer.mrmlScene.WriteToMRB(str(file)))

    def loadScene(self, file: Path) -> None:
        """Load a scene, and find its case again."""
        slicer.mrmlScene.ReadFromMRB(str(file), True)
        case = sceneCases()[-1]
        self.sequences, self.raters = dict(case.sequences), list(case.raters)
        self._expert = slicer.util.getNode(f"{case.name} expert disagreement")

    def isEmpty(self) -> bool:
        """Whether no case is there any more."""
        return not sceneCases()

    def live(self) -> None:
        """Let the interface follow: there is none."""

    def picture(self, name: str) -> None:
        """Take a picture: there is nothing to be seen."""

    def _use(self, case) -> None:
        self.sequences, self.raters, self._expert = dict(case.sequences), list(case.raters), None


def anotherCase(logic):
    """A simulated patient that is not the sample's, loaded into the scene."""
    from ObserverUncertaintyLib.cohort.manifest import read_manifest
    from ObserverUncertaintyLib.jobs import SimulateRequest

    def load(artifacts):
        manifest = artifacts["manifest"]
        return logic.loadManifestCase(manifest, read_manifest(manifest).case_names()[0])

    return startSceneJob(SimulateRequest(seed=ANOTHER_SEED), load, name="simulate another case").result()
