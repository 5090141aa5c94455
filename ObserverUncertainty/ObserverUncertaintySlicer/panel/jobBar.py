"""A job's progress bar, its text with the time left, and the button that turns from Apply into Cancel."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import qt

from ObserverUncertaintyLib.base.errors import ObserverUncertaintyError
from ObserverUncertaintyLib.jobs import JobState
from ObserverUncertaintySlicer.backgroundJobs import SceneJob
from ObserverUncertaintySlicer.host import showStatus
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.panel.context import Context
from ObserverUncertaintySlicer.progressTexts import progressText


@dataclass(frozen=True, eq=False)
class _Face:
    """One place where the job is shown: widgets, and what its button starts and does with the result."""

    button: Any
    bar: Any
    label: Any
    start: Callable[[], SceneJob | None]
    finished: Callable[[Any], str | None]
    startText: str


class JobBar:
    """Shows one job of a section at a time.

    What goes wrong with a job is told in the label and not in a message, which might come while the user draws.

    Args:
        context: the panel's, which polls the job.
        button: starts the work; while it runs, the same button cancels it.
        bar: the progress bar, hidden while nothing runs.
        label: the text below it, with the time left; keeps the outcome afterwards.
        start: starts the job; None where the user declined.
        finished: is given the job's result; returns what there is to say about it, if anything.
        updated: is called at every poll of a running job, for what the bar does not show.
        endsWithScene: whether the job means nothing once the scene is closed, and is let go of then.

    Attributes:
        hasFailed: whether the last job failed, or its result could not be used.
    """

    def __init__(
        self,
        context: Context,
        button,
        bar,
        label,
        start: Callable[[], SceneJob | None],
        finished: Callable[[Any], str | None],
        updated: Callable[[SceneJob], None] | None = None,
        endsWithScene: bool = True,
    ) -> None:
        self.context, self.updated = context, updated
        self.endsWithScene = endsWithScene
        self.job: SceneJob | None = None
        self.hasFailed = False
        self._faces: list[_Face] = []
        self.showAlso(button, bar, label, start, finished)
        self._active = self._faces[0]

    def showAlso(
        self,
        button,
        bar,
        label,
        start: Callable[[], SceneJob | None],
        finished: Callable[[Any], str | None],
    ) -> None:
        """Show the job in another place too, whose button starts it in a way of its own; whichever button cancels it.

        Arguments as for the class.
        """
        face = _Face(button, bar, label, start, finished, button.text)
        self._faces.append(face)
        bar.visible = label.visible = False
        label.textFormat = qt.Qt.PlainText  # a log may quote what looks like markup
        button.connect("clicked()", lambda: self._onClicked(face))

    @property
    def isRunning(self) -> bool:
        """Whether a job runs, or is being cancelled."""
        return self.job is not None

    def follow(self, job: SceneJob) -> None:
        """Show a job that runs already; its result is used as if the first button had started it."""
        self._follow(job, self._faces[0])

    def _onClicked(self, face: _Face) -> None:
        if self.job is not None:
            self.job.cancel()
            self._show(self.job)
            return
        with self.context.errorsShown():
            job = face.start()
            if job is not None:
                self._follow(job, face)

    def _follow(self, job: SceneJob, face: _Face) -> None:
        self.clear()
        self.job, self._active = job, face
        self.context.poll(self)
        self._show(job)
        # A double click starts the work and must not cancel it: the button comes back at the first look at the job.
        self._enable(False)
        self.context.jobsChanged()
        self.context.update()

    def poll(self) -> bool:
        """Look at the job; false when there is nothing left to look at."""
        job = self.job
        if job is None:
            return False
        state = job.state
        self._show(job)
        if self.updated is not None:
            self.updated(job)
        if not state.finished:
            return True
        # Let go first: whatever goes wrong with the result is shown once and not polled again.
        self._letGo()
        if state is JobState.CANCELLED:
            kept = job.keptIn
            text = _("Cancelled. What was complete is kept in {folder}").format(folder=kept)
            self._say(_("Cancelled.") if kept is None else text)
        elif job.failure is not None:
            self._tellFailure(job, f"{job.failure.text} {job.failure.advice}")
        else:
            self._use(job)
        self.context.jobsChanged()
        self.context.update()
        # What followed may have started the next job.
        return self.job is not None

    def clear(self) -> None:
        """Forget how the last job ended."""
        self.hasFailed = False
        self._say("")

    def abandon(self) -> None:
        """Stop looking at the job, because its nodes or the panel are gone; it is ended unless it may keep running."""
        if self.job is not None:
            self.job.job.close()
            self._letGo()

    def finish(self, result: Any) -> None:
        """Use a job's result, and say what there is to say about it."""
        self._say(self._active.finished(result) or "")

    def _use(self, job: SceneJob) -> None:
        try:
            self.finish(job.result())
        except ObserverUncertaintyError as error:
            self._tellFailure(job, str(error))
        except Exception as error:
            logging.exception("ObserverUncertainty")
            text = _("Something went wrong that should not have: {error!r}. The application's error log says where.")
            self._tellFailure(job, text.format(error=error))

    def _tellFailure(self, job: SceneJob, why: str) -> None:
        self.hasFailed = True
        text = _("Failed: {why} Its log is below: Jobs, Show log.").format(why=why)
        self._say(text, _("{text}\nThe job's log: {path}").format(text=text, path=job.job.log))
        showStatus(_("{name} failed; the module says why.").format(name=job.name))

    def _say(self, text: str, toolTip: str = "") -> None:
        for face in self._faces:
            face.label.text, face.label.toolTip = text, toolTip
            face.label.visible = bool(text)

    def _letGo(self) -> None:
        self.job = None
        for face in self._faces:
            face.button.text = face.startText
            face.bar.visible = False
        self._enable(True)

    def _enable(self, enabled: bool) -> None:
        for face in self._faces:
            face.button.enabled = enabled

    def _show(self, job: SceneJob) -> None:
        progress = job.progress
        cancelling = job.state is JobState.CANCELLING
        for face in self._faces:
            face.button.text = _("Cancelling…") if cancelling else _("Cancel")
            face.bar.visible = True
            # A bar without a maximum shows that something goes on, without saying how far.
            face.bar.maximum = progress.total
            face.bar.value = progress.done
        self._enable(not cancelling)
        self._say(progressText(progress))
