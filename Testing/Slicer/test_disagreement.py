"""Fusion and entropy in the scene equal the library's on the same masks, and survive updates, deletions and files."""

import json

import numpy as np
import pytest
import rater_scenes as scenes
import slicer
import slicer.util
import vtk

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.rater_files import load_raters
from ObserverUncertaintyLib.images.grid import GridMismatchError, same_grid
from ObserverUncertaintyLib.raters import fusion
from ObserverUncertaintyLib.scores import entropy
from ObserverUncertaintySlicer import attributes
from ObserverUncertaintySlicer.attributes import textsOf
from ObserverUncertaintySlicer.disagreement import (
    differenceVolume,
    expertEntropy,
    fuseRaters,
    staplePerformance,
)
from ObserverUncertaintySlicer.hierarchy import addFolder, placeUnder
from ObserverUncertaintySlicer.palette import FUSED_COLOR
from ObserverUncertaintySlicer.raterMasks import raterMask
from ObserverUncertaintySlicer.raters import Rater, ratersOfNode
from ObserverUncertaintySlicer.volumes import addVolume, arrayOfVolume, gridOfVolume

pytestmark = pytest.mark.usefixtures("scene")

METHODS = ("majority", "staple", "union", "intersection", "mean")


@pytest.fixture
def case():
    """A reference volume, a segmentation node with three overlapping raters, and their masks."""
    reference = scenes.addReference(scenes.OBLIQUE, "T1c")
    masks = scenes.threeRaters(scenes.OBLIQUE)
    return reference, scenes.addSegmentation(reference, masks, names=["Anna", "Ben", "Cleo"]), masks


def onlySegment(node):
    assert node.GetSegmentation().GetNumberOfSegments() == 1
    return node.GetSegmentation().GetNthSegmentID(0)


@pytest.mark.parametrize("method", METHODS)
def test_a_fusion_equals_the_librarys(case, method):
    reference, raters, masks = case
    node = fuseRaters(ratersOfNode(raters), method, reference)
    fused = fusion.fuse(masks, method)
    expected = fused > 0.5
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(scenes.segmentArray(node, onlySegment(node), reference), expected)
    assert node.GetAttribute("ObserverUncertainty.Role") == "FusedRaters"
    assert node.GetNodeReference("referenceImageGeometryRef") is reference


def test_a_fusion_is_named_after_its_case_and_shown_as_an_outline_in_a_colour_of_its_own(case):
    reference, raters, _masks = case
    node = fuseRaters(ratersOfNode(raters), "majority", reference, caseName="Anna")
    assert node.GetName() == "Anna Majority vote of 3 raters"
    assert fuseRaters(ratersOfNode(raters)[:2], "union", reference, node).GetName() == "T1c Union of 2 raters"
    assert fuseRaters(ratersOfNode(raters), "staple").GetName() == "Raters STAPLE of 3 raters"
    assert fuseRaters(ratersOfNode(raters), "mean", reference, caseName="Anna").GetNodeReference(
        "RaterMean"
    ).GetName() == ("Anna Mean above one half of 3 raters: mean")
    display = node.GetDisplayNode()
    assert display.GetVisibility2DOutline()
    assert not display.GetVisibility2DFill()
    assert node.GetSegmentation().GetSegment(onlySegment(node)).GetColor() == pytest.approx(FUSED_COLOR)


def test_without_a_reference_volume_the_raters_own_grid_is_used(case):
    reference, raters, masks = case
    node = fuseRaters([(raters, "rater0"), (raters, "rater2")], "union")
    np.testing.assert_array_equal(scenes.segmentArray(node, onlySegment(node), reference), masks[0] | masks[2])


