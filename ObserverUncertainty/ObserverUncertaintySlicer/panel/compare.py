"""Step 5: both entropies side by side, the scores of the case, and the chart of a cohort."""

from __future__ import annotations

import csv
from pathlib import Path

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.charts import showPlotLayout, wmeDiceChart
from ObserverUncertaintySlicer.compareViews import CompareViews, presentViews
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.panel.context import Context
from ObserverUncertaintySlicer.panel.pathField import PathField, whyNotFile
from ObserverUncertaintySlicer.panel.section import Section, singleShot
from ObserverUncertaintySlicer.sliceRanking import mostUncertainPoint


class CompareSection(Section):
    """Shows predictive beside expert entropy; the views exist until the user goes back or closes the scene."""

    uiName = "Compare"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._own: CompareViews | None = None
        self._again = singleShot(0, self._showAgain)
        ui = self.ui
        ui.compareButton.connect("clicked()", self.onCompare)
        ui.backButton.connect("clicked()", self.onBack)
        ui.differenceCheck.connect("toggled(bool)", self.onDifferenceToggled)
        ui.opacitySlider.connect("valueChanged(double)", self.onOpacityChanged)
        ui.thresholdSlider.connect("valueChanged(double)", self.onThresholdChanged)
        ui.mostUncertainButton.connect("clicked()", self.onMostUncertain)
        ui.mostDisputedButton.connect("clicked()", self.onMostDisputed)
        ui.metricsButton.connect("clicked()", self.onMetrics)
        self._cohortScores = PathField(ui.cohortScoresPath, lambda _path: context.update())
        ui.cohortChartButton.connect("clicked()", self.onCohortChart)

    @property
    def views(self) -> CompareViews | None:
        """The comparison that is shown, also one that came with a scene; None if there is none."""
        return presentViews()

    def update(self) -> None:
        """Show what can be compared."""
        ui, parameters, missing = self.ui, self.parameters, self.missing()
        ready = not missing
        self._followViews()
        isShown = self.views is not None
        self.say(ui.missingLabel, missing)
        ui.compareButton.enabled = ready
        for widget in (
            ui.backButton,
            ui.opacitySlider,
            ui.thresholdSlider,
            ui.mostUncertainButton,
            ui.mostDisputedButton,
        ):
            widget.enabled = isShown
        ui.metricsButton.enabled = ready and parameters.segmentation is not None
        ui.opacitySlider.value = parameters.opacity
        ui.thresholdSlider.value = parameters.threshold
        ui.differenceCheck.checked = parameters.showDifference
        table = parameters.metricsTable
        if ui.metricsView.mrmlTableNode() is not table:
            ui.metricsView.setMRMLTableNode(table)
        ui.metricsView.visible = table is not None
        reason = whyNotFile(self._cohortScores.text, ".csv", _("Choose the file of a cohort's scores."))
        self.enable(ui.cohortChartButton, reason)

    def missing(self) -> str:
        """What must be there before entropies can be compared; empty when all is."""
        parameters = self.parameters
        if parameters.reference is None:
            return _("Needs a volume (step 1).")
        if parameters.expertEntropy is None:
            return _("Needs the expert entropy (step 2).")
        if parameters.predictiveEntropy is None:
            return _("Needs the model's entropy (step 4).")
        return ""

    def state(self) -> str:
        """What is missing, or that the views are shown."""
        return self.missing() or (_("shown") if self.views is not None else _("ready"))

    def onCompare(self) -> None:
        """Lay the entropies out side by side."""
        with self.context.errorsShown(), waitCursor():
            self._show()
        self.context.update()

    def onBack(self) -> None:
        """Return to the layout from before."""
        if self.views is not None:
            self.views.restoreLayout()
        self.context.update()

    def onDifferenceToggled(self, checked: bool) -> None:
        """Show or hide the difference row."""
        if self.context.isUpdating:
            return
        self.parameters.showDifference = checked
        if self.views is not None:
            self.onCompare()

    def onOpacityChanged(self, value: float) -> None:
        """Change the opacity of the entropy in the compare views."""
        if not self.context.isUpdating:
            self.parameters.opacity = value
            if self.views is not None:
                self.views.setOpacity(value)

    def onThresholdChanged(self, value: float) -> None:
        """Change from which entropy on there is colour."""
        if not self.context.isUpdating:
            self.parameters.threshold = value
            if self.views is not None:
                self.views.setThreshold(value)

    def onMostUncertain(self) -> None:
        """Go where the model is most unsure."""
        with self.context.errorsShown():
            self.views.jumpTo(mostUncertainPoint(self.parameters.predictiveEntropy))

    def onMostDisputed(self) -> None:
        """Go where the experts disagree most."""
        with self.context.errorsShown():
            self.views.jumpTo(mostUncertainPoint(self.parameters.expertEntropy))

    def onMetrics(self) -> None:
        """Score the case."""
        parameters = self.parameters
        with self.context.errorsShown(), waitCursor():
            parameters.metricsTable = self.logic.metrics(
                parameters.segmentation,
                parameters.predictiveEntropy,
                parameters.raters,
                parameters.probability,
                parameters.metricsTable,
            )
            self.ui.metricsView.resizeColumnsToContents()

    def onCohortChart(self) -> None:
        """Chart WME against Dice of a cohort."""
        with self.context.errorsShown():
            path = Path(self._cohortScores.text)
            self.parameters.cohortChart = wmeDiceChart({path.stem: readScores(path)}, self.parameters.cohortChart)
            showPlotLayout(self.parameters.cohortChart)

    def letGo(self) -> None:
        """The panel shows the comparison no longer: the scene is about to be closed, or the panel goes away."""
        self._again.stop()
        if self.views is not None:
            self.views.whenClosed = None

    def _followViews(self) -> None:
        """Hear of the comparison's end; end one of what is the case's no longer, and show a new result in its place.

        A comparison that a script laid out of other volumes is left alone.
        """
        views, parameters = self.views, self.parameters
        if views is None:
            return
        views.whenClosed = self.context.update
        wanted = [parameters.reference, parameters.predictiveEntropy, parameters.expertEntropy]
        if views.volumes[:3] == wanted:
            self._own = views
        elif views is self._own and (views.background is not wanted[0] or None in wanted):
            views.restoreLayout()
        elif views is self._own:
            self._again.start()

    def _showAgain(self) -> None:
        try:
            with waitCursor():
                self._show()
        except InputError:  # a click will tell why; a message out of a timer would be in the way of the brush
            if self.views is not None:
                self.views.restoreLayout()
        self.context.update()

    def _show(self) -> None:
        parameters = self.parameters
        difference = None
        if parameters.showDifference:
            difference = self.logic.difference(
                parameters.predictiveEntropy, parameters.expertEntropy, parameters.difference
            )
            parameters.difference = difference
        place = self.views.place if self.views is not None and self.views is self._own else None
        views = self.logic.compare(
            parameters.reference, parameters.predictiveEntropy, parameters.expertEntropy, parameters.raters, difference
        )
        views.setOpacity(parameters.opacity)
        views.setThreshold(parameters.threshold)
        if place is not None:
            views.jumpTo(place)


def readScores(path: Path) -> list[tuple[str, float, float]]:
    """Read case, WME and Dice (majority) from a file of `observer-uncertainty evaluate`; NaN where undefined.

    Raises:
        InputError: the file cannot be read, or lacks one of the columns.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            _("{path} cannot be read: {error}. Choose a .csv file that evaluate wrote.").format(path=path, error=error)
        ) from error
    columns = ("case", "wme", "dice_majority")
    missing = [column for column in columns if not rows or column not in rows[0]]
    if missing:
        raise InputError(
            _("{path} has no column {missing}; expected the scores of observer-uncertainty evaluate.").format(
                path=path, missing=", ".join(missing)
            )
        )
    return [(row["case"], float(row["wme"] or "nan"), float(row["dice_majority"] or "nan")) for row in rows]
