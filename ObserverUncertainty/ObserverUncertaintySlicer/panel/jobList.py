"""The jobs of this and earlier sessions: how they stand, their results, logs and folders."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import qt
import slicer

from ObserverUncertaintyLib.base.errors import ObserverUncertaintyError
from ObserverUncertaintyLib.jobs import Job, JobState, PredictCohortRequest, TrainRequest, remove_job
from ObserverUncertaintyLib.jobs.folder import CANCEL_FILE
from ObserverUncertaintySlicer.backgroundJobs import SceneJob, knownJobs
from ObserverUncertaintySlicer.foundJobs import takeUp
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.host import waitCursor
from ObserverUncertaintySlicer.panel.context import Context
from ObserverUncertaintySlicer.panel.jobBar import JobBar
from ObserverUncertaintySlicer.panel.section import Section
from ObserverUncertaintySlicer.panel.tables import setCell, setUpTable
from ObserverUncertaintySlicer.panel.textDialog import showText
from ObserverUncertaintySlicer.progressTexts import durationText, progressText

LOG_CHARACTERS = 200_000
"""As much of a log's end as is shown; the file has all of it."""

LOOK_SECONDS = 1.0
"""How often the rows of running jobs are brought up to date."""


class JobStep(Protocol):
    """A step that takes up jobs of a kind which another session began.

    Attributes:
        bar: where the step shows a job.
    """

    bar: JobBar

    def follow(self, job: SceneJob) -> None:
        """Show a job that still runs, and use its result at the end."""

    def useFound(self, result: Any, job: Job) -> str:
        """Use the result of a job that is done; the text says why where that cannot be."""


class JobListSection(Section):
    """A table of the job folders, read when the user comes, when a job starts or ends, on a click, and after a scene.

    The rows of running jobs keep up by themselves: the section is polled as the bars are.

    Args:
        context: the panel's.
        steps: those that take up jobs, by the type of the job's request; other jobs have no result to be loaded.
    """

    uiName = "JobList"
    endsWithScene = False

    def __init__(self, context: Context, steps: Mapping[type, JobStep]) -> None:
        super().__init__(context)
        self._steps = steps
        self._jobs: list[Job] = []
        self._running: list[tuple[int, Job]] = []
        self._nextLook = 0.0
        ui = self.ui
        setUpTable(ui.jobTable, [_("State"), _("Progress"), _("Job"), _("Started")], stretched=2)
        ui.jobTable.connect("itemSelectionChanged()", self.onSelectionChanged)
        ui.refreshButton.connect("clicked()", self.refresh)
        ui.followButton.connect("clicked()", self.onFollow)
        ui.cancelButton.connect("clicked()", self.onCancel)
        ui.loadButton.connect("clicked()", self.onLoad)
        ui.folderButton.connect("clicked()", self.onOpenFolder)
        ui.logButton.connect("clicked()", self.onShowLog)
        ui.removeButton.connect("clicked()", self.onRemove)
        self.say(self.ui.loadedLabel, "")

    @property
    def selected(self) -> Job | None:
        """The job of the chosen row."""
        rows = self.ui.jobTable.selectionModel().selectedRows()
        row = rows[0].row() if rows else -1
        return self._jobs[row] if 0 <= row < len(self._jobs) else None

    def refresh(self) -> None:
        """Read the job folders again; the chosen job stays chosen."""
        selected = self.selected
        try:
            self._jobs = knownJobs()
        except (OSError, ObserverUncertaintyError) as error:  # asked without a click, so that it is told in no message
            self.say(self.ui.loadedLabel, _("The jobs could not be looked for: {error}").format(error=error))
            self.widget.visible = True
            return
        # Nobody needs an empty list.
        self.widget.visible = bool(self._jobs)
        self._running = [(row, job) for row, job in enumerate(self._jobs) if not job.state.finished]
        if self._running:
            self.context.poll(self)
        table = self.ui.jobTable
        wasBlocked = table.blockSignals(True)
        table.clearSelection()
        table.setRowCount(len(self._jobs))
        for row, job in enumerate(self._jobs):
            self._showRow(row, job)
            if selected is not None and job.folder == selected.folder:
                table.selectRow(row)
        table.blockSignals(wasBlocked)
        self.update()
        self.showState()

    def poll(self) -> bool:
        """Bring the rows of running jobs up to date, once a second at most; false when there is none any more."""
        if time.monotonic() >= self._nextLook:
            self._nextLook = time.monotonic() + LOOK_SECONDS
            # Asked before the rows are shown: a job that ends in between is shown once more.
            running = [(row, job) for row, job in self._running if not job.state.finished]
            for row, job in self._running:
                self._showRow(row, job)
            if len(running) < len(self._running):
                self._running = running
                self.update()
                self.showState()
        return bool(self._running)

    def abandon(self) -> None:
        """Leave the jobs to themselves: the list only looks at them."""
        self._running = []

    def update(self) -> None:
        """Enable what can be done with the chosen job; the table itself stays as it is."""
        ui, job = self.ui, self.selected
        for button in (
            ui.followButton,
            ui.cancelButton,
            ui.loadButton,
            ui.folderButton,
            ui.logButton,
            ui.removeButton,
        ):
            button.visible = job is not None
        ui.chooseLabel.visible = job is None
        if job is None:
            return
        ended = job.state.finished
        self.enable(ui.followButton, self._whyNotFollowed(job))
        self.enable(ui.cancelButton, _("It has ended.") if ended else "")
        loadable = job.state is JobState.DONE and self._stepOf(job) is not None
        self.enable(
            ui.loadButton, "" if loadable else _("Only a prediction or training that is done has a result to load.")
        )
        self.enable(ui.folderButton)
        self.enable(ui.logButton)
        self.enable(ui.removeButton, "" if ended else _("Cancel it first."))

    def state(self) -> str:
        """How many there are, and how many run."""
        running = sum(not job.state.finished for job in self._jobs)
        if running:
            return _("{count}, {running} running").format(count=len(self._jobs), running=running)
        return str(len(self._jobs)) if self._jobs else _("none")

    def enter(self) -> None:
        """The user comes to the module: jobs of earlier sessions are found."""
        self.refresh()

    def onSelectionChanged(self) -> None:
        """Another job is chosen."""
        self.say(self.ui.loadedLabel, "")
        self.update()

    def onFollow(self) -> None:
        """Show a running job's progress in its step, with its result at the end."""
        job = self.selected
        with self.context.errorsShown():
            self._stepOf(job).follow(takeUp(job))

    def onCancel(self) -> None:
        """Stop the chosen job."""
        job = self.selected
        with self.context.errorsShown():
            job.cancel()
            # Looked at until it has ended, since it may have to be killed.
            self.context.poll(_Ending(self, job))
        self.refresh()

    def onLoad(self) -> None:
        """Use the chosen job's result."""
        job = self.selected
        with self.context.errorsShown(), waitCursor():
            self.say(self.ui.loadedLabel, "")
            self.say(self.ui.loadedLabel, self._stepOf(job).useFound(takeUp(job).result(), job))

    def onOpenFolder(self) -> None:
        """Show the job's folder in the file browser."""
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self.selected.folder)))

    def onShowLog(self) -> None:
        """Show the job's log, with why it failed on top."""
        job = self.selected
        with self.context.errorsShown():
            log = job.log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:] if job.log.is_file() else ""
            parts = [_rowToolTip(job)]
            if job.failure is not None:
                parts.append(f"{job.failure.text} {job.failure.advice}")
            parts += [*job.warnings, log or _("The log is empty.")]
            showText(self.widget, _("Log of {name}").format(name=job.name), "\n\n".join(parts))

    def onRemove(self) -> None:
        """Delete the chosen job's folder, after asking."""
        job = self.selected
        if slicer.util.confirmOkCancelDisplay(_removalQuestion(job)):
            with self.context.errorsShown(), waitCursor():
                remove_job(job)
            self.refresh()

    def letGo(self) -> None:
        """Let go of what was said about nodes."""
        self.say(self.ui.loadedLabel, "")

    def _showRow(self, row: int, job: Job) -> None:
        for column, text in enumerate(_cells(job)):
            setCell(self.ui.jobTable, row, column, text, _rowToolTip(job))

    def _whyNotFollowed(self, job: Job) -> str:
        step = self._stepOf(job)
        if job.state.finished or step is None:
            return _("Only a prediction or training that runs can be followed.")
        return _("Its step shows a job already.") if step.bar.isRunning else ""

    def _stepOf(self, job: Job) -> JobStep | None:
        return self._steps.get(type(job.request))


