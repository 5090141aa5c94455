"""What the module keeps in attributes and references of nodes, and so in scenes: every name, and how it is written.

Scenes that were saved with these names are read, so a name or a way of writing is never changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_PREFIX = "ObserverUncertainty."


class Role(StrEnum):
    """What a node that the module made is."""

    ALIGNED_SEQUENCE = "AlignedSequence"
    STRIPPED_SEQUENCE = "StrippedSequence"
    FUSED_RATERS = "FusedRaters"
    RATER_MEAN = "RaterMean"
    EXPERT_ENTROPY = "ExpertEntropy"
    PROBABILITY = "Probability"
    PREDICTIVE_ENTROPY = "PredictiveEntropy"
    EXPECTED_ENTROPY = "ExpectedEntropy"
    MUTUAL_INFORMATION = "MutualInformation"
    SEGMENTATION = "Segmentation"
    ENTROPY_DIFFERENCE = "EntropyDifference"
    METRICS = "Metrics"
    RATER_OUTLINES = "RaterOutlines"
    WORKING_COPY = "WorkingCopy"
    CORRECTION = "Correction"
    DRAWN = "Drawn"
    PLACE = "Place"
    CONFIDENCE = "Confidence"
    RATER = "Rater"
    LOSS_PLOT = "LossPlot"
    WME_DICE_CHART = "WmeDiceChart"


class Attribute(Generic[T]):
    """A value that nodes carry as text.

    Args:
        name: in the scene, without the module's prefix.
        read: the value of a text.
        write: the text of a value.
        mayBeEmpty: whether an empty text is a value; else it is as good as none.
    """

    def __init__(
        self, name: str, read: Callable[[str], Any] = str, write: Callable[[Any], str] = str, mayBeEmpty: bool = False
    ) -> None:
        self.name = _PREFIX + name
        self._read, self._write, self._mayBeEmpty = read, write, mayBeEmpty

    def of(self, node, default: T | None = None) -> T | None:
        """The value that a node carries; the default if it carries none."""
        text = node.GetAttribute(self.name)
        return self._read(text) if text or (self._mayBeEmpty and text is not None) else default

    def set(self, node, value: T | None) -> None:
        """Give a node the value; None takes it off."""
        node.SetAttribute(self.name, None if value is None else self._write(value))


class NodeReference:
    """A node that another one refers to; the scene keeps it true when nodes get other IDs or are deleted."""

    def __init__(self, role: str) -> None:
        self._role = role

    def of(self, node):
        """The node that is referred to; None if there is none."""
        return node.GetNodeReference(self._role)

    def set(self, node, other) -> None:
        """Let a node refer to another one; None takes the reference off."""
        node.SetNodeReferenceID(self._role, None if other is None else other.GetID())


def _flag(name: str) -> Attribute[bool]:
    """Something that is said of a node, or not said: it has no "false"."""
    return Attribute(name, bool, lambda _value: "true")


def _numbers(name: str, form: str) -> Attribute[tuple[float, ...]]:
    return Attribute(
        name, lambda text: tuple(map(float, text.split())), lambda values: " ".join(format(v, form) for v in values)
    )


def _json(name: str) -> Attribute[Any]:
    return Attribute(name, json.loads, json.dumps)


ROLE = Attribute("Role")  # read as text: a later version may know more roles

# The cases of a scene.
CASE = Attribute("Case")
SEQUENCE = Attribute("Sequence")
SIMULATED = _flag("Simulated")
"""On the nodes of a case that is made up, so that models trained on it say so."""
LISTED_CASE = Attribute("ListedCase")
"""On what is in the scene for a case of the list of cases: its name there. The next case takes it out again."""
LISTED_CONTENT = Attribute("ListedContent")
"""Changes with the content of a node that the list brought: what was changed since is not taken out."""
DICOM_SOURCE = Attribute("DicomSource")
"""On a volume that was read from DICOM: a mark by which `dicomSources` knows its series in this session."""
COLOR = _numbers("Color", ".4f")
"""Red, green and blue in 0..1 of a rater that is a labelmap volume."""
REGISTRATION = _json("Alignment")
"""What a registration found for a sequence: rotation_degrees, translation_mm, largest_shift_mm and moved."""
REGISTERED_TO = NodeReference(_PREFIX + "AlignedTo")

# How a result was made.
NOTES = _json("Notes")
WARNINGS = _json("Warnings")
RATERS = _json("Raters")
"""Names of the raters that a fusion or an expert entropy is of."""
FUSION = Attribute("Fusion")
"""The method of a fused segmentation; of a model's result, what its training saw as label."""
STAPLE_PERFORMANCE = _json("StaplePerformance")
"""For each rater a dict with rater, sensitivity and specificity; null where undefined."""
FUSED_SEGMENT = Attribute("FusedSegment")
RATER_MEAN = NodeReference("RaterMean")
"""From a fused segmentation to the volume with the raters' mean."""
MODEL = Attribute("Model")
"""Fingerprint of the model's weights."""
SAMPLES = Attribute("Samples", int)
DROPOUT_MASKS = Attribute("DropoutMasks")
TRAINED_ON_SIMULATION = _flag("TrainedOnSimulation")
"""On the results of a model that was trained on simulated cases: they may be looked at without its card."""
CALIBRATION = Attribute("Calibration")
"""A sentence on the model's calibration to its experts, where it was applied."""
SEGMENTATION_LEVEL = Attribute("SegmentationLevel", float, repr)
"""The probability above which a voxel is segmented; one half where it is not said."""
TOOL = Attribute("Tool")
"""The program that predicted it, where that was another one."""
UNLIKE_TRAINING = Attribute("UnlikeTraining")
"""In what the case is unlike the images that the model was trained on."""
NOTICE = Attribute("Notice")

