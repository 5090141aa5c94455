"""The part of step 6 that lets a model learn from the list's reviews, and asks before the new one is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import slicer

from ObserverUncertaintyLib.cohort.reviews import Review
from ObserverUncertaintyLib.jobs import Job
from ObserverUncertaintySlicer.backgroundJobs import SceneJob
from ObserverUncertaintySlicer.caseList import CaseList, reviewsFolder
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.learning import Learned, isBegunIn
from ObserverUncertaintySlicer.panel.fileDialogs import chosenLearningFolder
from ObserverUncertaintySlicer.panel.jobBar import JobBar
from ObserverUncertaintySlicer.panel.modelInUse import ModelInUse
from ObserverUncertaintySlicer.panel.section import Section

ROWS = 8
"""Compared cases that are shown."""


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
        self.bar = JobBar(
            section.context, ui.learnButton, ui.learnBar, ui.learnLabel, self.start, self.finished, endsWithScene=False
        )
        ui.useModelButton.connect("clicked()", self.onUse)
        ui.keepModelButton.connect("clicked()", self.onKeep)

    def update(self) -> None:
        """Offer to learn where there are reviews."""
        ui, found = self._ui, self._cases()
        count = 0 if found is None else len(found.reviews)
        # The step has no room for all at once: first comes what is to be decided.
        isRoom = self._ui.restoreButton.isHidden()
        isDecided = self._learned is None
        ui.learnButton.visible = (bool(count) and isRoom and isDecided) or self.bar.isRunning
        if not self.bar.isRunning:
            ui.learnButton.text = (
                _("Learn from 1 review…") if count == 1 else _("Learn from {count} reviews…").format(count=count)
            )
            self._section.enable(ui.learnButton, self._model.missing())
        ui.learnedBox.visible = isRoom and not isDecided

    def start(self) -> SceneJob | None:
        """Say what will happen and start it; None if the user does not want it."""
        section, parameters, found = self._section, self._section.parameters, self._cases()
        if found is None:
            return None
        folder = chosenLearningFolder()
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
        self._ui.comparisonLabel.text = _table(learned.comparison)
        self._ui.comparisonLabel.toolTip = learned.comparison["sentence"]
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


def _table(comparison: Mapping[str, Any]) -> str:
    """Rich text: both models on the cases, those first that lost most."""
    cases = sorted(comparison["cases"], key=lambda case: case["change"])
    header = [_("Case"), _("Dice with"), _("Old"), _("New"), _("Change")]
    rows = [
        [
            escape(case["case"]),
            _("review") if case["corrected"] else _("majority"),
            _number(case["before"]["dice"]),
            _number(case["after"]["dice"]),
            format(case["change"], "+.3f"),
        ]
        for case in cases[:ROWS]
    ]
    cells = [f"<th align='left'>{'</th><th align=left>'.join(header)}</th>"]
    cells += [f"<td>{'</td><td>'.join(row)}</td>" for row in rows]
    table = f"<table cellspacing='6'>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"
    more = len(cases) - len(rows)
    return table + (_("{count} more in comparison.json").format(count=more) if more else "")


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
