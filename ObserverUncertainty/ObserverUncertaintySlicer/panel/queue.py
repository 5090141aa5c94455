"""The part of step 6 that predicts a cohort's cases as a queue in the background, and fills the list with them."""

from __future__ import annotations

from collections.abc import Callable

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.jobs import Job
from ObserverUncertaintySlicer.backgroundJobs import SceneJob
from ObserverUncertaintySlicer.foundJobs import takeUp
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.listedNodes import listedCase
from ObserverUncertaintySlicer.panel.caseList import CaseListControls
from ObserverUncertaintySlicer.panel.fileDialogs import chosenManifest
from ObserverUncertaintySlicer.panel.jobBar import JobBar
from ObserverUncertaintySlicer.panel.modelInUse import ModelInUse
from ObserverUncertaintySlicer.panel.queueDialog import chosenQueueFolder
from ObserverUncertaintySlicer.panel.section import Section
from ObserverUncertaintySlicer.predictionQueue import Queue, queueOf, runningQueue

_MOST_NAMED = 5
"""Cases that were left out and are named; the list has all of them."""


class PredictionQueue:
    """Starts to predict a cohort's cases, and shows each in the list when it is complete.

    Args:
        section: the step's, with the widgets.
        model: the model in use.
        sampling: how many samples a run of step 4 takes now, and whether they are balanced.
        samplingText: the same in words, and the device.
        cases: the list.
    """

    def __init__(
        self,
        section: Section,
        model: ModelInUse,
        sampling: Callable[[], tuple[int, bool]],
        samplingText: Callable[[], str],
        cases: CaseListControls,
    ) -> None:
        self._section, self._model, self._cases = section, model, cases
        self._sampling, self._samplingText = sampling, samplingText
        self._ui = ui = section.ui
        self._queue: Queue | None = None
        self.bar = JobBar(
            section.context,
            ui.queueButton,
            ui.queueBar,
            ui.queueLabel,
            self.start,
            self.finished,
            self.updated,
            endsWithScene=False,
        )

    def update(self) -> None:
        """Offer to predict where a model can be used; what is to be decided comes first, for lack of room."""
        ui = self._ui
        if not self.bar.isRunning:
            self._section.enable(ui.queueButton, self._model.missing())
        ui.queueButton.visible = self.bar.isRunning or (ui.restoreButton.isHidden() and ui.learnedBox.isHidden())

    def start(self) -> SceneJob | None:
        """Ask for manifest and folder, say what will happen, and start it; None if the user does not want it."""
        section, parameters = self._section, self._section.parameters
        manifest = chosenManifest()
        if not manifest:
            return None
        samples, isBalanced = self._sampling()
        folder = chosenQueueFolder(manifest, self._model.folder.name, self._samplingText())
        if not folder:
            return None
        with waitCursor():
            running = runningQueue(folder)
            if running is not None:  # such as one that went on while Slicer was closed
                self._show(queueOf(running))
                return takeUp(running)
            job: SceneJob = section.logic.predictCases(
                manifest,
                self._model.folder,
                folder,
                samples,
                parameters.device,
                wait=False,
                seed=parameters.seed,
                keepRunning=True,
                balancedMasks=isBalanced,
                calibrated=parameters.calibrated,
            )
        self._show(queueOf(job.job))
        return job

    def updated(self, job: SceneJob) -> None:
        """Show what is complete now; a correction in work is left alone."""
        try:
            queue = queueOf(job.job)
        except InputError:  # told at the end
            return
        if queue != self._queue:
            self._queue = queue
            self._cases.follow(queue)

    def finished(self, queue: Queue) -> str:
        """Say what was predicted, and what was not."""
        count, left = len(queue.complete), list(queue.leftOut)
        text = _("1 case is predicted.") if count == 1 else _("{count} cases are predicted.")
        if left:
            text = _("{count} of {all} cases are predicted.")
        text = text.format(count=count, all=count + len(left))
        if self._cases.isOf(queue):  # it names the others, and says why
            return text
        if left:
            names = ", ".join(left[:_MOST_NAMED]) + (", …" if len(left) > _MOST_NAMED else "")
            text += " " + _("Left out: {names}.").format(names=names)
        return text + " " + _("Open list… shows them: {folder}").format(folder=queue.folder)

    def follow(self, job: SceneJob) -> None:
        """Show a queue of another session that still runs."""
        self._show(queueOf(job.job))
        self.bar.follow(job)

    def useFound(self, queue: Queue, _job: Job) -> str:
        """Show what a queue of another session has predicted."""
        self._show(queue)
        self.bar.finish(queue)
        self._section.context.update()
        if self._cases.isOf(queue):
            return _("Step 6 lists the cases.")
        return _("Step 6 has a case of another list in work; Open list… shows these cases.")

    def _show(self, queue: Queue) -> None:
        """Let the list show the queue's cases, unless a case of another list is in work."""
        self._queue = queue
        self._cases.follow(queue)
        if not listedCase(self._section.parameters) and not self._cases.isOf(queue):
            self._cases.show(str(queue.manifest), str(queue.folder))
        self._ui.casesButton.collapsed = False
