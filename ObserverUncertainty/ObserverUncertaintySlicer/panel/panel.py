"""The panel: its sections in the order of the work, what they share, and the one timer that follows the jobs."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from ObserverUncertaintyLib.base.errors import ObserverUncertaintyError
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.parameters import Parameters

if TYPE_CHECKING:
    from ObserverUncertaintySlicer.panel.jobBar import JobBar

POLL_MILLISECONDS = 200


class Panel(VTKObservationMixin):
    """What the sections share; the module's widget makes one and passes its life cycle on.

    Attributes:
        logic: the module's logic.
        isEntered: whether the module is the one that the user sees.
        parameters: the parameter node's typed view; a new one after the scene was closed.
        sections: the steps in the order of the work.
    """

    def __init__(self, logic, resourcePath, layout) -> None:
        super().__init__()
        from ObserverUncertaintySlicer.panel.case import CaseSection
        from ObserverUncertaintySlicer.panel.compare import CompareSection
        from ObserverUncertaintySlicer.panel.correct import CorrectSection
        from ObserverUncertaintySlicer.panel.disagreement import DisagreementSection
        from ObserverUncertaintySlicer.panel.jobList import JobListSection
        from ObserverUncertaintySlicer.panel.model import ModelSection
        from ObserverUncertaintySlicer.panel.uncertainty import UncertaintySection

        self.logic = logic
        self.resourcePath = resourcePath
        self._bars: list[JobBar] = []
        self._updating = True  # until every section is connected
        # A reload makes a new panel without entering it again; without a main window nobody sees it.
        self.isEntered = slicer.util.mainWindow() is not None and slicer.util.selectedModule() == logic.moduleName
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.connect("timeout()", self._poll)
        self.parameters: Parameters | None = None
        self._followParameterNode()
        self.case = CaseSection(self)
        self.disagreement = DisagreementSection(self)
        self.model = ModelSection(self)
        self.uncertainty = UncertaintySection(self)
        self.compare = CompareSection(self)
        self.correct = CorrectSection(self)
        self.jobList = JobListSection(self)
        self.sections = [
            self.case,
            self.disagreement,
            self.model,
            self.uncertainty,
            self.compare,
            self.correct,
            self.jobList,
        ]
        for section in self.sections:
            layout.addWidget(section.widget)
        for section in self.sections:
            section.connect()
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self._onSceneFilled)
        self.addObserver(scene, scene.EndImportEvent, self._onSceneFilled)
        # Closing and loading in one go is a batch, during which nothing can be shown.
        self.addObserver(scene, scene.EndBatchProcessEvent, self._onBatchEnded)
        self.addObserver(scene, scene.NodeRemovedEvent, self._onChanged)
        self._updating = False
        self.update()

    def update(self) -> None:
        """Show the parameters in every section."""
        if self._updating or slicer.mrmlScene.IsBatchProcessing():
            return
        self._updating = True
        try:
            for section in self.sections:
                section.update()
                section.showState()
        finally:
            self._updating = False

    @property
    def isUpdating(self) -> bool:
        """Whether widgets change because the parameters did, so that their signals mean nothing."""
        return self._updating

    @contextmanager
    def errorsShown(self) -> Iterator[None]:
        """Show what goes wrong at a click in one message: the library's errors as they are, others with their trace.

        What goes wrong without a click, such as with a job, is told in a label: the user may be drawing.
        """
        try:
            yield
        except ObserverUncertaintyError as error:
            slicer.util.errorDisplay(str(error))
        except Exception as error:
            logging.exception("ObserverUncertainty")
            text = _("Something went wrong that should not have: {error}\nThe details say where.").format(error=error)
            slicer.util.errorDisplay(text, detailedText=traceback.format_exc())

    def poll(self, bar: JobBar) -> None:
        """Follow a section's job from now on."""
        if bar not in self._bars:
            self._bars.append(bar)
        self._timer.start()

    def jobsChanged(self) -> None:
        """A job was started, or has ended."""
        self.jobList.refresh()

    def enter(self) -> None:
        """The user comes to the module."""
        self._followParameterNode()
        self.isEntered = True
        for section in self.sections:
            section.enter()
        self.update()

    def exit(self) -> None:
        """The user leaves the module; jobs go on."""
        self.isEntered = False
        for section in self.sections:
            section.exit()

    def cleanup(self) -> None:
        """The panel goes away: observers are removed, jobs ended that may not keep running."""
        self._updating = True  # for good: what still calls has nothing to show any more
        self._timer.stop()
        for bar in self._bars:
            bar.abandon()
        self._bars.clear()
        for section in self.sections:
            section.cleanup()
        self.removeObservers()

    def _poll(self) -> None:
        # A result or a message may start another job, or let the timer fire again while it is shown.
        for bar in list(self._bars):
            if not bar.poll() and bar in self._bars:
                self._bars.remove(bar)
        if not self._bars:
            self._timer.stop()

    def _followParameterNode(self) -> None:
        node = self.logic.getParameterNode()
        if self.parameters is None or self.parameters.node is not node:
            if self.parameters is not None:
                self.removeObserver(self.parameters.node, vtk.vtkCommand.ModifiedEvent, self._onChanged)
            self.parameters = Parameters(node)
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._onChanged)

    def _onChanged(self, caller=None, event=None) -> None:
        self.update()

    def _onSceneStartClose(self, caller, event) -> None:
        for bar in [bar for bar in self._bars if bar.endsWithScene]:
            bar.abandon()
            self._bars.remove(bar)
        for section in self.sections:
            section.letGo()

    def _onSceneFilled(self, caller, event) -> None:
        self._onBatchEnded()
        self.jobsChanged()  # closing the scene has ended some

    def _onBatchEnded(self, caller=None, event=None) -> None:
        if not slicer.mrmlScene.IsBatchProcessing():
            self._followParameterNode()
            self.update()
