"""Experiment 1's study: its arms, scores, tables and findings against values computed here, and the whole of it."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch import nn

from ObserverUncertaintyLib.base.errors import Cancelled, InputError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.evaluation.scoring import score_case
from ObserverUncertaintyLib.model.settings import Loss
from ObserverUncertaintyLib.raters.fusion import FusionMethod, mean
from ObserverUncertaintyLib.simulation.shapes import ShapeSettings, simulate_shape
from ObserverUncertaintyLib.studies.synthetic import predictors
from ObserverUncertaintyLib.studies.synthetic.arms import Method, study_arms
from ObserverUncertaintyLib.studies.synthetic.findings import findings
from ObserverUncertaintyLib.studies.synthetic.paper import PAPERS_FUSIONS
from ObserverUncertaintyLib.studies.synthetic.samples import test_samples as scored_samples
from ObserverUncertaintyLib.studies.synthetic.samples import training_samples
from ObserverUncertaintyLib.studies.synthetic.scores import SCORES, reliability, sample_scores
from ObserverUncertaintyLib.studies.synthetic.settings import TRAINING, Part, SyntheticSettings
from ObserverUncertaintyLib.studies.synthetic.study import finished, run_synthetic
from ObserverUncertaintyLib.studies.synthetic.tables import pooled_calibration_error, summary_rows, table1_rows
from ObserverUncertaintyLib.studies.synthetic.work import unit_of
from ObserverUncertaintyLib.studies.units import StudyError

TINY = SyntheticSettings(
    seeds=(0,),
    shapes=ShapeSettings(width=32),
    train=4,
    test=7,
    samples=2,
    side_width=16,
    training=replace(TRAINING, epochs=1, network=replace(TRAINING.network, filters=2)),
)


def result(state: str, fusion: str, seed: int, **scores: list[float | None]) -> dict[str, object]:
    """A unit's result with these scores; the others are 0."""
    count = len(next(iter(scores.values())))
    rows = [{score: scores.get(score, [0.0] * count)[n] for score in SCORES} for n in range(count)]
    return {"part": "table1", "state": state, "fusion": fusion, "seed": seed, "scores": rows}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class TestScores:
    def test_they_are_those_of_the_evaluation_where_both_have_them(self) -> None:
        case = simulate_shape(0, 0, ShapeSettings(width=32))
        probability = np.clip(mean(case.raters) * 0.8 + 0.05, 0, 1)
        found, expected = sample_scores(case, probability), score_case(case, probability)
        for name, other in (
            ("wme", "wme"),
            ("me", "me"),
            ("ece", "ece_all"),
            ("dice", "dice_truth"),
            ("wme_as_printed", "wme_as_printed"),
        ):
            assert found[name] == pytest.approx(expected[other])

    def test_outside_and_inside_the_disagreement(self) -> None:
        raters = np.zeros((2, 1, 2, 2), bool)
        raters[:, 0, 0, 0] = True, False
        raters[:, 0, 1, 1] = True
        base = simulate_shape(0, 0, ShapeSettings(width=16))
        case = Case("four pixels", replace(base.grid, size=(2, 2, 1)), ("x",), np.zeros((1, 1, 2, 2), np.float32))
        case = replace(case, rater_names=("a", "b"), raters=raters, truth=raters[0])
        probability = np.array([[[0.5, 0.0], [0.5, 1.0]]])
        found = sample_scores(case, probability)
        assert found["entropy_outside"] == pytest.approx(1 / 3)  # one of three pixels is at 1 bit
        assert found["ece_inside"] == 0.0
        assert found["wme"] == 1.0
        assert found["ece"] == pytest.approx(abs(0.5 + 0.5 - 0.5 - 0) / 4)

    def test_a_reliability_diagram_shows_probability_and_share_of_raters(self) -> None:
        case = simulate_shape(0, 0, ShapeSettings(width=32))
        share = mean(case.raters)
        bins = reliability([case, case], np.concatenate([share, share]))
        assert sum(entry["pixels"] for entry in bins) == 2 * 32 * 32
        for entry in bins:
            assert entry["probability"] == pytest.approx(entry["raters"], abs=1e-6)
        flipped = reliability([case], 1 - share)
        assert flipped[0]["raters"] == pytest.approx(1 - flipped[0]["probability"], abs=1e-6)


