"""Charts hold the numbers they are given, on axes that stay."""

import numpy as np
import pytest
import slicer
import slicer.util

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.charts import lossPlot, showPlotLayout, wmeDiceChart

NAN = float("nan")


def values(series):
    table = series.GetTableNode().GetTable()
    return [
        [table.GetColumnByName(name).GetValue(row) for row in range(table.GetNumberOfRows())]
        for name in (series.GetXColumnName(), series.GetYColumnName())
    ]


def seriesOf(chart):
    return [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]


def test_losses_are_plotted_from_epoch_one(scene):
    chart = lossPlot([0.9, 0.5, 0.25])
    (training,) = seriesOf(chart)
    assert values(training) == [[1, 2, 3], [0.9, 0.5, 0.25]]
    assert chart.GetXAxisTitle() == "Epoch"
    assert training.GetName() == "Training"


def test_a_single_point_is_there_twice_since_vtk_draws_no_line_of_one(scene):
    chart = lossPlot([0.9, 0.5], [NAN, 0.7])
    _training, validation = seriesOf(chart)
    assert values(validation) == [[2, 2], [0.7, 0.7]]
    lossPlot([0.9, 0.5, 0.4], [NAN, 0.7, 0.6], chart)
    assert values(validation) == [[2, 3], [0.7, 0.6]]


def test_a_curve_without_any_number_is_none(scene):
    chart = lossPlot([0.9, 0.5], [NAN, NAN])
    assert [series.GetName() for series in seriesOf(chart)] == ["Training"]
    lossPlot([NAN], [NAN], chart)
    assert seriesOf(chart) == []


def test_the_axes_show_every_epoch_of_both_curves_however_they_grow(scene):
    chart = lossPlot([0.9])
    assert (chart.GetXAxisRangeAuto(), chart.GetYAxisRangeAuto()) == (False, False)
    assert chart.GetXAxisRange() == (0, 2)
    assert chart.GetYAxisRange() == pytest.approx((0, 0.99))
    lossPlot([0.9, 0.5, 0.2], [NAN, 1.2, 1.0], chart)
    assert chart.GetXAxisRange() == (0, 4)
    assert chart.GetYAxisRange() == pytest.approx((0, 1.32))


@pytest.mark.parametrize("losses", [[NAN], [0.0], []])
def test_a_curve_without_a_height_has_axes_all_the_same(scene, losses):
    chart = lossPlot(losses)
    assert chart.GetXAxisRange() == (0, len(losses) + 1)
    assert chart.GetYAxisRange() == (0, 1)


def test_a_loss_that_is_no_number_has_no_point(scene):
    chart = lossPlot([0.9, NAN, 0.4])
    assert values(seriesOf(chart)[0]) == [[1, 3], [0.9, 0.4]]
    assert chart.GetYAxisRange() == pytest.approx((0, 0.99))


def test_epochs_without_validation_are_left_out(scene):
    training, validation = seriesOf(lossPlot([0.9, 0.5, 0.25, 0.2], [NAN, 0.6, NAN, 0.4]))
    assert values(validation) == [[2, 4], [0.6, 0.4]]
    assert training.GetColor() != validation.GetColor()
    assert training.GetMarkerStyle() != validation.GetMarkerStyle()


def test_a_growing_loss_updates_the_chart_in_place(scene):
    chart = lossPlot([0.9], [0.8])
    assert lossPlot([0.9, 0.5], [0.8, 0.7], chart) is chart
    assert [values(series)[1] for series in seriesOf(chart)] == [[0.9, 0.5], [0.8, 0.7]]
    lossPlot([0.9, 0.5, 0.3], output=chart)
    assert len(seriesOf(chart)) == 1
    assert scene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode") == 1
    assert scene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 1
    assert scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 1


def test_losses_and_validation_losses_of_different_length_are_refused(scene):
    with pytest.raises(ValueError, match="2 training losses, but 1"):
        lossPlot([0.9, 0.5], [0.8])


def test_the_cohort_chart_has_one_point_a_case_and_one_series_an_arm(scene):
    chart = wmeDiceChart({"none": [("a", 0.4, 0.8), ("b", 0.5, 0.7)], "staple": [("a", 0.2, 0.9)]})
    none, staple = seriesOf(chart)
    assert (none.GetName(), staple.GetName()) == ("none", "staple")
    assert values(none) == [[0.8, 0.7], [0.4, 0.5]]  # Dice to the right, WME up
    assert values(staple) == [[0.9, 0.9], [0.2, 0.2]]
    table = none.GetTableNode().GetTable()
    labels = table.GetColumnByName(none.GetLabelColumnName())
    assert [labels.GetValue(row) for row in range(2)] == ["a", "b"]
    assert chart.GetXAxisRange() == (0, 1)
    assert chart.GetYAxisRange() == (0, 1)
    assert none.GetLineStyle() == none.LineStyleNone


def test_cases_without_a_score_are_counted_in_the_title(scene):
    chart = wmeDiceChart({"none": [("a", 0.4, 0.8), ("b", NAN, 0.7)], "staple": [("a", 0.2, NAN)]})
    assert len(seriesOf(chart)) == 1
    assert "(2 undefined)" in chart.GetTitle()


def test_a_cohort_without_any_score_is_refused(scene):
    with pytest.raises(InputError, match="None of the 1 cases"):
        wmeDiceChart({"none": [("a", NAN, 0.7)]})
    assert scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 0


def test_a_chart_of_another_kind_is_not_overwritten(scene):
    chart = lossPlot([0.9])
    with pytest.raises(InputError, match="Loss"):
        wmeDiceChart({"none": [("a", 0.4, 0.8)]}, chart)
    assert values(seriesOf(chart)[0])[1] == [0.9, 0.9]


def test_the_plot_layout_shows_the_chart(scene):
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(scene)
    chart = lossPlot([0.9, 0.5])
    showPlotLayout(chart)
    (view,) = slicer.util.getNodesByClass("vtkMRMLPlotViewNode")
    assert view.GetPlotChartNodeID() == chart.GetID()
    layoutNode = slicer.util.getNodesByClass("vtkMRMLLayoutNode")[0]
    assert layoutNode.GetViewArrangement() == layoutNode.SlicerLayoutFourUpPlotView
    assert np.isfinite(values(seriesOf(chart)[0])).all()
    logic.SetMRMLScene(None)
