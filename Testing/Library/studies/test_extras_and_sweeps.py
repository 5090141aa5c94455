"""Experiment 1's extras and sweeps: rows, report and figure from results made by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from ObserverUncertaintyLib.studies.synthetic.arms import Method, study_arms
from ObserverUncertaintyLib.studies.synthetic.extras_and_sweeps import (
    arm_rows,
    default_value,
    extras_rows,
    repredicted_sweep_rows,
    sweep_rows,
)
from ObserverUncertaintyLib.studies.synthetic.figures import reliability_figure
from ObserverUncertaintyLib.studies.synthetic.report import report
from ObserverUncertaintyLib.studies.synthetic.scores import SCORES
from ObserverUncertaintyLib.studies.synthetic.settings import Part, SyntheticSettings
from ObserverUncertaintyLib.studies.synthetic.sweep_figure import sweeps_figure

SETTINGS = SyntheticSettings(parts=tuple(Part))
REFERENCE = {"wme": 0.8, "me": 0.07, "dice": 0.98}


def result(arm: str, part: str = "sweeps", seed: int = 0, method: str = Method.DROPOUT, **other: Any) -> dict[str, Any]:
    """A unit's result; scores are 0 but those given, each a list with one value a test sample."""
    known = {"state": "perturbed", "fusion": "none", "parameter": "", "value": "", "seconds": 10.0}
    known |= {key: other.pop(key) for key in list(other) if key in known}
    count = len(next(iter(other.values()))) if other else 1
    scores = [{score: other.get(score, [0.0] * count)[n] for score in SCORES} for n in range(count)]
    bins = [{"pixels": 10, "probability": 0.5, "raters": 0.5 + 0.1 * (seed + 1)}]
    return {"arm": arm, "part": part, "seed": seed, "method": method, **known, "scores": scores, "reliability": bins}


def base(fusion: str, wme: float, state: str = "perturbed") -> dict[str, Any]:
    """The arm that the sweeps vary."""
    return result(f"side-{state}-{fusion}", "extras", fusion=fusion, state=state, wme=[wme])


