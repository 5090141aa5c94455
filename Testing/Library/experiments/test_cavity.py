"""Experiment 2's study: its folds, groups, tables and answer against values by hand, and the whole of it in small."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cohorts import write_discs
from matplotlib.image import imread

from ObserverUncertaintyLib.cases import Cohort
from ObserverUncertaintyLib.errors import InputError
from ObserverUncertaintyLib.evaluation import evaluate
from ObserverUncertaintyLib.experiments.cavity.findings import (
    CONTRAST,
    answer,
    group_differences,
    paired_rows,
)
from ObserverUncertaintyLib.experiments.cavity.folds import split_into_folds
from ObserverUncertaintyLib.experiments.cavity.groups import LOWER, UPPER, Split, groups
from ObserverUncertaintyLib.experiments.cavity.settings import PRESETS, CavityStudySettings, Preset
from ObserverUncertaintyLib.experiments.cavity.study import StudyError, run_cavity
from ObserverUncertaintyLib.experiments.cavity.tables import (
    Scores,
    agreement_rows,
    case_rows,
    group_rows,
    scores_of_all_seeds,
    scores_of_seed,
)
from ObserverUncertaintyLib.experiments.cavity.work import study_tasks
from ObserverUncertaintyLib.fusion import FusionMethod
from ObserverUncertaintyLib.preprocessing import SliceAxis
from ObserverUncertaintyLib.settings import TrainingSettings
from ObserverUncertaintyLib.simulation.settings import CavitySettings

NONE, MAJORITY = FusionMethod.NONE, FusionMethod.MAJORITY
NAN = math.nan
TINY = CavityStudySettings(
    folds=2,
    patients=4,
    scanner=CavitySettings(in_plane_spacing_mm=6, slice_thickness_mm=8),
    training=TrainingSettings(epochs=2, depth=1, filters=2, learning_rate=0.02),
    samples=2,
)
UNITS = 2 * (2 + 4)
"""Two arms of two trainings and four predictions."""


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


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
        tasks = list(study_tasks(replace(TINY, folds=3, seeds=(0, 1)), {0: cohort, 1: cohort}))
        predicted = [task for task in tasks if task.case]
        assert len(predicted) == 2 * 2 * 7
        assert all(task.case not in task.training_cases for task in predicted)
        assert len({task.name for task in tasks}) == len(tasks)
        for task in tasks:
            assert task.unit(TINY).needs == ((task.training_name,) if task.case else ())
            assert task.unit(TINY).cost > 0


class TestSettings:
    def test_the_full_study_is_the_papers(self) -> None:
        full = PRESETS[Preset.FULL]
        training = full.training
        assert (full.folds, full.patients, full.samples, full.arms) == (6, 30, 20, (NONE, MAJORITY))
        assert (training.depth, training.filters, training.epochs, training.learning_rate) == (5, 48, 35, 1e-3)
        assert (training.dropout, training.slice_axis, training.batch_size) == (0.2, SliceAxis.AXIAL, 4)
        assert (full.scanner.in_plane_spacing_mm, full.scanner.slice_thickness_mm) == (1, 1)
        assert PRESETS[Preset.SMALL].folds == 6

    @pytest.mark.parametrize("arms", [(), (NONE,), (MAJORITY, FusionMethod.MEAN), (NONE, NONE)])
    def test_no_fusion_needs_another_arm_to_compare_with(self, arms: tuple[FusionMethod, ...]) -> None:
        with pytest.raises(InputError, match='Give "none" and at least one'):
            replace(TINY, arms=arms)


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

    def test_the_papers_finding_is_recognised(self) -> None:
        differences = group_differences([self.planted(0.0, 0.2)])
        better, worse, both = answer(differences, "0", MAJORITY)
        assert "no fusion has the higher WME, by +0.2" in better
        assert "do not tell the arms apart" in worse
        assert "larger where the segmentation is better" in both

    def test_the_opposite_is_said_too(self) -> None:
        better, worse, both = answer(group_differences([self.planted(0.1, -0.1)]), "0", MAJORITY)
        assert "lower WME" in better
        assert "higher WME" in worse
        assert "against the paper" in both

    def test_what_is_open_remains_open(self) -> None:
        differences = group_differences([self.planted(0.0, 0.02, cases=12)])
        assert "remains open" in answer(differences, "0", MAJORITY)[2]

    def test_of_few_cases_nothing_is_said(self) -> None:
        few = answer(group_differences([self.planted(0.0, 0.2, cases=9)]), "0", MAJORITY)
        assert "no fusion has the higher WME" in few[0]  # five cases
        assert few[1].startswith("Dice below the median: 4 cases, too few to say")
        assert "too few cases to compare them" in few[2]

    def test_an_empty_group_has_no_difference(self) -> None:
        one = scores(
            none={"wme": [0.5, 0.4], "dice_majority": [0.0, 0.0]}, majority={"wme": [0.1, 0.2], "dice_majority": [0, 0]}
        )
        differences = group_differences([one])
        assert all(math.isnan(each.mean) for each in differences if each.group in (LOWER, CONTRAST))
        assert [each.n for each in differences if each.split == "own"] == [0, 2, 0]
        assert "0 cases, too few to say" in answer(differences, "0", MAJORITY)[1]

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

    def test_agreement_is_counted_once_for_all_arms(self) -> None:
        given = [self.result(0, arm, f"case{n}", wme=n / 10) for arm in (NONE, MAJORITY) for n in range(5)]
        (row,) = agreement_rows(given)
        assert (row["raters"], row["n"], row["dice_median"]) == ("a and b", 5, 0.2)
        assert row["dice_q3"] - row["dice_q1"] == pytest.approx(0.2)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole study on four tiny simulated patients."""
    folder = tmp_path_factory.mktemp("cavity") / "study"
    run_cavity(folder, TINY, device="cpu", threads=1)
    return folder


