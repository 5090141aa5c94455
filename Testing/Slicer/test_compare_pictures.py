"""Pictures of the comparison through the real slice logic: every claim about colours is read from pixels."""

import numpy as np
import pytest
import slicer
import slicer.util
from compare_case import (
    DIM,
    EXPERT_CENTRE,
    FIRST_COLOR,
    GREY,
    HALF,
    PLATEAU,
    PREDICTIVE_CENTRE,
    RATER_CENTRE,
    RATER_HALF,
    RATER_SHIFT,
    SECOND_COLOR,
    SPACING,
    hasColor,
    isGrey,
    makeCase,
    ras,
)

from ObserverUncertaintySlicer.colors import differenceColors, entropyColors
from ObserverUncertaintySlicer.compareViews import compare
from ObserverUncertaintySlicer.comparisonLayout import ORIENTATIONS

SIZE = (400, 360)
GREY_LEVEL = 255 * GREY / 200
OPACITY = 0.6


@pytest.fixture
def case(scene):
    return makeCase()


@pytest.fixture
def open_(case, renderer):
    """Opens the comparison and returns it with one renderer a view, by (row, orientation).

    Without `furniture`, legends and orientation markers are off, so that every coloured pixel is one of the overlay's.
    """
    opened = []

    def make(raters=None, furniture=False, **options):
        options = {"opacity": OPACITY, **options}
        raters = case.raters if raters is None else raters
        views = compare(case.background, case.predictive, case.expert, raters, **options)
        opened.append(views)
        rows = ("Predictive", "Expert", "Difference")[: len(views.sliceNodes) // 3]
        renderers = {(row, o): renderer(views.sliceNode(row, o), SIZE) for row in rows for o in ORIENTATIONS}
        views.fit()
        if not furniture:
            for legend in slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode"):
                legend.SetVisibility(False)
            for sliceNode in views.sliceNodes:
                sliceNode.SetOrientationMarkerType(sliceNode.OrientationMarkerTypeNone)
                sliceNode.SetRulerType(sliceNode.RulerTypeNone)
        return views, renderers

    yield make
    for views in opened:
        views.close()


def blended(colors, value, lowest=0.0, highest=1.0):
    """What the slice view should show: the table's colour over the grey background."""
    rgba = [0.0] * 4
    colors.GetColor(round(255 * (value - lowest) / (highest - lowest)), rgba)
    return OPACITY * 255 * np.array(rgba[:3]) + (1 - OPACITY) * GREY_LEVEL


def test_colours_are_where_entropy_is_above_the_threshold_and_nowhere_else(open_):
    views, renderers = open_(raters=[])
    for row, centre in (("Predictive", PREDICTIVE_CENTRE), ("Expert", EXPERT_CENTRE)):
        views.jumpTo(ras(*centre))
        for orientation in ORIENTATIONS:
            view = renderers[row, orientation]
            picture = view.render()
            coloured = ~isGrey(picture)
            # A square of 17 voxels; interpolation to the dim surroundings moves its edge by less than a voxel.
            side = (2 * HALF + 1) * SPACING * SIZE[0] / view.sliceNode.GetFieldOfView()[0]
            voxel = SPACING * SIZE[0] / view.sliceNode.GetFieldOfView()[0]
            rows, columns = np.nonzero(coloured)
            middle = view.pixel(ras(*centre))
            assert abs(np.ptp(rows) + 1 - side) < 2 * voxel
            assert abs(np.ptp(columns) + 1 - side) < 2 * voxel
            assert abs(rows.mean() - middle[0]) < 2
            assert abs(columns.mean() - middle[1]) < 2
            # Interpolation rounds the four corners off; otherwise the square is full.
            assert 0.99 < coloured.sum() / ((np.ptp(rows) + 1) * (np.ptp(columns) + 1)) < 1


def test_the_background_stays_exactly_as_grey_as_without_an_overlay(open_):
    views, renderers = open_(raters=[])
    views.jumpTo(ras(*PREDICTIVE_CENTRE))
    view = renderers["Predictive", "Axial"]
    i, j, k = PREDICTIVE_CENTRE
    place = view.pixel(ras(i + 3 * HALF, j + HALF, k))
    shown = view.render()[place]
    view.compositeNode.SetForegroundVolumeID(None)
    np.testing.assert_array_equal(shown, view.render()[place])
    np.testing.assert_allclose(shown, GREY_LEVEL, atol=1)
    assert DIM > 0  # it is the threshold, not zero entropy, that hides the dim voxels


def test_the_same_value_has_the_same_colour_in_both_rows_and_it_is_the_tables(open_):
    views, renderers = open_(raters=[])
    found = []
    for row, centre in (("Predictive", PREDICTIVE_CENTRE), ("Expert", EXPERT_CENTRE)):
        views.jumpTo(ras(*centre))
        for orientation in ORIENTATIONS:
            view = renderers[row, orientation]
            found.append(view.render()[view.pixel(ras(*centre))])
    np.testing.assert_array_equal(found, [found[0]] * 6)
    np.testing.assert_allclose(found[0], blended(entropyColors(), PLATEAU), atol=2)


def test_outlines_have_the_raters_colours_at_their_contours_and_nowhere_else(open_):
    views, renderers = open_()
    views.jumpTo(ras(*RATER_CENTRE))
    for row in ("Predictive", "Expert"):
        for orientation in ORIENTATIONS:
            view = renderers[row, orientation]
            picture = view.render()
            voxel = SPACING * SIZE[0] / view.sliceNode.GetFieldOfView()[0]
            i, j, k = RATER_CENTRE
            for color, shift in ((FIRST_COLOR, 0), (SECOND_COLOR, RATER_SHIFT)):
                rows, columns = np.nonzero(hasColor(picture, color))
                assert len(rows) > 50
                # In the shown slice, so that only the shift within it counts.
                shown = np.where(np.arange(3) == {"Axial": 2, "Sagittal": 0, "Coronal": 1}[orientation], 0, shift)
                centre = view.pixel(ras(*np.add(shown, (i, j, k))))
                distance = np.maximum(abs(rows - centre[0]), abs(columns - centre[1])) / voxel
                # Drawn with 2 pixels on the inside of the contour.
                assert abs(distance.max() - (RATER_HALF + 0.5)) < 0.6
                assert distance.min() > RATER_HALF + 0.5 - 3.5 / voxel - 0.6


def test_no_outline_is_drawn_where_no_rater_drew(open_):
    views, renderers = open_()
    i, j, k = RATER_CENTRE
    views.jumpTo(ras(i, j, k - RATER_HALF - 3))
    picture = renderers["Predictive", "Axial"].render()
    assert isGrey(picture).all()


def test_a_rater_that_is_switched_off_is_not_outlined(open_, case):
    views, renderers = open_(raters=[(case.segmentation, "second")])
    views.jumpTo(ras(*RATER_CENTRE))
    picture = renderers["Expert", "Axial"].render()
    assert hasColor(picture, SECOND_COLOR).any()
    assert not hasColor(picture, FIRST_COLOR).any()


def test_the_inside_of_a_rater_is_not_filled(open_):
    views, renderers = open_()
    views.jumpTo(ras(*RATER_CENTRE))
    view = renderers["Expert", "Axial"]
    np.testing.assert_allclose(view.render()[view.pixel(ras(*RATER_CENTRE))], GREY_LEVEL, atol=1)


def test_more_opacity_moves_pixels_to_the_tables_colour_and_none_leaves_grey(open_):
    views, renderers = open_(raters=[])
    views.jumpTo(ras(*PREDICTIVE_CENTRE))
    view = renderers["Predictive", "Axial"]
    place = view.pixel(ras(*PREDICTIVE_CENTRE))
    table = (blended(entropyColors(), PLATEAU) - (1 - OPACITY) * GREY_LEVEL) / OPACITY
    distances = []
    for opacity in (0.0, 0.3, 0.6, 1.0):
        views.setOpacity(opacity)
        distances.append(np.abs(view.render()[place] - table).sum())
    assert np.all(np.diff(distances) < -10)
    assert distances[-1] <= 3
    views.setOpacity(0.0)
    assert isGrey(view.render()).all()


def test_a_higher_threshold_hides_and_a_lower_one_shows(open_):
    views, renderers = open_(raters=[])
    views.jumpTo(ras(*PREDICTIVE_CENTRE))
    view = renderers["Predictive", "Axial"]
    coloured = []
    for threshold in (DIM / 2, 0.05, PLATEAU + 0.05):
        views.setThreshold(threshold)
        coloured.append((~isGrey(view.render())).sum())
    assert coloured[0] > 5 * coloured[1] > 0
    assert coloured[2] == 0


def test_the_third_row_shows_which_of_both_is_less_sure(open_, case):
    views, renderers = open_(raters=[], difference=case.difference)
    view = renderers["Difference", "Axial"]
    views.jumpTo(ras(*PREDICTIVE_CENTRE))
    picture = view.render()
    plateau = PLATEAU - DIM
    for centre, value in ((PREDICTIVE_CENTRE, plateau), (EXPERT_CENTRE, -plateau)):
        expected = blended(differenceColors(), value, -1.0, 1.0)
        np.testing.assert_allclose(picture[view.pixel(ras(*centre))], expected, atol=3)
    np.testing.assert_allclose(picture[view.pixel(ras(32, 50, PREDICTIVE_CENTRE[2]))], GREY_LEVEL, atol=1)


def test_every_view_has_a_legend_from_the_low_to_the_high_colour(open_):
    views, renderers = open_(raters=[], furniture=True)
    views.setOpacity(0.0)
    for view in renderers.values():
        legend = view.render()[:, int(0.9 * SIZE[0]) :]
        rgba = [0.0] * 4
        rows = []
        for index in (5, 250):
            entropyColors().GetColor(index, rgba)
            matching = np.nonzero(hasColor(legend, rgba[:3], 10))[0]
            assert len(matching) > 4
            rows.append(matching.mean())
        assert rows[0] > rows[1] + 0.3 * SIZE[1]  # high values on top


def test_all_views_show_the_whole_image_at_one_scale(open_, case):
    views, _renderers = open_(raters=[])
    scales = []
    for sliceNode in views.sliceNodes:
        width, height, _ = sliceNode.GetFieldOfView()
        scales += [width / SIZE[0], height / SIZE[1]]
    np.testing.assert_allclose(scales, scales[0])
    # 128 mm must fit into 360 pixels.
    assert 128 / SIZE[1] < scales[0] < 1.2 * 128 / SIZE[1]
    bounds = [0.0] * 6
    case.background.GetRASBounds(bounds)
    axial = views.sliceNode("Predictive", "Axial").GetSliceToRAS()
    assert axial.GetElement(0, 3) == pytest.approx((bounds[0] + bounds[1]) / 2)
    assert axial.GetElement(1, 3) == pytest.approx((bounds[2] + bounds[3]) / 2)


def test_the_patients_right_is_on_the_left_of_the_picture(open_):
    _views, renderers = open_(raters=[])
    for orientation in ("Axial", "Coronal"):
        view = renderers["Predictive", orientation]
        place = np.array(ras(32, 32, 24))
        place[2 if orientation == "Axial" else 1] = view.sliceNode.GetSliceOffset()
        right, left = np.add(place, [[20, 0, 0], [-20, 0, 0]])  # R is + in RAS
        assert view.pixel(right)[1] < view.pixel(left)[1] - 50


def test_pictures_are_identical_to_the_byte_when_repeated(open_):
    views, renderers = open_()
    views.jumpTo(ras(*RATER_CENTRE))
    first = [view.render() for view in renderers.values()]
    views.jumpTo(ras(*EXPERT_CENTRE))
    views.setOpacity(0.1)
    views.setThreshold(0.5)
    for view in renderers.values():
        view.render()
    views.jumpTo(ras(*RATER_CENTRE))
    views.setOpacity(OPACITY)
    views.setThreshold(0.05)
    for picture, view in zip(first, renderers.values(), strict=True):
        np.testing.assert_array_equal(view.render(), picture)
