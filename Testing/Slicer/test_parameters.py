"""The panel's state in the parameter node."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintySlicer.parameters import AUTOMATIC, Parameters, RaterChoice
from ObserverUncertaintySlicer.raters import Rater, ratersOfNode
from ObserverUncertaintySlicer.segments import addSegmentation
from ObserverUncertaintySlicer.volumes import addVolume

GRID = Grid(size=(6, 5, 4), spacing=(1.0, 1.5, 3.0))


def ball() -> np.ndarray:
    mask = np.zeros(GRID.shape, bool)
    mask[1:3, 1:4, 2:5] = True
    return mask


@pytest.fixture
def parameters(scene):
    return Parameters(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "ObserverUncertainty"))


@pytest.fixture
def filled(parameters):
    t1 = addVolume(np.zeros(GRID.shape, np.float32), GRID, "t1")
    flair = addVolume(np.ones(GRID.shape, np.float32), GRID, "flair")
    raters = [
        Rater(node, ratersOfNode(node)[0].segmentID)
        for node in (addSegmentation(ball(), GRID, name, name, (1, 0, 0)) for name in ("anna", "ben", "carl"))
    ]
    parameters.sequences = {"T1": t1, "FLAIR": flair}
    parameters.raterChoices = [RaterChoice(rater, rater.name != "ben") for rater in raters]
    parameters.fusionMethod = FusionMethod.STAPLE
    parameters.samples = 7
    parameters.opacity = 0.25
    parameters.expertEntropy = flair
    return parameters


def test_an_empty_node_has_the_defaults(parameters):
    assert parameters.samples == AUTOMATIC == 0
    assert parameters.fusionMethod is FusionMethod.MAJORITY
    assert parameters.liveFusion is True
    assert parameters.sequences == {}
    assert parameters.raterChoices == []
    assert parameters.reference is None
    assert parameters.probability is None


def test_what_is_written_is_read_back_in_order(filled):
    assert list(filled.sequences) == ["T1", "FLAIR"]
    assert filled.reference.GetName() == "t1"
    assert [(choice.rater.name, choice.enabled) for choice in filled.raterChoices] == [
        ("anna", True),
        ("ben", False),
        ("carl", True),
    ]
    assert [rater.name for rater in filled.raters] == ["anna", "carl"]
    assert (filled.samples, filled.opacity, filled.fusionMethod) == (7, 0.25, FusionMethod.STAPLE)


def test_a_scene_that_names_a_number_of_samples_keeps_it(parameters):
    parameters.node.SetParameter("Samples", "20")  # as an earlier version wrote what was chosen
    assert parameters.samples == 20
    parameters.samples = AUTOMATIC
    assert parameters.samples == AUTOMATIC


def test_writing_the_same_again_modifies_nothing(filled):
    before = filled.node.GetMTime()
    filled.sequences = filled.sequences
    filled.raterChoices = filled.raterChoices
    filled.samples = 7
    filled.expertEntropy = filled.expertEntropy
    assert filled.node.GetMTime() == before


def test_a_list_is_written_in_one_change(filled):
    events = []
    filled.node.AddObserver("ModifiedEvent", lambda *_: events.append(1))
    filled.raterChoices = filled.raterChoices[::-1]
    assert len(events) == 1
    assert [rater.name for rater in filled.raters] == ["carl", "anna"]


def test_deleted_nodes_and_segments_are_left_out_and_the_others_stay(filled):
    choices = filled.raterChoices
    slicer.mrmlScene.RemoveNode(choices[0].rater.node)
    choices[1].rater.node.GetSegmentation().RemoveAllSegments()
    slicer.mrmlScene.RemoveNode(filled.sequences["T1"])
    assert [choice.rater.name for choice in filled.raterChoices] == ["carl"]
    assert list(filled.sequences) == ["FLAIR"]
    slicer.mrmlScene.RemoveNode(filled.expertEntropy)
    assert filled.expertEntropy is None


def test_a_shorter_list_leaves_no_reference_behind(filled):
    filled.raterChoices = filled.raterChoices[:1]
    roles = []
    filled.node.GetNodeReferenceRoles(roles)
    left = [role for role in roles if role.startswith("Raters.") and filled.node.GetNodeReferenceID(role)]
    assert left == ["Raters.1"]


def test_a_saved_and_reopened_scene_shows_the_same_state(filled, scene, tmp_path):
    file = tmp_path / "scene.mrb"
    assert scene.WriteToMRB(str(file))
    scene.Clear()
    # Other nodes first, so that the reopened ones get other IDs.
    addVolume(np.zeros(GRID.shape, np.float32), GRID, "earlier")
    assert scene.ReadFromMRB(str(file), False)
    nodes = [
        scene.GetNthNodeByClass(n, "vtkMRMLScriptedModuleNode")
        for n in range(scene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode"))
    ]
    reopened = Parameters(next(node for node in nodes if node.GetParameter("Raters")))
    assert [(name, node.GetName()) for name, node in reopened.sequences.items()] == [("T1", "t1"), ("FLAIR", "flair")]
    assert [(choice.rater.name, choice.enabled) for choice in reopened.raterChoices] == [
        ("anna", True),
        ("ben", False),
        ("carl", True),
    ]
    assert reopened.expertEntropy.GetName() == "flair"
    assert (reopened.samples, reopened.fusionMethod) == (7, FusionMethod.STAPLE)


def test_a_case_without_a_name_is_called_after_its_reference(parameters, filled):
    empty = Parameters(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    assert (empty.givenCaseName, empty.caseName) == ("", "case")
    assert (filled.givenCaseName, filled.caseName) == ("", "t1")
    filled.reference.SetName("pat07 T1")
    assert filled.caseName == "pat07 T1"
    filled.caseName = "Anna"
    assert (filled.givenCaseName, filled.caseName) == ("Anna", "Anna")
    filled.caseName = ""
    slicer.mrmlScene.RemoveNode(filled.reference)
    assert filled.caseName == "flair"
