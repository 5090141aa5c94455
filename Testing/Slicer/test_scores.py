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
from ObserverUncertaintyLib.images.grid import Grid, GridMismatchError
from ObserverUncertaintyLib.raters import fusion
from ObserverUncertaintyLib.scores import metrics
from ObserverUncertaintyLib.scores.entropy import binary_entropy, expert_entropy
from ObserverUncertaintyLib.scores.error_detection import error_auroc
from ObserverUncertaintyLib.scores.multi_rater_metrics import entropy_correlation
from ObserverUncertaintyLib.scores.proper_scores import brier_score, negative_log_likelihood
from ObserverUncertaintyLib.scores.region import around_raters
from ObserverUncertaintyLib.scores.surfaces import Surface, SurfaceDistances, added_path_length
from ObserverUncertaintySlicer.caseLoading import loadCaseFolder
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.scores import isAmongTheFirst, metricsTable
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
    """The table's rows by measure: dicts of column to cell."""
    content = table.GetTable()
    names = [content.GetColumnName(n) for n in range(content.GetNumberOfColumns())]
    assert names == ["Measure", "Value", "Unit", "Explanation", "Name", "Exact value"]
    rows = [
        {name: content.GetValue(row, n).ToString() for n, name in enumerate(names)}
        for row in range(content.GetNumberOfRows())
    ]
    return {row["Measure"]: row for row in rows}


def values(table):
    """What a script reads: name to exact value, of the scores that are defined."""
    return {row["Name"]: float(row["Exact value"]) for row in rowsOf(table).values() if row["Exact value"]}


def test_every_value_is_the_librarys(case):
    raters, model, predictiveNode, probabilityNode, masks, probability = case
    found = values(metricsTable(model, predictiveNode, ratersOfNode(raters), probabilityNode))
    expert, predictive = expert_entropy(masks), binary_entropy(probability).astype(np.float32)
    majority, segmented = fusion.majority(masks), probability > 0.5
    region = around_raters(masks, scenes.OBLIQUE)
    volume = scenes.OBLIQUE.voxel_volume_ml
    apart = SurfaceDistances.of(*(Surface.of(mask, scenes.OBLIQUE) for mask in (segmented, majority)))
    expected = {
        "dice_majority": metrics.dice(segmented, majority),
        "volume_ml": segmented.sum() * volume,
        "volume_ml_majority": majority.sum() * volume,
        "volume_difference_ml": segmented.sum() * volume - majority.sum() * volume,
        "entropy_inside_disagreement": predictive[expert > 0].mean(dtype=float),
        "wme": metrics.weighted_mean_entropy(expert, predictive),
        "dice_with_Anna": metrics.dice(segmented, masks[0]),
        "dice_with_Ben": metrics.dice(segmented, masks[1]),
        "dice_with_Cleo": metrics.dice(segmented, masks[2]),
        "volume_ml_of_Anna": masks[0].sum() * volume,
        "volume_ml_of_Ben": masks[1].sum() * volume,
        "volume_ml_of_Cleo": masks[2].sum() * volume,
        "me": metrics.mean_entropy(predictive),
        "wme_as_printed": metrics.weighted_mean_entropy_as_printed(expert, predictive),
        "ece_roi": metrics.expected_calibration_error(probability[region], fusion.mean(masks)[region]),
        "ece_all": metrics.expected_calibration_error(probability, fusion.mean(masks)),
        "ece_inside": metrics.expected_calibration_error(probability[expert > 0], fusion.mean(masks)[expert > 0]),
        "ece_roi_with_Anna": metrics.expected_calibration_error(probability[region], masks[0][region]),
        "ece_roi_with_Ben": metrics.expected_calibration_error(probability[region], masks[1][region]),
        "ece_roi_with_Cleo": metrics.expected_calibration_error(probability[region], masks[2][region]),
        "brier_roi": brier_score(probability[region], fusion.mean(masks)[region]),
        "nll_roi": negative_log_likelihood(probability[region], fusion.mean(masks)[region]),
        "error_auroc_roi": error_auroc(predictive[region], (segmented != majority)[region]),
        "entropy_correlation_roi": entropy_correlation(expert[region], predictive[region]),
        "surface_dice_1_mm": apart.surface_dice(1.0),
        "surface_dice_2_mm": apart.surface_dice(2.0),
        "hausdorff_95_mm": apart.hausdorff(),
        "surface_distance_mm": apart.average(),
        "added_path_mm": added_path_length(majority, segmented, scenes.OBLIQUE),
    }
    assert found == {key: pytest.approx(value, rel=1e-12) for key, value in expected.items()}
    assert 0 < found["wme"] < 1
    assert 0.5 < found["dice_with_Ben"] < 1
    assert 0 < found["ece_all"] < found["ece_roi"]


