"""Step 4: the model's run on the scene's case, or what another program predicted, as nodes beside their source."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import read_image
from ObserverUncertaintyLib.formats.prediction_files import segmentation_level
from ObserverUncertaintyLib.jobs import INPUTS_FOLDER, ImportRequest, PredictRequest
from ObserverUncertaintyLib.model.settings import DEFAULT_SAMPLES, DropoutMasks
from ObserverUncertaintyLib.prediction.imported import ArrayAxes, SampleFiles
from ObserverUncertaintySlicer import attributes
from ObserverUncertaintySlicer.attributes import Role, keepTexts
from ObserverUncertaintySlicer.backgroundJobs import SceneJob, jobFolder, startSceneJob
from ObserverUncertaintySlicer.display import showAsEntropy, showAsProbability
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.modelCards import ModelCard, readCard
from ObserverUncertaintySlicer.outlines import showAsOutline
from ObserverUncertaintySlicer.palette import SEGMENT_COLOR
from ObserverUncertaintySlicer.segments import addSegmentation
from ObserverUncertaintySlicer.sequenceExport import exportSequences
from ObserverUncertaintySlicer.volumes import addVolume, requireInScene

_VOLUMES = {
    "probability": ("probability", Role.PROBABILITY),
    "predictiveEntropy": ("predictive_entropy", Role.PREDICTIVE_ENTROPY),
    "expectedEntropy": ("expected_entropy", Role.EXPECTED_ENTROPY),
    "mutualInformation": ("mutual_information", Role.MUTUAL_INFORMATION),
}
"""Result keys, the job's artifacts they are read from, and the roles of their nodes."""

_SAMPLES_ON_PROCESSOR = 5
"""One group of balanced samples at the usual dropout of 0.2: together they drop every neuron once."""


def automaticSamples(onProcessor: bool) -> tuple[int, bool]:
    """How many samples suit a device, and whether balanced: few on the processor, the paper's number on a GPU."""
    return (_SAMPLES_ON_PROCESSOR, True) if onProcessor else (DEFAULT_SAMPLES, False)


def predictCase(
    sequences: Mapping[str, Any],
    modelPath: str | Path,
    samples: int | None = None,
    device: str = "auto",
    *,
    seed: int = 0,
    caseName: str | None = None,
    keepRunning: bool = False,
    balancedMasks: bool = False,
    calibrated: bool = True,
) -> SceneJob:
    """Start Monte Carlo dropout on a case in another process.

    Args:
        sequences: sequence name to volume node; those that the model does not know are left out. Results lie on the
            grid of the first one and beside it; those on another grid are resampled onto it, and this is said.
        modelPath: the model's folder.
        samples: T; the paper's 20 if None.
        device: "auto", "cpu", "cuda:N" or "mps".
        seed: of the dropout masks.
        caseName: what the results are named after; the first volume's name if None.
        keepRunning: whether the job goes on when Slicer closes.
        balancedMasks: whether every neuron is dropped equally often; 10 samples are then as good as 20.
        calibrated: whether the model's calibration to its experts is applied, if it has one.

    Returns:
        A job whose result is a dict of nodes: probability, segmentation, predictiveEntropy, expectedEntropy,
        mutualInformation.

    Raises:
        InputError: a sequence of the model is missing, or a volume cannot be exported.
        ModelError: the folder holds no model.
    """
    card = readCard(modelPath)
    chosen = _chosenSequences(sequences, card)
    reference = next(iter(chosen.values()))
    requireInScene(reference, _("a sequence"))
    caseName = caseName or reference.GetName()
    name = _("predict {case}").format(case=caseName)

    def load(artifacts: Mapping[str, Path]) -> dict[str, Any]:
        # The user may have deleted the source in the meantime; its results are not lost for that.
        beside = reference if slicer.mrmlScene.IsNodePresent(reference) else None
        return loadPrediction(artifacts, caseName, beside, notes, card.isSimulated)

    with jobFolder(name) as folder:
        files, notes = exportSequences(chosen, folder / INPUTS_FOLDER)
        request = PredictRequest(
            images={sequence: str(file) for sequence, file in files.items()},
            model=str(Path(modelPath).resolve()),
            case_name=caseName,
            samples=DEFAULT_SAMPLES if samples is None else samples,
            seed=seed,
            device=device,
            dropout_masks=DropoutMasks.BALANCED if balancedMasks else DropoutMasks.INDEPENDENT,
            calibrated=calibrated,
        )
        return startSceneJob(request, load, name=name, folder=folder, keepRunning=keepRunning)


