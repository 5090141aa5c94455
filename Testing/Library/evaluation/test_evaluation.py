from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from cohorts import disc_case, write_discs

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.evaluation.scoring import Evaluation, evaluate, score_case, summarise
from ObserverUncertaintyLib.evaluation.tables import prepare_score_files, score_table, write_scores
from ObserverUncertaintyLib.formats import write_image, write_mask
from ObserverUncertaintyLib.images.grid import Grid, GridMismatchError
from ObserverUncertaintyLib.raters.fusion import mean
from ObserverUncertaintyLib.review.quality import expected_dice
from ObserverUncertaintyLib.scores.calibration import CalibrationBins
from ObserverUncertaintyLib.scores.entropy import binary_entropy
from ObserverUncertaintyLib.scores.error_detection import area_under_risk_coverage, error_auroc, error_overlap
from ObserverUncertaintyLib.scores.metrics import expected_calibration_error
from ObserverUncertaintyLib.scores.multi_rater_metrics import EnergyDistance
from ObserverUncertaintyLib.scores.surfaces import Surface, SurfaceDistances


def write_probability(folder: Path, cohort: Cohort, name: str) -> None:
    case = cohort.load(name)
    write_image(folder / name / "probability.nii.gz", mean(case.raters), case.grid)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return Cohort.open(write_discs(tmp_path_factory.mktemp("discs"), 3))


def test_a_model_that_is_unsure_everywhere_is_warned_about() -> None:
    case = disc_case(0)
    unsure = score_case(case, np.full(case.grid.shape, 0.5, np.float32))
    assert unsure["wme"] == pytest.approx(1)
    (warning,) = unsure["warnings"]
    assert "unsure also where all raters agree (1.00 bits there)" in warning
    assert score_case(case, mean(case.raters))["warnings"] == []


def test_a_prediction_equal_to_the_raters_mean_is_calibrated_and_has_their_entropy() -> None:
    case = disc_case(0)
    row = score_case(case, mean(case.raters))
    # Three raters disagree with one vote against two only: entropy H(1/3) everywhere in the disagreement.
    third = -(1 / 3 * math.log2(1 / 3) + 2 / 3 * math.log2(2 / 3))
    assert row["wme"] == pytest.approx(third, abs=1e-6)
    assert row["entropy_inside_disagreement"] == pytest.approx(third, abs=1e-6)
    assert row["entropy_outside_disagreement"] == 0
    assert row["ece_roi"] == pytest.approx(0, abs=1e-6)
    assert row["dice_majority"] == 1
    assert row["dice_truth"] == 1
    disputed = case.raters.any(axis=0) & ~case.raters.all(axis=0)
    assert row["wme_as_printed"] == pytest.approx(third**2 * disputed.mean(), abs=1e-6)
    assert row["me"] == pytest.approx(third * disputed.mean(), abs=1e-6)


def test_what_is_measured_around_the_raters_is_what_its_voxels_say() -> None:
    case = disc_case(0, slices=3)
    rng = np.random.default_rng(0)
    probability = np.clip(mean(case.raters) + rng.normal(0, 0.2, case.grid.shape), 0, 1).astype(np.float32)
    row = score_case(case, probability)
    near = distance_mm(case) <= 5
    p, raters, share = probability[near].astype(float), case.raters[:, near], case.raters[:, near].mean(axis=0)
    assert row["brier_roi"] == pytest.approx(np.mean((p - raters) ** 2), abs=1e-6)
    for name, mask in zip(case.rater_names, raters, strict=True):
        assert row[f"ece_roi_with_{name}"] == pytest.approx(expected_calibration_error(p, mask), abs=1e-4)
    wrong = (probability > 0.5) != (case.raters.sum(axis=0) > 1)
    entropy, expert = binary_entropy(probability), binary_entropy(mean(case.raters))
    assert row["error_auroc_roi"] == pytest.approx(error_auroc(entropy[near], wrong[near]))
    assert row["error_overlap_roi"] == pytest.approx(error_overlap(entropy[near], wrong[near]))
    assert row["entropy_correlation_roi"] == pytest.approx(np.corrcoef(expert[near], entropy[near])[0, 1])
    assert row["ece_inside"] == pytest.approx(
        expected_calibration_error(p[(share > 0) & (share < 1)], share[(share > 0) & (share < 1)]), abs=1e-4
    )
    surfaces = [Surface.of(mask, case.grid) for mask in (probability > 0.5, case.raters.sum(axis=0) > 1)]
    assert row["hausdorff_95_mm"] == SurfaceDistances.of(*surfaces).hausdorff()
    assert row["expected_dice"] == expected_dice(probability)