def test_the_mean_is_a_volume_that_the_segmentation_refers_to(case):
    reference, raters, masks = case
    node = fuseRaters(ratersOfNode(raters), "mean", reference)
    volume = node.GetNodeReference("RaterMean")
    np.testing.assert_array_equal(arrayOfVolume(volume), fusion.mean(masks))
    assert same_grid(gridOfVolume(volume), scenes.OBLIQUE, 1e-9)
    assert volume.GetAttribute("ObserverUncertainty.Role") == "RaterMean"


def test_the_means_volume_goes_when_another_method_takes_its_place(case):
    reference, raters, masks = case
    node = fuseRaters(ratersOfNode(raters), "mean", reference)
    volumeID = node.GetNodeReferenceID("RaterMean")
    fuseRaters(ratersOfNode(raters)[:2], "mean", reference, node)
    assert node.GetNodeReferenceID("RaterMean") == volumeID
    np.testing.assert_array_equal(arrayOfVolume(node.GetNodeReference("RaterMean")), fusion.mean(masks[:2]))
    fuseRaters(ratersOfNode(raters), "union", reference, node)
    assert slicer.mrmlScene.GetNodeByID(volumeID) is None
    assert node.GetNodeReference("RaterMean") is None


def test_staples_performance_is_kept_and_told_by_rater(case):
    reference, raters, masks = case
    node = fuseRaters(ratersOfNode(raters), "staple", reference)
    result = fusion.staple(masks)
    found = staplePerformance(node)
    assert [name for name, _, _ in found] == ["Anna", "Ben", "Cleo"]
    np.testing.assert_allclose([p for _, p, _ in found], result.sensitivity, rtol=1e-12)
    np.testing.assert_allclose([q for _, _, q in found], result.specificity, rtol=1e-12)
    assert 0.5 < min(p for _, p, _ in found) < 1
    fuseRaters(ratersOfNode(raters), "majority", reference, node)
    assert staplePerformance(node) == []


def test_staple_of_raters_who_drew_nothing_judges_nobody(case):
    reference, _raters, masks = case
    empty = scenes.addSegmentation(reference, np.zeros_like(masks[:2]), "Empty")
    node = fuseRaters(ratersOfNode(empty), "staple", reference)
    assert not raterMask((node, onlySegment(node)), scenes.OBLIQUE)[0].any()
    json.loads(node.GetAttribute("ObserverUncertainty.StaplePerformance"), parse_constant=pytest.fail)
    assert all(np.isnan([p, q]).all() for _, p, q in staplePerformance(node))
    assert len(textsOf(node)[1]) == 2


def test_a_damaged_performance_names_node_and_attribute(case):
    reference, raters, _masks = case
    node = fuseRaters(ratersOfNode(raters), "staple", reference)
    node.SetAttribute("ObserverUncertainty.StaplePerformance", '[{"rater": "Anna"}]')
    with pytest.raises(InputError, match=r"STAPLE of 3 raters: its attribute ObserverUncertainty\.StaplePerformance"):
        staplePerformance(node)


@pytest.mark.parametrize("method", METHODS)
def test_the_live_view_updates_node_and_segment_in_place(case, method):
    reference, raters, masks = case
    node = fuseRaters(ratersOfNode(raters), "union", reference)
    nodeID, segmentID, count = node.GetID(), onlySegment(node), slicer.mrmlScene.GetNumberOfNodes()
    node.GetSegmentation().GetSegment(segmentID).SetColor(1, 0, 1)
    same = fuseRaters(ratersOfNode(raters)[:2], method, reference, node)
    assert same is node
    assert (node.GetID(), onlySegment(node)) == (nodeID, segmentID)
    assert node.GetSegmentation().GetSegment(segmentID).GetColor() == (1, 0, 1)
    np.testing.assert_array_equal(scenes.segmentArray(node, segmentID, reference), fusion.fuse(masks[:2], method) > 0.5)
    added = slicer.mrmlScene.GetNumberOfNodes() - count
    assert added == (2 if method == "mean" else 0)  # the mean's volume and its display node


