"""Step 5: model uncertainty and expert disagreement side by side, the case's scores, and the chart of a cohort."""

from __future__ import annotations

import csv
from pathlib import Path

import qt

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.charts import showPlotLayout, wmeDiceChart
from ObserverUncertaintySlicer.compareViews import CompareViews, presentViews
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.panel.contents import Key, raterKey, volumeKey
from ObserverUncertaintySlicer.panel.context import Context
from ObserverUncertaintySlicer.panel.pathField import PathField, whyNotFile
from ObserverUncertaintySlicer.panel.section import Section, singleShot
from ObserverUncertaintySlicer.panel.tables import setUpRows
from ObserverUncertaintySlicer.places import mostUncertainPoint
from ObserverUncertaintySlicer.raters import ratersOfNode
from ObserverUncertaintySlicer.scores import EXPLANATION, MOST_TELLING, NAME_COLUMN, NOTE, VALUE, isAmongTheFirst


class CompareSection(Section):
    """Shows the model's uncertainty beside the experts' disagreement, and the scores.

    The views exist until the user goes back or closes the scene.
    """

    uiName = "Compare"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._own: CompareViews | None = None
        # The table, and what its scores were computed from.
        self._scored: tuple[str, Key | None] | None = None
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
        ui.allScoresCheck.connect("toggled(bool)", lambda _checked: self._showScores())
        setUpRows(ui.metricsView)
        self._rows = ui.metricsView.selectionModel()
        self._rows.connect("currentRowChanged(QModelIndex,QModelIndex)", self._explain)
        self._cohortScores = PathField(ui.cohortScoresPath, lambda _path: context.update())
        ui.cohortChartButton.connect("clicked()", self.onCohortChart)

    @property
    def views(self) -> CompareViews | None:
        """The comparison that is shown, also one that came with a scene; None if there is none."""
        return presentViews()

    def update(self) -> None:
        """Show what can be used now, and say what is missing for the rest."""
        ui, parameters, missing = self.ui, self.parameters, self.missing()
        self._followViews()
        isReady, isShown = not missing, self.views is not None
        self.say(ui.missingLabel, missing)
        isAtSwitch = ui.compareButton.focus or ui.backButton.focus
        ui.compareButton.visible = isReady and not isShown
        ui.backButton.visible = isShown
        if isAtSwitch:  # who works by keyboard stays where the one button takes the other's place
            (ui.backButton if isShown else ui.compareButton).setFocus()
        for widget in (
            *(ui.mostUncertainButton, ui.mostDisputedButton),
            *(ui.opacityCaption, ui.opacitySlider, ui.thresholdCaption, ui.thresholdSlider),
        ):
            widget.visible = isShown
        ui.metricsButton.visible = isReady and parameters.segmentation is not None
        ui.differenceCheck.visible = isReady or isShown
        ui.opacitySlider.value = parameters.opacity
        ui.thresholdSlider.value = parameters.threshold
        ui.differenceCheck.checked = parameters.showDifference
        self._showScores()
        reason = whyNotFile(self._cohortScores.text, ".csv", _("Choose the file of a cohort's scores."))
        self.enable(ui.cohortChartButton, reason)
        ui.cohortChartButton.visible = bool(self._cohortScores.text)

    def missing(self) -> str:
        """What must be there before there is something to compare, and how to get it; empty when all is there."""
        parameters = self.parameters
        if parameters.reference is None:
            return _("Needs a case: load one in step 1.")
        if len(parameters.raters) < 2:
            return _("Needs the contours of at least two experts: add them in step 1, or tick more of them there.")
        if parameters.predictiveEntropy is None and parameters.expertEntropy is None:
            return _(
                "Needs the model's uncertainty and the experts' disagreement: click Show uncertainty in step 1, which "
                "computes both."
            )
        if parameters.predictiveEntropy is None:
            return _("Needs the model's uncertainty: click Show uncertainty in step 1, or Run the model in step 4.")
        if parameters.expertEntropy is None:
            return _("Needs the experts' disagreement: click Show expert disagreement in step 2.")
        return ""

    def state(self) -> str:
        """What is missing, or whether the views are shown; and the score that says most, if it is there."""
        parameters = self.parameters
        if parameters.reference is None:
            return _("needs a case")
        if parameters.expertEntropy is None and parameters.predictiveEntropy is None:
            return _("nothing to compare yet")
        if len(parameters.raters) < 2:
            return _("needs two raters")
        if parameters.expertEntropy is None:
            return _("needs the experts' disagreement")
        if parameters.predictiveEntropy is None:
            return _("needs the model's uncertainty")
        texts = [_("shown") if self.views is not None else _("ready")]
        table = parameters.metricsTable
        if table is not None and not self._areScoresBehind():
            names = _columnOf(table, NAME_COLUMN)
            if MOST_TELLING in names:
                texts.append(_("Dice {value}").format(value=table.GetCellText(names.index(MOST_TELLING), VALUE)))
        return ", ".join(texts)

    def onCompare(self) -> None:
        """Lay the entropies out side by side."""
        with self.context.errorsShown(), waitCursor():
            self.show()
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
            table = parameters.metricsTable = self.logic.metrics(
                parameters.segmentation,
                parameters.predictiveEntropy,
                parameters.raters,
                parameters.probability,
                parameters.metricsTable,
            )
            self._scored = (table.GetID(), self._scoresInputs())
        self.context.update()

    def onCohortChart(self) -> None:
        """Chart WME against Dice of a cohort."""
        with self.context.errorsShown():
            path = Path(self._cohortScores.text)
            self.parameters.cohortChart = wmeDiceChart({path.stem: readScores(path)}, self.parameters.cohortChart)
            showPlotLayout(self.parameters.cohortChart)

    def show(self) -> None:
        """Lay model uncertainty and expert disagreement out side by side.

        Raises:
            InputError: a volume or a rater cannot be used.
        """
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

    def letGo(self) -> None:
        """The panel shows the comparison no longer: the scene is about to be closed, or the panel goes away."""
        self._again.stop()
        self._scored = None
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
                self.show()
        except InputError:  # a click will tell why; a message out of a timer would be in the way of the brush
            if self.views is not None:
                self.views.restoreLayout()
        self.context.update()

    def _showScores(self) -> None:
        """Show the table's scores, of those that are for scientists only what is wanted, and what there is to say."""
        ui, table = self.ui, self.parameters.metricsTable
        view = ui.metricsView
        if view.mrmlTableNode() is not table:
            view.setMRMLTableNode(table)
        view.visible = ui.allScoresCheck.visible = table is not None
        if table is None:
            self._scored = None
            self.say(ui.explanationLabel, "")
            self.say(ui.scoresLabel, "")
            return
        if self._scored is None or self._scored[0] != table.GetID():
            self._scored = (table.GetID(), self._scoresInputs())  # it came with a scene, with what it is of
        notes = []
        for row, name in enumerate(_columnOf(table, NAME_COLUMN)):
            isNote = name == NOTE
            if isNote:
                notes.append(table.GetCellText(row, EXPLANATION))
            wanted = ui.allScoresCheck.checked or not name or isAmongTheFirst(name)
            view.setRowHidden(row, isNote or not wanted)
        for column in range(EXPLANATION, table.GetNumberOfColumns()):
            view.setColumnHidden(column, True)
        header = view.horizontalHeader()
        for column in range(EXPLANATION):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents if column else qt.QHeaderView.Stretch)
        rows = sum(view.rowHeight(row) for row in range(table.GetNumberOfRows()))
        view.setFixedHeight(rows + header.sizeHint.height() + 2 * view.frameWidth)
        if self._areScoresBehind():
            notes.insert(0, _("The contours or the model's result changed since: click Scores again."))
        self.say(ui.scoresLabel, "\n".join(notes))
        self._explain(view.currentIndex())

    def _explain(self, current, _before=None) -> None:
        table = self.parameters.metricsTable
        if table is not None:
            text = table.GetCellText(current.row(), EXPLANATION) if current.row() >= 0 else ""
            self.say(self.ui.explanationLabel, text or _("Choose a line to read what it means."))

    def _scoresInputs(self) -> Key | None:
        """What the scores depend on; None where something of it is missing."""
        entropy, segmentation = self.parameters.predictiveEntropy, self.parameters.segmentation
        if entropy is None or segmentation is None:
            return None
        contours = [*ratersOfNode(segmentation)[:1], *self.parameters.raters]
        return volumeKey(entropy), *map(raterKey, contours)

    def _areScoresBehind(self) -> bool:
        return self._scored is not None and self._scored[1] != self._scoresInputs()


def _columnOf(table, name: str) -> list[str]:
    """The texts of a column; empty ones where a table of an earlier version has no such column."""
    column = table.GetColumnIndex(name)
    return [table.GetCellText(row, column) if column >= 0 else "" for row in range(table.GetNumberOfRows())]


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
