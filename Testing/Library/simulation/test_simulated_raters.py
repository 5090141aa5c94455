from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.simulation.anatomy import positions
from ObserverUncertaintyLib.simulation.raters import Scene, draw
from ObserverUncertaintyLib.simulation.settings import RATERS, RaterProfile

GRID = Grid((48, 48, 24), (1.5, 1.5, 3.0), origin=(-35.0, -35.0, -34.5))
STEADY = RaterProfile("steady", 0, 0.0, 0.0, 0.0, 0, 0, 0, 0)
CAREFUL = replace(STEADY, name="careful", uncertainty_mm=1.0)


def ball(radius: float = 18.0) -> Scene:
    """A ball-shaped cavity in a cube of brain: air in front, blood settled behind, CSF on the left."""
    x, y, z = positions(GRID)
    distance = (np.sqrt(x**2 + y**2 + z**2) - radius).astype(np.float32)
    inside = distance < 0
    return Scene(
        grid=GRID,
        brain=np.ones(GRID.shape, bool),
        distance=distance,
        ambiguity=np.ones(GRID.shape, np.float32),
        csf=((x > radius) & (np.abs(y) < 3)).astype(np.float32),
        air=(inside & (y < -10)).astype(np.float32),
        settled=(inside & (y > 10)).astype(np.float32),
    )


def test_a_steady_rater_with_a_clear_border_draws_the_truth():
    scene = replace(ball(), ambiguity=np.zeros(GRID.shape, np.float32))
    (mask,) = draw(scene, (STEADY,), np.random.default_rng(0))
    truth = scene.distance < 0
    # Apart from the caps, which are too small to draw.
    assert (mask != truth).sum() < 0.01 * truth.sum()


def test_bias_moves_the_border_by_its_millimetres():
    scene = replace(ball(), ambiguity=np.zeros(GRID.shape, np.float32))
    larger, smaller = draw(
        scene, (replace(STEADY, name="l", bias_mm=2), replace(STEADY, name="s", bias_mm=-2)), np.random.default_rng(0)
    )
    radius = [np.cbrt(3 * mask.sum() * GRID.voxel_volume_ml * 1000 / (4 * np.pi)) for mask in (larger, smaller)]
    assert radius == pytest.approx([20, 16], abs=0.3)


def test_raters_disagree_where_the_border_is_ambiguous_and_agree_where_it_is_clear():
    x = positions(GRID)[0]
    scene = replace(ball(), ambiguity=np.where(x > 0, 2.0, 0.1).astype(np.float32))
    a, b = draw(scene, (CAREFUL, replace(CAREFUL, name="other")), np.random.default_rng(2))
    differ = a != b
    assert differ[x > 0].sum() > 5 * differ[x < 0].sum()


def test_a_drawing_does_not_depend_on_the_raters_after():
    scene = ball()
    three = draw(scene, RATERS, np.random.default_rng(4))
    two = draw(scene, RATERS[:2], np.random.default_rng(4))
    np.testing.assert_array_equal(three[:2], two)
    assert (three[0] != three[2]).any()


@pytest.mark.parametrize(("habit", "part"), [("excluded_air", "air"), ("excluded_blood", "settled")])
def test_a_rater_may_leave_out_air_or_settled_blood(habit, part):
    scene = ball()
    with_part, without = draw(
        scene, (CAREFUL, replace(CAREFUL, name="other", **{habit: 1.0})), np.random.default_rng(0)
    )
    region = getattr(scene, part) > 0.5
    assert with_part[region].mean() > 0.7
    assert not without[region].any()


def test_a_missed_part_is_a_part_of_the_cavity_at_its_wall():
    whole, missing = draw(
        replace(ball(), ambiguity=np.zeros(GRID.shape, np.float32)),
        (STEADY, replace(STEADY, name="misses", missed_part=1.0)),
        np.random.default_rng(0),
    )
    assert not (missing & ~whole).any()
    assert 0.005 < (whole & ~missing).sum() / whole.sum() < 0.3


def test_an_included_sulcus_is_csf_joined_to_the_cavity():
    scene = replace(ball(), ambiguity=np.zeros(GRID.shape, np.float32))
    plain, larger = draw(
        scene, (STEADY, replace(STEADY, name="includes", included_sulcus=1.0)), np.random.default_rng(0)
    )
    added = larger & ~plain
    assert added.any()
    assert (scene.csf[added] > 0.4).all()
    assert ndimage.label(larger, np.ones((3, 3, 3)))[1] == 1


def test_contours_have_no_holes_and_no_specks_on_any_slice():
    scene = replace(ball(), ambiguity=np.full(GRID.shape, 4, np.float32))
    for mask in draw(scene, RATERS, np.random.default_rng(3)):
        for piece in mask:
            np.testing.assert_array_equal(ndimage.binary_fill_holes(piece), piece)
            labels, count = ndimage.label(piece)
            sizes = ndimage.sum_labels(piece, labels, range(1, count + 1))
            assert all(size * 1.5 * 1.5 >= 30 for size in sizes)


def test_raters_do_not_draw_outside_the_brain():
    scene = ball()
    brain = positions(GRID)[0] < 10
    assert not draw(replace(scene, brain=brain), RATERS, np.random.default_rng(0))[:, ~brain].any()