# Display.
THRESHOLD = Attribute("Threshold", float, repr)
"""Of the colour table of differences, in bits."""
OUTLINES = NodeReference(_PREFIX + "Outlines")
"""From a labelmap volume to the hidden segmentation that outlines it."""
WAS_SHOWN = _flag("WasShown")
"""On a display node that is hidden while a further rater draws."""
EARLIER_OVERLAY = NodeReference(_PREFIX + "EarlierOverlay")
"""From what a slice view shows to the map that is taken out of it while a further rater draws."""
EARLIER_VIEWS = Attribute("EarlierViews", str.split, " ".join, mayBeEmpty=True)
"""The IDs of the views in which a segmentation was shown before a comparison; none of them: in all."""
PREVIOUS_LAYOUT = Attribute("PreviousLayout", int)

# Working copies and corrections.
SOURCE = Attribute("Source")
STARTED = Attribute("Started")
START = NodeReference(_PREFIX + "Start")
"""From a working copy to what it was at the start."""
START_VOLUME_ML = Attribute("StartVolumeMl", float, "{:.4f}".format)
ENTROPY = NodeReference(_PREFIX + "Entropy")
"""From a working copy to the entropy that was shown behind it."""
SEGMENT = Attribute("Segment")
NOTE = Attribute("Note")
AUTHOR = Attribute("Author")
CORRECTED = Attribute("Corrected")
COMMENT = Attribute("Comment")
VOLUME_ML = Attribute("VolumeMl", float, "{:.4f}".format)
CHANGED_VOXELS = Attribute("ChangedVoxels", int)
CHANGED_ML = Attribute("ChangedMl", float, "{:.4f}".format)
DRAWN = NodeReference(_PREFIX + "Drawn")
"""From a working copy to the voxels that were drawn, a segment for each axis that they were drawn across."""
LEVEL = Attribute("Level", float, repr)
"""Probability whose contour a working copy starts from; none where it starts from another contour."""
REVIEW_MODEL = Attribute("ReviewModel")
"""Fingerprint of the model whose doubt was reviewed in a working copy, whatever contour that started from."""
PLACES = _json("Places")
"""The places to review, each a dict with position (RAS, mm), expected_error_ml, share and state."""
SECONDS = Attribute("Seconds", float, "{:.1f}".format)
"""Time spent on a working copy; pauses count up to a minute."""
UNSAVED_AS = Attribute("UnsavedAs")
"""Name of the folder that keeps the unsaved work of a working copy."""
FURTHER_RATER = Attribute("FurtherRater")
"""Name of the rater who draws a working copy from nothing; none where it is a correction."""
FINISHED = Attribute("Finished")
DRAWN_BLIND = _flag("DrawnBlind")
"""On a further rater's contour: whenever something was drawn, the other contours and the maps were hidden."""


def keepTexts(node, notes: Iterable[str], warnings: Iterable[str]) -> None:
    """Keep in a result what was done to its input (notes) and what the user should know (warnings)."""
    NOTES.set(node, list(notes))
    WARNINGS.set(node, list(warnings))


def textsOf(node) -> tuple[list[str], list[str]]:
    """The notes and warnings of a result; empty lists if it has none."""
    return NOTES.of(node, []), WARNINGS.of(node, [])


def dicomInstances(node) -> list[str]:
    """The UIDs of the DICOM files that Slicer itself read a volume from; none for other volumes."""
    return (node.GetAttribute("DICOM.instanceUIDs") or "").split()


def recorded(node) -> dict[str, str]:
    """All that the module keeps in a node's attributes, as text, by names without the prefix."""
    return {
        name.removeprefix(_PREFIX): node.GetAttribute(name)
        for name in node.GetAttributeNames()
        if name.startswith(_PREFIX)
    }


def setRecorded(node, texts: Mapping[str, str]) -> None:
    """Keep again in a node's attributes what `recorded` gave; what else the module keeps there stays."""
    for name, text in texts.items():
        node.SetAttribute(_PREFIX + name, text)
