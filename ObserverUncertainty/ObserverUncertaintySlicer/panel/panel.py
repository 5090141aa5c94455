"""The panel: its steps in the order of the work, and what becomes of them as scenes and the user come and go."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from ObserverUncertaintyLib.jobs import ImportRequest, LearnRequest, PredictCohortRequest, PredictRequest, TrainRequest
from ObserverUncertaintySlicer.panel.case import CaseSection
from ObserverUncertaintySlicer.panel.compare import CompareSection
from ObserverUncertaintySlicer.panel.context import Context
from ObserverUncertaintySlicer.panel.correct import CorrectSection
from ObserverUncertaintySlicer.panel.deviceChoice import DeviceProbe
from ObserverUncertaintySlicer.panel.disagreement import DisagreementSection
from ObserverUncertaintySlicer.panel.guide import Guide
from ObserverUncertaintySlicer.panel.headWarning import HeadWarning
from ObserverUncertaintySlicer.panel.heights import Holder, scrollTo
from ObserverUncertaintySlicer.panel.jobList import JobListSection
from ObserverUncertaintySlicer.panel.model import ModelSection
from ObserverUncertaintySlicer.panel.modelInUse import ModelInUse
from ObserverUncertaintySlicer.panel.polling import Polling
from ObserverUncertaintySlicer.panel.section import Section
from ObserverUncertaintySlicer.panel.showUncertainty import ShowUncertainty
from ObserverUncertaintySlicer.panel.uncertainty import UncertaintySection
from ObserverUncertaintySlicer.parameters import Parameters


class Panel(VTKObservationMixin):
    """Knows every step, which know their context alone; the module's widget makes one and passes its life cycle on.

    Attributes:
        context: what the steps know of the panel.
        polling: looks at what runs in the background.
        modelInUse: the model of steps 3 and 4.
        guide: says what comes next.
        showing: does steps 2, 4 and 5 in one click.
        sections: the steps in the order of the work; one of them is open.
    """

    def __init__(self, logic, layout) -> None:
        super().__init__()
        self._logic = logic
        self._isAnotherScene = False
        self.polling = Polling()
        self.context = Context(
            logic,
            Parameters(logic.getParameterNode()),
            self.update,
            self.polling.add,
            self._onJobsChanged,
            # A reload makes a new panel without entering it again; without a main window nobody sees it.
            isEntered=slicer.util.mainWindow() is not None and slicer.util.selectedModule() == logic.moduleName,
            isUpdating=True,  # until every step is there
        )
        self.modelInUse = ModelInUse(self.context)
        probe = DeviceProbe(self.context)
        headWarning = HeadWarning(self.context, self.modelInUse)
        self.case = CaseSection(self.context, headWarning)
        self.disagreement = DisagreementSection(self.context)
        self.model = ModelSection(self.context, self.modelInUse, probe)
        self.uncertainty = UncertaintySection(self.context, self.modelInUse, probe, headWarning)
        self.compare = CompareSection(self.context)
        self.correct = CorrectSection(
            self.context,
            self.case.loading.apply,
            self.modelInUse,
            self.uncertainty.sampling,
            self.uncertainty.samplingText,
        )
        self.showing = ShowUncertainty(
            self.context, self.case.ui, self.modelInUse, self.disagreement, self.uncertainty, self.compare, self.correct
        )
        self.jobList = JobListSection(
            self.context,
            {
                PredictRequest: self.uncertainty,
                ImportRequest: self.uncertainty,
                TrainRequest: self.model.training,
                LearnRequest: self.correct.learning,
                PredictCohortRequest: self.correct.queue,
            },
        )
        self.sections = [
            self.case,
            self.disagreement,
            self.model,
            self.uncertainty,
            self.compare,
            self.correct,
            self.jobList,
        ]
        self.guide = Guide(self.context, lambda number: self.sections[number - 1].open())
        self._holder = Holder()
        layout.addWidget(self._holder.widget)
        self._holder.layout.addWidget(self.guide.widget)
        for section in self.sections:
            self._holder.layout.addWidget(section.widget)
            section.ui.sectionButton.collapsed = section is not self.case
            section.ui.sectionButton.connect("contentsCollapsed(bool)", self._followerOf(section))
        scene = slicer.mrmlScene
        self.addObserver(self.parameters.node, vtk.vtkCommand.ModifiedEvent, self._onChanged)
        self.addObserver(scene, scene.StartCloseEvent, self._onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self._onSceneFilled)
        self.addObserver(scene, scene.EndImportEvent, self._onSceneFilled)
        # Closing and loading in one go is a batch, during which nothing can be shown.
        self.addObserver(scene, scene.EndBatchProcessEvent, self._onBatchEnded)
        self.addObserver(scene, scene.NodeRemovedEvent, self._onChanged)
        self.context.isUpdating = False
        self.update()

    @property
    def parameters(self) -> Parameters:
        """The parameter node's typed view; another one after the scene was closed."""
        return self.context.parameters

    def update(self) -> None:
        """Show the parameters in every section."""
        if self.context.isUpdating or slicer.mrmlScene.IsBatchProcessing():
            return
        self.context.isUpdating = True
        try:
            for section in self.sections:
                section.update()
                section.showState()
            self.showing.update()
            steps = [number for number, section in enumerate(self.sections, 1) if section.isOpen]
            self.guide.show(
                steps[0] if steps else None,
                isComputing=self.uncertainty.bar.isRunning,
                canShow=self.showing.isPossible,
                canRun=not self.uncertainty.missing(),
            )
        finally:
            self.context.isUpdating = False

    def enter(self) -> None:
        """The user comes to the module."""
        self._followParameterNode()
        self.context.isEntered = True
        for section in self.sections:
            section.enter()
        self.update()

    def exit(self) -> None:
        """The user leaves the module; jobs go on."""
        self.context.isEntered = False
        for section in self.sections:
            section.exit()

    def cleanup(self) -> None:
        """The panel goes away: observers are removed, jobs ended that may not keep running."""
        self.context.isUpdating = True  # for good: what still calls has nothing to show any more
        self.polling.end()
        for section in self.sections:
            section.cleanup()
        self.removeObservers()

    def _followParameterNode(self) -> None:
        node = self._logic.getParameterNode()
        if self.parameters.node is not node:
            self.removeObserver(self.parameters.node, vtk.vtkCommand.ModifiedEvent, self._onChanged)
            self.context.parameters = Parameters(node)
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._onChanged)

    def _followerOf(self, section: Section) -> Callable[[bool], None]:
        def onCollapsed(collapsed: bool) -> None:
            if not collapsed:  # only the step in work is open
                for other in self.sections:
                    other.ui.sectionButton.collapsed = other is not section
            self.update()
            if not collapsed and self.context.isEntered:
                qt.QTimer.singleShot(0, lambda: scrollTo(section.widget))  # once its contents have their places

        return onCollapsed

    def _onJobsChanged(self) -> None:
        self.jobList.refresh()

    def _onChanged(self, caller=None, event=None) -> None:
        self.update()

    def _onSceneStartClose(self, caller, event) -> None:
        self.polling.endWithScene()
        for section in self.sections:
            section.letGo()

    def _onSceneFilled(self, caller, event) -> None:
        self._isAnotherScene = True
        self._onBatchEnded()
        self.jobList.refresh()  # closing the scene has ended some

    def _onBatchEnded(self, caller=None, event=None) -> None:
        if not slicer.mrmlScene.IsBatchProcessing():
            self._followParameterNode()
            self.update()
            if self._isAnotherScene:
                self._isAnotherScene = False
                self.guide.openNext()
