"""The panel's state in the module's parameter node, so that it is saved with the scene and comes back with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import slicer

from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintySlicer.raters import Rater

T = TypeVar("T")

AUTOMATIC = 0
"""As the number of samples: what suits the device, and then `balancedMasks` counts for nothing."""


class Value(Generic[T]):
    """One plain value of the parameter node; writing the value it has changes nothing."""

    def __init__(self, default: T, read: Callable[[str], Any] = str, write: Callable[[Any], str] = str) -> None:
        self.default, self.read, self.write = default, read, write

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name[0].upper() + name[1:]

    def __get__(self, parameters: Parameters, owner: type | None = None) -> T:
        text = parameters.node.GetParameter(self.name)
        return self.read(text) if text else self.default

    def __set__(self, parameters: Parameters, value: T) -> None:
        text = self.write(value)
        if parameters.node.GetParameter(self.name) != text:
            parameters.node.SetParameter(self.name, text)


class Switch(Value[bool]):
    """A yes or no."""

    def __init__(self, default: bool) -> None:
        super().__init__(default, lambda text: text == "true", lambda value: "true" if value else "false")


class Reference:
    """One node that the parameter node refers to; None when there is none, or it was deleted."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.role = name[0].upper() + name[1:]

    def __get__(self, parameters: Parameters, owner: type | None = None) -> slicer.vtkMRMLNode | None:
        return parameters.node.GetNodeReference(self.role)

    def __set__(self, parameters: Parameters, node: slicer.vtkMRMLNode | None) -> None:
        identity = node.GetID() if node is not None else None
        if parameters.node.GetNodeReferenceID(self.role) != identity:
            parameters.node.SetNodeReferenceID(self.role, identity)


@dataclass(frozen=True)
class RaterChoice:
    """A rater of the case, and whether it takes part."""

    rater: Rater
    enabled: bool = True


class Parameters:
    """Typed view of a parameter node.

    Lists (sequences, raters) keep one node reference an entry, since references survive saving, importing into another
    scene and deletion, which IDs in a text do not.
    """

    fusionMethod = Value(FusionMethod.MAJORITY, FusionMethod)
    liveFusion = Switch(True)
    modelFolder = Value("")
    samples = Value(AUTOMATIC, int)
    balancedMasks = Switch(False)
    calibrated = Switch(True)
    seed = Value(0, int)
    device = Value("auto")
    keepRunning = Switch(False)
    opacity = Value(0.7, float)
    threshold = Value(0.05, float)
    showDifference = Switch(False)
    correctionAuthor = Value("")
    propagateAtOnce = Switch(False)
    onlyUnsure = Switch(False)
    showConfidence = Switch(False)
    listManifest = Value("")
    listPredictions = Value("")
    listedCase = Value("")
    trainingSource = Value("manifest")
    trainingLabel = Value("structure")
    trainingManifest = Value("")
    trainingFolder = Value("")
    trainingPreset = Value("small")
    trainingFusion = Value(FusionMethod.NONE, FusionMethod)
    trainingEpochs = Value(0, int)

    fusedSegmentation = Reference()
    expertEntropy = Reference()
    probability = Reference()
    segmentation = Reference()
    predictiveEntropy = Reference()
    expectedEntropy = Reference()
    mutualInformation = Reference()
    difference = Reference()
    metricsTable = Reference()
    lossChart = Reference()
    cohortChart = Reference()
    workingCopy = Reference()
    lastCorrection = Reference()

    def __init__(self, node: slicer.vtkMRMLScriptedModuleNode) -> None:
        self.node = node

    @property
    def givenCaseName(self) -> str:
        """The case's name as it was typed or loaded; empty if none was given."""
        return self.node.GetParameter("CaseName")

    @property
    def caseName(self) -> str:
        """What the case's results are named after: the name that was given; else the reference's, or "case"."""
        reference = self.reference
        return self.givenCaseName or (reference.GetName() if reference is not None else "case")

    @caseName.setter
    def caseName(self, name: str) -> None:
        if self.givenCaseName != name:
            self.node.SetParameter("CaseName", name)

    @property
    def sequences(self) -> dict[str, slicer.vtkMRMLScalarVolumeNode]:
        """Sequence names to volume nodes in order; the first is the reference. Deleted nodes are left out."""
        return {entry["name"]: node for entry, node in self._entries("Sequences")}

    @sequences.setter
    def sequences(self, sequences: dict[str, slicer.vtkMRMLScalarVolumeNode]) -> None:
        self._setEntries("Sequences", [({"name": name}, node) for name, node in sequences.items()])

    @property
    def raterChoices(self) -> list[RaterChoice]:
        """The case's raters with their switches; those whose node or segment was deleted are left out."""
        choices = [
            RaterChoice(Rater(node, entry["segment"]), entry["enabled"]) for entry, node in self._entries("Raters")
        ]
        return [choice for choice in choices if choice.rater.isAlive]

    @raterChoices.setter
    def raterChoices(self, choices: Sequence[RaterChoice]) -> None:
        entries = [
            ({"segment": choice.rater.segmentID, "enabled": choice.enabled}, choice.rater.node) for choice in choices
        ]
        self._setEntries("Raters", entries)

    @property
    def raters(self) -> list[Rater]:
        """The raters that take part."""
        return [choice.rater for choice in self.raterChoices if choice.enabled]

    @property
    def reference(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The sequence on whose grid everything is computed: the first one."""
        return next(iter(self.sequences.values()), None)

    def _entries(self, name: str) -> list[tuple[dict[str, Any], slicer.vtkMRMLNode]]:
        text = self.node.GetParameter(name)
        found = [(entry, self.node.GetNodeReference(entry["role"])) for entry in (json.loads(text) if text else [])]
        return [(entry, node) for entry, node in found if node is not None]

    def _setEntries(self, name: str, entries: Sequence[tuple[dict[str, Any], slicer.vtkMRMLNode]]) -> None:
        if entries == [({k: v for k, v in entry.items() if k != "role"}, node) for entry, node in self._entries(name)]:
            return
        text = self.node.GetParameter(name)
        wasModifying = self.node.StartModify()
        try:
            for entry in json.loads(text) if text else []:
                self.node.SetNodeReferenceID(entry["role"], None)
            listed = [{**entry, "role": f"{name}.{number}"} for number, (entry, _) in enumerate(entries, 1)]
            for entry, (_, node) in zip(listed, entries, strict=True):
                self.node.SetNodeReferenceID(entry["role"], node.GetID())
            self.node.SetParameter(name, json.dumps(listed))
        finally:
            self.node.EndModify(wasModifying)
