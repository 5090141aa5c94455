from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ObserverUncertaintyLib.formats import write_mask
from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.raters import fusion
from ObserverUncertaintyLib.raters.fusion import FusionMethod, Tie, fuse, intersection, majority, mean, union
from ObserverUncertaintyLib.raters.staple import staple

RATERS = hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)))
QUICK = settings(deadline=None, max_examples=50)


def every_vote(count: int) -> np.ndarray:
    """Every way that so many raters can vote, one voxel each; shape (rater, 1, 1, 2 ** count)."""
    return np.array(list(itertools.product([False, True], repeat=count))).T[:, None, None, :]


@given(RATERS)
@QUICK
def test_every_fusion_equals_counting_the_votes_voxel_by_voxel(raters):
    for voxel in np.ndindex(raters.shape[1:]):
        votes = [bool(rater[voxel]) for rater in raters]
        yes, no = votes.count(True), votes.count(False)
        assert majority(raters)[voxel] == (yes > no)
        assert majority(raters, Tie.FOREGROUND)[voxel] == (yes >= no)
        assert union(raters)[voxel] == (yes >= 1)
        assert intersection(raters)[voxel] == (no == 0)
        assert mean(raters)[voxel] == np.float32(yes / (yes + no))


@given(RATERS)
@QUICK
def test_the_intersection_lies_in_the_majority_and_the_majority_in_the_union(raters):
    fused = majority(raters)
    assert not np.any(intersection(raters) & ~fused)
    assert not np.any(fused & ~union(raters))


@given(RATERS, st.randoms(use_true_random=False))
@QUICK
def test_the_order_of_the_raters_does_not_matter(raters, random):
    order = random.sample(range(len(raters)), len(raters))
    for method in (FusionMethod.MAJORITY, FusionMethod.UNION, FusionMethod.INTERSECTION, FusionMethod.MEAN):
        np.testing.assert_array_equal(fuse(raters[order], method), fuse(raters, method))


@given(RATERS)
@QUICK
def test_what_is_background_for_all_is_foreground_for_all_of_the_opposite(raters):
    np.testing.assert_array_equal(union(~raters), ~intersection(raters))
    np.testing.assert_array_equal(majority(~raters), ~majority(raters, Tie.FOREGROUND))


@pytest.mark.parametrize(
    ("count", "background", "foreground"), [(1, 1, 1), (2, 1, 3), (3, 4, 4), (4, 5, 11), (5, 16, 16), (6, 22, 42)]
)
def test_the_tie_matters_for_an_even_number_of_raters_only(count, background, foreground):
    votes = every_vote(count)  # of 2 ** n votes, the sum of binomials above one half are a strict majority
    assert np.count_nonzero(majority(votes)) == background
    assert np.count_nonzero(majority(votes, Tie.FOREGROUND)) == foreground
    assert np.count_nonzero(fuse(votes, "majority", "foreground")) == foreground


@pytest.mark.parametrize("count", [1, 3, 5, 8])
def test_the_majority_equals_simpleitks_vote_with_ties_as_background(count):
    votes = every_vote(count)
    images = [sitk.GetImageFromArray(rater.astype(np.uint8)) for rater in votes]
    undecided = 0
    voted = sitk.GetArrayFromImage(sitk.LabelVoting(images, undecided))
    np.testing.assert_array_equal(majority(votes), voted == 1)


@pytest.mark.parametrize(
    ("name", "function"), [("majority", majority), ("union", union), ("intersection", intersection), ("mean", mean)]
)
def test_a_method_can_be_given_by_name(name, function):
    votes = every_vote(4)
    found = fuse(votes, name)
    np.testing.assert_array_equal(found, function(votes))
    assert found.dtype == (np.float32 if name == "mean" else bool)


def test_staple_is_the_posterior_cut_at_one_half():
    rng = np.random.default_rng(0)
    truth = rng.random((6, 7, 8)) < 0.4
    raters = np.array([truth ^ (rng.random(truth.shape) < 0.1) for _ in range(4)])
    fused = fuse(raters, FusionMethod.STAPLE)
    assert fused.dtype == bool
    np.testing.assert_array_equal(fused, staple(raters).posterior > 0.5)
    assert np.mean(fused != truth) < np.mean(raters[0] != truth)


def test_none_keeps_the_raters_apart_and_so_has_no_fused_map():
    with pytest.raises(ValueError, match="keeps the raters apart"):
        fuse(every_vote(3), "none")