def test_saved_samples_give_the_energy_distance_and_cases_a_risk_by_coverage(tmp_path: Path, cohort: Cohort) -> None:
    kept = {}
    for name in cohort.case_names:
        case = cohort.load(name)
        write_probability(tmp_path, cohort, name)
        report: dict[str, object] = {"warnings": []}
        if name != "case02":
            kept[name] = [case.raters[0].astype(np.float32), case.raters[1].astype(np.float32)]
            files = [f"samples/sample{number}.nii.gz" for number in (1, 2)]
            for file, sample in zip(files, kept[name], strict=True):
                write_image(tmp_path / name / file, sample, case.grid)
            report["saved_samples"] = {"files": files}
        (tmp_path / name / "prediction.json").write_text(json.dumps(report), encoding="utf-8")
    found = evaluate(tmp_path, cohort)
    for row in found.cases:
        if row["case"] == "case02":
            assert math.isnan(row["ged"])
            continue
        distance = EnergyDistance(cohort.load(row["case"]).raters)
        for sample in kept[row["case"]]:
            distance.add(sample)
        assert row["ged"] == pytest.approx(distance.squared())
    assert found.summary["ged"]["n"] == 2
    area = area_under_risk_coverage(*np.array([(r["expected_dice"], r["dice_majority"]) for r in found.cases]).T)
    assert found.summary["risk_coverage"]["mean"] == pytest.approx(area)
    assert found.summary["risk_coverage"]["n"] == 3


def distance_mm(case: Case) -> np.ndarray:
    """From the raters' union, by SimpleITK; shape (k, j, i)."""
    union = case.grid.to_sitk(case.raters.any(axis=0))
    away = sitk.SignedMaurerDistanceMap(union, squaredDistance=False, useImageSpacing=True)
    return np.reshape(sitk.GetArrayFromImage(away), case.grid.shape)


def test_ece_roi_leaves_out_what_is_far_from_the_raters_and_ece_all_does_not() -> None:
    case = disc_case(0, size=64)
    near = distance_mm(case) <= 5
    assert 1.3 * case.raters.any(axis=0).sum() < near.sum() < 0.5 * near.size
    row = score_case(case, np.zeros(case.grid.shape, np.float32))
    votes = mean(case.raters)
    assert row["ece_roi"] == pytest.approx(votes[near].mean(), abs=1e-6)
    assert row["ece_all"] == pytest.approx(votes.mean(), abs=1e-6)
    # A model that glows where nobody drew anything near is not worse around the raters.
    glowing = score_case(case, np.where(near, votes, 0.4).astype(np.float32))
    assert glowing["ece_roi"] == pytest.approx(0, abs=1e-6)
    assert glowing["ece_all"] == pytest.approx(0.4 * (~near).mean(), abs=1e-6)


def test_a_case_that_nobody_marked_has_no_ece_roi() -> None:
    case = replace(disc_case(0), raters=np.zeros((3, *disc_case(0).grid.shape), bool))
    row = score_case(case, np.full(case.grid.shape, 0.25, np.float32))
    assert math.isnan(row["ece_roi"])
    assert row["ece_all"] == 0.25