def importSamples(
    files: Sequence[str | Path],
    referenceVolume,
    *,
    tool: str = "another program",
    structure: str = "structure",
    channel: int | None = None,
    labelValue: int | None = None,
    arrayAxes: ArrayAxes | str = ArrayAxes.KJI,
    caseName: str | None = None,
) -> SceneJob:
    """Start to make a prediction of what another program predicted, in another process.

    Args:
        files: probabilities or masks, each a sample or several (4-D images, .npy and .npz); on the reference's grid.
        referenceVolume: the volume that they belong to; results lie beside it.
        tool: the program that predicted them, in words.
        structure: the structure's name.
        channel: of files with the probabilities of several classes, the number of the foreground's, from 0.
        labelValue: of label maps, the value of the foreground.
        arrayAxes: of arrays: "kji" as SimpleITK and nnU-Net have them, "ijk" as nibabel and MONAI.
        caseName: what the results are named after; the volume's name if None.

    Returns:
        A job whose result is a dict of nodes, as that of `predict`.

    Raises:
        InputError: no file is named, or the volume cannot be exported.
    """
    requireInScene(referenceVolume, _("the volume that was segmented"))
    caseName = caseName or referenceVolume.GetName()
    name = _("load {tool} of {case}").format(tool=tool, case=caseName)

    def load(artifacts: Mapping[str, Path]) -> dict[str, Any]:
        beside = referenceVolume if slicer.mrmlScene.IsNodePresent(referenceVolume) else None
        return loadPrediction(artifacts, caseName, beside)

    with jobFolder(name) as folder:
        exported, _notes = exportSequences({"geometry": referenceVolume}, folder / INPUTS_FOLDER)
        source = SampleFiles(
            tuple(map(str, files)), str(exported["geometry"]), channel, labelValue, ArrayAxes(arrayAxes)
        )
        request = ImportRequest(source, caseName, structure, tool)
        return startSceneJob(request, load, name=name, folder=folder)


def loadPrediction(
    artifacts: Mapping[str, Path],
    caseName: str,
    beside=None,
    notes: tuple[str, ...] = (),
    isSimulated: bool = False,
) -> dict[str, Any]:
    """Bring a prediction's files into the scene as nodes beside their source.

    Args:
        artifacts: of a finished prediction: name to file.
        caseName: what the nodes are named after.
        beside: the node whose place in the subject hierarchy they share.
        notes: what was done to the case before, kept with the segmentation beside the report's own notes.
        isSimulated: whether the model was trained on simulated cases.

    Returns:
        Nodes by the keys probability, segmentation, predictiveEntropy, expectedEntropy, mutualInformation.
    """
    report = json.loads(Path(artifacts["report"]).read_text(encoding="utf-8"))
    titles = {
        "probability": _("mean probability"),
        "predictiveEntropy": _("model uncertainty"),
        "expectedEntropy": _("expected entropy"),
        "mutualInformation": _("mutual information"),
    }
    descriptions = {
        "probability": _("Mean of the model's probabilities over the samples, 0 to 1"),
        "predictiveEntropy": _("Predictive entropy in bits, by Monte Carlo dropout: 0 is sure, 1 the most unsure"),
        "expectedEntropy": _("The aleatoric part of the predictive entropy in bits: what the images leave open"),
        "mutualInformation": _("The epistemic part of the predictive entropy in bits: what the training left open"),
    }
    tool = report.get("tool")
    if tool:
        of = _("Of {count} samples of {tool}: {what}")
        descriptions = {key: of.format(count=report["samples"], tool=tool, what=titles[key]) for key in descriptions}
    # Everything is read before the first node is made: half a result would look like a whole one.
    mask = read_image(artifacts["segmentation"])
    maps = {key: read_image(artifacts[artifact]) for key, (artifact, _role) in _VOLUMES.items()}
    nodes: dict[str, Any] = {}
    for key, (_artifact, role) in _VOLUMES.items():
        node = addVolume(maps[key].array, maps[key].grid, f"{caseName} {titles[key]}", beside)
        node.SetDescription(descriptions[key])
        _describe(node, role, report)
        nodes[key] = node
        if key == "probability":
            showAsProbability(node)
        else:
            showAsEntropy(node)
    segmentation = addSegmentation(
        mask.array > 0,
        mask.grid,
        _("{case} segmentation ({by})").format(case=caseName, by=tool or _("model")),
        report["label"],
        SEGMENT_COLOR,
        beside,
    )
    showAsOutline(segmentation)
    _describe(segmentation, Role.SEGMENTATION, report)
    keepTexts(segmentation, [*notes, *report["notes"]], report["warnings"])
    nodes["segmentation"] = segmentation
    if isSimulated:
        for node in nodes.values():
            attributes.TRAINED_ON_SIMULATION.set(node, True)
    return nodes


def _chosenSequences(sequences: Mapping[str, Any], card: ModelCard) -> dict[str, Any]:
    missing = [name for name in card.needed if sequences.get(name) is None]
    if missing:
        found = ", ".join(sequences) or _("none")
        raise InputError(
            _(
                "The model needs the sequences {needed}; the case has {found}, so {missing} is missing. Add the "
                "volumes in step 1 under these names, or choose another model."
            ).format(needed=", ".join(card.needed), found=found, missing=", ".join(missing))
        )
    return {name: node for name, node in sequences.items() if name in card.sequences and node is not None}


def _describe(node, role: Role, report: Mapping[str, Any]) -> None:
    attributes.ROLE.set(node, role)
    attributes.MODEL.set(node, report["weights"])
    attributes.FUSION.set(node, report["fusion"])
    attributes.SAMPLES.set(node, report["samples"])
    attributes.TOOL.set(node, report.get("tool"))
    masks = None if attributes.TOOL.of(node) else report.get("dropout_masks", DropoutMasks.INDEPENDENT)
    attributes.DROPOUT_MASKS.set(node, masks)
    attributes.CALIBRATION.set(node, report.get("calibration"))
    attributes.SEGMENTATION_LEVEL.set(node, segmentation_level(report))
    attributes.UNLIKE_TRAINING.set(node, report.get("unlike_training"))
    attributes.NOTICE.set(node, report["notice"])