class TestStudy:
    def test_from_simulated_patients_to_tables_figures_and_report(self, study: Path) -> None:
        rows = rows_of(study / "per_case.csv")
        assert sorted((row["arm"], row["case"]) for row in rows) == [
            (arm, f"case{n:02d}") for arm in ("majority", "none") for n in range(1, 5)
        ]
        assert {"wme", "me", "dice_majority", "dice_truth", "ece", "soft_dice", "ged", "volume_crps_ml"} <= set(rows[0])
        for name in ("summary", "wme_by_dice", "wme_differences", "paired_tests", "agreement", "units"):
            assert rows_of(study / f"{name}.csv")
        assert len(rows_of(study / "units.csv")) == UNITS
        for picture in ("figure3.png", "figure4b.png"):
            assert min(imread(study / picture).shape[:2]) > 200
        report = (study / "report.md").read_text(encoding="utf-8")
        assert "# Experiment 2: resection cavity, simulated" in report
        assert "2 of 2 folds complete, 4 cases, seed 0" in report
        # One under every table, and once above all of them.
        assert report.count("Simulated data. Research use only") == 5

    def test_scores_are_those_of_the_evaluation(self, study: Path) -> None:
        cohort = Cohort.open(study / "seed0" / "cohort" / "cohort.toml")
        expected = {row["case"]: row for row in evaluate(study / "seed0" / "none" / "cases", cohort).cases}
        for row in rows_of(study / "per_case.csv"):
            if row["arm"] == "none":
                for score in ("wme", "me", "dice_truth", "soft_dice"):
                    assert float(row[score]) == pytest.approx(expected[row["case"]][score], abs=1e-6)

    def test_a_second_call_does_nothing_again_and_other_settings_are_refused(self, study: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in study.rglob("result.json")}
        assert len(before) == UNITS
        run_cavity(study, TINY, device="cpu", threads=1, resume=True)
        assert {path: path.stat().st_mtime_ns for path in study.rglob("result.json")} == before
        with pytest.raises(InputError, match="folds: it began with 2, now 3"):
            run_cavity(study, replace(TINY, folds=3), device="cpu", resume=True)
        with pytest.raises(InputError, match="not empty"):
            run_cavity(study, TINY, device="cpu")

    def test_arms_and_seeds_are_added(self, study: Path, tmp_path: Path) -> None:
        folder = tmp_path / "study"
        shutil.copytree(study, folder)
        more = replace(TINY, seeds=(0, 1), arms=(NONE, MAJORITY, FusionMethod.MEAN))
        run_cavity(folder, more, device="cpu", threads=1, resume=True)
        rows = rows_of(folder / "wme_by_dice.csv")
        assert {row["seed"] for row in rows} == {"0", "1", "all"}
        assert {row["arm"] for row in rows} == {"none", "majority", "mean"}
        assert len(rows_of(folder / "per_case.csv")) == 2 * 3 * 4
        report = (folder / "report.md").read_text(encoding="utf-8")
        assert "4 of 4 folds complete, 8 cases, seed 0, 1" in report
        assert "No fusion against Rater mean, 8 cases" in report
        assert json.loads((folder / "settings.json").read_text(encoding="utf-8"))["arms"] == [
            "none",
            "majority",
            "mean",
        ]

    def test_a_killed_study_goes_on_to_the_same_tables(self, study: Path, tmp_path: Path) -> None:
        folder = tmp_path / "study"
        program = (
            "from ObserverUncertaintyLib.experiments.cavity.study import run_cavity\n"
            "from test_cavity import TINY\n"
            f"run_cavity({str(folder)!r}, TINY, device='cpu', threads=1)"
        )
        paths = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
        process = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": paths})
        try:
            deadline = time.monotonic() + 60
            while not list(folder.rglob("result.json")) and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
            process.wait()
        done = {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")}
        assert 0 < len(done) < UNITS
        run_cavity(folder, TINY, device="cpu", threads=1, resume=True)
        assert {path: path.stat().st_mtime_ns for path in done} == done
        assert (folder / "per_case.csv").read_bytes() == (study / "per_case.csv").read_bytes()
        assert (folder / "report.md").read_bytes() == (study / "report.md").read_bytes()


class TestManifest:
    def otherwise(self, folder: Path) -> Path:
        """A cohort as a hospital may have it: a folder a rater, no truth, other names of sequences, one case unread."""
        cohort = Cohort.open(write_discs(folder / "source", 5, slices=3, sequences=2))
        for number, name in enumerate(cohort.case_names):
            files = cohort.manifest.files(name)
            patient = folder / "archive" / f"patient {number}"
            patient.mkdir(parents=True)
            for sequence, file in files.images.items():
                shutil.copy(file, patient / f"exam_{sequence}.nii.gz")
            for rater, file in files.raters.items():
                drawn = folder / "contours" / f"Dr {rater}"
                drawn.mkdir(parents=True, exist_ok=True)
                if (number, rater) != (0, "rater2"):
                    shutil.copy(file, drawn / f"patient {number}.nii.gz")
        manifest = folder / "lists" / "hospital.toml"
        manifest.parent.mkdir()
        raters = "\n".join(
            f'"Dr {rater}" = "../contours/Dr {rater}/{{case}}.nii.gz"' for rater in ("rater1", "rater2", "rater3")
        )
        manifest.write_text(
            '[cohort]\nname = "Clinic"\nroot = "../archive"\ncases = "patient *"\nlabel = "cavity"\n'
            f'[images]\nT2 = "exam_S2.nii.gz"\nT1 = "exam_S1.nii.gz"\n[raters]\n{raters}\n',
            encoding="utf-8",
        )
        return manifest

    def test_files_laid_out_another_way(self, tmp_path: Path) -> None:
        manifest = self.otherwise(tmp_path)
        folder = tmp_path / "study"
        run_cavity(folder, TINY, manifest, device="cpu", threads=1)
        rows = rows_of(folder / "per_case.csv")
        assert {row["case"] for row in rows} == {f"patient {n}" for n in range(5)}
        assert "dice_truth" not in rows[0]
        (without,) = (row for row in rows if row["case"] == "patient 0" and row["arm"] == "none")
        assert without["dice_with_Dr rater2"] == ""
        report = (folder / "report.md").read_text(encoding="utf-8")
        assert "imulated" not in report
        assert "Clinic: 2 of 2 folds complete" in report
        assert "T2, T1; U-Net" in report
        # The same folder cannot be continued with other patients.
        (tmp_path / "archive" / "patient 4").rename(tmp_path / "archive" / "patient 7")
        (tmp_path / "contours" / "Dr rater1" / "patient 4.nii.gz").rename(
            tmp_path / "contours" / "Dr rater1" / "patient 7.nii.gz"
        )
        with pytest.raises(InputError, match="cases: it began with"):
            run_cavity(folder, TINY, manifest, device="cpu", resume=True)

    def test_a_case_without_any_rater_is_named_before_any_work(self, tmp_path: Path) -> None:
        manifest = write_discs(tmp_path / "cohort", 3)
        for mask in (tmp_path / "cohort" / "case02").glob("rater*"):
            mask.unlink()
        with pytest.raises(InputError, match=r"no rater's mask for case02\. Leave"):
            run_cavity(tmp_path / "study", TINY, manifest, device="cpu")
        assert not (tmp_path / "study").exists()

    def test_a_broken_case_costs_the_units_that_need_it_only(self, tmp_path: Path) -> None:
        manifest = write_discs(tmp_path / "cohort", 4)
        image = tmp_path / "cohort" / "case02" / "S1.nii.gz"
        whole = image.read_bytes()
        tested = next(part for part in split_into_folds(Cohort.open(manifest).case_names, 2, 0) if "case02" in part)
        image.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(StudyError, match=r"4 of 12 units failed[\s\S]*case02") as raised:
            run_cavity(tmp_path / "study", TINY, manifest, device="cpu", threads=1)
        assert "--resume" in str(raised.value)
        # The fold that tests the broken case was trained on the others, and predicted its other case.
        done = rows_of(tmp_path / "study" / "per_case.csv")
        assert {row["case"] for row in done} == set(tested) - {"case02"}
        image.write_bytes(whole)
        run_cavity(tmp_path / "study", TINY, manifest, device="cpu", threads=1, resume=True)
        assert len(rows_of(tmp_path / "study" / "per_case.csv")) == 8
        assert not list((tmp_path / "study").rglob("error.txt"))
