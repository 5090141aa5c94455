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


def test_further_raters_who_draw_as_others_did_change_nothing_and_others_do() -> None:
    case = disc_case(0, slices=3)
    twice = replace(
        case, raters=np.concatenate([case.raters, case.raters]), rater_names=tuple(f"r{n}" for n in range(6))
    )
    assert raters_agreement([twice]).growth < 0.02
    assert "it has settled" in raters_agreement([twice]).sentence()
    found = raters_agreement([case])
    each = found.settling
    assert found.growth == pytest.approx(each[2].disputed_ml / each[1].disputed_ml - 1)
    assert "it has not settled" in found.sentence()
    two = replace(case, raters=case.raters[:2], rater_names=case.rater_names[:2])
    assert math.isnan(raters_agreement([two]).growth)
    assert "With 2 raters nothing can be said" in raters_agreement([two]).sentence()


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
