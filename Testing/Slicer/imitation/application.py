"""`slicer.app`: the parts of the application that the module and `slicer.util` ask for."""

from __future__ import annotations

from pathlib import Path

import slicer
from PySide6 import QtCore, QtWidgets

from .layout_manager import LayoutManager
from .stand_ins import Modelled, StandIn

QAPPLICATION_METHODS = (
    *("clipboard", "focusWidget", "processEvents"),
    *("overrideCursor", "restoreOverrideCursor", "setOverrideCursor"),
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

    def module(self, name):
        """What `slicer.modules` has under the name in small letters, or None."""
        return getattr(slicer.modules, name.lower(), None)


class ModuleSelector(StandIn, QtWidgets.QToolBar):
    """Base/QTGUI/qSlicerModuleSelectorToolBar.h, reduced to the module that the user sees."""

    standsFor = "qSlicerModuleSelectorToolBar"
    selectedModule = Modelled(str)

    def selectModule(self, name):
        """The user goes to a module and leaves the one before."""
        if name == self.selectedModule:
            return
        before, now = (getattr(slicer.modules, f"{module}Widget", None) for module in (self.selectedModule, name))
        if before is not None:
            before.exit()
        self.selectedModule = name
        if now is not None:
            now.enter()


class MainWindow(StandIn, QtWidgets.QMainWindow):
    """Base/QTApp/qSlicerMainWindow.h, with nothing in its middle; `slicer.util` finds it by its name."""

    standsFor = "qSlicerMainWindow"

    def __init__(self):
        super().__init__()
        self.objectName = "qSlicerMainWindow"
        self.statusBar()
        self.setCentralWidget(QtWidgets.QWidget())
        self.keep(selector=ModuleSelector())
        self.addToolBar(self._selector)

    def moduleSelector(self):
        """The tool bar with the modules."""
        return self._selector


class Application(StandIn, QtCore.QObject):
    """Base/QTGUI/qSlicerApplication.h and Base/QTCore/qSlicerCoreApplication.h, over the process's QApplication."""

    standsFor = "qSlicerApplication"
    startupCompleted = QtCore.Signal()
    focusChanged = QtCore.Signal(object, object)
    aboutToQuit = QtCore.Signal()
    standInSignals = {"focusChanged(QWidget*,QWidget*)": "focusChanged"}  # noqa: RUF012

    applicationName = Modelled(str, "Slicer")
    majorVersion = Modelled(int)
    minorVersion = Modelled(int)
    slicerHome = Modelled(str)
    temporaryPath = Modelled(str)

    def __init__(self, mrml, folder: Path, version: tuple[int, int]):
        super().__init__()
        qtApplication()
        QtCore.QSettings.setPath(
            QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, str(folder / "settings")
        )
        self.majorVersion, self.minorVersion = version
        self.slicerHome = str(folder / "Slicer")
        self.temporaryPath = str(folder / "temporary")
        Path(self.temporaryPath).mkdir(parents=True)
        self.keep(mrml=mrml, mainWindow=MainWindow(), layoutManager=LayoutManager(mrml), moduleManager=ModuleManager())

    def __getattr__(self, name):
        if name in QAPPLICATION_METHODS:
            return getattr(QtWidgets.QApplication.instance(), name)
        return super().__getattr__(name)

    def applicationLogic(self):
        """The real application logic."""
        return self._mrml.applicationLogic

    def layoutManager(self):
        """Layouts and slice views."""
        return self._layoutManager

    def moduleManager(self):
        """Loading and unloading modules."""
        return self._moduleManager

    def userSettings(self):
        """The user's settings; each test starts without any."""
        return QtCore.QSettings()

    def testingEnabled(self):
        """False, so that messages are shown, which is to say recorded."""
        return False

    def pauseRender(self):
        """No view is drawn until `resumeRender`; here none is drawn at all."""

    def resumeRender(self):
        """The views are drawn again."""

    def topLevelWidgets(self):
        """The main window alone: PySide6 can crash where it wraps windows that earlier tests left to be deleted."""
        return [self._mainWindow] if self._mainWindow is not None else []

    def runWithoutMainWindow(self):
        """From now on as with the option `--no-main-window`: no window, and so no layouts."""
        self._closeWindow()
        self.keep(mainWindow=None, layoutManager=None)

    def close(self):
        """Ends the imitation of one test."""
        while QtWidgets.QApplication.overrideCursor() is not None:
            QtWidgets.QApplication.restoreOverrideCursor()
        self._closeWindow()
        QtWidgets.QApplication.processEvents()
        QtWidgets.QApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)

    def _closeWindow(self):
        if self._mainWindow is not None:
            self._layoutManager.close()
            self._mainWindow.close()
            self._mainWindow.deleteLater()


def supportedVersion(wheelVersion: str) -> tuple[int, int]:
    """Major and minor number of the Slicer that a slicer-core wheel belongs to."""
    major, minor = wheelVersion.split(".")[:2]
    return int(major), int(minor)
