"""`slicer.ScriptedLoadableModule`: the bases of a scripted module with their life cycle, modelled on

Slicer/Base/Python/slicer/ScriptedLoadableModule.py. The developer section is left out: `developerMode` is always off.
"""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

import slicer


class ScriptedLoadableModule:
    """What the application knows of a module before it is opened."""

    def __init__(self, parent):
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title = ""
        parent.categories = []
        parent.dependencies = []
        parent.contributors = []
        parent.helpText = ""
        parent.acknowledgementText = ""

    def resourcePath(self, filename):
        """A file beside the module file, in Resources."""
        return str(Path(self.parent.path).parent / "Resources" / filename)

    def runTest(self, msec=100, **kwargs):
        """Runs the module's self-test."""
        test = getattr(sys.modules[type(self).__module__], f"{self.moduleName}Test")()
        test.messageDelay = msec
        test.runTest(**kwargs)


class ScriptedLoadableModuleWidget:
    """The panel; `setup` is called once, `enter` and `exit` as the user comes and goes, `cleanup` at the end."""

    def __init__(self, parent=None):
        if parent is None:
            raise NotImplementedError("a widget of its own, without the application's, is not modelled")
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        self.layout = parent.layout()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, filename):
        """A file beside the module file, in Resources."""
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename)

    def setup(self):
        """Builds the panel."""

    def cleanup(self):
        """The module is reloaded, or the application closes."""

    def onReload(self):
        """Reloads the module."""
        slicer.util.reloadScriptedModule(self.moduleName)

    def _onModuleAboutToBeUnloaded(self, moduleName):
        if moduleName == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)


class ScriptedLoadableModuleLogic:
    """The module without its panel, with one parameter node per scene."""

    def __init__(self, parent=None):  # noqa: ARG002
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self):
        """The scene's parameter node, made where there is none."""
        if not self.isSingletonParameterNode:
            raise NotImplementedError("several parameter nodes are not modelled")
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            return slicer.mrmlScene.AddNode(self.createParameterNode())
        # Closing the scene resets the singletons that it keeps.
        node.SetAttribute("ModuleName", self.moduleName)
        return node

    def createParameterNode(self):
        """A new parameter node, not yet in the scene."""
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """The module's self-test."""

    messageDelay = 0

    def runTest(self):
        """Runs every method whose name has "test" in it."""
        for name in [name for name in dir(type(self)) if "test" in name]:
            self.setUp()
            getattr(self, name)()
            self.tearDown()

    def delayDisplay(self, message, requestedDelay=None, msec=None):  # noqa: ARG002
        """Lets the interface follow."""
        slicer.util.delayDisplay(message, 0)
