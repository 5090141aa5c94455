"""Puts the imitation where Python code looks for Slicer, and takes it away again."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import sys
import types
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
import slicer.util

from . import i18n, packaging, pythonqt, scripted_module

if TYPE_CHECKING:
    from collections.abc import Iterator


def installPython() -> None:
    """What is plain Python: scripted modules and texts. Stays for the process's lifetime."""
    _keepConstants()
    for name, module in (("ScriptedLoadableModule", scripted_module), ("i18n", i18n)):
        sys.modules[f"slicer.{name}"] = module
        setattr(slicer, name, module)


def _keepConstants() -> None:
    """Keep None, True and False from being freed at the end of the process.

    Each call of a Qt setter gives a reference to None away that it never took (PySide6 6.12), which does no harm from
    Python 3.12 on, where these three live forever. Before that some ten thousand calls are too many.
    """
    if sys.version_info < (3, 12):
        for constant in (None, True, False):
            ctypes.c_ssize_t.from_address(id(constant)).value += 1 << 40


def _qtModules():
    from PySide6 import QtCore, QtGui, QtWidgets

    from . import application, dialogs, ui_loader

    application.qtApplication()
    pythonqt.install()
    dialogs.install()
    qt, ctk = types.ModuleType("qt"), types.ModuleType("ctk")
    for module in (QtCore, QtGui, QtWidgets):
        for name in (name for name in dir(module) if name.startswith("Q")):
            setattr(qt, name, getattr(module, name))
    for class_ in (dialogs.QFileDialog, dialogs.QDesktopServices, ui_loader.QUiLoader):
        setattr(qt, class_.__name__, class_)
    widgets = ui_loader.STAND_INS
    slicer.qSlicerScriptedLoadableModule = ScriptedModule
    for name, class_ in widgets.items():
        setattr(ctk if name.startswith("ctk") else slicer, name, class_)
    return {"qt": qt, "ctk": ctk}


_modules: dict[str, types.ModuleType] = {}


@contextlib.contextmanager
def application(mrml, folder: Path, withPackaging: bool = True) -> Iterator[Slicer]:
    """The imitated application for the length of a test.

    Args:
        mrml: The real scene and logics.
        folder: An empty folder for settings and temporary files.
        withPackaging: Whether `slicer.packaging` exists; Slicer 5.10 does not have it.
    """
    from . import application as applications
    from . import dialogs

    if not _modules:
        _modules.update(_qtModules())
    sys.modules.update(_modules)
    sys.modules["slicer.packaging"] = packaging if withPackaging else None
    if withPackaging:
        slicer.packaging = packaging
    app = applications.Application(mrml, folder, applications.supportedVersion(version("slicer-core")))
    slicer.app = app
    running = Slicer(app, dialogs.reset(), packaging.reset())
    try:
        yield running
    finally:
        running.close()
        app.close()
        del slicer.app
        if withPackaging:
            del slicer.packaging
        for name in (*_modules, "slicer.packaging"):
            sys.modules.pop(name, None)


