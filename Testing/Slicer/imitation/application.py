"""`slicer.app`: the parts of the application that the module and `slicer.util` ask for."""

from __future__ import annotations

import os
from pathlib import Path

import slicer
from PySide6 import QtCore, QtWidgets

from .core_io import CoreIOManager
from .layout_manager import LayoutManager
from .stand_ins import Modelled, StandIn

QAPPLICATION_METHODS = (
    "activeWindow",
    "clipboard",
    "keyboardModifiers",
    "overrideCursor",
    "palette",
    "processEvents",
    "restoreOverrideCursor",
    "setOverrideCursor",
    "style",
)


def qtApplication():
    """The process's QApplication, with settings that are nobody's."""
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    application.setApplicationName("Slicer")
    application.setOrganizationName("ObserverUncertaintyTests")
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    return application


class ModuleManager(StandIn, QtCore.QObject):
    """Base/QTCore/qSlicerModuleManager.h"""

    standsFor = "qSlicerModuleManager"
    moduleAboutToBeUnloaded = QtCore.Signal(str)
    moduleLoaded = QtCore.Signal(str)

    def module(self, name):
        """What `slicer.modules` has under the name in small letters, or None."""
        return getattr(slicer.modules, name.lower(), None)


class Application(StandIn, QtCore.QObject):
    """Base/QTGUI/qSlicerApplication.h and Base/QTCore/qSlicerCoreApplication.h, over the process's QApplication."""

    standsFor = "qSlicerApplication"
    startupCompleted = QtCore.Signal()
    aboutToQuit = QtCore.Signal()
    lastWindowClosed = QtCore.Signal()
    standInSignals = {"aboutToQuit()": "aboutToQuit", "lastWindowClosed()": "lastWindowClosed"}  # noqa: RUF012

    applicationName = Modelled(str, "Slicer")
    applicationVersion = Modelled(str)
    majorVersion = Modelled(int)
    minorVersion = Modelled(int)
    slicerHome = Modelled(str)
    temporaryPath = Modelled(str)
    documentationBaseUrl = Modelled(str, "https://slicer.readthedocs.io/")
    applicationLocaleName = Modelled(str, "en-US")

    def __init__(self, mrml, folder: Path, version: tuple[int, int]):
        super().__init__()
        qtApplication()
        QtCore.QSettings.setPath(
            QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, str(folder / "settings")
        )
        self.majorVersion, self.minorVersion = version
        self.applicationVersion = f"{version[0]}.{version[1]}.0"
        self.slicerHome = str(folder / "Slicer")
        self.temporaryPath = str(folder / "temporary")
        Path(self.temporaryPath).mkdir(parents=True)
        # `slicer.util` shows messages only where there is a main window of this name.
        mainWindow = QtWidgets.QMainWindow()
        mainWindow.objectName = "qSlicerMainWindow"
        mainWindow.statusBar()
        self.keep(
            mrml=mrml,
            mainWindow=mainWindow,
            layoutManager=LayoutManager(mrml),
            coreIOManager=CoreIOManager(mrml),
            moduleManager=ModuleManager(),
        )

    def __getattr__(self, name):
        if name in QAPPLICATION_METHODS:
            return getattr(QtWidgets.QApplication.instance(), name)
        return super().__getattr__(name)

    def mrmlScene(self):
        """The scene."""
        return self._mrml.scene

    def applicationLogic(self):
        """The real application logic."""
        return self._mrml.applicationLogic

    def layoutManager(self):
        """Layouts and slice views."""
        return self._layoutManager

    def coreIOManager(self):
        """Reading and writing files."""
        return self._coreIOManager

    def ioManager(self):
        """Reading and writing files."""
        return self._coreIOManager

    def moduleManager(self):
        """Loading and unloading modules."""
        return self._moduleManager

    def userSettings(self):
        """The user's settings; each test starts without any."""
        return QtCore.QSettings()

    def settings(self):
        """The user's settings too."""
        return QtCore.QSettings()

    def testingEnabled(self):
        """False, so that messages are shown, which is to say recorded."""
        return False

    def topLevelWidgets(self):
        """The main window alone: PySide6 can crash where it wraps windows that earlier tests left to be deleted."""
        return [self._mainWindow]

    def translate(self, _context, text, *_more):
        """No translation: the text itself."""
        return text

    def moduleDocumentationUrl(self, moduleName):
        """Where a module is described."""
        return f"{self.documentationBaseUrl}{moduleName}"

    def startupEnvironment(self):
        """The environment from before the application changed it."""
        return dict(os.environ)

    def pauseRender(self):
        """Nothing is rendered."""

    def resumeRender(self):
        """Nothing is rendered."""

    def close(self):
        """Ends the imitation of one test."""
        while QtWidgets.QApplication.overrideCursor() is not None:
            QtWidgets.QApplication.restoreOverrideCursor()
        self._layoutManager.close()
        self._mainWindow.close()
        self._mainWindow.deleteLater()
        QtWidgets.QApplication.processEvents()
        QtWidgets.QApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)


def supportedVersion(wheelVersion: str) -> tuple[int, int]:
    """Major and minor number of the Slicer that a slicer-core wheel belongs to."""
    major, minor = wheelVersion.split(".")[:2]
    return int(major), int(minor)
