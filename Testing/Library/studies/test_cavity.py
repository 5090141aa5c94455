"""Experiment 2's study: the whole of it in small."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cohorts import write_discs
from matplotlib.image import imread
from waiting import wait_for

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.evaluation.scoring import evaluate
from ObserverUncertaintyLib.formats import read_mask, write_mask
from ObserverUncertaintyLib.model.settings import TrainingSettings, UNetSettings
from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintyLib.simulation.settings import CavitySettings
from ObserverUncertaintyLib.studies.cavity.folds import split_into_folds
from ObserverUncertaintyLib.studies.cavity.settings import CavityStudySettings
from ObserverUncertaintyLib.studies.cavity.study import run_cavity
from ObserverUncertaintyLib.studies.units import StudyError
from ObserverUncertaintyLib.training.train import train

NONE, MAJORITY = FusionMethod.NONE, FusionMethod.MAJORITY
TINY = CavityStudySettings(
    folds=2,
    patients=4,
    scanner=CavitySettings(in_plane_spacing_mm=6, slice_thickness_mm=8),
    training=TrainingSettings(epochs=2, network=UNetSettings(depth=1, filters=2), learning_rate=0.02),
    samples=2,
)
UNITS = 2 * (2 + 4)
"""Two arms of two trainings and four predictions."""


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole study on four tiny simulated patients."""
    folder = tmp_path_factory.mktemp("cavity") / "study"
    run_cavity(folder, TINY, device="cpu", threads=1)
    return folder


