"""The part of step 6 that lets a model learn from the list's reviews, and asks before the new one is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import qt
import slicer

from ObserverUncertaintyLib.cohort.reviews import Review
from ObserverUncertaintyLib.jobs import Job
from ObserverUncertaintySlicer.backgroundJobs import SceneJob
from ObserverUncertaintySlicer.caseList import CaseList, reviewsFolder
from ObserverUncertaintySlicer.host import saveSetting, setting, waitCursor
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.learning import Learned, isBegunIn
from ObserverUncertaintySlicer.panel.jobBar import JobBar
from ObserverUncertaintySlicer.panel.modelInUse import ModelInUse
from ObserverUncertaintySlicer.panel.section import Section
from ObserverUncertaintySlicer.panel.tables import fitHeight, setCell, setHeaders, setUpTable

ROWS = 5
"""Rows of compared cases that are seen at a time."""
_LEARNING_FOLDER = "LearningFolder"


class Learning:
    """Starts to learn from reviews, shows gain and loss, and lets the user choose a model.

    Args:
        section: the step's, with the widgets.
        model: the model in use, which is trained on.
        cases: the list that is shown; None if there is none.
    """

    def __init__(self, section: Section, model: ModelInUse, cases: Callable[[], CaseList | None]) -> None:
        self._section, self._model, self._cases = section, model, cases
        self._ui = ui = section.ui
        self._learned: Learned | None = None
        setUpTable(ui.comparisonTable, ["", "", "", "", ""], stretched=0)
        headers = {
            _("Case"): _("The corrected cases come first"),
            _("Dice with"): _("What both models are compared with: the reviewed contour, or the raters' majority"),
            _("Old"): _("Dice of the model that was trained on"),
            _("New"): _("Dice of the new model"),
            _("Change"): _("By how much the Dice rose"),
        }
        setHeaders(ui.comparisonTable, list(headers), list(headers.values()))
        self.bar = JobBar(
            section.context, ui.learnButton, ui.learnBar, ui.learnLabel, self.start, self.finished, endsWithScene=False
        )
        ui.useModelButton.connect("clicked()", self.onUse)
        ui.keepModelButton.connect("clicked()", self.onKeep)

    def update(self) -> None:
        """Offer to learn where there are reviews."""
        ui, found = self._ui, self._cases()
        count = 0 if found is None else len(found.reviews)
        ui.learnButton.visible = bool(count) or self.bar.isRunning
        if not self.bar.isRunning:
            ui.learnButton.text = (
                _("Learn from 1 review…") if count == 1 else _("Learn from {count} reviews…").format(count=count)
            )
            self._section.enable(ui.learnButton, self._model.missing())
        ui.learnedBox.visible = self._learned is not None

    def start(self) -> SceneJob | None:
        """Say what will happen and start it; None if the user does not want it."""
        section, parameters, found = self._section, self._section.parameters, self._cases()
        if found is None:
            return None
        folder = _chosenFolder()
        if not folder:
            return None
        isBegun = isBegunIn(folder)
        question = _question(found.reviews, self._model, Path(folder), isBegun)
        if not slicer.util.confirmOkCancelDisplay(question):
            return None
        self._learned = None
        section.say(self._ui.chosenLabel, "")
        with waitCursor():
            return section.logic.learnFromReviews(
                parameters.listManifest,
                reviewsFolder(parameters.listPredictions),
                self._model.folder,
                folder,
                device=parameters.device,
                keepRunning=parameters.keepRunning,
                wait=False,
            )

    def finished(self, learned: Learned) -> str:
        """Show what was gained and lost; which model is used is the user's choice."""
        self._learned = learned
        self._section.say(self._ui.chosenLabel, "")
        self._fill(learned)
        self._ui.casesButton.collapsed = False
        return _gainAndLoss(learned.comparison)

    def follow(self, job: SceneJob) -> None:
        """Show a learning of another session that still runs."""
        self.bar.follow(job)

    def useFound(self, learned: Learned, _job: Job) -> str:
        """Show what a learning of another session has brought."""
        self.bar.finish(learned)
        self._section.context.update()
        return _("Step 6 shows under Cases what was gained and lost.")

    def onUse(self) -> None:
        """Use the new model from now on."""
        if self._learned is not None:
            folder, self._learned = self._learned.model, None
            self._model.choose(folder)
            text = _(
                "The new model is in use: {folder}. The list is of the old one's predictions; predict the cohort again."
            )
            self._say(text, folder)

    def onKeep(self) -> None:
        """Go on with the old model."""
        if self._learned is not None:
            folder, self._learned = self._learned.model, None
            self._say(_("The old model stays in use. The new one stays in {folder}."), folder)

    def _say(self, text: str, folder: Path) -> None:
        self._section.say(self._ui.chosenLabel, text.format(folder=f"{folder.parent.name}/{folder.name}"))
        self._ui.chosenLabel.toolTip = str(folder)
        self.bar.clear()
        self._section.context.update()

    def _fill(self, learned: Learned) -> None:
        table, cases = self._ui.comparisonTable, learned.comparison["cases"]
        table.setRowCount(len(cases))
        for row, case in enumerate(cases):
            toolTip = "\n".join([case["case"], *_circumstances(case)])
            texts = [
                case["case"],
                _("review") if case["corrected"] else _("majority"),
                _number(case["before"]["dice"]),
                _number(case["after"]["dice"]),
                _number(case["change"], "+.3f"),
            ]
            for column, text in enumerate(texts):
                setCell(table, row, column, text, toolTip)
        fitHeight(table, ROWS)
        self._ui.comparisonTable.toolTip = learned.comparison["sentence"]