class _Ending:
    """A cancelled job, polled until it has ended."""

    endsWithScene = False

    def __init__(self, section: JobListSection, job: Job) -> None:
        self.section, self.job = section, job

    def poll(self) -> bool:
        """Look at the job; false when it has ended."""
        if not self.job.state.finished:
            return True
        self.section.refresh()
        return False

    def abandon(self) -> None:
        """Leave it to itself: it was asked to stop."""
        self.job.close()


def _removalQuestion(job: Job) -> str:
    if isinstance(job.request, PredictCohortRequest):
        return _("Delete {name}? Its predictions stay in {out}\n{folder}").format(
            name=job.name, out=job.request.out, folder=job.folder
        )
    model = Path(job.request.model) if isinstance(job.request, TrainRequest) else None
    if model is None or model.is_relative_to(job.folder):
        return _("Delete {name} with its results?\n{folder}").format(name=job.name, folder=job.folder)
    return _("Delete {name}? Its model stays in {model}\n{folder}").format(
        name=job.name, model=model, folder=job.folder
    )


def _cells(job: Job) -> list[str]:
    started = job.started.strftime("%H:%M" if job.started.date() == datetime.now().date() else "%Y-%m-%d")
    state = _stateText(job) if job.responding else _("no response")
    return [state, _progressCell(job), job.name, started]


def _rowToolTip(job: Job) -> str:
    """All that a row may be too narrow for."""
    state = _stateText(job)
    if not job.state.finished:
        state = f"{state}: {progressText(job.progress)}"
    started = _("Started {time}").format(time=job.started.strftime("%Y-%m-%d %H:%M"))
    return "\n".join((job.name, state, started, str(job.folder)))


def _stateText(job: Job) -> str:
    texts = {
        JobState.STARTING: _("starting"),
        JobState.RUNNING: _("running"),
        JobState.CANCELLING: _("being cancelled"),
        JobState.DONE: _("done"),
        JobState.CANCELLED: _("cancelled"),
        JobState.FAILED: _("failed"),
    }
    state = job.state
    # Another look at the job than this one may have asked it to stop.
    if not state.finished and (job.folder / CANCEL_FILE).exists():
        state = JobState.CANCELLING
    text = texts[state]
    return text if job.responding else _("{state}, does not respond").format(state=text)


def _progressCell(job: Job) -> str:
    """How far it is; nothing where it ended before its end, since the steps done were those of its last task only."""
    if job.state is JobState.DONE:
        return _("100 %")
    progress = job.progress
    if job.state.finished or not progress.total:
        return ""
    percent = _("{percent:.0f} %").format(percent=100 * progress.fraction)
    if progress.seconds_left is None:
        return percent
    return _("{percent}, {time} left").format(percent=percent, time=durationText(progress.seconds_left))
