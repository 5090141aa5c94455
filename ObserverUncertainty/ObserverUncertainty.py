"""The Slicer module ObserverUncertainty: module, thin widget, logic, self-test.

The panel is in ObserverUncertaintySlicer/panel, the science in ObserverUncertaintyLib.
"""

import sys
from pathlib import Path

from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

# Slicer adds only this file's folder to the path. The installed library lies beside it, that of a checkout one above.
_CHECKOUT = Path(__file__).resolve().parents[1]
if (_CHECKOUT / "ObserverUncertaintyLib" / "__init__.py").is_file() and str(_CHECKOUT) not in sys.path:
    sys.path.append(str(_CHECKOUT))

from ObserverUncertaintySlicer.host import tr as _  # noqa: E402
from ObserverUncertaintySlicer.logic import LogicSteps  # noqa: E402


class ObserverUncertainty(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "ObserverUncertainty"
        parent.categories = ["Segmentation"]
        # Loaded before this module and unloaded after it: the panel holds their widgets and logics until Slicer ends.
        parent.dependencies = [
            "Colors",
            "Plots",
            "SegmentEditor",
            "Segmentations",
            "SubjectHierarchy",
            "Tables",
            "Volumes",
        ]
        parent.contributors = ["The ObserverUncertainty contributors"]
        parent.helpText = _(
            "Shows where experts' contours disagree and where a model that learned from them is uncertain, side by "
            "side, and lets you correct the contour where it matters. Work through the steps from top to bottom; the "
            "first two need nothing installed. Research use only, not a medical device."
        )
        parent.acknowledgementText = _(
            "Implements A. Jungo, R. Meier, E. Ermis, M. Blatti-Moreno, E. Herrmann, R. Wiest and M. Reyes: On the "
            "Effect of Inter-observer Variability for a Reliable Estimation of Uncertainty of Medical Image "
            "Segmentation, MICCAI 2018. The sample case and the model that ships with the module are simulated on the "
            "ICBM 152 template (2009, non-linear, symmetric), copyright McConnell Brain Imaging Centre, McGill "
            "University."
        )
        import slicer

        if getattr(slicer, "app", None) is not None:
            slicer.app.connect("startupCompleted()", _onStartup)


def _onStartup():
    """Tell the application of the sample case and of the layouts, and take up a comparison that comes with a scene."""
    import slicer

    from ObserverUncertaintySlicer.comparisonLayout import registerLayouts
    from ObserverUncertaintySlicer.sampleData import registerSampleData

    registerSampleData()
    registerLayouts()
    scene = slicer.mrmlScene
    for event in (scene.EndImportEvent, scene.EndBatchProcessEvent):
        scene.AddObserver(event, _onSceneFilled)


def _onSceneFilled(scene, _event):
    """A scene that was saved while comparing is shown as it was, whether the module was opened before or not."""
    from ObserverUncertaintySlicer.layoutSwitch import shownRows

    if shownRows() and not scene.IsBatchProcessing():
        from ObserverUncertaintySlicer.compareViews import resume

        resume()


class ObserverUncertaintyWidget(ScriptedLoadableModuleWidget):
    """Passes Slicer's life cycle on to the panel."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        self.logic = None
        self.panel = None

    def setup(self):
        """Build the panel."""
        ScriptedLoadableModuleWidget.setup(self)
        from ObserverUncertaintySlicer.panel.panel import Panel

        self.logic = ObserverUncertaintyLogic()
        self.panel = Panel(self.logic, self.layout)
        self.layout.addStretch(1)

    def enter(self):
        """The user comes to the module."""
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        """The user leaves the module."""
        if self.panel is not None:
            self.panel.exit()

    def cleanup(self):
        """The module is reloaded, or Slicer closes."""
        if self.panel is not None:
            self.panel.cleanup()
            self.panel = None


class ObserverUncertaintyLogic(LogicSteps, ScriptedLoadableModuleLogic):
    """Every step of the panel as a method with plain arguments; needs no widget, and runs on slicer-core too."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)


class ObserverUncertaintyTest(ScriptedLoadableModuleTest):
    """The self-test that Slicer runs: the first five minutes with the module, the model's part where torch is there."""

    def setUp(self):
        """Start from an empty scene."""
        import slicer

        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run everything, through the panel where there is a main window."""
        import slicer

        from ObserverUncertaintySlicer.selfTest.walk import runSelfTest

        self.setUp()
        panel = None
        if slicer.util.mainWindow() is not None:
            slicer.util.selectModule(Path(__file__).stem)
            panel = slicer.modules.ObserverUncertaintyWidget.panel
        for line in runSelfTest(ObserverUncertaintyLogic(), self.delayDisplay, panel):
            print(line)  # noqa: T201  (to whoever started the test)
        self.delayDisplay("All steps passed")