def _gainAndLoss(comparison: Mapping[str, Any]) -> str:
    """In a line each: what was gained on corrected cases, what was lost on others, and what else to know."""
    corrected, others, worse = comparison["corrected"], comparison["others"], comparison["worse"]["cases"]
    lines = [_("Corrected cases ({count}): {change}.").format(count=corrected["cases"], change=_change(corrected))]
    if others["cases"]:
        trained = others["trained_on"]
        how = _("not trained on") if not trained else _("{count} of them trained on").format(count=trained)
        lines.append(
            _("Other cases ({count}, {how}): {change}.").format(count=others["cases"], how=how, change=_change(others))
        )
    else:
        lines.append(_("No other case has raters, so what was lost elsewhere is not known."))
    if worse:
        limit = comparison["worse"]["by_more_than"]
        lines.append(_("Worse by more than {limit}: {cases}.").format(limit=limit, cases=", ".join(worse)))
    return "\n".join([*lines, *comparison["notes"]])


def _change(group: Mapping[str, Any]) -> str:
    """How the mean Dice of a group of cases changed, and whether that is a gain or a loss."""
    before, after = group["before"]["dice"], group["after"]["dice"]
    text = _("Dice {before} to {after}, a gain of {change}")
    if before is None or after is None:
        text = _("the Dice is unknown")
    elif after < before:
        text = _("Dice {before} to {after}, a loss of {change}")
    change = None if before is None or after is None else abs(after - before)
    return text.format(before=_number(before), after=_number(after), change=_number(change))


def _circumstances(case: Mapping[str, Any]) -> list[str]:
    new = _("The new model was trained on it.") if case["trained_on"] else _("The new model was not trained on it.")
    old = (
        _("The old model was trained on it.") if case["in_old_training"] else _("The old model was not trained on it.")
    )
    return [new, old]


def _number(value: float | None, form: str = ".3f") -> str:
    return _("unknown") if value is None else format(value, form)


def _question(reviews: tuple[Review, ...], model: ModelInUse, folder: Path, isBegun: bool) -> str:
    """What will happen, and what one should think of before."""
    reviewers = ", ".join(dict.fromkeys(review.reviewer for review in reviews))
    lines = [
        _("Reviews: {count}, of {cases}, by {names}. Their authors join the cohort as further raters.").format(
            count=len(reviews), cases=", ".join(dict.fromkeys(review.case for review in reviews)), names=reviewers
        ),
        _(
            "The model {model} is trained on with them in the background. All that is new is written to {folder}."
        ).format(model=model.folder.name, folder=folder),
        _("Cohort, raters and the old model stay as they are. You see gain and loss before you choose a model."),
    ]
    digest = model.card.description.weights_digest if model.card is not None else None
    others = [review for review in reviews if review.model != digest]
    if digest is not None and others:
        lines.append(
            _("Careful: {count} of the reviews are of another model's contour than {model}'s (step 3).").format(
                count=len(others), model=model.folder.name
            )
        )
    if isBegun:
        lines.append(_("A learning was begun in this folder; it is gone on with."))
    return "\n\n".join([*lines, _("Start?")])


def _chosenFolder() -> str:
    """The folder for what is learned; "" if none is chosen."""
    title = _("New folder for the model that learns, and its cohort")
    folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, setting(_LEARNING_FOLDER))
    if folder:
        saveSetting(_LEARNING_FOLDER, str(Path(folder).parent))
    return folder