def test_pooled_is_one_calibration_of_the_voxels_of_all_cases_and_not_the_mean(tmp_path: Path, cohort: Cohort) -> None:
    # Errors in opposite directions cancel each other in a bin, and cases count by their voxels.
    p, votes = [], []
    for name, shift in zip(cohort.case_names, (0.2, -0.1, 0.05), strict=True):
        case = cohort.load(name)
        probability = np.clip(mean(case.raters) + np.float32(shift), 0, 1)
        write_image(tmp_path / name / "probability.nii.gz", probability, case.grid)
        near = distance_mm(case) <= 5
        p.append(probability[near])
        votes.append(mean(case.raters)[near])
    evaluation = evaluate(tmp_path, cohort)
    found = evaluation.summary["ece_roi"]
    pooled = expected_calibration_error(np.concatenate(p), np.concatenate(votes))
    each = [expected_calibration_error(a, b) for a, b in zip(p, votes, strict=True)]
    assert found == {
        "mean": pytest.approx(np.mean(each)), "std": pytest.approx(np.std(each, ddof=1)), "n": 3,
        "pooled": pytest.approx(pooled),
    }  # fmt: skip
    assert found["pooled"] < 0.95 * found["mean"]
    assert [score for score, value in evaluation.summary.items() if "pooled" in value] == ["ece_roi"]

    _, json_path = write_scores(tmp_path / "scores.csv", evaluation)
    content = json.loads(json_path.read_text(encoding="utf-8"))
    assert content["summary"]["ece_roi"]["pooled"] == found["pooled"]
    header, _rule, *lines = score_table(evaluation).splitlines()
    assert header.split() == ["score", "mean", "std", "n", "pooled"]
    cells = {line.split()[0]: line.split() for line in lines}
    assert cells["ece_roi"] == ["ece_roi", *(f"{found[key]:.3f}" for key in ("mean", "std")), "3", f"{pooled:.3f}"]
    assert len(cells["ece_all"]) == 4


def test_pooled_without_a_marked_voxel_is_null_and_a_dash(tmp_path: Path) -> None:
    nothing = CalibrationBins.of(np.zeros(0), np.zeros(0))
    rows = [{"case": "a", "ece_roi": math.nan, "raters": 3, "warnings": []}]
    evaluation = Evaluation(rows, summarise(rows, [nothing, nothing]))
    _, json_path = write_scores(tmp_path / "scores.csv", evaluation)
    summary = json.loads(json_path.read_text(encoding="utf-8"))["summary"]
    assert summary["ece_roi"] == {"mean": None, "std": None, "n": 0, "pooled": None}
    assert score_table(evaluation).splitlines()[-1].split() == ["ece_roi", "-", "-", "0", "-"]


def test_undefined_scores_are_blank_in_csv_null_in_json_and_left_out_of_means(tmp_path: Path, cohort: Cohort) -> None:
    agreeing = replace(disc_case(0), raters=np.zeros((3, *disc_case(0).grid.shape), bool))
    rows = [score_case(disc_case(1), mean(disc_case(1).raters)), score_case(agreeing, mean(agreeing.raters))]
    assert math.isnan(rows[1]["wme"])
    assert math.isnan(rows[1]["dice_majority"])
    summary = summarise(rows)
    assert summary["wme"]["n"] == 1
    assert summary["me"]["n"] == 2
    assert summary["wme"]["mean"] == rows[0]["wme"]
    evaluation = replace(evaluate_means(tmp_path, cohort), cases=rows, summary=summary)
    write_scores(tmp_path / "scores.json", evaluation)
    table = list(csv.DictReader((tmp_path / "scores.csv").open(encoding="utf-8")))
    assert table[1]["wme"] == ""
    content = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert content["cases"][1]["wme"] is None
    assert content["summary"]["wme"] == {"mean": rows[0]["wme"], "std": None, "n": 1}


def evaluate_means(folder: Path, cohort: Cohort):
    for name in cohort.case_names:
        write_probability(folder / "predictions", cohort, name)
    return evaluate(folder / "predictions", cohort)


def test_scores_are_written_as_csv_and_json_beside_each_other(tmp_path: Path, cohort: Cohort) -> None:
    evaluation = evaluate_means(tmp_path, cohort)
    csv_path, json_path = write_scores(tmp_path / "scores.csv", evaluation)
    rows = list(csv.DictReader(csv_path.open(encoding="utf-8")))
    content = json.loads(json_path.read_text(encoding="utf-8"))
    assert [row["case"] for row in rows] == ["case01", "case02", "case03"]
    wanted = {"case", "wme", "wme_as_printed", "me", "dice_majority", "dice_truth", "dice_with_rater1", "ece_roi"}
    assert wanted <= set(rows[0])
    for row, case in zip(rows, content["cases"], strict=True):
        assert float(row["wme"]) == case["wme"]
    values = [case["wme"] for case in content["cases"]]
    assert content["summary"]["wme"] == {
        "mean": pytest.approx(np.mean(values)), "std": pytest.approx(np.std(values, ddof=1)), "n": 3,
    }  # fmt: skip