def test_an_update_takes_a_transform_off_and_restores_a_deleted_segment(case):
    reference, raters, masks = case
    node = fuseRaters(ratersOfNode(raters), "union", reference)
    node.SetAndObserveTransformNodeID(scenes.addTransform(scenes.affine(scenes.rotation(40))).GetID())
    node.GetSegmentation().RemoveSegment(onlySegment(node))
    fuseRaters(ratersOfNode(raters), "intersection", reference, node)
    found, note = raterMask((node, onlySegment(node)), scenes.OBLIQUE)
    np.testing.assert_array_equal(found, masks.all(axis=0))
    assert note is None


def test_an_update_on_another_reference_moves_to_its_grid(case):
    reference, raters, masks = case
    node = fuseRaters(ratersOfNode(raters), "union", reference)
    other = scenes.addReference(scenes.PLAIN, "T2")
    fuseRaters(ratersOfNode(raters), "majority", other, node)
    resampled = np.stack([raterMask(rater, scenes.PLAIN)[0] for rater in ratersOfNode(raters)])
    found, note = raterMask((node, onlySegment(node)), scenes.PLAIN)
    np.testing.assert_array_equal(found, fusion.majority(resampled))
    assert note is None
    assert found.sum() * scenes.PLAIN.voxel_volume_ml == pytest.approx(
        fusion.majority(masks).sum() * scenes.OBLIQUE.voxel_volume_ml, rel=0.05
    )
    assert len(textsOf(node)[0]) == 3
    assert "resampled to the nearest voxel" in textsOf(node)[0][0]


def test_none_and_unknown_methods_are_refused(case):
    _reference, raters, _masks = case
    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(InputError, match=r'"none" keeps the raters apart'):
        fuseRaters(ratersOfNode(raters), "none")
    with pytest.raises(InputError, match=r"'vote' is no fusion method; expected one of: majority, staple"):
        fuseRaters(ratersOfNode(raters), "vote")
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_a_raters_node_is_never_overwritten(case):
    reference, raters, masks = case
    fused = fuseRaters(ratersOfNode(raters), "union", reference)
    with pytest.raises(InputError, match=r"Raters: .*raters are never overwritten"):
        fuseRaters(ratersOfNode(raters), "union", reference, raters)
    with pytest.raises(InputError, match=r"raters are never overwritten"):
        fuseRaters([*ratersOfNode(raters), (fused, onlySegment(fused))], "intersection", reference, fused)
    np.testing.assert_array_equal(scenes.segmentArray(raters, "rater0", reference), masks[0])
    slicer.mrmlScene.RemoveNode(fused)
    with pytest.raises(InputError, match=r"no longer in the scene"):
        fuseRaters(ratersOfNode(raters), "union", reference, fused)


@pytest.mark.parametrize("grid", [scenes.PLAIN, scenes.OBLIQUE], ids=["plain", "oblique"])
def test_expert_entropy_equals_the_librarys(grid):
    reference, masks = scenes.addReference(grid, "T1"), scenes.threeRaters(grid)
    raters = scenes.addSegmentation(reference, masks)
    node = expertEntropy(ratersOfNode(raters), reference)
    array = arrayOfVolume(node)
    np.testing.assert_allclose(array, entropy.expert_entropy(masks), atol=1e-7)
    votes = masks.sum(axis=0)
    assert set(np.unique(array[(votes == 0) | (votes == 3)])) == {0.0}
    third = -(1 / 3) * np.log2(1 / 3) - (2 / 3) * np.log2(2 / 3)
    np.testing.assert_allclose(array[(votes == 1) | (votes == 2)], third, rtol=1e-6)
    assert same_grid(gridOfVolume(node), grid, 1e-9)
    assert node.GetName() == "T1 expert disagreement"
    assert node.GetAttribute("ObserverUncertainty.Role") == "ExpertEntropy"