class Slicer:
    """The imitated application as a test holds it: `slicer.app`, the dialogs, and the modules that were opened."""

    def __init__(self, app, dialogs, packages):
        self.app = app
        self.dialogs = dialogs
        self.packages = packages
        self.slotErrors: list[BaseException] = []
        self._opened: list[str] = []
        self._sceneObservations: list[int] = []
        self._ordinaryHook = sys.excepthook
        # Qt catches what a slot raises; PySide6 hands it to this hook.
        sys.excepthook = lambda _type, error, _trace: self.slotErrors.append(error)

    def loadModule(self, moduleFile):
        """Loads a scripted module and makes its panel, which nobody looks at.

        Args:
            moduleFile: The imported module file (see the fixture of that name), or its path.

        Returns:
            The module's widget, set up.
        """
        path = Path(getattr(moduleFile, "__file__", moduleFile))
        module = sys.modules.get(path.stem) or importModuleFile(path)
        representation = ModuleRepresentation(module, path)
        setattr(slicer.modules, path.stem.lower(), representation.module)
        self._opened.append(path.stem)
        with self._sceneObservationsKept():
            self.app.startupCompleted.emit()
        representation.reload()
        return getattr(slicer.modules, f"{path.stem}Widget")

    def openModule(self, moduleFile):
        """Loads a module and goes to its panel; returns its widget, set up and entered."""
        return self.enter(self.loadModule(moduleFile).moduleName)

    def enter(self, name):
        """The user comes to the module."""
        slicer.util.mainWindow().moduleSelector().selectModule(name)
        return getattr(slicer.modules, f"{name}Widget")

    def leave(self):
        """The user goes to another module."""
        slicer.util.mainWindow().moduleSelector().selectModule("Another")

    @contextlib.contextmanager
    def _sceneObservationsKept(self) -> Iterator[None]:
        """The tests' one scene outlives the application, whose modules observe theirs as long as they are there."""
        scene, tags = slicer.mrmlScene, self._sceneObservations

        def addObserver(*arguments):
            tags.append(type(scene).AddObserver(scene, *arguments))
            return tags[-1]

        scene.AddObserver = addObserver
        try:
            yield
        finally:
            del scene.AddObserver

    def processEvents(self):
        """Runs what waits in Qt's event loop, deleted objects included."""
        self.app.processEvents()

    def close(self):
        """Unloads the modules, as the application does when it quits."""
        try:
            for name in self._opened:
                self.app.moduleManager().moduleAboutToBeUnloaded.emit(name)
                for attribute in (name.lower(), f"{name}Widget", f"{name}Instance"):
                    vars(slicer.modules).pop(attribute, None)
            self.processEvents()
        finally:
            sys.excepthook = self._ordinaryHook
            for tag in self._sceneObservations:
                slicer.mrmlScene.RemoveObserver(tag)


class ScriptedModule:
    """Base/QTGUI/qSlicerScriptedLoadableModule.h: what `slicer.modules.<name>` is, and the module class's `parent`."""

    def __init__(self, representation):
        self.name = representation.name
        self.path = representation.path
        self.hidden = False
        self.icon = None
        self._representation = representation

    def widgetRepresentation(self):
        """The panel."""
        return self._representation.panel


class ModuleRepresentation:
    """A scripted module's place in the application: its description, its panel, and how it is made again on reload."""

    def __init__(self, module, path: Path):
        self.name = path.stem
        self.path = str(path)
        self.module = ScriptedModule(self)
        instance = getattr(module, self.name)(self.module)
        setattr(slicer.modules, f"{self.name}Instance", instance)
        self.panel = None

    def reload(self):
        """Makes the widget of the module as it is now in `sys.modules`."""
        from PySide6 import QtWidgets

        if self.panel is None:
            self.panel = panelClass()()
            self.panel.keep(representation=self)
            self.panel.setLayout(QtWidgets.QVBoxLayout())
            self.panel.setMRMLScene(slicer.mrmlScene)
        widget = getattr(sys.modules[self.name], f"{self.name}Widget")(self.panel)
        self.panel.keep(python=widget)
        setattr(slicer.modules, f"{self.name}Widget", widget)
        widget.setup()


def panelClass():
    """The stand-in for qSlicerScriptedLoadableModuleWidget, as part of `slicer` too."""
    if not hasattr(slicer, "qSlicerScriptedLoadableModuleWidget"):
        from .mrml_widgets import QMRMLWidget

        class ScriptedPanel(QMRMLWidget):
            """Base/QTGUI/qSlicerScriptedLoadableModuleWidget.h"""

            standsFor = "qMRMLWidget"

            def reload(self):
                """Makes the Python widget again."""
                self._representation.reload()

            def self(self):
                """The Python widget."""
                return self._python

        slicer.qSlicerScriptedLoadableModuleWidget = ScriptedPanel
    return slicer.qSlicerScriptedLoadableModuleWidget


def importModuleFile(path: Path):
    """Imports a module file by its path, as the application does."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module