def test_a_case_without_prediction_is_left_out(tmp_path: Path, cohort: Cohort) -> None:
    write_probability(tmp_path, cohort, "case02")
    assert [row["case"] for row in evaluate(tmp_path, cohort).cases] == ["case02"]


def test_a_folder_without_predictions_is_refused(tmp_path: Path, cohort: Cohort) -> None:
    with pytest.raises(InputError, match=r"no probability.nii.gz for any of the 3 cases"):
        evaluate(tmp_path, cohort)


def test_a_probability_elsewhere_or_out_of_range_is_refused(tmp_path: Path, cohort: Cohort) -> None:
    case = cohort.load("case01")
    file = tmp_path / "case01" / "probability.nii.gz"
    write_image(file, mean(case.raters), replace(case.grid, origin=(5.0, 0.0, 0.0)))
    with pytest.raises(GridMismatchError, match=r"probability\.nii\.gz"):
        evaluate(tmp_path, cohort)
    write_image(file, mean(case.raters) * 100, case.grid)
    with pytest.raises(InputError, match=r"values from 0 to 100; a probability lies between 0 and 1"):
        evaluate(tmp_path, cohort)


def test_a_single_rater_has_no_disagreement_to_compare_with(tmp_path: Path) -> None:
    cohort = Cohort.open(write_discs(tmp_path / "cohort", 2, raters=1))
    for name in cohort.case_names:
        write_probability(tmp_path / "predictions", cohort, name)
    with pytest.raises(InputError, match="no case has two raters"):
        evaluate(tmp_path / "predictions", cohort)


def test_a_rater_missing_for_one_case_is_blank_there(tmp_path: Path) -> None:
    cohort_folder = tmp_path / "cohort"
    manifest = write_discs(cohort_folder, 2)
    (cohort_folder / "case01" / "rater2.nii.gz").unlink()
    cohort = Cohort.open(manifest)
    for name in cohort.case_names:
        write_probability(tmp_path / "predictions", cohort, name)
    evaluation = evaluate(tmp_path / "predictions", cohort)
    assert math.isnan(evaluation.cases[0]["dice_with_rater2"])
    assert evaluation.cases[0]["raters"] == 2
    assert "rater2 has no file" in evaluation.cases[0]["warnings"][0]
    assert evaluation.summary["dice_with_rater2"]["n"] == 1


def test_output_names_are_checked_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in \.csv or \.json"):
        prepare_score_files(tmp_path / "scores.txt", overwrite=False)
    (tmp_path / "scores.json").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"scores\.json exists already"):
        prepare_score_files(tmp_path / "scores.csv", overwrite=False)


def test_a_2d_case_is_scored_on_its_own_grid(cohort: Cohort) -> None:
    assert isinstance(cohort.load("case01").grid, Grid)
    assert cohort.load("case01").grid.dimension == 2


def test_what_the_network_did_not_look_at_is_scored_and_told(tmp_path: Path, cohort: Cohort) -> None:
    name = cohort.case_names[0]
    case = cohort.load(name)
    write_probability(tmp_path, cohort, name)
    unseen = np.zeros(case.grid.shape, bool)
    unseen[..., :16] = True
    write_mask(tmp_path / name / "not_looked_at.nii.gz", unseen, case.grid)
    report = {"warnings": [], "not_looked_at": "not_looked_at.nii.gz"}
    (tmp_path / name / "prediction.json").write_text(json.dumps(report), encoding="utf-8")
    (row,) = evaluate(tmp_path, cohort).cases
    missed = np.count_nonzero(case.raters.any(axis=0) & unseen) * case.grid.voxel_volume_ml
    assert row["volume_ml_not_looked_at"] == pytest.approx(missed)
    expected = f"{missed:.3g} of the "
    assert any(expected in text and "outside the part that the network looked at" in text for text in row["warnings"])
    write_mask(tmp_path / name / "not_looked_at.nii.gz", ~case.raters.any(axis=0), case.grid)
    (row,) = evaluate(tmp_path, cohort).cases
    assert row["volume_ml_not_looked_at"] == 0
    assert not any("looked at" in text for text in row["warnings"])
    (tmp_path / name / "not_looked_at.nii.gz").unlink()
    with pytest.raises(InputError, match="not_looked_at"):
        evaluate(tmp_path, cohort)
