"""Charts in Slicer's plot views: the loss of a training, and WME against Dice of a cohort.

Colours and marker shapes both tell the series apart, for colour-blind readers and grey print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.attributes import ROLE, Role
from ObserverUncertaintySlicer.host import tr as _

_COLORS = ((0.0, 0.447, 0.698), (0.835, 0.369, 0.0), (0.0, 0.62, 0.451), (0.8, 0.475, 0.655), (0.337, 0.706, 0.914))


def lossPlot(
    losses: Sequence[float],
    validationLosses: Sequence[float] | None = None,
    output: slicer.vtkMRMLPlotChartNode | None = None,
) -> slicer.vtkMRMLPlotChartNode:
    """Plot the loss of each epoch, from epoch 1; what is not a number has no point.

    Args:
        losses: mean training loss of each epoch so far.
        validationLosses: as many, NaN where an epoch was not validated; none if None.
        output: a chart that this function made, updated in place; a new one if None.
    """
    if validationLosses is not None and len(validationLosses) != len(losses):
        raise ValueError(f"{len(losses)} training losses, but {len(validationLosses)} validation losses")
    curves = {_("Training"): losses}
    if validationLosses is not None:
        curves[_("Validation")] = validationLosses
    series, highest = [], 0.0
    for name, curve in curves.items():
        values = np.asarray(curve, float)
        known = np.isfinite(values)
        if known.any():
            series.append((name, np.flatnonzero(known) + 1, values[known], None))
        highest = max(highest, *values[known], 0.0)
    chart = _chart(output, Role.LOSS_PLOT, _("Loss"), _("Loss of the training"), _("Epoch"), _("Loss"))
    # A plot view fits its axes to a chart once, when it comes to show it, and not when the curve grows.
    _setRanges(chart, (0.0, len(losses) + 1.0), (0.0, 1.1 * highest or 1.0))
    _plot(chart, series, slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter, withLines=True)
    return chart


def wmeDiceChart(
    arms: Mapping[str, Sequence[tuple[str, float, float]]], output: slicer.vtkMRMLPlotChartNode | None = None
) -> slicer.vtkMRMLPlotChartNode:
    """Plot WME against Dice: one point a case, one series an arm, both axes from 0 to 1.

    A case whose WME or Dice is undefined (NaN) has no place in the chart; its title says how many those are.

    Args:
        arms: what is compared, such as the fusion a model was trained with, to its cases: (name, WME, Dice) each.
        output: a chart that this function made, updated in place; a new one if None.

    Raises:
        InputError: no case has both values.
    """
    series, undefined = [], 0
    for arm, cases in arms.items():
        shown = [case for case in cases if np.isfinite(case[1:]).all()]
        undefined += len(cases) - len(shown)
        if shown:
            names, wme, dice = zip(*shown, strict=True)
            series.append((arm, np.array(dice), np.array(wme), list(names)))
    if not series:
        raise InputError(
            _(
                "None of the {count} cases has both a WME and a Dice; expected at least one. Score cases with raters "
                "who disagree somewhere."
            ).format(count=undefined)
        )
    title = _("WME against Dice")
    if undefined:
        title += " " + _("({count} undefined)").format(count=undefined)
    chart = _chart(output, Role.WME_DICE_CHART, _("WME and Dice"), title, _("Dice"), _("WME"))
    _setRanges(chart, (0.0, 1.0), (0.0, 1.0))
    _plot(chart, series, slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter, withLines=False)
    return chart


def showPlotLayout(chart: slicer.vtkMRMLPlotChartNode) -> None:
    """Show a chart, in a layout with a plot view if the current one has none."""
    slicer.modules.plots.logic().ShowChartInLayout(chart)


def _chart(output, role: Role, name: str, title: str, xTitle: str, yTitle: str):
    chart = output
    if chart is None:
        chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", name)
        ROLE.set(chart, role)
    elif ROLE.of(chart) != role:
        raise InputError(f"{chart.GetName()}: this chart shows something else; expected one of {name}. Make a new one.")
    chart.SetTitle(title)
    chart.SetXAxisTitle(xTitle)
    chart.SetYAxisTitle(yTitle)
    chart.SetLegendVisibility(True)
    return chart


def _setRanges(chart, x: tuple[float, float], y: tuple[float, float]) -> None:
    chart.SetXAxisRangeAuto(False)
    chart.SetXAxisRange(*x)
    chart.SetYAxisRangeAuto(False)
    chart.SetYAxisRange(*y)


def _plot(chart, series: list[tuple], plotType: int, withLines: bool) -> None:
    """Give the chart exactly these series of (name, x, y, labels); nodes that it has are used again."""
    nodes = [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]
    for node in nodes[len(series) :]:
        chart.RemovePlotSeriesNodeID(node.GetID())
        slicer.mrmlScene.RemoveNode(node.GetTableNode())
        slicer.mrmlScene.RemoveNode(node)
    for index, (name, x, y, labels) in enumerate(series):
        if index < len(nodes):
            node = nodes[index]
        else:
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
            node.SetAndObserveTableNodeID(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name).GetID())
        _fillTable(node.GetTableNode(), chart, name, x, y, labels)
        wasModifying = node.StartModify()
        try:
            node.SetName(name)
            node.SetPlotType(plotType)
            node.SetXColumnName(chart.GetXAxisTitle())
            node.SetYColumnName(chart.GetYAxisTitle())
            node.SetLabelColumnName(_("Case") if labels else "")
            node.SetColor(*_COLORS[index % len(_COLORS)])
            node.SetMarkerStyle(1 + index % (slicer.vtkMRMLPlotSeriesNode.MarkerStyle_Last - 1))
            node.SetMarkerSize(7)
            node.SetLineStyle(
                slicer.vtkMRMLPlotSeriesNode.LineStyleSolid if withLines else slicer.vtkMRMLPlotSeriesNode.LineStyleNone
            )
        finally:
            node.EndModify(wasModifying)
        if index >= len(nodes):
            chart.AddAndObservePlotSeriesNodeID(node.GetID())


def _fillTable(tableNode, chart, name: str, x, y, labels: list[str] | None) -> None:
    if len(x) == 1:
        # Twice the same: at every painting of a single point, drawn as a line or not, VTK logs an error.
        x, y, labels = np.repeat(x, 2), np.repeat(y, 2), labels and labels * 2
    table = vtk.vtkTable()
    for title, values in ((chart.GetXAxisTitle(), x), (chart.GetYAxisTitle(), y)):
        column = numpy_support.numpy_to_vtk(np.asarray(values, float), deep=True)
        column.SetName(title)
        table.AddColumn(column)
    if labels:
        column = vtk.vtkStringArray()
        column.SetName(_("Case"))
        for label in labels:
            column.InsertNextValue(label)
        table.AddColumn(column)
    tableNode.SetName(f"{chart.GetName()}: {name}")
    tableNode.SetAndObserveTable(table)
