"""The table's numbers are the library's, on masks and maps whose scores are known."""

import math

import numpy as np
import pytest
import rater_scenes as scenes
import slicer
import slicer.util

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.loading import load_case
from ObserverUncertaintyLib.evaluation.scoring import score_case
from ObserverUncertaintyLib.images.grid import GridMismatchError
from ObserverUncertaintyLib.raters import fusion
from ObserverUncertaintyLib.scores import metrics
from ObserverUncertaintyLib.scores.entropy import binary_entropy, expert_entropy
from ObserverUncertaintySlicer.caseLoading import loadCaseFolder
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.scores import metricsTable
from ObserverUncertaintySlicer.volumes import addVolume, gridOfVolume

pytestmark = pytest.mark.usefixtures("scene")


@pytest.fixture
def case():
    """Raters' node, model's segmentation, entropy and probability nodes; then masks and probability as arrays."""
    grid = scenes.OBLIQUE
    reference, masks = scenes.addReference(grid), scenes.threeRaters(grid)
    blur = sum(np.roll(masks.mean(axis=0), shift, axis) for axis in range(3) for shift in (-1, 0, 1)) / 9
    probability = np.clip(blur, 0, 1).astype(np.float32)
    raters = scenes.addSegmentation(reference, masks, names=["Anna", "Ben", "Cleo"])
    model = scenes.addSegmentation(reference, [probability > 0.5], "Model")
    predictive = addVolume(binary_entropy(probability), grid, "Predictive entropy")
    return raters, model, predictive, addVolume(probability, grid, "Probability"), masks, probability


def rowsOf(table):
    """The table's rows: measure to cells."""
    content = table.GetTable()
    assert [content.GetColumnName(n) for n in range(content.GetNumberOfColumns())] == [
        "Measure",
        "Value",
        "Unit",
        "Explanation",
    ]
    rows = [[content.GetValue(row, n).ToString() for n in range(4)] for row in range(content.GetNumberOfRows())]
    return {row[0]: row[1:] for row in rows}


def values(table):
    return {measure: float(cells[0]) for measure, cells in rowsOf(table).items() if cells[0]}


def test_every_value_is_the_librarys(case):
    raters, model, predictiveNode, probabilityNode, masks, probability = case
    found = values(metricsTable(model, predictiveNode, ratersOfNode(raters), probabilityNode))
    expert, predictive = expert_entropy(masks), binary_entropy(probability).astype(np.float32)
    majority, segmented = fusion.majority(masks), probability > 0.5
    doubtful = (predictive > 0) | (expert > 0)
    volume = scenes.OBLIQUE.voxel_volume_ml
    expected = {
        "WME": metrics.weighted_mean_entropy(expert, predictive),
        "WME as printed": metrics.weighted_mean_entropy_as_printed(expert, predictive),
        "ME": metrics.mean_entropy(predictive),
        "Entropy inside the disagreement": predictive[expert > 0].mean(),
        "Dice with Anna": metrics.dice(segmented, masks[0]),
        "Dice with Ben": metrics.dice(segmented, masks[1]),
        "Dice with Cleo": metrics.dice(segmented, masks[2]),
        "Dice with majority": metrics.dice(segmented, majority),
        "ECE": metrics.expected_calibration_error(probability[doubtful], fusion.mean(masks)[doubtful]),
        "ECE of all voxels": metrics.expected_calibration_error(probability, fusion.mean(masks)),
        "Volume of model": segmented.sum() * volume,
        "Volume of majority": majority.sum() * volume,
        "Volume of Anna": masks[0].sum() * volume,
        "Volume of Ben": masks[1].sum() * volume,
        "Volume of Cleo": masks[2].sum() * volume,
    }
    assert found == {key: pytest.approx(value, rel=1e-5) for key, value in expected.items()}
    assert 0 < found["WME"] < 1
    assert 0.5 < found["Dice with Ben"] < 1
    assert 0 < found["ECE of all voxels"] < found["ECE"]


def test_units_explanations_and_the_notice_are_in_the_table(case):
    raters, model, predictive, _probability, _masks, _ = case
    table = metricsTable(model, predictive, ratersOfNode(raters))
    rows = rowsOf(table)
    assert rows["WME"][1] == "bits"
    assert rows["Volume of model"][1] == "mL"
    assert all(cells[2] for cells in rows.values())
    assert rows["Research use only"] == ["", "", "Not a medical device"]
    assert not any(measure.startswith("ECE") for measure in rows)
    assert table.GetName() == "Predictive entropy scores"
    assert table.GetAttribute("ObserverUncertainty.Role") == "Metrics"


def test_the_segmentation_may_be_a_node_a_segment_or_a_labelmap(case):
    raters, model, predictive, _probability, _masks, probability = case
    labelmap = scenes.addLabelmap(predictive, probability > 0.5, "Model map", label=3)
    tables = [
        values(metricsTable(given, predictive, ratersOfNode(raters))) for given in (model, (model, "rater0"), labelmap)
    ]
    assert tables[0] == tables[1] == tables[2]


def test_what_is_not_defined_is_an_empty_cell():
    reference = scenes.addReference(scenes.PLAIN)
    empty = scenes.addSegmentation(reference, np.zeros((2, *scenes.PLAIN.shape), bool), "Empty")
    predictive = addVolume(np.full(scenes.PLAIN.shape, 0.25, np.float32), scenes.PLAIN, "Entropy")
    rows = rowsOf(metricsTable(empty, predictive, ratersOfNode(empty)))
    for measure in ("WME", "Entropy inside the disagreement", "Dice with Rater 0", "Dice with majority"):
        assert rows[measure][0] == ""
    assert float(rows["ME"][0]) == 0.25
    assert float(rows["WME as printed"][0]) == 0
    assert "drew nothing" in rows["Note"][2]


