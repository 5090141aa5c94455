"""Raters of the scene under names and colours that tell them apart; what is none is refused."""

import numpy as np
import pytest
import rater_scenes as scenes
import slicer
import slicer.util

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.raters import RATER_COLORS, Rater, asRaters, giveOwnColors, raterNames, ratersOfNode

pytestmark = pytest.mark.usefixtures("scene")


def test_the_same_rater_twice_is_refused():
    node = scenes.addSegmentation(scenes.addReference(scenes.PLAIN), scenes.threeRaters(scenes.PLAIN))
    with pytest.raises(InputError, match=r"Rater 1.*twice"):
        asRaters([(node, "rater1"), Rater(node, "rater1")])


def test_deleted_nodes_and_segments_are_refused_by_name():
    reference = scenes.addReference(scenes.PLAIN)
    node = scenes.addSegmentation(reference, scenes.threeRaters(scenes.PLAIN), "Experts")
    raters = ratersOfNode(node)
    assert [rater.isAlive for rater in raters] == [True] * 3
    node.GetSegmentation().RemoveSegment("rater1")
    assert [rater.isAlive for rater in raters] == [True, False, True]
    assert raters[1].name == "rater1"
    with pytest.raises(InputError, match=r"Experts: it has no segment 'rater1'; expected.*rater0 \(Rater 0\)"):
        asRaters(raters)
    slicer.mrmlScene.RemoveNode(node)
    assert not raters[0].isAlive
    assert raters[0].name == "Rater 0"
    with pytest.raises(InputError, match=r"Experts.*no longer in the scene"):
        asRaters(raters)


def test_other_things_are_refused_with_what_was_expected():
    reference = scenes.addReference(scenes.PLAIN, "T1")
    node = scenes.addSegmentation(reference, scenes.threeRaters(scenes.PLAIN), "Experts")
    with pytest.raises(InputError, match="No rater"):
        asRaters([])
    with pytest.raises(InputError, match=r"T1: it is a Volume node; expected"):
        asRaters([reference])
    with pytest.raises(InputError, match=r"Experts: it has no segment ''"):
        asRaters([node])
    with pytest.raises(InputError, match=r"'rater1'.*expected a node"):
        asRaters(["rater1"])
    with pytest.raises(InputError, match=r"None was given"):
        asRaters([(None, "rater1")])


def test_a_rater_has_its_segments_colour_or_the_one_that_its_labelmap_was_given():
    reference = scenes.addReference(scenes.PLAIN)
    node = scenes.addSegmentation(reference, scenes.threeRaters(scenes.PLAIN))
    node.GetSegmentation().GetSegment("rater1").SetColor(0.25, 0.5, 0.75)
    assert Rater(node, "rater1").color == (0.25, 0.5, 0.75)
    Rater(node, "rater1").setColor((0.5, 0.25, 1.0))
    assert node.GetSegmentation().GetSegment("rater1").GetColor() == (0.5, 0.25, 1.0)
    labelmap = Rater(scenes.addLabelmap(reference, scenes.threeRaters(scenes.PLAIN)[0], label=2))
    display = labelmap.node.GetDisplayNode()
    before = display.GetMTime()
    assert labelmap.color == RATER_COLORS[0]
    labelmap.setColor((0.1, 0.9, 0.4))
    assert labelmap.color == pytest.approx((0.1, 0.9, 0.4))
    assert display.GetMTime() == before


def addNamed(node, *names):
    """A segmentation with empty segments of these names, as raters."""
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", node)
    for number, name in enumerate(names):
        segmentation.GetSegmentation().AddEmptySegment(f"{node}{number}", name)
    return ratersOfNode(segmentation)


def addLabelmapRater(name):
    return Rater(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name))


def test_names_that_tell_raters_apart_stay_as_they_are():
    raters = [*addNamed("case", "Anna", "Ben"), *addNamed("other", "Cleo"), addLabelmapRater("Segment_1")]
    assert raterNames(raters) == ["Anna", "Ben", "Cleo", "Segment_1"]


