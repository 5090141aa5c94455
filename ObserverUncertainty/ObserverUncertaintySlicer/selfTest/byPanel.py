"""The steps of the self-test by the panel's own buttons and the mouse, as a clinician does them."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import slicer

from ObserverUncertaintyLib.raters.fusion import FusionMethod
from ObserverUncertaintySlicer.compareViews import presentViews
from ObserverUncertaintySlicer.host import processEvents
from ObserverUncertaintySlicer.selfTest.byLogic import SAMPLES, anotherCase
from ObserverUncertaintySlicer.sliceViews import shownSliceNodes

PICTURES_VARIABLE = "OBSERVER_UNCERTAINTY_PICTURES"
"""Environment variable that names the folder for the self-test's pictures; else it is in Slicer's temporary folder."""

_SECONDS = 600.0
_STROKE_STEPS = 5


class ByPanel:
    """Clicks, and waits until what a click began is done.

    Attributes:
        pictures: the folder of the pictures of the main window.
    """

    def __init__(self, logic, panel) -> None:
        self.logic, self.panel = logic, panel
        chosen = os.environ.get(PICTURES_VARIABLE)
        self.pictures = Path(chosen) if chosen else Path(slicer.app.temporaryPath) / "ObserverUncertaintySelfTest"
        self.pictures.mkdir(parents=True, exist_ok=True)
        # Each stroke elsewhere: painting what is painted changes nothing.
        self._rows: Iterator[float] = (0.2 + 0.05 * (number % 12) for number in itertools.count())

    @property
    def parameters(self):
        """The panel's parameters, asked for anew: they are others after the scene was closed."""
        return self.panel.parameters

    @property
    def sequences(self) -> dict[str, Any]:
        """The case's volumes."""
        return self.parameters.sequences

    @property
    def raters(self) -> list[Any]:
        """The case's raters."""
        return self.parameters.raters

    def loadSample(self) -> None:
        """Load the sample case."""
        self.panel.case.open()
        self.panel.case.ui.loadSampleButton.click()
        self._wait(lambda: self.parameters.raters, "the sample case")

    def loadAnother(self) -> None:
        """Load another patient, simulated now; a file dialog would ask for it."""
        self.panel.case.loading.apply(anotherCase(self.logic))

    def fuse(self, method: str):
        """Choose the fusion and wait for the live result; returns the segmentation node."""
        self.panel.disagreement.open()
        self.parameters.fusionMethod = FusionMethod(method)
        self.panel.disagreement.ui.fuseButton.click()
        return self.parameters.fusedSegmentation

    def expertEntropy(self):
        """The experts' entropy; computed where it is not there yet."""
        if self.parameters.expertEntropy is None:
            self.panel.disagreement.ui.expertEntropyButton.click()
        return self.parameters.expertEntropy

    def predict(self) -> dict[str, Any]:
        """Run the shipped model; returns the nodes of its result."""
        self.panel.uncertainty.open()
        ui = self.panel.uncertainty.ui
        ui.samplesSpin.value = SAMPLES
        self._wait(lambda: ui.runButton.enabled, "Run: " + ui.missingLabel.text)
        ui.runButton.click()
        self._wait(lambda: not self.panel.uncertainty.bar.isRunning, "the prediction")
        keys = ("predictiveEntropy", "expectedEntropy", "mutualInformation")
        return {key: getattr(self.parameters, key) for key in keys}

    def compare(self, difference: bool = False):
        """Lay both entropies out, with the difference row if wanted; returns the views."""
        self.panel.compare.open()
        ui = self.panel.compare.ui
        if ui.differenceCheck.checked != difference:
            ui.differenceCheck.click()
        if presentViews() is None:
            ui.compareButton.click()
        self.live()
        return presentViews()

    def goToWorstPlace(self) -> None:
        """Show the place where the model is most unsure."""
        self.panel.compare.ui.mostUncertainButton.click()

    def startCopy(self):
        """Start a working copy of what is offered first; returns its node."""
        self.panel.correct.open()
        self.panel.correct.ui.startButton.click()
        self.live()
        return self.parameters.workingCopy

    def paint(self) -> None:
        """Drag the brush over the first slice view."""
        self.panel.correct.ui.editor.setActiveEffectByName("Paint")
        row = next(self._rows)
        _drag(shownSliceNodes()[0].GetLayoutName(), (0.45, row), (0.55, row))
        self.live()

    def undo(self) -> None:
        """Take the last stroke back."""
        self.panel.correct.ui.editor.undo()

    def save(self, author: str):
        """Keep the working copy as a correction; returns its node."""
        ui = self.panel.correct.ui
        ui.authorEdit.text = author
        ui.saveButton.click()
        return self.parameters.lastCorrection

    def saveScene(self, file: Path) -> bool:
        """Save the scene; whether that worked."""
        return bool(slicer.util.saveScene(str(file)))

    def loadScene(self, file: Path) -> None:
        """Load a scene; the panel finds its case by itself."""
        slicer.util.loadScene(str(file))
        self.live()

    def isEmpty(self) -> bool:
        """Whether the panel has no case any more, and no view of a comparison."""
        return not self.sequences and not self.raters and presentViews() is None

    def live(self, seconds: float = 0.5) -> None:
        """Let the interface follow: layouts, short timers, drawing."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            processEvents()
            time.sleep(0.01)

    def picture(self, name: str) -> None:
        """Keep a picture of the main window."""
        import ctk

        self.live()
        ctk.ctkWidgetsUtils.grabWidget(slicer.util.mainWindow()).save(str(self.pictures / f"{name}.png"))

    def _wait(self, condition: Callable[[], Any], what: str) -> None:
        end = time.monotonic() + _SECONDS
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited {_SECONDS:g} s in vain for {what}")
            self.live(0.1)


def _drag(viewName: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag the left button over a slice view, from and to fractions of its width and height."""
    import qt

    widget = slicer.app.layoutManager().sliceWidget(viewName).sliceView().VTKWidget()
    left, none = qt.Qt.LeftButton, qt.Qt.NoButton

    def send(kind, part: float, changed, held) -> None:
        x, y = (first + part * (last - first) for first, last in zip(start, end, strict=True))
        where = qt.QPointF(x * widget.width, y * widget.height)
        slicer.app.sendEvent(widget, qt.QMouseEvent(kind, where, changed, held, qt.Qt.NoModifier))
        processEvents()

    send(qt.QEvent.MouseMove, 0.0, none, none)
    send(qt.QEvent.MouseButtonPress, 0.0, left, left)
    for step in range(1, _STROKE_STEPS + 1):
        send(qt.QEvent.MouseMove, step / _STROKE_STEPS, none, left)
    send(qt.QEvent.MouseButtonRelease, 1.0, left, none)