def test_an_unknown_method_or_tie_is_refused():
    with pytest.raises(ValueError, match="'average' is not a valid FusionMethod"):
        fuse(every_vote(3), "average")
    with pytest.raises(ValueError, match="'coin' is not a valid Tie"):
        fuse(every_vote(2), "majority", "coin")


def test_64_raters_do_not_overflow_the_count():
    raters = np.zeros((64, 1, 1, 2), bool)
    raters[:33, 0, 0, 0] = True
    raters[:32, 0, 0, 1] = True
    np.testing.assert_array_equal(majority(raters)[0, 0], [True, False])
    np.testing.assert_array_equal(majority(raters, Tie.FOREGROUND)[0, 0], [True, True])
    np.testing.assert_array_equal(mean(raters)[0, 0], np.float32([33 / 64, 32 / 64]))


WITH_A_FURTHER_METHOD = """
import sys
from pathlib import Path

import numpy as np

import ObserverUncertaintyLib
from ObserverUncertaintyLib.cli.main import app
from ObserverUncertaintyLib.formats import read_mask
from ObserverUncertaintyLib.model.settings import TrainingSettings
from ObserverUncertaintyLib.raters.fusion import FusionMethod, fuse
from ObserverUncertaintyLib.studies.cavity.arms import ARM_TITLES, read_arm, training_of
from ObserverUncertaintyLib.studies.synthetic.arms import study_arms
from ObserverUncertaintyLib.studies.synthetic.settings import Part, SyntheticSettings
from ObserverUncertaintyLib.training.targets import training_labels
from typer.testing import CliRunner

folder = Path(sys.argv[1])
assert Path(ObserverUncertaintyLib.__file__).is_relative_to(folder)
raters = np.random.default_rng(0).random((4, 2, 5, 6)) < 0.5
expected = raters.sum(axis=0) >= 2
two = FusionMethod("two")
np.testing.assert_array_equal(fuse(raters, "two"), expected)
np.testing.assert_array_equal(training_labels(raters, two), expected[None])
assert TrainingSettings(fusion=two).fusion == "two"

masks = sys.argv[2:]
runner = CliRunner()
done = runner.invoke(app, ["fuse", *masks, "--method", "two", "--out", str(folder / "fused.nii.gz")])
assert done.exit_code == 0, done.output
drawn = np.stack([read_mask(mask).array for mask in masks])
np.testing.assert_array_equal(read_mask(folder / "fused.nii.gz").array, drawn.sum(axis=0) >= 2)
assert "two" in runner.invoke(app, ["train", "--help"]).output

assert ARM_TITLES[read_arm("two")] == "Two or more"
assert training_of(read_arm("two"), 0, TrainingSettings(), 0).fusion is two
arms = {arm.name: arm for arm in study_arms(SyntheticSettings(parts=(Part.TABLE1, Part.EXTRAS)))}
assert arms["side-perturbed-two"].fusion is two
assert "perturbed-two" not in arms, "the paper's table keeps the paper's arms"
"""


def test_a_further_method_is_a_row_of_the_table_and_nothing_else(tmp_path):
    """In a copy of the library with one row more, so that nothing but this file can know of it."""
    library = tmp_path / "ObserverUncertaintyLib"
    shutil.copytree(Path(fusion.__file__).parents[1], library, ignore=shutil.ignore_patterns("__pycache__"))
    table = library / "raters" / "fusion.py"
    row = (
        '    TWO = ("two", "Two or more", "Where two raters or more drew.", '
        "lambda raters, _: Votes.of(raters).on_grid(Votes.of(raters).patterns.sum(axis=1) >= 2))\n\n"
    )
    before, after = table.read_text(encoding="utf-8").split("    def __new__(")
    table.write_text(f"{before}{row}    def __new__({after}", encoding="utf-8")
    grid = Grid((6, 5, 2), (1, 1, 1), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    masks = [tmp_path / f"rater{n}.nii.gz" for n in range(4)]
    for number, mask in enumerate(masks):
        write_mask(mask, np.random.default_rng(number).random(grid.shape) < 0.5, grid)
    done = subprocess.run(
        [sys.executable, "-c", WITH_A_FURTHER_METHOD, tmp_path, *masks],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_method_says_what_it_is():
    for method in FusionMethod:
        assert method.title
        assert method.explanation.endswith(".")
        assert (method.function is None) == (method is FusionMethod.NONE)