@pytest.mark.slow
class TestStudy:
    def test_from_simulated_patients_to_tables_figures_and_report(self, study: Path) -> None:
        rows = rows_of(study / "per_case.csv")
        assert sorted((row["arm"], row["case"]) for row in rows) == [
            (arm, f"case{n:02d}") for arm in ("majority", "none") for n in range(1, 5)
        ]
        assert {"wme", "me", "dice_majority", "dice_truth", "soft_dice", "ged", "volume_crps_ml"} <= set(rows[0])
        assert all(0 < float(row["ece_roi"]) < 1 for row in rows)
        for name in ("summary", "wme_by_dice", "wme_differences", "paired_tests", "agreement", "units"):
            assert rows_of(study / f"{name}.csv")
        assert len(rows_of(study / "units.csv")) == UNITS
        for picture in ("figure3.png", "figure4b.png"):
            assert min(imread(study / picture).shape[:2]) > 200
        report = (study / "report.md").read_text(encoding="utf-8")
        assert "# Experiment 2: resection cavity, simulated" in report
        assert "2 of 2 folds complete, 4 cases, seed 0" in report
        for row in rows_of(study / "summary.csv"):
            cohort = Cohort.open(study / "seed0" / "cohort" / "cohort.toml")
            pooled = evaluate(study / "seed0" / row["arm"] / "cases", cohort).summary["ece_roi"]["pooled"]
            assert float(row["ece_roi_pooled"]) == pytest.approx(pooled, abs=1e-6)
            assert f"{pooled:.3f}" in report.split("Over the voxels of all cases together it is: ")[1]
        assert "earlier version" not in report
        # One under every table, and once above all of them.
        assert report.count("Simulated data. Research use only") == 5

    def test_of_predictions_scored_before_there_was_the_score_it_is_a_dash_and_this_is_said(
        self, study: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "study"
        shutil.copytree(study, folder)
        result = folder / "seed0" / "none" / "cases" / "case02" / "result.json"
        content = json.loads(result.read_text(encoding="utf-8"))
        # As an earlier version wrote it: another score, over other voxels, and no bins.
        content["scores"] = {("ece" if name == "ece_roi" else name): v for name, v in content["scores"].items()}
        del content["calibration"]
        result.write_text(json.dumps(content), encoding="utf-8")
        run_cavity(folder, TINY, device="cpu", threads=1, resume=True)
        rows = rows_of(folder / "per_case.csv")
        assert "ece" not in rows[0]
        assert {row["ece_roi"] for row in rows} == {""}
        assert all(row["ece_all"] for row in rows)
        report = (folder / "report.md").read_text(encoding="utf-8")
        assert "| ECE around the contours | - ± - | - ± - |" in report
        assert "| ECE around the contours | all | Majority vote | 0 | - | - | - |" in report
        assert "not known here: an earlier version scored 1 of the predictions, without it" in report
        assert "all cases together" not in report

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
        longer = replace(TINY, training=replace(TINY.training, epochs=3))
        with pytest.raises(
            InputError, match=r"(?m)^  training\.epochs: it began with 2, now 3$(?s:.*)folder to begin"
        ) as raised:
            run_cavity(study, longer, device="cpu", resume=True)
        assert "--overwrite" not in str(raised.value)
        with pytest.raises(InputError, match=r"not empty\. Give another folder, or resume\.$"):
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
        assert "| no fusion minus Majority vote | no fusion minus Mean |" in report
        assert "standard deviation over 8 cases" in report
        assert report.count("| Q3-Q4 minus Q1-Q2 |") == 3 + 2, "of every split, and of every seed"
        assert json.loads((folder / "settings.json").read_text(encoding="utf-8"))["arms"] == [
            "none",
            "majority",
            "mean",
        ]

    def test_folds_may_be_done_one_by_one_and_patients_by_several_processes(self, study: Path, tmp_path: Path) -> None:
        folder = tmp_path / "study"
        run_cavity(folder, TINY, device="cpu", threads=1, only_folds=[2], processes=2)
        (tested,) = split_into_folds(["case01", "case02", "case03", "case04"], 2, 0)[1:]
        rows = rows_of(folder / "per_case.csv")
        assert sorted((row["arm"], row["case"]) for row in rows) == sorted(
            (arm, case) for arm in ("majority", "none") for case in tested
        )
        assert "1 of 2 folds complete, 2 cases" in (folder / "report.md").read_text(encoding="utf-8")
        run_cavity(folder, TINY, device="cpu", threads=1, only_folds=[1], resume=True)
        assert (folder / "per_case.csv").read_bytes() == (study / "per_case.csv").read_bytes()
        for file in ("T1c.nii.gz", "rater_4y.nii.gz", "case.json"):
            path = Path("seed0", "cohort", "case03", file)
            assert (folder / path).read_bytes() == (study / path).read_bytes()
        with pytest.raises(InputError, match="no fold 3: the folds are numbered from 1 to 2"):
            run_cavity(folder, TINY, device="cpu", only_folds=[1, 3], resume=True)

    def test_a_killed_study_goes_on_to_the_same_tables(self, study: Path, tmp_path: Path) -> None:
        folder = tmp_path / "study"
        program = (
            "from ObserverUncertaintyLib.studies.cavity.study import run_cavity\n"
            "from test_cavity import TINY\n"
            f"run_cavity({str(folder)!r}, TINY, device='cpu', threads=1)"
        )
        paths = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
        process = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": paths})
        try:
            wait_for(lambda: list(folder.rglob("result.json")), "a unit")
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

    def test_a_changed_mask_and_another_cohort_are_refused_and_named(self, tmp_path: Path) -> None:
        manifest = write_discs(tmp_path / "one", 4)
        study = tmp_path / "study"
        run_cavity(study, TINY, manifest, device="cpu", threads=1)
        before = (study / "per_case.csv").read_bytes()
        write_discs(tmp_path / "two", 4, size=40)
        with pytest.raises(InputError, match=r"begun with other data(?s:.*)case01: image S1 is another"):
            run_cavity(study, TINY, tmp_path / "two" / "cohort.toml", device="cpu", resume=True)
        file = tmp_path / "one" / "case02" / "rater1.nii.gz"
        kept, mask = file.read_bytes(), read_mask(file)
        write_mask(file, np.roll(mask.array, 1, axis=2), mask.grid)
        with pytest.raises(InputError, match=r"(?m)^  case02: rater rater1 is another$"):
            run_cavity(study, TINY, manifest, device="cpu", resume=True)
        file.write_bytes(kept)
        run_cavity(study, TINY, manifest, device="cpu", threads=1, resume=True)
        assert (study / "per_case.csv").read_bytes() == before

    def test_what_another_model_predicted_is_done_again(self, study: Path, tmp_path: Path) -> None:
        folder = tmp_path / "study"
        shutil.copytree(study, folder)
        times = {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")}
        # Deleted to save room: what its model predicted stays.
        shutil.rmtree(folder / "seed0" / "majority" / "fold1" / "model")
        # Trained again otherwise, as on another machine.
        model = folder / "seed0" / "none" / "fold2" / "model"
        cases = Cohort.open(folder / "seed0" / "cohort" / "cohort.toml").load_all()
        train(cases[:2], model, replace(TINY.training, seed=5), overwrite=True)
        run_cavity(folder, TINY, device="cpu", threads=1, resume=True)
        again = {path.parent for path, time in times.items() if path.stat().st_mtime_ns != time}
        tested = split_into_folds([f"case{n:02d}" for n in range(1, 5)], 2, 0)[1]
        assert again == {folder / "seed0" / "none" / "cases" / name for name in tested}
