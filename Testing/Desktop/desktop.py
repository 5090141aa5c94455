"""What a check is given: the application as a user has it, with the module open."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import nodes
import qt
import slicer
import views
from dialogs import Dialogs
from errors import ErrorWatch
from themes import Themes
from waiting import PATIENCE, wait_for

MODULE = "ObserverUncertainty"
SCREEN_MARGIN = 60
MAXIMIZE_SECONDS = 5
POLL_SECONDS = 0.01
SETTLE_SECONDS, BUSY_SECONDS = 10, 0.03


class Desktop:
    """The application, its main window and the module's panel.

    Attributes:
        task: what the checks were told: seed and length of the random walk, the manifest of small cases.
        shared: a folder that all Slicer processes of one topic share.
        limit: starts the time anew after which the application ends itself, given the seconds.
        tell: prints a line below the check's result, such as what was measured.
    """

    def __init__(self, task: dict) -> None:
        self.task = task
        self.shared = Path(task["shared"])
        self.dialogs = Dialogs()
        self.limit: Callable[[float], None] = lambda _seconds: None
        self.tell: Callable[[str], None] = lambda _text: None
        self._pictures = Path(task["pictures"])
        self._themes = Themes()
        self._check = "start"
        self._errors = ErrorWatch()
        self._displayNodes = nodes.DisplayNodeWatch()
        self._collapsed: dict[str, bool] = {}

    # The window and its panel.

    @property
    def window(self):
        """The main window."""
        return slicer.util.mainWindow()

    @property
    def panel(self):
        """The module's panel; another one after the module was reloaded."""
        return getattr(slicer.modules, MODULE + "Widget").panel

    @property
    def windowSize(self) -> tuple[int, int]:
        """Width and height of the main window."""
        return self.window.width, self.window.height

    def resizeWindow(self, width: int, height: int) -> None:
        """Give the main window a size, as a user does by dragging its edge; ask `windowSize` for what came of it."""
        self.window.showNormal()
        self.window.setGeometry(SCREEN_MARGIN, SCREEN_MARGIN, width, height)
        self.settle()

    def fillScreen(self) -> None:
        """Make the main window as large as the screen."""
        free = self.window.screen().availableGeometry
        end = time.monotonic() + MAXIMIZE_SECONDS

        def isFull() -> bool:
            return self.window.width > free.width() - SCREEN_MARGIN and free.contains(self.window.frameGeometry)

        self.window.showMaximized()
        self.wait(lambda: isFull() or time.monotonic() > end)
        if not isFull():  # without a window manager nothing maximises
            self.window.setGeometry(0, 0, free.width(), free.height())
        self.settle()

    @property
    def panelWidth(self) -> int:
        """Width of the dock that holds the module's panel."""
        return slicer.util.findChild(self.window, "PanelDockWidget").width

    @panelWidth.setter
    def panelWidth(self, width: int) -> None:
        self.settle()  # the module that was open before may still count
        dock = slicer.util.findChild(self.window, "PanelDockWidget")
        self.window.resizeDocks([dock], [width], qt.Qt.Horizontal)
        self.settle()

    def useTheme(self, name: str) -> None:
        """Change to Slicer's light or dark theme, until the check ends."""
        self._themes.use(name)
        self.settle()

    def shot(self, name: str) -> Path:
        """Keep a picture of the whole screen, which a person looks at after the run."""
        return self.picture(f"{self._check}-{name}")

    def picture(self, name: str) -> Path:
        """Keep a picture of the whole screen under a name of its own."""
        self.settle()
        path = self._pictures / f"{name}.png"
        self.window.screen().grabWindow(0).save(str(path))
        return path

    # Waiting.

    def wait(self, condition: Callable[[], object], what: str = "", seconds: float = PATIENCE) -> None:
        """Let the application live until a condition holds; raises AssertionError when it does not in time."""
        wait_for(condition, what, meanwhile=slicer.app.processEvents, seconds=seconds)

    def settle(self, seconds: float = 0.3) -> None:
        """Let the application live until it has had little to do for a moment: what was put off is done and drawn."""
        quiet = began = time.monotonic()
        while time.monotonic() - quiet < seconds and time.monotonic() - began < seconds + SETTLE_SECONDS:
            before = time.monotonic()
            slicer.app.processEvents()
            if time.monotonic() - before > BUSY_SECONDS:
                quiet = time.monotonic()
            time.sleep(POLL_SECONDS)

    def waitForJobs(self) -> None:
        """Wait until no work in the background is followed any more."""
        self.wait(lambda: not self.panel.polling.isActive, "the work in the background")

    # What the application asks.

    def answerBoxes(self, *answers: tuple[str, str]) -> None:
        """Expect boxes: a part of each one's text, and the button to click or the entry to choose."""
        self.dialogs.expectBoxes(*answers)

    def fileDialogs(self, *answers) -> None:
        """Prepare the answers of file dialogs: a path, a path with a part of the file type's name, None for Cancel."""
        self.dialogs.expectFiles(*answers)

    # Cases and results.

    def loadSample(self) -> None:
        """Load the sample case by its button; the first time in a run it is made."""
        self.panel.case.ui.loadSampleButton.click()
        self.waitForJobs()
        assert self.panel.parameters.raterChoices, "the sample case has raters"
        self.settle()

    def loadCase(self, name: str) -> None:
        """Load case01, case02 or case03 of the small simulated cohort by the panel's button."""
        self.fileDialogs(self.task["cohort"])
        self.answerBoxes(("Load from cohort", name))
        self.panel.case.ui.loadCohortButton.click()
        assert self.panel.parameters.caseName == name, f"loaded {name}, and have {self.panel.parameters.caseName}"
        self.settle()

    def secondCase(self) -> None:
        """Load another patient than the sample case's, whose name differs too."""
        self.loadCase("case02")

    def predict(self, samples: int = 2) -> None:
        """Run the shipped model on the case by the panel's button, and wait for the result."""
        ui = self.panel.uncertainty.ui
        ui.samplesSpin.value = samples
        self.wait(lambda: ui.runButton.enabled, "Run: " + ui.missingLabel.text)
        ui.runButton.click()
        self.waitForJobs()
        assert self.panel.parameters.predictiveEntropy is not None, ui.runLabel.text
        self.settle()

    def showComparison(self) -> None:
        """Compute both entropies where they are missing, and lay them out side by side, by the panel's buttons."""
        if self.panel.parameters.expertEntropy is None:
            self.panel.disagreement.ui.expertEntropyButton.click()
        if self.panel.parameters.predictiveEntropy is None:
            self.predict()
        self.panel.compare.ui.compareButton.click()
        self.settle()

    # Views and nodes.

    def mouse(self, viewName: str, points, button: str = "left") -> None:
        """Drag the mouse over a slice view; see `views.drag`, and `place` for a point of the patient."""
        views.drag(viewName, points, button)
        self.settle()

    def lookAt(self, node) -> None:
        """Bring the middle of a segmentation into every slice view."""
        for view in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            view.JumpSliceByCentering(*nodes.middle(node))
        self.settle()

    place = staticmethod(views.place)
    press = staticmethod(views.press)
    pixels = staticmethod(views.pixels)
    shownViews = staticmethod(views.shownViews)
    voxels = staticmethod(nodes.voxels)
    middle = staticmethod(nodes.middle)

    # Errors, and the frame of a check.

    def errors(self) -> list[str]:
        """Tracebacks and error lines since the last call; what a check does not ask for makes it fail in the end."""
        return self._errors.new(self.dialogs.expected)

    def removedDisplayNodes(self) -> list[str]:
        """Display nodes that were removed before their segmentation since the last call, which makes Slicer crash."""
        return self._displayNodes.new()

    def begin(self, check: str) -> None:
        """Start a check: an empty scene, the four-up layout, the module open as at first, and the window maximised."""
        self._check = check
        self._tidyUp()
        self.fillScreen()
        self._errors.new()
        self._displayNodes.new()
        self.dialogs.reset()

    def end(self) -> list[str]:
        """What was wrong beside the check's own assertions."""
        self.settle()
        problems = [*self.errors(), *self.dialogs.reset(), *self.removedDisplayNodes()]
        if slicer.app.overrideCursor() is not None:
            problems.append("the wait cursor stays")
            while slicer.app.overrideCursor() is not None:
                slicer.app.restoreOverrideCursor()
        return problems

    def _tidyUp(self) -> None:
        self._themes.restore()
        slicer.mrmlScene.Clear(0)
        slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        slicer.app.userSettings().remove(MODULE)
        slicer.util.selectModule(MODULE)
        self.waitForJobs()  # the question for devices
        sections = [section.ui.sectionButton for section in self.panel.sections]
        if not self._collapsed:
            self._collapsed = {str(button.text): button.collapsed for button in sections}
        for button in sections:
            for title, collapsed in self._collapsed.items():
                if str(button.text).startswith(re.split(":", title)[0]):
                    button.collapsed = collapsed


def newSlicer(check):
    """Decorator: the check needs a Slicer that was just started; `desktop.shared` holds what an earlier one left."""
    check.newSlicer = True
    return check
