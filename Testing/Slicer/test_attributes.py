"""The module's attributes of nodes: one file knows them, and scenes have them under these names and in this form."""

from __future__ import annotations

import ast
import re

import pytest
import slicer
from conftest import MODULE_FILE

from ObserverUncertaintySlicer import attributes
from ObserverUncertaintySlicer.attributes import Attribute, NodeReference, Role, recorded, setRecorded

OTHERS = [path for path in sorted(MODULE_FILE.parent.rglob("*.py")) if path.name != "attributes.py"]
SLICERS_OWN = {"Category"}
_PLACES = '[{"position": [1.5, 2.0, 3.0], "state": "open"}]'
IN_SCENES = [
    (attributes.ROLE, "ExpertEntropy", "Role", "ExpertEntropy"),
    (attributes.CASE, "case01", "Case", "case01"),
    (attributes.SEQUENCE, "T1", "Sequence", "T1"),
    (attributes.SIMULATED, True, "Simulated", "true"),
    (attributes.LISTED_CASE, "case01", "ListedCase", "case01"),
    (attributes.LISTED_CONTENT, "712422b2", "ListedContent", "712422b2"),
    (attributes.DICOM_SOURCE, "3f2a", "DicomSource", "3f2a"),
    (attributes.COLOR, (0.34, 0.86, 1.0), "Color", "0.3400 0.8600 1.0000"),
    (attributes.REGISTRATION, {"moved": True}, "Alignment", '{"moved": true}'),
    (attributes.NOTES, ["Ö"], "Notes", '["\\u00d6"]'),
    (attributes.WARNINGS, [], "Warnings", "[]"),
    (attributes.RATERS, ["anna", "ben"], "Raters", '["anna", "ben"]'),
    (attributes.FUSION, "staple", "Fusion", "staple"),
    (attributes.STAPLE_PERFORMANCE, [{"rater": "anna"}], "StaplePerformance", '[{"rater": "anna"}]'),
    (attributes.FUSED_SEGMENT, "S_1", "FusedSegment", "S_1"),
    (attributes.MODEL, "712422b2", "Model", "712422b2"),
    (attributes.SAMPLES, 20, "Samples", "20"),
    (attributes.DROPOUT_MASKS, "balanced", "DropoutMasks", "balanced"),
    (attributes.CALIBRATION, "calibrated to 3 raters", "Calibration", "calibrated to 3 raters"),
    (attributes.SEGMENTATION_LEVEL, 0.4375, "SegmentationLevel", "0.4375"),
    (attributes.TOOL, "nnU-Net", "Tool", "nnU-Net"),
    (attributes.UNLIKE_TRAINING, "it shows 12 mL", "UnlikeTraining", "it shows 12 mL"),
    (attributes.TRAINED_ON_SIMULATION, True, "TrainedOnSimulation", "true"),
    (attributes.NOTICE, "Research use only.", "Notice", "Research use only."),
    (attributes.THRESHOLD, 0.05, "Threshold", "0.05"),
    (attributes.EARLIER_VIEWS, ["vtkMRMLSliceNodeRed", "B"], "EarlierViews", "vtkMRMLSliceNodeRed B"),
    (attributes.EARLIER_VIEWS, [], "EarlierViews", ""),
    (attributes.PREVIOUS_LAYOUT, 3, "PreviousLayout", "3"),
    (attributes.SOURCE, "experts: anna", "Source", "experts: anna"),
    (attributes.STARTED, "2026-11-30T02:05:36+00:00", "Started", "2026-11-30T02:05:36+00:00"),
    (attributes.START_VOLUME_ML, 37.44, "StartVolumeMl", "37.4400"),
    (attributes.SEGMENT, "S_2", "Segment", "S_2"),
    (attributes.NOTE, "resampled", "Note", "resampled"),
    (attributes.AUTHOR, "Anna Ö.", "Author", "Anna Ö."),
    (attributes.CORRECTED, "2026-11-30T02:05:39+00:00", "Corrected", "2026-11-30T02:05:39+00:00"),
    (attributes.COMMENT, "too large", "Comment", "too large"),
    (attributes.VOLUME_ML, 0.0, "VolumeMl", "0.0000"),
    (attributes.CHANGED_ML, 0.61, "ChangedMl", "0.6100"),
    (attributes.CHANGED_VOXELS, 91, "ChangedVoxels", "91"),
    (attributes.LEVEL, 0.3, "Level", "0.3"),
    (attributes.REVIEW_MODEL, "712422b2", "ReviewModel", "712422b2"),
    (attributes.PLACES, [{"position": [1.5, 2.0, 3.0], "state": "open"}], "Places", _PLACES),
    (attributes.SECONDS, 61.5, "Seconds", "61.5"),
    (attributes.WAS_SHOWN, True, "WasShown", "true"),
    (attributes.UNSAVED_AS, "2026-11-30-140211-ab12cd", "UnsavedAs", "2026-11-30-140211-ab12cd"),
    (attributes.FURTHER_RATER, "Dora Ö.", "FurtherRater", "Dora Ö."),
    (attributes.FINISHED, "2026-11-30T02:05:39+00:00", "Finished", "2026-11-30T02:05:39+00:00"),
    (attributes.DRAWN_BLIND, True, "DrawnBlind", "true"),
]
REFERENCES = [
    (attributes.REGISTERED_TO, "ObserverUncertainty.AlignedTo"),
    (attributes.RATER_MEAN, "RaterMean"),
    (attributes.OUTLINES, "ObserverUncertainty.Outlines"),
    (attributes.START, "ObserverUncertainty.Start"),
    (attributes.ENTROPY, "ObserverUncertainty.Entropy"),
    (attributes.DRAWN, "ObserverUncertainty.Drawn"),
    (attributes.EARLIER_OVERLAY, "ObserverUncertainty.EarlierOverlay"),
]


