"""Experiment 2's folds, groups, tables and differences, against values by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cohorts import write_discs

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.model.preprocessing import SliceAxis
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.scores.calibration import CalibrationBins
from ObserverUncertaintyLib.studies.cavity.findings import CONTRAST, group_differences, paired_rows
from ObserverUncertaintyLib.studies.cavity.folds import split_into_folds
from ObserverUncertaintyLib.studies.cavity.groups import LOWER, UPPER, Split, groups
from ObserverUncertaintyLib.studies.cavity.settings import PRESETS, Preset
from ObserverUncertaintyLib.studies.cavity.tables import (
    Scores,
    agreement_rows,
    case_rows,
    group_rows,
    scores_of_all_seeds,
    scores_of_seed,
    summary_rows,
)
from ObserverUncertaintyLib.studies.cavity.work import study_tasks

NONE, MAJORITY = FusionMethod.NONE, FusionMethod.MAJORITY
NAN = math.nan
SMALL = PRESETS[Preset.SMALL]


def scores(label: str = "0", **arms: dict[str, list[float]]) -> Scores:
    """Scores of arms that were given as lists, one value a case."""
    count = len(next(iter(next(iter(arms.values())).values())))
    table = {arm: {name: np.array(values, float) for name, values in given.items()} for arm, given in arms.items()}
    return Scores(label, tuple(f"case{n}" for n in range(count)), table)


class TestFolds:
    def test_every_case_is_tested_once_and_sizes_differ_by_one_at_most(self) -> None:
        names = [f"case{n:02d}" for n in range(20)]
        parts = split_into_folds(names, 6, 0)
        assert sorted(name for part in parts for name in part) == names
        assert sorted({len(part) for part in parts}) == [3, 4]
        assert parts == split_into_folds(names, 6, 0)
        assert parts != split_into_folds(names, 6, 1)

    def test_fewer_cases_than_folds_are_refused(self) -> None:
        with pytest.raises(InputError, match="5 cases cannot be split into 6 folds"):
            split_into_folds(list("abcde"), 6, 0)

    def test_no_model_predicts_a_case_that_it_was_trained_on(self, tmp_path: Path) -> None:
        cohort = Cohort.open(write_discs(tmp_path, 7))
        tasks = list(study_tasks(replace(SMALL, folds=3, seeds=(0, 1)), {0: cohort, 1: cohort}))
        predicted = [task for task in tasks if task.case]
        assert len(predicted) == 2 * 2 * 7
        assert all(task.case not in task.training_cases for task in predicted)
        assert len({task.name for task in tasks}) == len(tasks)
        for task in tasks:
            trained = f"seed{task.seed}/{task.arm}/fold{task.fold + 1}"
            assert task.unit(SMALL).needs == ((trained,) if task.case else ())
            assert task.unit(SMALL).cost > 0


class TestSettings:
    def test_the_full_study_is_the_papers(self) -> None:
        full = PRESETS[Preset.FULL]
        training = full.training
        assert (full.folds, full.patients, full.samples, full.arms) == (6, 30, 20, (NONE, MAJORITY))
        assert (training.network.depth, training.network.filters, training.epochs, training.learning_rate) == (
            5,
            48,
            35,
            1e-3,
        )
        assert (training.network.dropout, training.slice_axis, training.batch_size) == (0.2, SliceAxis.AXIAL, 4)
        assert (full.scanner.in_plane_spacing_mm, full.scanner.slice_thickness_mm) == (1, 1)
        assert PRESETS[Preset.SMALL].folds == 6

    @pytest.mark.parametrize("arms", [(), (NONE,), (MAJORITY, FusionMethod.MEAN), (NONE, NONE)])
    def test_no_fusion_needs_another_arm_to_compare_with(self, arms: tuple[FusionMethod, ...]) -> None:
        with pytest.raises(InputError, match='Give "none" and at least one'):
            replace(SMALL, arms=arms)


class TestGroups:
    given = scores(
        none={"wme": [0.1, 0.2, 0.3, 0.4], "dice_majority": [0.5, 0.6, 0.7, 0.8], "dice_truth": [0.9, 0.8, 0.7, NAN]},
        majority={
            "wme": [0.1, 0.1, 0.1, 0.1],
            "dice_majority": [0.9, 0.8, 0.7, 0.6],
            "dice_truth": [0.1, 0.2, 0.3, 0.4],
        },
    )

    def test_each_arm_is_split_at_its_own_median(self) -> None:
        found = groups(self.given.arms, Split.OWN)
        assert found[NONE].upper.tolist() == [False, False, True, True]
        assert found[MAJORITY].upper.tolist() == [True, True, False, False]
        assert found[MAJORITY].lower.tolist() == [False, False, True, True]

    def test_the_common_split_is_no_fusions_in_every_arm(self) -> None:
        found = groups(self.given.arms, Split.COMMON)
        assert found[MAJORITY].upper.tolist() == [False, False, True, True]

    def test_a_case_at_the_median_is_in_the_upper_group_and_one_without_dice_in_none(self) -> None:
        found = groups(self.given.arms, Split.TRUTH)[NONE]
        assert found.upper.tolist() == [True, True, False, False]
        assert found.lower.tolist() == [False, False, True, False]

    def test_without_a_truth_there_is_no_split_by_it(self) -> None:
        arms = {
            arm: {"wme": given["wme"], "dice_majority": given["dice_majority"]}
            for arm, given in self.given.arms.items()
        }
        assert groups(arms, Split.TRUTH) == {}
        assert {row["split"] for row in group_rows([replace(self.given, arms=arms)])} == {"own", "common"}

    def test_the_table_holds_each_groups_wme(self) -> None:
        rows = {(row["split"], row["group"], row["arm"]): row for row in group_rows([self.given])}
        row = rows[("own", UPPER, NONE)]
        assert (row["n"], row["seed"]) == (2, "0")
        assert row["wme_mean"] == pytest.approx(0.35)
        assert row["wme_std"] == pytest.approx(math.sqrt(0.005))
        assert row["wme_median"] == pytest.approx(0.35)
        assert row["dice_mean"] == pytest.approx(0.75)


class TestFindings:
    def test_differences_by_hand(self) -> None:
        found = {(each.split, each.group): each.mean for each in group_differences([TestGroups.given])}
        assert found[("own", LOWER)] == pytest.approx(0.15 - 0.1)
        assert found[("own", UPPER)] == pytest.approx(0.35 - 0.1)
        assert found[("own", CONTRAST)] == pytest.approx(0.2)

    def planted(self, lower: float, upper: float, cases: int = 40) -> Scores:
        """No fusion is better than majority by `lower` and `upper` in the groups, but for noise."""
        rng = np.random.default_rng(0)
        dice = rng.permutation(np.linspace(0.4, 0.9, cases))
        wme = rng.normal(0.4, 0.03, cases)
        benefit = np.where(dice >= np.median(dice), upper, lower) + rng.normal(0, 0.03, cases)
        columns = {"dice_majority": list(dice), "me": [0.02] * cases}
        return scores(none={"wme": list(wme + benefit), **columns}, majority={"wme": list(wme), **columns})

    def test_a_planted_benefit_lies_in_its_interval_and_nothing_else_does(self) -> None:
        found = {d.group: d for d in group_differences([self.planted(0.0, 0.2)]) if d.split == "own"}
        assert found[UPPER].low < 0.2 < found[UPPER].high
        assert found[UPPER].low > 0.1
        assert found[LOWER].low < 0 < found[LOWER].high
        assert 0.1 < found[CONTRAST].low < 0.2 < found[CONTRAST].high
        assert [found[group].n for group in (LOWER, UPPER, CONTRAST)] == [20, 20, 20]

    def test_the_opposite_is_seen_too(self) -> None:
        found = {d.group: d for d in group_differences([self.planted(0.1, -0.1)]) if d.split == "own"}
        assert found[UPPER].high < 0 < found[LOWER].low
        assert found[CONTRAST].high < 0

    def test_what_is_open_remains_open(self) -> None:
        found = {d.group: d for d in group_differences([self.planted(0.0, 0.02, cases=12)]) if d.split == "own"}
        assert found[CONTRAST].low < 0 < found[CONTRAST].high

    def test_an_empty_group_has_no_difference(self) -> None:
        one = scores(
            none={"wme": [0.5, 0.4], "dice_majority": [0.0, 0.0]}, majority={"wme": [0.1, 0.2], "dice_majority": [0, 0]}
        )
        differences = group_differences([one])
        assert all(math.isnan(each.mean) for each in differences if each.group in (LOWER, CONTRAST))
        assert [each.n for each in differences if each.split == "own"] == [0, 2, 0]

    def test_pairs_are_those_of_the_common_split(self) -> None:
        rows = {(row["score"], row["group"]): row for row in paired_rows([self.planted(0.0, 0.2)])}
        assert rows[("wme", "all")]["n"] == 40
        assert rows[("wme", UPPER)]["n"] == 20
        assert rows[("wme", UPPER)]["effect"] == 1
        assert rows[("wme", UPPER)]["low"] > 0.15
        assert rows[("me", "all")]["p"] == 1


class TestTables:
    def result(self, seed: int, arm: str, case: str, **values: float | None) -> dict[str, object]:
        pairs = {"a and b": values["wme"]}
        return {"seed": seed, "arm": arm, "fold": 1, "case": case, "scores": values, "rater_dice": pairs}

    def test_only_cases_that_every_arm_has_count(self) -> None:
        rows = case_rows(
            [
                self.result(0, NONE, "ann", wme=0.5),
                self.result(0, NONE, "ben", wme=None, dice_truth=0.5),
                self.result(0, MAJORITY, "ben", wme=0.4),
            ]
        )
        found = scores_of_seed(rows, 0, [NONE, MAJORITY])
        assert found is not None
        assert found.cases == ("ben",)
        assert math.isnan(found.arms[NONE]["wme"][0])
        assert math.isnan(found.arms[MAJORITY]["dice_truth"][0])
        assert scores_of_seed(rows, 1, [NONE, MAJORITY]) is None

    def test_patients_of_one_cohort_are_averaged_over_seeds_and_others_joined(self) -> None:
        seeds = [scores(str(n), none={"wme": [0.1 + n, 0.3]}, majority={"wme": [0.2, NAN]}) for n in (0, 1)]
        same = scores_of_all_seeds(seeds, same_patients=True)
        assert same.cases == ("case0", "case1")
        assert same.arms["none"]["wme"].tolist() == pytest.approx([0.6, 0.3])
        assert math.isnan(same.arms["majority"]["wme"][1])
        joined = scores_of_all_seeds(seeds, same_patients=False)
        assert joined.cases == ("seed0/case0", "seed0/case1", "seed1/case0", "seed1/case1")
        assert joined.arms["none"]["wme"].tolist() == pytest.approx([0.1, 0.3, 1.1, 0.3])

    def test_calibration_is_pooled_over_the_cases_that_every_arm_has_and_over_seeds(self) -> None:
        def predicted(seed: int, arm: str, case: str, p: float) -> dict[str, object]:
            bins = CalibrationBins.of(np.full(10, p), np.full(10, 0.5))
            return {**self.result(seed, arm, case, wme=0.5, ece_roi=bins.error()), "calibration": bins.to_json()}

        results = [
            *(predicted(0, NONE, "ann", 0.49), predicted(0, MAJORITY, "ann", 0.52)),
            *(predicted(0, NONE, "ben", 0.53), predicted(1, NONE, "ann", 0.52), predicted(1, MAJORITY, "ann", 0.52)),
        ]
        seeds = [found for n in (0, 1) if (found := scores_of_seed(case_rows(results), n, [NONE, MAJORITY]))]
        tables = [*seeds, scores_of_all_seeds(seeds, same_patients=True)]
        found = {(row["seed"], row["arm"]): row["ece_roi_pooled"] for row in summary_rows(tables, results)}
        expected = {"0": (0.01, 0.02), "1": (0.02, 0.02), "all": (0.005, 0.02)}
        assert found == {
            (seed, arm): pytest.approx(value)
            for seed, of_arms in expected.items()
            for arm, value in zip((NONE, MAJORITY), of_arms, strict=True)
        }

    def test_a_result_of_before_blanks_the_score_that_it_lacks(self) -> None:
        results = [
            {**self.result(0, NONE, "ann", wme=0.5, ece_roi=0.1), "calibration": {}},
            self.result(0, NONE, "ben", wme=0.4, ece=0.3),
        ]
        rows = case_rows(results)
        assert [list(row) for row in rows] == [["seed", "arm", "fold", "case", "wme", "ece_roi"]] * 2
        assert all(math.isnan(row["ece_roi"]) for row in rows)
        seed = scores_of_seed(rows, 0, [NONE])
        assert seed is not None
        (summary,) = summary_rows([seed], results)
        assert (summary["wme_n"], summary["ece_roi_n"], math.isnan(summary["ece_roi_mean"])) == (2, 0, True)
        assert "ece_roi_pooled" not in summary

    def test_agreement_is_counted_once_for_all_arms(self) -> None:
        given = [self.result(0, arm, f"case{n}", wme=n / 10) for arm in (NONE, MAJORITY) for n in range(5)]
        (row,) = agreement_rows(given)
        assert (row["raters"], row["n"], row["dice_median"]) == ("a and b", 5, 0.2)
        assert row["dice_q3"] - row["dice_q1"] == pytest.approx(0.2)