def test_raters_on_another_grid_are_scored_on_the_entropys_and_this_is_said(case):
    raters, model, _predictive, _probability, _masks, _ = case
    predictive = addVolume(np.full(scenes.PLAIN.shape, 0.5, np.float32), scenes.PLAIN, "Entropy")
    rows = rowsOf(metricsTable(model, predictive, ratersOfNode(raters)))
    assert float(rows["WME"][0]) == 0.5
    assert "resampled to the nearest voxel" in rows["Note"][2]


def test_an_earlier_table_is_updated_in_place_and_no_other_node_is(case):
    raters, model, predictive, _probability, masks, probability = case
    table = metricsTable(model, predictive, ratersOfNode(raters))
    nodeID = table.GetID()
    same = metricsTable(model, predictive, ratersOfNode(raters)[1:], output=table)
    assert same.GetID() == nodeID
    assert "Dice with Anna" not in values(same)
    expected = metrics.weighted_mean_entropy(expert_entropy(masks[1:]), binary_entropy(probability))
    assert values(same)["WME"] == pytest.approx(expected, rel=1e-5)
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "Other")
    with pytest.raises(InputError, match=r"Other: it is not an earlier table of scores"):
        metricsTable(model, predictive, ratersOfNode(raters), output=other)
    slicer.mrmlScene.RemoveNode(table)
    with pytest.raises(InputError, match=r"no longer in the scene"):
        metricsTable(model, predictive, ratersOfNode(raters), output=table)


def test_wrong_input_is_refused_by_name_and_leaves_no_table(case):
    raters, model, predictive, probability, _masks, _ = case
    experts = ratersOfNode(raters)
    other = addVolume(np.zeros(scenes.PLAIN.shape, np.float32), scenes.PLAIN, "Other")
    hollow = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Hollow")
    image = addVolume(np.full(scenes.OBLIQUE.shape, 300.0, np.float32), scenes.OBLIQUE, "MRI")
    with pytest.raises(GridMismatchError, match=r"(?s)Other lies on another voxel grid than Predictive entropy"):
        metricsTable(model, predictive, experts, other)
    with pytest.raises(InputError, match=r"MRI: its values run from 300 to 300; expected a probability"):
        metricsTable(model, predictive, experts, image)
    with pytest.raises(InputError, match=r"MRI: its values run from 300 to 300; expected an entropy"):
        metricsTable(model, image, experts, probability)
    with pytest.raises(InputError, match=r"Hollow: the segmentation holds no segment"):
        metricsTable(hollow, predictive, experts)
    with pytest.raises(InputError, match=r"No rater"):
        metricsTable(model, predictive, [])
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 0


def test_titles_are_the_header_and_no_value_can_be_typed_over_also_in_an_earlier_table(case):
    raters, model, predictive, *_ = case
    table = metricsTable(model, predictive, ratersOfNode(raters))
    assert (table.GetUseColumnTitleAsColumnHeader(), table.GetLocked()) == (True, True)
    table.SetUseColumnTitleAsColumnHeader(False)
    table.SetLocked(False)
    metricsTable(model, predictive, ratersOfNode(raters), output=table)
    assert (table.GetUseColumnTitleAsColumnHeader(), table.GetLocked()) == (True, True)


def test_the_table_comes_back_from_a_scene_file(case, tmp_path):
    raters, model, predictive, _probability, _masks, _ = case
    before = rowsOf(metricsTable(model, predictive, ratersOfNode(raters)))
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "case.mrb"))
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "case.mrb"), True)
    table = slicer.mrmlScene.GetFirstNodeByName("Predictive entropy scores")
    assert rowsOf(table) == before
    assert (table.GetUseColumnTitleAsColumnHeader(), table.GetLocked()) == (True, True)


def test_a_real_case_scores_as_the_command_line_scores_its_files(testData):
    folder = testData / "brain_growth" / "case03"
    loaded = loadCaseFolder(folder)
    masks = {f"seg_rater{n}": folder / f"seg_rater{n}.nii.gz" for n in range(1, 8)}
    case = load_case("case03", {"image": folder / "image.nii.gz"}, masks)
    # A model that is unsure around the raters' mean: enough to give every score a value of its own.
    smooth = (fusion.mean(case.raters) * 4 + np.roll(fusion.mean(case.raters), 2, axis=2)) / 5
    expected = score_case(case, smooth)
    grid = gridOfVolume(next(iter(loaded.sequences.values())))
    probability = addVolume(smooth, grid, "Probability")
    model = scenes.addLabelmap(probability, smooth > 0.5, "Model")
    found = values(metricsTable(model, addVolume(binary_entropy(smooth), grid, "H"), loaded.raters, probability))
    pairs = {
        "WME": "wme",
        "WME as printed": "wme_as_printed",
        "ME": "me",
        "ECE": "ece",
        "ECE of all voxels": "ece_all",
        "Entropy inside the disagreement": "entropy_inside_disagreement",
        "Dice with majority": "dice_majority",
        "Volume of model": "volume_ml",
        "Volume of majority": "volume_ml_majority",
        **{f"Dice with {name}": f"dice_with_{name}" for name in masks},
    }
    assert all(math.isfinite(expected[key]) for key in pairs.values())
    assert {name: found[name] for name in pairs} == {
        name: pytest.approx(expected[key], rel=1e-5) for name, key in pairs.items()
    }