def test_no_other_file_spells_an_attribute():
    """Neither with the prefix nor without; names of one plain word, such as "Case", may be texts of other kinds."""
    names = {*Role, *(name for _attribute, _value, name, _text in IN_SCENES)}
    compound = {name for name in names if sum(map(str.isupper, name)) > 1}
    spelt = []
    for path in OTHERS:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        found = [
            node for node in texts if node.value in compound or re.search(r"ObserverUncertainty\.[A-Z]", node.value)
        ]
        found += [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _namesAnAttribute(node)]
        spelt += [f"{path.name}:{node.lineno}: {ast.unparse(node)}" for node in found]
    assert spelt == []


def _namesAnAttribute(call):
    if not isinstance(call.func, ast.Attribute) or not call.args:
        return False
    name = call.args[0].value if isinstance(call.args[0], ast.Constant) else None
    if call.func.attr in ("GetAttribute", "SetAttribute", "RemoveAttribute"):
        return name not in SLICERS_OWN
    return "NodeReference" in call.func.attr and name is not None


def test_all_attributes_are_compared_with_what_scenes_have():
    known = vars(attributes).values()
    assert {value for value in known if isinstance(value, Attribute)} == {attribute for attribute, *_ in IN_SCENES}
    assert {value for value in known if isinstance(value, NodeReference)} == {reference for reference, _ in REFERENCES}


@pytest.mark.parametrize(("attribute", "value", "name", "text"), IN_SCENES)
def test_a_value_is_written_and_read_as_in_scenes(scene, attribute, value, name, text):
    node = scene.AddNewNodeByClass("vtkMRMLTextNode")
    assert attribute.of(node) is None
    attribute.set(node, value)
    assert node.GetAttribute(f"ObserverUncertainty.{name}") == text
    assert attribute.of(node) == value
    assert recorded(node) == {name: text}
    again = scene.AddNewNodeByClass("vtkMRMLTextNode")
    setRecorded(again, recorded(node))
    assert attribute.of(again) == value
    attribute.set(node, None)
    assert list(node.GetAttributeNames()) == []


@pytest.mark.parametrize(("reference", "role"), REFERENCES)
def test_a_reference_has_the_role_that_scenes_have(scene, reference, role):
    node, other = (scene.AddNewNodeByClass("vtkMRMLTextNode") for _ in range(2))
    assert reference.of(node) is None
    reference.set(node, other)
    assert node.GetNodeReference(role) is other
    assert reference.of(node) is other
    slicer.mrmlScene.RemoveNode(other)
    assert reference.of(node) is None


def test_an_empty_text_is_as_good_as_none(scene):
    node = scene.AddNewNodeByClass("vtkMRMLTextNode")
    for attribute in (attributes.NOTES, attributes.COLOR, attributes.PREVIOUS_LAYOUT, attributes.SEGMENT):
        node.SetAttribute(attribute.name, "")
        assert attribute.of(node) is None
    assert attributes.textsOf(node) == ([], [])
