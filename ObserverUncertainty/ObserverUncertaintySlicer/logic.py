"""The logic: one method a step of the panel, with plain arguments, blocking or as a job in the background.

The steps' modules are imported when they are used: this file is loaded at every start of Slicer, whether the module is
opened or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from slicer import vtkMRMLDisplayableNode, vtkMRMLTableNode
    from slicer import vtkMRMLScalarVolumeNode as VolumeNode
    from slicer import vtkMRMLSegmentationNode as SegmentationNode

    from ObserverUncertaintyLib.raters.fusion import FusionMethod
    from ObserverUncertaintySlicer.backgroundJobs import SceneJob
    from ObserverUncertaintySlicer.caseLoading import LoadedCase
    from ObserverUncertaintySlicer.compareViews import CompareViews
    from ObserverUncertaintySlicer.correction import WorkingCopy
    from ObserverUncertaintySlicer.raters import Rater
    from ObserverUncertaintySlicer.sliceRanking import RankedSlice


def _step(name: str) -> Any:
    """The module of this package that does a step."""
    return import_module(f"ObserverUncertaintySlicer.{name}")


class LogicSteps:
    """What ObserverUncertaintyLogic can do.

    `raters` is a list of (segmentation node, segment ID) or labelmap volume nodes, `sequences` a dict of sequence name
    to volume node. What takes long runs in another process: with `wait=True` the method returns its result, with
    `wait=False` a job with `.state`, `.cancel()` and `.result()`.

    Wrong input raises an InputError that names the node or file, says what was found, what was expected and what to do.
    """

    # Step 1: the case

    def loadCaseFolder(self, folder: str | Path) -> LoadedCase:
        """Load a case from a folder of image and mask files, told apart as `caseLoading.loadCaseFolder` says."""
        return _step("caseLoading").loadCaseFolder(folder)

    def loadManifestCase(self, manifestPath: str | Path, caseName: str) -> LoadedCase:
        """Load one case of a cohort manifest."""
        return _step("caseLoading").loadManifestCase(manifestPath, caseName)

    def loadSampleCase(self, wait: bool = True) -> LoadedCase | SceneJob:
        """Load the simulated sample case: four sequences and three raters, made on this machine the first time."""
        job = _step("sampleData").sampleCase()
        return job.result() if wait else job

    def registerSequences(
        self, sequences: Mapping[str, VolumeNode], reference: str | None = None, wait: bool = True
    ) -> dict[str, VolumeNode] | SceneJob:
        """Align sequences rigidly to one of them (the first if None); the originals stay as they are.

        Returns:
            Sequence name to volume: new nodes on the reference's grid for what was moved, the reference itself, and
            what was aligned to it already.
        """
        job = _step("registration").registerSequences(sequences, reference)
        return job.result() if wait else job

    # Step 2: disagreement

    def fuseRaters(
        self,
        raters: Sequence[Any],
        method: FusionMethod | str,
        referenceVolume: VolumeNode | None = None,
        output: SegmentationNode | None = None,
        caseName: str | None = None,
    ) -> SegmentationNode:
        """Fuse raters into one segment: majority, staple, union, intersection or mean (of which half is the border).

        Args:
            raters: two or more raters.
            method: "none" is refused, since it fuses nothing.
            referenceVolume: whose grid the result has; the raters' own if None.
            output: updated in place; a new node if None.
            caseName: what the result is named after; the reference volume's name if None.
        """
        return _step("disagreement").fuseRaters(raters, method, referenceVolume, output, caseName)

    def expertEntropy(
        self, raters: Sequence[Any], referenceVolume: VolumeNode | None = None, output: VolumeNode | None = None
    ) -> VolumeNode:
        """Entropy of the raters' votes in bits, 0 to 1, on the reference volume's grid."""
        return _step("disagreement").expertEntropy(raters, referenceVolume, output)

    # Step 3: the model

    def train(
        self,
        manifestPath: str | Path,
        modelPath: str | Path,
        fusion: FusionMethod | str = "none",
        wait: bool = True,
        *,
        device: str = "auto",
        keepRunning: bool = False,
        **options: Any,
    ) -> Path | SceneJob:
        """Train a dropout U-Net on a cohort's manifest.

        Args:
            manifestPath: the cohort's manifest.
            modelPath: the folder for the model.
            fusion: what training sees as label; "none" draws one rater at random.
            wait: return the model's folder; else a job.
            device: "auto", "cpu", "cuda:N" or "mps".
            keepRunning: the job goes on when Slicer closes.
            options: fields of ObserverUncertaintyLib.model.settings.TrainingSettings (epochs, depth, filters, seed,
                ...), and `cases` (names), `resume`, `overwrite`, `resample`.
        """
        job = _step("training").trainModel(
            manifestPath, modelPath, fusion, device=device, keepRunning=keepRunning, **options
        )
        return job.result() if wait else job

    def trainOnScene(
        self,
        modelPath: str | Path,
        fusion: FusionMethod | str = "none",
        wait: bool = True,
        *,
        label: str = "structure",
        **options: Any,
    ) -> Path | SceneJob:
        """Train on the cases that were loaded into the scene with their raters.

        Args:
            modelPath: the folder for the model.
            fusion: what training sees as label; "none" draws one rater at random.
            wait: return the model's folder; else a job.
            label: the structure that the raters drew.
            options: as for `train`.
        """
        job = _step("training").trainOnScene(modelPath, fusion, label=label, **options)
        return job.result() if wait else job

    # Step 4: uncertainty

    def predict(
        self,
        sequences: Mapping[str, VolumeNode],
        modelPath: str | Path,
        samples: int | None = None,
        device: str = "auto",
        wait: bool = True,
        *,
        seed: int = 0,
        caseName: str | None = None,
        keepRunning: bool = False,
        balancedMasks: bool = False,
    ) -> dict[str, vtkMRMLDisplayableNode] | SceneJob:
        """Run the model with Monte Carlo dropout.

        Args:
            sequences: sequence name to volume; the model's must be among them. Results lie beside the first one.
            modelPath: the model's folder.
            samples: T, the number of Monte Carlo samples; the paper's 20 if None.
            device: "auto", "cpu", "cuda:N" or "mps".
            wait: return the nodes; else a job.
            seed: of the dropout masks.
            caseName: what results are named after; the reference volume's name if None.
            keepRunning: the job goes on when Slicer closes.
            balancedMasks: drop every neuron equally often; 10 samples are then as good as 20, of a large network 5.

        Returns:
            Nodes by the keys probability, segmentation, predictiveEntropy, expectedEntropy, mutualInformation.
        """
        job = _step("prediction").predictCase(
            sequences,
            modelPath,
            samples,
            device,
            seed=seed,
            caseName=caseName,
            keepRunning=keepRunning,
            balancedMasks=balancedMasks,
        )
        return job.result() if wait else job

    # Step 5: compare

    def compare(
        self,
        backgroundVolume: VolumeNode,
        predictiveEntropy: VolumeNode,
        expertEntropy: VolumeNode,
        raters: Sequence[Any],
        difference: VolumeNode | None = None,
    ) -> CompareViews:
        """Lay out both entropies side by side in linked views, on one fixed scale, with the raters' outlines."""
        return _step("compareViews").compare(backgroundVolume, predictiveEntropy, expertEntropy, raters, difference)

    def difference(
        self, predictiveEntropy: VolumeNode, expertEntropy: VolumeNode, output: VolumeNode | None = None
    ) -> VolumeNode:
        """Predictive minus expert entropy, -1 to 1: above 0 where only the model is unsure."""
        return _step("disagreement").differenceVolume(predictiveEntropy, expertEntropy, output)

    def metrics(
        self,
        segmentation: Any,
        predictiveEntropy: VolumeNode,
        raters: Sequence[Any],
        probability: VolumeNode | None = None,
        output: vtkMRMLTableNode | None = None,
    ) -> vtkMRMLTableNode:
        """WME, ME, Dice with each rater and the mean entropy inside the disagreement, as a table."""
        return _step("scores").metricsTable(segmentation, predictiveEntropy, raters, probability, output)

    # Step 6: correct

    def startCorrection(
        self,
        source: SegmentationNode | Rater,
        backgroundVolume: VolumeNode,
        entropyVolume: VolumeNode | None = None,
        name: str | None = None,
    ) -> WorkingCopy:
        """Make a working copy of a segmentation or of a rater's contour to correct; the source is never changed."""
        return _step("correction").startCorrection(source, backgroundVolume, entropyVolume, name)

    def rankedSlices(
        self, entropyVolume: VolumeNode, orientation: str | Sequence[float] = "Axial"
    ) -> list[RankedSlice]:
        """The slices to look at, most uncertain first: of an orientation, or along the normal (RAS) of a view."""
        return _step("sliceRanking").rankedSlices(entropyVolume, orientation)

    def saveAsCorrected(self, workingCopy: WorkingCopy, author: str, comment: str = "") -> SegmentationNode:
        """Keep the working copy as a correction that says who, when and from what."""
        return _step("correction").saveAsCorrected(workingCopy, author, comment)

    def exportCorrected(self, node: SegmentationNode, path: str | Path, overwrite: bool = False) -> Path:
        """Write a correction to .seg.nrrd, .nrrd or .nii.gz."""
        return _step("correctionExport").exportCorrected(node, path, overwrite)