def test_raters_that_nobody_named_are_called_after_their_files():
    raters = [rater for name in ("mask_a", "mask_b", "mask_c") for rater in addNamed(name, "Segment_1")]
    assert raterNames(raters) == ["mask_a", "mask_b", "mask_c"]
    assert raterNames(raters[:1]) == ["mask_a"]
    assert raterNames(addNamed("drawn", "segment 3")) == ["drawn"]


def test_of_several_in_one_segmentation_node_and_segment_are_named():
    raters = addNamed("drawn", "Segment_1", "Segment_2", "Anna")
    assert raterNames(raters) == ["drawn/Segment_1", "drawn/Segment_2", "Anna"]


def test_raters_of_one_name_are_called_after_their_segmentations():
    raters = [*addNamed("monday", "GTV", "CTV"), *addNamed("friday", "GTV")]
    assert raterNames(raters) == ["monday/GTV", "CTV", "friday"]
    assert raterNames([*addNamed("expert", "mask"), addLabelmapRater("mask")]) == ["expert", "mask"]


def test_raters_whose_segmentations_have_one_name_too_are_numbered():
    raters = [rater for _ in range(3) for rater in addNamed("case", "Segment_1")]
    assert raterNames(raters) == ["case", "case (2)", "case (3)"]
    assert raterNames([addLabelmapRater("seg"), addLabelmapRater("seg")]) == ["seg", "seg (2)"]
    twins = addNamed("case", "GTV", "GTV")
    assert raterNames(twins) == ["case/GTV", "case/GTV (2)"]


def test_raters_of_one_colour_get_one_each_and_others_keep_theirs():
    same = [rater for name in "abc" for rater in addNamed(name, "Segment_1")]
    for rater in same:
        rater.setColor((0.2, 0.7, 0.2))
    own = addNamed("d", "Anna")[0]
    own.setColor((0.9, 0.1, 0.1))
    labelmaps = [addLabelmapRater("e"), addLabelmapRater("f")]
    giveOwnColors([*same, own, *labelmaps])
    colors = [rater.color for rater in (*same, own, *labelmaps)]
    assert colors[0] == (0.2, 0.7, 0.2)
    assert colors[3] == (0.9, 0.1, 0.1)
    for number, color in enumerate(colors):
        assert all(np.linalg.norm(np.subtract(color, other)) >= 0.25 for other in colors[:number])
    giveOwnColors([*same, own, *labelmaps])
    assert [rater.color for rater in (*same, own, *labelmaps)] == colors


@pytest.mark.parametrize("color", [(128 / 255, 174 / 255, 128 / 255), (0.5, 0.5, 0.5)])
def test_a_colour_that_nobody_chose_is_replaced(color):
    (rater,) = addNamed("mask", "Segment_1")
    rater.setColor(color)
    giveOwnColors([rater])
    assert rater.color == RATER_COLORS[0]


def test_the_raters_colours_are_told_from_one_another():
    for number, color in enumerate(RATER_COLORS):
        assert all(np.linalg.norm(np.subtract(color, other)) > 0.25 for other in RATER_COLORS[:number])


def test_new_raters_make_way_for_those_that_are_there():
    (present,), (new,) = addNamed("a", "Anna"), addNamed("b", "Ben")
    for rater in (present, new):
        rater.setColor(RATER_COLORS[0])
    giveOwnColors([new], [present])
    assert present.color == RATER_COLORS[0]
    assert new.color == RATER_COLORS[1]


def test_more_raters_than_colours_have_all_a_colour():
    raters = [addLabelmapRater(f"rater {number}") for number in range(2 * len(RATER_COLORS))]
    giveOwnColors(raters)
    assert {rater.color for rater in raters} == set(RATER_COLORS)
    assert all(rater.node.GetAttribute("ObserverUncertainty.Color") for rater in raters)