def test_expert_entropy_is_named_after_the_case_and_describes_itself(case):
    reference, raters, _masks = case
    attributes.CASE.set(reference, "Anna")
    node = expertEntropy(ratersOfNode(raters), reference)
    assert node.GetName() == "Anna expert disagreement"
    assert "Entropy of the raters' votes in bits" in node.GetDescription()
    assert expertEntropy(ratersOfNode(raters), reference, node, "Ben").GetName() == "Ben expert disagreement"
    difference = differenceVolume(node, node)
    assert difference.GetName() == "Ben expert disagreement minus expert disagreement"
    assert "Predictive minus expert entropy in bits" in difference.GetDescription()


def test_expert_entropy_is_updated_in_place_but_no_other_volume_is(case):
    reference, raters, masks = case
    node = expertEntropy(ratersOfNode(raters), reference)
    nodeID = node.GetID()
    assert expertEntropy(ratersOfNode(raters)[1:], reference, node).GetID() == nodeID
    np.testing.assert_allclose(arrayOfVolume(node), entropy.expert_entropy(masks[1:]), atol=1e-7)
    with pytest.raises(InputError, match=r"T1c: it is no earlier result of this kind \(ExpertEntropy\)"):
        expertEntropy(ratersOfNode(raters), reference, reference)


def test_results_stand_beside_their_source(case):
    reference, raters, _masks = case
    placeUnder(reference, addFolder("Case 1"))
    mean = fuseRaters(ratersOfNode(raters), "mean", reference)
    experts = expertEntropy(ratersOfNode(raters), reference)
    for node in (mean, mean.GetNodeReference("RaterMean"), experts, differenceVolume(experts, experts)):
        assert scenes.parentItemName(node) == "Case 1"


def test_the_difference_is_predictive_minus_expert(case):
    reference, raters, masks = case
    experts = expertEntropy(ratersOfNode(raters), reference)
    predictive = np.random.default_rng(5).uniform(0, 1, masks[0].shape).astype(np.float32)
    model = addVolume(predictive, scenes.OBLIQUE, "Model")
    node = differenceVolume(model, experts)
    np.testing.assert_allclose(arrayOfVolume(node), predictive - entropy.expert_entropy(masks), atol=1e-6)
    assert node.GetAttribute("ObserverUncertainty.Role") == "EntropyDifference"
    assert arrayOfVolume(differenceVolume(experts, model, node)).sum() == pytest.approx(
        (entropy.expert_entropy(masks) - predictive).sum(), rel=1e-4
    )
    with pytest.raises(InputError, match=r"expert disagreement: it is no earlier result of this kind"):
        differenceVolume(model, experts, experts)


def test_a_difference_of_other_grids_or_of_no_entropies_is_refused(case):
    reference, raters, _masks = case
    experts = expertEntropy(ratersOfNode(raters), reference)
    other = addVolume(np.zeros(scenes.PLAIN.shape, np.float32), scenes.PLAIN, "Other")
    with pytest.raises(GridMismatchError, match=r"(?s)T1c expert disagreement lies on another voxel grid than Other"):
        differenceVolume(other, experts)
    nats = addVolume(np.full(scenes.OBLIQUE.shape, 1.7, np.float32), scenes.OBLIQUE, "MRI")
    with pytest.raises(InputError, match=r"MRI: its values run from 1\.7 to 1\.7; expected an entropy in bits"):
        differenceVolume(nats, experts)
    broken = addVolume(np.full(scenes.OBLIQUE.shape, np.nan, np.float32), scenes.OBLIQUE, "Broken")
    with pytest.raises(InputError, match=r"Broken: its values run from nan"):
        differenceVolume(broken, experts)


