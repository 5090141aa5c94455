"""The maps that a review reads: what lies there is read as it is, what is none is refused by its file's name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats import write_image
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.review.cases import cases_to_review
from ObserverUncertaintyLib.review.predicted import read_predicted

GRID = Grid((5, 4, 3), (1.0, 1.5, 4.0))
PROBABILITY = np.random.default_rng(0).random(GRID.shape).astype(np.float32)


def test_the_probability_of_any_program_is_read_with_the_expected_entropy_if_there_is_one(tmp_path: Path):
    write_image(tmp_path / "probability.nii.gz", PROBABILITY, GRID)
    assert read_predicted(tmp_path).expected_entropy is None
    write_image(tmp_path / "expected_entropy.nii.gz", PROBABILITY / 2, GRID)
    found = read_predicted(tmp_path)
    assert np.array_equal(found.probability, PROBABILITY)
    assert found.expected_entropy is not None
    assert np.array_equal(found.expected_entropy, PROBABILITY / 2)
    assert found.grid.spacing == pytest.approx(GRID.spacing)


def test_what_is_missing_or_no_probability_or_lies_elsewhere_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"probability\.nii\.gz is not there"):
        read_predicted(tmp_path)
    write_image(tmp_path / "probability.nii.gz", 100 * PROBABILITY, GRID)
    with pytest.raises(InputError, match=r"probability\.nii\.gz has values from"):
        read_predicted(tmp_path)
    write_image(tmp_path / "probability.nii.gz", PROBABILITY, GRID)
    write_image(tmp_path / "expected_entropy.nii.gz", PROBABILITY / 2, Grid(GRID.size))
    with pytest.raises(InputError, match=r"expected_entropy\.nii\.gz"):
        read_predicted(tmp_path)


def test_a_case_in_per_cent_is_left_out_of_the_list_and_named(tmp_path: Path):
    for name, scale in (("good", 1), ("percent", 100)):
        write_image(tmp_path / name / "probability.nii.gz", scale * PROBABILITY, GRID)
        (tmp_path / name / "prediction.json").write_text(json.dumps({"warnings": []}), encoding="utf-8")
    found = cases_to_review(tmp_path)
    assert [each.case for each in found.cases] == ["good"]
    assert "values from" in found.left_out["percent"]