def test_what_a_clinician_looks_for_comes_first(case):
    raters, model, predictive, probability, _masks, _ = case
    rows = rowsOf(metricsTable(model, predictive, ratersOfNode(raters), probability))
    first = [
        *("Dice with the raters' majority", "Volume, model", "Volume, raters' majority"),
        *("Volume, model minus majority", "Model uncertainty where raters disagree"),
        *("Uncertainty weighted by disagreement", "Dice with Anna", "Dice with Ben", "Dice with Cleo"),
    ]
    assert list(rows)[: len(first)] == first
    assert [measure for measure, row in rows.items() if isAmongTheFirst(row["Name"])] == first
    assert {"me", "wme_as_printed", "ece_roi", "ece_all", "volume_ml_of_Ben"} <= {row["Name"] for row in rows.values()}


def test_values_are_rounded_to_what_means_something(case):
    raters, model, predictive, probability, _masks, _ = case
    rows = rowsOf(metricsTable(model, predictive, ratersOfNode(raters), probability))
    decimals = {"bits": 3, "nats": 3, "mL": 2}
    of_scores = {
        "brier_roi": 3,
        "error_auroc_roi": 3,
        "entropy_correlation_roi": 3,
        "hausdorff_95_mm": 1,
        "added_path_mm": 0,
    }
    for row in rows.values():
        if row["Exact value"]:
            digits = decimals.get(row["Unit"], 3 if row["Name"].startswith("ece") else 2)
            digits = of_scores.get(row["Name"], digits)
            assert row["Value"] == f"{float(row['Exact value']):.{digits}f}", row


def test_nothing_looks_like_zero_that_is_not(case):
    raters, model, *_ = case
    faint = addVolume(np.full(scenes.OBLIQUE.shape, 0.0004, np.float32), scenes.OBLIQUE, "Faint")
    rows = rowsOf(metricsTable(model, faint, ratersOfNode(raters)))
    assert rows["Model uncertainty of all voxels"]["Value"] == "< 0.001"
    assert float(rows["Model uncertainty of all voxels"]["Exact value"]) == pytest.approx(0.0004, rel=1e-6)
    none = addVolume(np.zeros(scenes.OBLIQUE.shape, np.float32), scenes.OBLIQUE, "None")
    assert (
        rowsOf(metricsTable(model, none, ratersOfNode(raters)))["Model uncertainty of all voxels"]["Value"] == "0.000"
    )
    # A voxel less than the majority, of 0.001 mL.
    small = Grid(size=(8, 8, 8), spacing=(1.0, 1.0, 1.0))
    majority = np.zeros(small.shape, bool)
    majority[2:6, 2:6, 2:6] = True
    smaller = majority.copy()
    smaller[2, 2, 2] = False
    reference = scenes.addReference(small)
    three, less = (
        scenes.addSegmentation(reference, [majority] * 3),
        scenes.addSegmentation(reference, [smaller], "Less"),
    )
    entropy = addVolume(np.zeros(small.shape, np.float32), small, "Sure")
    rows = rowsOf(metricsTable(less, entropy, ratersOfNode(three)))
    assert rows["Volume, model minus majority"]["Value"] == "> -0.01"