def test_fusion_entropy_and_performance_come_back_from_a_scene_file(case, tmp_path):
    reference, raters, masks = case
    fuseRaters(ratersOfNode(raters), "staple", reference)
    soft = fuseRaters(ratersOfNode(raters), "mean", reference)
    expertEntropy(ratersOfNode(raters), reference)
    before = staplePerformance(slicer.mrmlScene.GetFirstNodeByName("T1c STAPLE of 3 raters"))
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "case.mrb"))
    slicer.mrmlScene.Clear(0)
    assert not Rater(soft).isAlive
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "case.mrb"), True)

    reference = slicer.mrmlScene.GetFirstNodeByName("T1c")
    fused = slicer.mrmlScene.GetFirstNodeByName("T1c STAPLE of 3 raters")
    assert staplePerformance(fused) == before
    np.testing.assert_array_equal(
        raterMask((fused, onlySegment(fused)), scenes.OBLIQUE)[0], fusion.fuse(masks, "staple")
    )
    entropyNode = slicer.mrmlScene.GetFirstNodeByName("T1c expert disagreement")
    np.testing.assert_allclose(arrayOfVolume(entropyNode), entropy.expert_entropy(masks), atol=1e-7)
    soft = slicer.mrmlScene.GetFirstNodeByName("T1c Mean above one half of 3 raters")
    np.testing.assert_array_equal(arrayOfVolume(soft.GetNodeReference("RaterMean")), fusion.mean(masks))
    # What came back can be updated like before: the roles, the segment and the raters are known again.
    raters = slicer.mrmlScene.GetFirstNodeByName("Raters")
    assert [rater.name for rater in ratersOfNode(raters)] == ["Anna", "Ben", "Cleo"]
    segmentID = onlySegment(fused)
    fuseRaters(ratersOfNode(raters), "majority", reference, fused)
    assert onlySegment(fused) == segmentID
    np.testing.assert_array_equal(raterMask((fused, segmentID), scenes.OBLIQUE)[0], fusion.majority(masks))
    assert expertEntropy(ratersOfNode(raters), reference, entropyNode) is entropyNode


def test_seven_real_raters_fuse_as_the_library_fuses_their_files(testData):
    files = sorted((testData / "brain_growth" / "case02").glob("seg_rater*.nii.gz"))
    library = load_raters(files)
    logic = slicer.modules.volumes.logic()
    nodes = [logic.AddArchetypeVolume(str(file), file.name[:-7], 1 | 4) for file in files]
    for method in METHODS:
        node = fuseRaters(nodes, method)
        found, note = raterMask((node, onlySegment(node)), gridOfVolume(nodes[0]))
        np.testing.assert_array_equal(found, fusion.fuse(library.raters, method) > 0.5)
        assert note is None
    np.testing.assert_allclose(arrayOfVolume(expertEntropy(nodes)), entropy.expert_entropy(library.raters), atol=1e-7)
    performance = staplePerformance(fuseRaters(nodes, "staple"))
    np.testing.assert_allclose([p for _, p, _ in performance], fusion.staple(library.raters).sensitivity, rtol=1e-12)


def test_an_update_tells_observers_of_the_segmentation_once(case):
    reference, raters, _masks = case
    node = fuseRaters(ratersOfNode(raters), "union", reference)
    events = []
    node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: events.append(1))
    fuseRaters(ratersOfNode(raters), "majority", reference, node)
    assert len(events) == 1


def test_a_surface_shown_in_3d_follows_the_update(case):
    reference, raters, masks = case
    node = fuseRaters(ratersOfNode(raters), "union", reference)
    assert node.CreateClosedSurfaceRepresentation()
    enclosedMl = []
    for method in ("union", "intersection"):
        fuseRaters(ratersOfNode(raters), method, reference, node)
        surface = vtk.vtkPolyData()
        assert node.GetClosedSurfaceRepresentation(onlySegment(node), surface)
        properties = vtk.vtkMassProperties()
        properties.SetInputData(surface)
        enclosedMl.append(properties.GetVolume() / 1000)
    expected = [
        mask.sum() * scenes.OBLIQUE.voxel_volume_ml for mask in (fusion.union(masks), fusion.intersection(masks))
    ]
    assert enclosedMl == pytest.approx(expected, rel=0.1)
