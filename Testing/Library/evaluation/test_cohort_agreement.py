"""Agreement of a cohort's raters: means over cases, habits, and whether there are enough raters."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cohorts import disc_case, write_discs

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.evaluation.agreement import (
    ALL_PAIRS,
    agreement_table,
    cohort_agreement,
    raters_agreement,
    write_agreement,
)
from ObserverUncertaintyLib.scores.agreement import reliability_of_mean
from ObserverUncertaintyLib.scores.case_agreement import case_agreement
from ObserverUncertaintyLib.scores.metrics import dice


def test_the_figures_are_means_over_cases_and_pairs(tmp_path: Path) -> None:
    cohort = Cohort.open(write_discs(tmp_path, 3, slices=3))
    found = cohort_agreement(cohort)
    cases = cohort.load_all()
    assert list(found.pairs) == ["rater1, rater2", "rater1, rater3", "rater2, rater3", ALL_PAIRS]
    overlaps = [dice(case.raters[0], case.raters[2]) for case in cases]
    assert found.pairs["rater1, rater3"]["dice"].mean == pytest.approx(np.mean(overlaps))
    assert found.pairs["rater1, rater3"]["dice"].std == pytest.approx(np.std(overlaps, ddof=1))
    assert found.pairs[ALL_PAIRS]["dice"].n == 9
    each = [case_agreement(case.raters, case.rater_names, case.grid).raters[2] for case in cases]
    assert found.raters["rater3"].larger_mm.mean == pytest.approx(np.mean([rater.larger_mm for rater in each]))
    assert found.raters["rater3"].larger_ml.mean > 0 > found.raters["rater1"].larger_ml.mean
    volumes = np.array([[mask.sum() for mask in case.raters] for case in cases])
    assert found.volume_icc < 1, f"raters of 2 mm more and less do not agree on {volumes}"


def test_the_reliability_of_the_mean_says_how_many_raters_are_enough() -> None:
    case = disc_case(0, slices=3)
    found = raters_agreement([case])
    kappa = found.fleiss_kappa.mean
    assert found.reliability == pytest.approx(3 * kappa / (1 + 2 * kappa))
    few = f"The mean of 3 raters has a reliability of {found.reliability:.2f}; 0.9 takes "
    assert found.reliability < 0.9
    assert found.sentence().startswith(few)
    needed = int(found.sentence().removeprefix(few).removesuffix("."))
    assert reliability_of_mean(kappa, needed) >= 0.9 > reliability_of_mean(kappa, needed - 1)
    alike = replace(case, raters=np.stack([case.raters[1]] * 3))
    assert raters_agreement([alike]).sentence() == "The mean of 3 raters has a reliability of 1.00."


def test_the_last_of_many_raters_may_add_little_and_of_three_nothing_is_said() -> None:
    case = disc_case(0, slices=3)
    names = tuple(f"r{n}" for n in range(6))
    twice = raters_agreement([replace(case, raters=np.concatenate([case.raters] * 2), rater_names=names)])
    assert twice.growth < 0.02
    assert f"The last one enlarged the disputed volume by {twice.growth:.0%}." in twice.sentence()
    three = raters_agreement([case])
    assert three.settling[2].disputed_ml == pytest.approx(1.5 * three.settling[1].disputed_ml), "whatever they draw"
    assert math.isnan(three.growth)


def test_cases_with_fewer_raters_count_where_they_can_and_are_noted() -> None:
    cases = [disc_case(n, slices=3) for n in range(3)]
    cases[1] = replace(cases[1], raters=cases[1].raters[:2], rater_names=cases[1].rater_names[:2])
    cases[2] = replace(cases[2], raters=cases[2].raters[:1], rater_names=cases[2].rater_names[:1])
    found = raters_agreement(cases)
    assert [case.case for case in found.cases] == ["case01", "case02"]
    assert found.pairs["rater1, rater2"]["dice"].n == 2
    assert found.pairs["rater1, rater3"]["dice"].n == 1
    assert math.isnan(found.volume_icc), "one case has all raters"
    assert found.notes == (
        "case03 is left out: agreement needs two raters, and it has 1",
        "how agreement settles is seen in the 1 of 2 cases with 3 raters",
    )
    with pytest.raises(InputError, match="No case has two raters"):
        raters_agreement(cases[2:])


def test_table_and_files_say_the_same(tmp_path: Path) -> None:
    found = raters_agreement([disc_case(n, slices=3) for n in range(2)])
    csv_path, json_path = write_agreement(tmp_path / "agreement.csv", found)
    with csv_path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["first"], row["second"]) for row in rows][:2] == [
        ("case01", "rater1", "rater2"),
        ("case01", "rater1", "rater3"),
    ]
    assert float(rows[0]["dice"]) == found.cases[0].pairs[0].dice
    content = json.loads(json_path.read_text(encoding="utf-8"))
    assert content["pairs"][ALL_PAIRS]["kappa"]["mean"] == found.pairs[ALL_PAIRS]["kappa"].mean
    assert content["settling"][0]["conformity_index"] is None
    assert content["sentence"] == found.sentence()
    table = agreement_table(found)
    assert f"{found.pairs[ALL_PAIRS]['hausdorff_95_mm'].mean:.2f}" in table
    assert f"{found.raters['rater3'].larger_mm.mean:+.2f}" in table
    assert table.endswith(found.sentence())