def test_units_explanations_and_the_notice_are_in_the_table(case):
    raters, model, predictive, _probability, _masks, _ = case
    table = metricsTable(model, predictive, ratersOfNode(raters))
    rows = rowsOf(table)
    assert rows["Uncertainty weighted by disagreement"]["Unit"] == "bits"
    assert "WME" in rows["Uncertainty weighted by disagreement"]["Explanation"]
    assert rows["Volume, model"]["Unit"] == "mL"
    assert all(row["Explanation"] for row in rows.values())
    notice = rows["Research use only"]
    assert [notice[column] for column in ("Value", "Unit", "Explanation")] == ["", "", "Not a medical device"]
    assert not any(row["Name"].startswith("ece") for row in rows.values())
    assert table.GetName() == "Predictive entropy scores"
    assert table.GetAttribute("ObserverUncertainty.Role") == "Metrics"


def test_the_segmentation_may_be_a_node_a_segment_or_a_labelmap(case):
    raters, model, predictive, _probability, _masks, probability = case
    labelmap = scenes.addLabelmap(predictive, probability > 0.5, "Model map", label=3)
    tables = [
        values(metricsTable(given, predictive, ratersOfNode(raters))) for given in (model, (model, "rater0"), labelmap)
    ]
    assert tables[0] == tables[1] == tables[2]


def test_what_is_not_defined_says_so_and_why():
    reference = scenes.addReference(scenes.PLAIN)
    empty = scenes.addSegmentation(reference, np.zeros((2, *scenes.PLAIN.shape), bool), "Empty")
    predictive = addVolume(np.full(scenes.PLAIN.shape, 0.25, np.float32), scenes.PLAIN, "Entropy")
    table = metricsTable(empty, predictive, ratersOfNode(empty), predictive)
    rows = {row["Name"]: row for row in rowsOf(table).values()}
    agreed, nothing = "Undefined here: the raters agree everywhere", "Undefined here: both contours are empty"
    reasons = {"wme": agreed, "entropy_inside_disagreement": agreed, "dice_majority": nothing}
    reasons["ece_roi"] = "Undefined here: no rater drew anything"
    for name, reason in {**reasons, "dice_with_Rater 0": nothing}.items():
        assert (rows[name]["Value"], rows[name]["Exact value"]) == ("undefined", ""), name
        assert reason in rows[name]["Explanation"]
    found = values(table)
    assert (found["me"], found["wme_as_printed"]) == (0.25, 0)
    assert "drew nothing" in rows["note"]["Explanation"]


def test_raters_on_another_grid_are_scored_on_the_entropys_and_this_is_said(case):
    raters, model, _predictive, _probability, _masks, _ = case
    predictive = addVolume(np.full(scenes.PLAIN.shape, 0.5, np.float32), scenes.PLAIN, "Entropy")
    table = metricsTable(model, predictive, ratersOfNode(raters))
    assert values(table)["wme"] == pytest.approx(0.5, rel=1e-12)
    assert "resampled to the nearest voxel" in rowsOf(table)["Note"]["Explanation"]


def test_an_earlier_table_is_updated_in_place_and_no_other_node_is(case):
    raters, model, predictive, _probability, masks, probability = case
    table = metricsTable(model, predictive, ratersOfNode(raters))
    nodeID = table.GetID()
    same = metricsTable(model, predictive, ratersOfNode(raters)[1:], output=table)
    assert same.GetID() == nodeID
    assert "dice_with_Anna" not in values(same)
    expected = metrics.weighted_mean_entropy(expert_entropy(masks[1:]), binary_entropy(probability))
    assert values(same)["wme"] == pytest.approx(expected, rel=1e-5)
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
    shared = found.keys() & expected.keys()
    assert found.keys() - shared == {"volume_difference_ml", *(f"volume_ml_of_{name}" for name in masks)}
    assert {"wme", "wme_as_printed", "me", "ece_roi", "ece_all", "dice_majority", "dice_with_seg_rater7"} <= shared
    assert all(math.isfinite(expected[name]) for name in shared)
    # Of these few shares many are p and 1 - p: whether their entropies tie or not is rounding, which ranks tell.
    rounded = {name: 1e-3 if name == "error_auroc_roi" else 1e-5 for name in shared}
    assert {name: found[name] for name in shared} == {
        name: pytest.approx(expected[name], rel=rounded[name]) for name in shared
    }
