"""The packages that training and prediction need: what is missing, and how it comes in, on the user's click or by hand.

Steps 1 and 2 need none of them.
"""

from __future__ import annotations

import importlib
import os
import subprocess
from collections.abc import Callable

import slicer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.jobs.packages import VERSIONS, Lack, lacking
from ObserverUncertaintySlicer.devices import knownDevices
from ObserverUncertaintySlicer.host import PYTHON_VARIABLE, application, waitCursor, workerPython
from ObserverUncertaintySlicer.host import tr as _

TORCH_VERSIONS = VERSIONS["torch"]
SAFETENSORS = f"safetensors{VERSIONS['safetensors']}"


def usesOtherPython() -> bool:
    """Whether the environment names another Python than Slicer's for the work."""
    return bool(os.environ.get(PYTHON_VARIABLE))


def missingPackages() -> list[str] | None:
    """The packages to install: those that the worker's Python lacks, or has in a version that does not fit.

    Nothing is imported for it.

    Returns:
        Each package's name, with the version that is there and the one that is needed if one is there; None while this
        is not known of another Python than Slicer's.
    """
    lacks = _lacking()
    return None if lacks is None else [str(lack) for lack in lacks]


def _lacking() -> list[Lack] | None:
    if usesOtherPython():
        report = knownDevices()
        return None if report is None else list(report.lacking)
    return lacking(tuple(VERSIONS))


def installTitle() -> str:
    """What the button is called that installs the packages, or tells how where Slicer does not install them."""
    return _("How to install…") if usesOtherPython() else _("Install…")


def install(confirm: Callable[[str], bool]) -> bool:
    """Install what is missing into Slicer's Python, after asking; call it on the user's click only.

    torch comes through the PyTorch extension, which chooses the build for the GPU and asks by itself.

    Args:
        confirm: shows a question, and returns whether the user agrees.

    Returns:
        Whether everything is there now; false if the user declined.

    Raises:
        InputError: it cannot be installed from here, or the installation failed; the text says what to do.
    """
    if usesOtherPython():
        raise InputError(
            _(
                "The work is done by {python}, which the environment variable {variable} names; Slicer installs "
                'nothing there. Install with: "{python}" -m pip install "torch{versions}" "{safetensors}"'
            ).format(python=workerPython(), variable=PYTHON_VARIABLE, versions=TORCH_VERSIONS, safetensors=SAFETENSORS)
        )
    if application() is None:
        raise InputError(offlineInstructions())
    missing = {lack.name for lack in _lacking() or ()}
    try:
        done = ("torch" not in missing or _installTorch()) and (
            "safetensors" not in missing or _installSafetensors(confirm)
        )
    except subprocess.CalledProcessError as error:
        raise InputError(
            _(
                "The installation failed ({error}). Is this computer connected to the internet? Without a connection, "
                "follow the instructions under Offline."
            ).format(error=error)
        ) from error
    importlib.invalidate_caches()
    return done


def _installTorch() -> bool:
    try:
        import PyTorchUtils
    except ModuleNotFoundError as error:
        raise InputError(
            _(
                "The PyTorch extension is missing, through which torch is installed. Install the extension PyTorch in "
                "the Extensions Manager, restart Slicer, and click Install again."
            )
        ) from error
    logic = PyTorchUtils.PyTorchUtilsLogic()
    return logic.installTorch(askConfirmation=True, torchVersionRequirement=TORCH_VERSIONS) is not None


def _installSafetensors(confirm: Callable[[str], bool]) -> bool:
    question = _("{package} will be downloaded and installed into Slicer's Python. Continue?").format(
        package=SAFETENSORS
    )
    if not confirm(question):
        return False
    try:
        from slicer.packaging import pip_install
    except ImportError:  # Slicer 5.10
        with waitCursor():
            slicer.util.pip_install([SAFETENSORS])
    else:
        pip_install([SAFETENSORS], requester="ObserverUncertainty")  # shows by itself that it works
    return True


def offlineInstructions() -> str:
    """What to do on a computer without internet."""
    return _(
        "On a computer without internet, training and prediction need two packages with what they depend on: "
        '"torch{versions}" and "{safetensors}".\n\n'
        "1. On a computer with internet, the same operating system and the same Slicer version, open a terminal:\n"
        '   PythonSlicer -m pip download --dest FOLDER "torch{versions}" "{safetensors}"\n'
        "   PythonSlicer lies in Slicer's folder bin. For an NVIDIA GPU, choose the build of torch that fits its "
        "driver on pytorch.org and add the --index-url that is given there.\n"
        "2. Copy FOLDER to this computer and run there:\n"
        '   PythonSlicer -m pip install --no-index --find-links FOLDER "torch{versions}" "{safetensors}"\n'
        "3. Restart Slicer.\n\n"
        "Or use another Python on this computer that has these packages, numpy, scipy and SimpleITK: set the "
        "environment variable {variable} to its executable before Slicer starts."
    ).format(versions=TORCH_VERSIONS, safetensors=SAFETENSORS, variable=PYTHON_VARIABLE)