def swept(parameter: str, value: object, fusion: str, wme: float, **other: Any) -> dict[str, Any]:
    name = f"sweep-{parameter}-{value}-{fusion}"
    return result(name, parameter=parameter, value=str(value), fusion=fusion, wme=[wme], me=[0.1], **other)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved."""
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: figures.append(self) or Path(path).touch())
    return figures


class TestRows:
    def test_a_row_keeps_samples_and_seeds_apart(self) -> None:
        results = [result("a", seed=seed, wme=wme) for seed, wme in ((0, [0.5, 0.7]), (1, [0.8, 0.8]))]
        results[1]["seconds"] = 30.0
        (row,) = arm_rows(results)
        assert row["seeds"] == 2
        assert row["wme_mean"] == pytest.approx(0.7)
        assert row["wme_std"] == pytest.approx(math.sqrt(0.02) / 2)
        assert row["wme_seed_std"] == pytest.approx(math.sqrt(0.02))
        assert row["ece_pooled"] == pytest.approx(0.15)
        assert row["seconds"] == 20.0

    def test_extras_begin_with_the_papers_and_end_with_the_references_of_both_states(self) -> None:
        results = [
            result("reference-many-raters", "extras", method=Method.MANY_RATERS),
            result("side-perturbed-none-isotonic", "extras", method=Method.ISOTONIC),
            result("side-perturbed-mean", "extras", fusion="mean"),
            base("majority", 0.4),
            base("none", 0.7),
            base("none", 0.8, "unperturbed"),
            result("perturbed-none", "table1"),
        ]
        assert [row["arm"] for row in extras_rows(results, "perturbed")] == [
            "side-perturbed-none",
            "side-perturbed-majority",
            "side-perturbed-mean",
            "side-perturbed-none-isotonic",
            "reference-many-raters",
        ]
        assert [row["arm"] for row in extras_rows(results, "unperturbed")] == [
            "side-unperturbed-none",
            "reference-many-raters",
        ]

    def test_a_sweep_shows_the_default_in_its_place_and_sorts_numbers_as_numbers(self) -> None:
        results = [
            *(swept("T", value, "none", value / 1000) for value in (1, 100, 2)),
            swept("loss", "dice", "none", 0.2),
            base("none", 0.77),
            base("none", 0.84, "unperturbed"),
            base("majority", 0.45),
        ]
        rows = sweep_rows(SETTINGS, results)
        assert [(row["parameter"], row["value"], row["wme_mean"], row["default"]) for row in rows] == [
            ("T", "1", 0.001, False),
            ("T", "2", 0.002, False),
            ("T", "20", 0.77, True),
            ("T", "100", 0.1, False),
            ("loss", "cross-entropy", 0.77, True),
            ("loss", "dice", 0.2, False),
        ]

    def test_a_default_that_is_swept_too_is_one_point(self) -> None:
        results = [base("none", 0.77), swept("T", 5, "none", 0.76), swept("T", 10, "none", 0.775)]
        rows = sweep_rows(replace(SETTINGS, samples=10), results)
        assert [(row["value"], row["wme_mean"], row["default"]) for row in rows] == [
            ("5", 0.76, False),
            ("10", 0.775, True),
        ]

    def test_calibrated_arms_are_no_points_of_a_curve_and_stand_after_the_arm_they_correct(self) -> None:
        results = [
            {**swept("train", 400, "none", 0.7, method=Method.ISOTONIC), "arm": "sweep-train-400-none-isotonic"},
            swept("train", 400, "none", 0.75),
            swept("train", 400, "majority", 0.5),
            swept("train", 10, "none", 0.9),
        ]
        assert [row["wme_mean"] for row in sweep_rows(SETTINGS, results)] == [0.9, 0.75, 0.5]
        assert [row["wme_mean"] for row in repredicted_sweep_rows(results)] == [0.75, 0.7]

    def test_every_parameter_of_the_sweeps_has_a_default_that_no_sweep_repeats(self) -> None:
        arms = [arm for arm in study_arms(SETTINGS) if arm.parameter]
        assert len({arm.parameter for arm in arms}) > 10
        for arm in arms:
            assert default_value(SETTINGS, arm.parameter) != arm.value

    def test_sweeps_that_predict_otherwise_use_the_model_of_the_arm_they_are_named_after(self) -> None:
        arms = {arm.name: arm for arm in study_arms(replace(SETTINGS, parts=(Part.SWEEPS,)))}
        otherwise = [arm for arm in arms.values() if arm.method is not Method.DROPOUT]
        assert len(otherwise) == 5
        for arm in otherwise:
            assert arm.name.removesuffix("-isotonic").removesuffix("-deterministic") == arm.base
            assert (arm.training, arm.train) == (arms[arm.base].training, arms[arm.base].train)


class TestReport:
    def test_nothing_is_said_of_what_has_no_results(self) -> None:
        nothing = report(SETTINGS, [], [], [])
        assert nothing.count("#") == 1
        assert "Research use only" in nothing
        assert "Sweeps" not in report(SETTINGS, [], [], [base("none", 0.7)])
        references = [result("reference-many-raters", "extras", method=Method.MANY_RATERS)]
        assert report(SETTINGS, [], [], references) == nothing

    def test_extras_stand_beside_the_papers_numbers_of_their_state(self) -> None:
        results = [
            result("side-perturbed-none", "extras", wme=[0.7, 0.8], me=[0.1, 0.1], dice=[0.9, 0.9], ece=[0.01, 0.03]),
            result("side-unperturbed-none-isotonic", "extras", state="unperturbed", method=Method.ISOTONIC),
        ]
        lines = report(SETTINGS, [], [], results).splitlines()
        at = lines.index("### Perturbed images")
        assert lines[at + 4] == (
            "| No fusion: Monte Carlo dropout | 0.750 ± 0.071 | 0.100 ± 0.000 | 0.900 ± 0.000 | 0.0200 | 0.1000 "
            "| 0.000 | 0.000 | 10 |"
        )
        assert lines[at + 5].startswith("| (the paper's) | 0.67 ± 0.07 | 0.12 ± 0.03 | 0.96 ± 0.02 |")
        assert "| No fusion: Monte Carlo dropout, isotonic calibration | " in "\n".join(lines[:at])

    def test_sweeps_show_both_targets_a_dash_for_what_was_not_run_and_the_default_in_bold(self) -> None:
        results = [
            base("none", 0.77),
            base("majority", 0.45),
            swept("epochs", 10, "none", 0.94),
            swept("epochs", 10, "mean", 0.93),
            swept("epochs", 500, "majority", 0.28),
            result("side-perturbed-mean", "extras", fusion="mean", wme=[0.75]),
        ]
        text = report(SETTINGS, [], [], results)
        sweeps, soft = text.split("## Sweeps")[1].split("### Soft targets")
        rows = [line.split(" | ")[:3] for line in sweeps.splitlines() if "epochs" in line]
        assert rows == [
            ["| epochs 10", "0.940", "-"],
            ["| **epochs 100**", "0.770", "0.450"],
            ["| epochs 500", "-", "0.280"],
        ]
        rows = [line.split(" | ")[:3] for line in soft.splitlines() if "epochs" in line]
        assert rows == [["| epochs 10", "0.940", "0.930"], ["| **epochs 100**", "0.770", "0.750"]]


class TestFigures:
    def test_a_curve_goes_through_the_means_in_order(self, tmp_path: Path, drawn: list[Figure]) -> None:
        results = [base("none", 0.77), *(swept("T", value, "none", 0.7 + value / 1000) for value in (100, 1))]
        results += [swept("raters", 2, "majority", 0.4), swept("raters", 9, "majority", 0.5)]
        sweeps_figure(tmp_path / "sweeps.png", sweep_rows(SETTINGS, results), REFERENCE)
        (figure,) = drawn
        plots = figure.axes
        assert len(plots) == 6, "WME, ME and Dice of the two parameters that were varied"
        assert plots[0].lines[0].get_xydata().ravel() == pytest.approx([1, 0.701, 20, 0.77, 100, 0.8])
        assert plots[0].lines[-1].get_ydata() == pytest.approx([0.8, 0.8])
        assert [plots[0].get_xscale(), plots[1].get_xscale(), plots[2].get_yscale()] == ["log", "linear", "log"]
        assert plots[0].get_ylabel() == "WME (bits)"
        assert "elsewhere 20" in plots[4].get_xlabel()
        assert "One training a point" in figure.get_supxlabel()

    def test_several_seeds_have_bars(self, tmp_path: Path, drawn: list[Figure]) -> None:
        results = [swept("train", n, "none", wme, seed=seed) for n in (10, 40) for seed, wme in ((0, 0.5), (1, 0.7))]
        sweeps_figure(tmp_path / "sweeps.png", sweep_rows(SETTINGS, results))
        (bars,) = drawn[0].axes[0].collections
        half = math.sqrt(0.02)
        assert bars.get_segments()[0][:, 1] == pytest.approx([0.6 - half, 0.6 + half])
        assert "over 2 seeds" in drawn[0].get_supxlabel()

    def test_without_a_parameter_to_show_it_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="T, raters, train, epochs"):
            sweeps_figure(tmp_path / "sweeps.png", sweep_rows(SETTINGS, [swept("loss", "dice", "none", 0.2)]))

    def test_many_reliability_diagrams_break_into_lines(self, tmp_path: Path, drawn: list[Figure]) -> None:
        results = [result(f"side-perturbed-none-{n}", "extras") for n in range(9)]
        reliability_figure(tmp_path / "reliability.png", results)
        shown = [plot for plot in drawn[0].axes if plot.get_visible()]
        assert len(shown) == 9
        assert len({plot.get_subplotspec().colspan.start for plot in shown}) <= 7
        assert shown[8].get_title() == "No fusion, 8"