class TestTables:
    def test_a_row_holds_mean_and_sample_deviation_and_leaves_undefined_values_out(self) -> None:
        (row,) = table1_rows([result("perturbed", "none", 3, wme=[0.2, 0.6, None], dice=[1.0, 0.5, 0.0])])
        assert (row["state"], row["fusion"], row["seed"], row["n_test"]) == ("perturbed", "none", 3, 3)
        assert row["wme_mean"] == pytest.approx(0.4)
        assert row["wme_std"] == pytest.approx(math.sqrt(0.08))
        assert row["dice_std"] == pytest.approx(0.5)

    def test_the_summary_keeps_samples_and_seeds_apart_and_shows_the_paper(self) -> None:
        (row,) = summary_rows(
            [
                result("unperturbed", "staple", 0, wme=[0.5, 0.7]),
                result("unperturbed", "staple", 1, wme=[0.8, 0.8]),
            ]
        )
        assert row["seeds"] == 2
        assert row["wme_mean"] == pytest.approx(0.7)
        assert row["wme_std"] == pytest.approx(math.sqrt(0.02) / 2)
        assert row["wme_seed_std"] == pytest.approx(math.sqrt(0.02))
        assert (row["wme_paper"], row["wme_paper_std"]) == (0.59, 0.09)

    def test_the_pooled_calibration_error_weighs_bins_by_their_pixels(self) -> None:
        bins = [{"pixels": 30, "probability": 0.1, "raters": 0.2}, {"pixels": 10, "probability": 0.9, "raters": 0.5}]
        assert pooled_calibration_error({"reliability": bins}) == pytest.approx((30 * 0.1 + 10 * 0.4) / 40)

    def test_the_papers_five_arms_only(self) -> None:
        assert table1_rows([{**result("perturbed", "mean", 0, wme=[0.5]), "part": "extras"}]) == []


class TestFindings:
    def results(self, wme: dict[str, float], dice: dict[str, float]) -> list[dict[str, object]]:
        noise = np.random.default_rng(0).normal(0, 0.01, 40)
        return [
            result("perturbed", fusion, seed, wme=list(wme[fusion] + noise), dice=list(dice[fusion] + noise))
            for fusion in wme
            for seed in (0, 1)
        ]

    def test_every_finding_holds_on_the_papers_own_numbers(self) -> None:
        wme = {"none": 0.67, "majority": 0.47, "staple": 0.56, "union": 0.30, "intersection": 0.20}
        dice = {"none": 0.96, "majority": 0.96, "staple": 0.96, "union": 0.92, "intersection": 0.88}
        found = findings(self.results(wme, dice))
        assert len(found) == 4
        assert all(finding.holds for finding in found)
        assert [d.mean for d in found[1].differences] == pytest.approx([0.09, 0.09])

    def test_what_does_not_come_out_is_counted(self) -> None:
        wme = {"none": 0.50, "majority": 0.47, "staple": 0.45, "union": 0.60, "intersection": 0.20}
        dice = {"none": 0.90, "majority": 0.96, "staple": 0.96, "union": 0.92, "intersection": 0.80}
        found = findings(self.results(wme, dice))
        # Union is not below no fusion; it is 0.04 below majority and STAPLE, in both seeds.
        assert [(each.held, len(each.differences)) for each in found] == [(6, 8), (0, 2), (10, 12), (0, 2)]
        assert not any(each.holds for each in found)

    def test_only_seeds_with_all_arms_count(self) -> None:
        assert findings([result("perturbed", "none", 0, wme=[0.5])]) == []
        equal = dict.fromkeys(("none", "majority", "staple", "union", "intersection"), 0.5)
        whole = self.results(equal, equal)
        assert len(findings(whole)[1].differences) == 2
        # The last arm of the second seed is still being worked on.
        assert whole[-1]["seed"] == 1
        assert {each.seed for finding in findings(whole[:-1]) for each in finding.differences} == {0}


