"""What depends on where the code runs: the Slicer application (5.10 to 5.13), or the slicer-core wheel without Qt.

Everything else in this package is written as if there were one kind of Slicer.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import slicer

try:
    from slicer.i18n import tr
except ImportError:  # the slicer-core wheel has no translations

    def tr(text: str, context: str | None = None) -> str:  # noqa: ARG001  (Slicer's signature)
        """The text as it is."""
        return text


PYTHON_VARIABLE = "OBSERVER_UNCERTAINTY_PYTHON"
"""Environment variable that names another Python for the work in the background, such as one with a GPU's torch."""

JOBS_VARIABLE = "OBSERVER_UNCERTAINTY_JOBS"
"""Environment variable that names the folder of the job folders."""

_SETTINGS_GROUP = "ObserverUncertainty/"


def application():
    """The Slicer application, or None where only slicer-core runs."""
    return getattr(slicer, "app", None)


def setting(name: str, default: str = "") -> str:
    """One of the module's application settings, which outlive scene and session."""
    app = application()
    value = app.userSettings().value(_SETTINGS_GROUP + name) if app is not None else None
    return default if value is None else str(value)


def saveSetting(name: str, value: str) -> None:
    """Keep one of the module's application settings; without an application there is nowhere to keep it."""
    app = application()
    if app is not None:
        app.userSettings().setValue(_SETTINGS_GROUP + name, value)


def workerPython() -> str:
    """The Python that runs the work in the background.

    The environment variable's where it is set; else Slicer's own Python; else the one that runs this.
    """
    chosen = os.environ.get(PYTHON_VARIABLE)
    if chosen:
        return chosen
    app = application()
    if app is not None:
        launcher = Path(app.slicerHome) / "bin" / ("PythonSlicer.exe" if os.name == "nt" else "PythonSlicer")
        if launcher.is_file():
            return str(launcher)
    return sys.executable


def workerEnvironment() -> dict[str, str]:
    """What a worker's environment needs besides Slicer's own.

    Another Python than Slicer's must not find Slicer's standard library and shared libraries, which Slicer's launcher
    put into the environment.
    """
    if not os.environ.get(PYTHON_VARIABLE):
        return {}
    return {name: "" for name in ("PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}


def dataFolder() -> Path:
    """The user's folder for what the module keeps: job folders and the sample case."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "ObserverUncertainty"


def jobsFolder() -> Path:
    """The folder of the job folders: the environment variable's, else the one in the settings, else the user's."""
    chosen = os.environ.get(JOBS_VARIABLE) or setting("JobsFolder")
    return Path(chosen) if chosen else dataFolder() / "Jobs"


def asFileName(name: str) -> str:
    """The name with an underscore for every character that Windows, the strictest system, forbids in file names."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", name)


def pixelRatio() -> int:
    """How many pixels of the screen a pixel of the interface takes: 2 at 200 % scaling, 1 where there is no window."""
    if application() is None:
        return 1
    import slicer

    window = slicer.util.mainWindow()
    return 1 if window is None else max(1, round(window.screen().devicePixelRatio))


def processEvents() -> None:
    """Let the interface breathe while something is waited for."""
    app = application()
    if app is not None:
        app.processEvents()


def showStatus(text: str) -> None:
    """Show a short text in the main window's status bar for some seconds, where there is one."""
    if application() is not None:
        import slicer

        slicer.util.showStatusMessage(text, 3000)


@contextmanager
def waitCursor() -> Iterator[None]:
    """Show the wait cursor during a click that computes for a second or two."""
    app = application()
    if app is None:
        yield
        return
    import qt

    app.setOverrideCursor(qt.Qt.WaitCursor)
    try:
        yield
    finally:
        app.restoreOverrideCursor()