class Constant(nn.Module):
    """A network whose logit is the image itself."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images + self.weight


class TestPredictors:
    def test_a_temperature_brings_overconfident_probabilities_back(self) -> None:
        rng = np.random.default_rng(0)
        honest = rng.uniform(0.02, 0.98, 5000)
        votes = rng.binomial(5, honest) / 5
        logits = np.log(honest / (1 - honest))
        sharpened = 1 / (1 + np.exp(-3 * logits))
        temperature = predictors.fitted_temperature(sharpened, votes)
        assert temperature == pytest.approx(3, rel=0.1)
        np.testing.assert_allclose(predictors.with_temperature(sharpened, 3.0), honest, atol=1e-3)

    def test_isotonic_calibration_finds_the_increasing_function_that_was_hidden(self) -> None:
        rng = np.random.default_rng(0)
        shown = rng.random((2, 50, 1000))
        votes = rng.binomial(5, shown[0] ** 3) / 5
        correct = predictors.isotonic(shown[0], votes)
        assert correct(shown[1]) == pytest.approx(shown[1] ** 3, abs=0.05)
        assert np.all(np.diff(correct(np.linspace(-1, 2, 100))) >= 0)

    def test_augmentations_are_undone(self) -> None:
        # A smooth blob in the middle: moved there and back it stays where it was.
        y, x = np.mgrid[-1:1:64j, -1:1:64j]
        image = torch.from_numpy(6 * np.exp(-((x - 0.2) ** 2 + (y + 0.1) ** 2) / 0.1) - 3).float()[None, None]
        seen = predictors.deterministic(Constant(), image, lambda _count: None)
        moved = predictors.augmented_mean(Constant(), image, 0, lambda _count: None)
        inside = np.s_[:, 12:52, 12:52]
        np.testing.assert_allclose(moved[inside], seen[inside], atol=0.02)

    def test_an_ensemble_is_the_mean_of_its_members(self) -> None:
        images = torch.randn(3, 1, 8, 8)
        other = Constant()
        other.weight.data += 1.0
        both = predictors.ensemble([Constant(), other], images, lambda _count: None)
        expected = (torch.sigmoid(images) + torch.sigmoid(images + 1)) / 2
        np.testing.assert_allclose(both, expected[:, 0].numpy(), atol=0.01)  # the network may run in bfloat16


class TestArms:
    def test_table_1_has_the_papers_ten_cells_and_its_training(self) -> None:
        arms = study_arms(SyntheticSettings())
        assert len(arms) == 10
        assert {(arm.state, arm.fusion) for arm in arms} == {
            (state, fusion) for state in ("unperturbed", "perturbed") for fusion in PAPERS_FUSIONS
        }
        for arm in arms:
            assert (arm.training.epochs, arm.training.network.depth, arm.training.network.filters) == (100, 2, 16)
            assert (arm.training.network.dropout, arm.training.learning_rate, arm.samples) == (0.2, 1e-3, 20)
            assert arm.training.loss is Loss.CROSS_ENTROPY
            assert arm.shapes.width == 256

    def test_names_are_unique_and_every_base_is_an_arm(self) -> None:
        arms = study_arms(replace(SyntheticSettings(), parts=tuple(Part)))
        names = [arm.name for arm in arms]
        assert len(set(names)) == len(names)
        for arm in arms:
            assert not arm.base or names.index(arm.base) < names.index(arm.name)
            assert arm.test_shapes.observers == 5
            assert unit_of(arm, 0, 10).cost > 0

    def test_test_samples_are_no_training_samples(self) -> None:
        shapes = ShapeSettings(width=16)
        trained = {case.images.tobytes() for case in training_samples(0, shapes, 5)}
        scored = {case.images.tobytes() for case in scored_samples(0, shapes, 5)}
        assert len(trained | scored) == 10


@pytest.mark.slow
class TestStudy:
    def test_from_nothing_to_tables_figures_and_report_and_on(self, tmp_path: Path) -> None:
        folder = tmp_path / "study"
        run_synthetic(folder, TINY, device="cpu")
        rows = rows_of(folder / "table1.csv")
        assert [(row["state"], row["fusion"]) for row in rows] == [
            (state, fusion) for state in ("unperturbed", "perturbed") for fusion in PAPERS_FUSIONS
        ]
        assert set(rows[0]) == {"state", "fusion", "seed", "n_test"} | {
            f"{score}_{kind}" for score in ("wme", "wme_as_printed", "me", "dice", "ece") for kind in ("mean", "std")
        }
        assert {row["n_test"] for row in rows} == {"7"}
        samples = rows_of(folder / "per_sample.csv")
        own = [float(row["wme"]) for row in samples if row["arm"] == "perturbed-staple"]
        assert float(rows[7]["wme_mean"]) == pytest.approx(np.mean(own), abs=1e-5)
        assert float(rows[7]["wme_std"]) == pytest.approx(np.std(own, ddof=1), abs=1e-5)
        for picture in ("figure2.png", "figure4a.png", "reliability.png", "samples.png"):
            assert min(imread(folder / picture).shape[:2]) > 200
        report = (folder / "report.md").read_text(encoding="utf-8")
        assert "| WME | U ours |" in report
        assert "0.68 ± 0.08" in report
        difference = rows_of(folder / "differences.csv")[0]
        numbers = "{mean:+.3f} [{low:+.3f}, {high:+.3f}]".format(
            **{key: float(difference[key]) for key in ("mean", "low", "high")}
        )
        assert f"| {difference['claim']} | unperturbed | No fusion minus Majority vote | 0 | {numbers} |\n" in report
        assert "Research use only" in report

        # Every other command can read the samples.
        cohort = Cohort.open(folder / "seed0" / "cohort" / "perturbed-test.toml")
        assert cohort.sequences == ("perturbed",)
        (scored, *_others) = cohort.load_all()
        expected = scored_samples(0, TINY.shapes, 7)[0]
        np.testing.assert_array_equal(scored.images[0], expected.image("perturbed"))

        # A second call does nothing again; a further seed is added; other settings are refused.
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")}
        run_synthetic(folder, replace(TINY, seeds=(1,)), device="cpu", resume=True)
        assert {path: path.stat().st_mtime_ns for path in before} == before
        assert {row["seed"] for row in rows_of(folder / "table1.csv")} == {"0", "1"}
        assert {row["seeds"] for row in rows_of(folder / "table1_summary.csv")} == {"2"}
        assert json.loads((folder / "settings.json").read_text(encoding="utf-8"))["seeds"] == [0, 1]
        with pytest.raises(InputError, match="test: it began with 7, now 8"):
            run_synthetic(folder, replace(TINY, test=8), device="cpu", resume=True)
        with pytest.raises(InputError, match="not empty"):
            run_synthetic(folder, TINY, device="cpu")

    def test_further_arms_have_a_table_of_their_own(self, tmp_path: Path) -> None:
        run_synthetic(tmp_path, replace(TINY, parts=(Part.EXTRAS,)), device="cpu")
        extras = rows_of(tmp_path / "extras.csv")
        assert {row["method"] for row in extras} == {str(method) for method in Method}
        assert len({row["arm"] for row in extras}) == len(extras)
        by_name = {row["arm"]: row for row in extras}
        # The raters' mean is perfectly calibrated, and as unsure as the experts.
        assert float(by_name["reference-rater-mean"]["ece_mean"]) < 1e-6
        assert float(by_name["reference-rater-mean"]["wme_mean"]) == pytest.approx(0.86, abs=0.03)
        assert float(by_name["reference-rater-mean"]["entropy_outside_mean"]) == 0
        assert not (tmp_path / "table1.csv").exists()
        assert (tmp_path / "reliability_extras.png").exists()
        report = (tmp_path / "report.md").read_text(encoding="utf-8")
        assert "findings" not in report
        assert "| reference: the raters' mean itself | 0.8" in report

    def test_single_arms_are_done_by_name_with_the_models_they_use(self, tmp_path: Path) -> None:
        settings = replace(TINY, parts=(Part.SWEEPS,))
        run_synthetic(tmp_path / "study", settings, only=["sweep-T-[12]-none"], device="cpu")
        done = {str(each["arm"]) for each in finished(tmp_path / "study")}
        assert done == {"side-perturbed-none", "sweep-T-1-none", "sweep-T-2-none"}
        assert min(imread(tmp_path / "study" / "sweeps.png").shape[:2]) > 200
        assert "| **T 2** |" in (tmp_path / "study" / "report.md").read_text(encoding="utf-8")
        with pytest.raises(InputError, match=r'called "sweep-t-1"(.*\n)*  sweep-T-1-none'):
            run_synthetic(tmp_path / "other", settings, only=["sweep-t-1"], device="cpu")
        assert not (tmp_path / "other").exists()

    def test_a_failed_arm_is_named_and_the_others_are_in_the_tables(self, tmp_path: Path) -> None:
        folder = tmp_path / "seed0" / "perturbed-union" / "model"
        folder.parent.mkdir(parents=True)
        folder.write_text("a file where the model's folder should be", encoding="utf-8")
        with pytest.raises(StudyError, match=r"1 of 10 units failed[\s\S]*perturbed-union"):
            run_synthetic(tmp_path, TINY, device="cpu", resume=True)
        assert len(rows_of(tmp_path / "table1.csv")) == 9
        folder.unlink()
        run_synthetic(tmp_path, TINY, device="cpu", resume=True)
        assert len(rows_of(tmp_path / "table1.csv")) == 10

    def test_stopping_keeps_what_is_done(self, tmp_path: Path) -> None:
        class StopsAfter(Progress):
            passes = 0

            def advance(self, steps: int = 1, _detail: str = "") -> None:
                self.passes += steps

            def check_cancelled(self) -> None:
                if self.passes > 120:
                    raise Cancelled("stopped")

        with pytest.raises(Cancelled):
            run_synthetic(tmp_path, TINY, device="cpu", progress=StopsAfter())
        done = len(finished(tmp_path))
        assert 0 < done < 10
        assert not list(tmp_path.rglob("claim.json"))
        run_synthetic(tmp_path, TINY, device="cpu", resume=True)
        assert len(finished(tmp_path)) == 10


def test_the_sweeps_vary_what_their_names_say() -> None:
    arms = {arm.name: arm for arm in study_arms(replace(SyntheticSettings(), parts=(Part.SWEEPS,)))}
    assert arms["sweep-raters-9-none"].shapes.observers == 9
    assert arms["sweep-train-400-majority"].train == 400
    assert arms["sweep-T-100-none"].samples == 100
    assert arms["sweep-loss-dice-none"].training.loss is Loss.DICE
    assert arms["sweep-blur-2.0-none"].shapes.blur == (4.0, 16.0)
    assert arms["sweep-epochs-20-mean"].training.epochs == 20
    assert arms["sweep-epochs-20-mean"].fusion is FusionMethod.MEAN
