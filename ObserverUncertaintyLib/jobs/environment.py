"""The environment variables of a worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

_LIBRARY = Path(__file__).resolve().parents[2]
OF_ONE_PYTHON = ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Variables that are meant for one interpreter, and break another one or another program."""

_LAUNCHER = "PythonSlicer"


def worker_environment(python: str, environment: Mapping[str, str]) -> dict[str, str]:
    """A copy of this process's environment, extended for a worker that `python` runs.

    The folder of this library comes first in PYTHONPATH. What Slicer sets for its own Python (PYTHONHOME, PYTHONPATH
    and the library paths) is passed on to this interpreter and to PythonSlicer only, since it would break any other.

    Args:
        python: the worker's interpreter.
        environment: variables that have the last word; a PYTHONPATH among them must name this library's folder itself.
    """
    variables = dict(os.environ)
    if not _is_this_python(python):
        for name in OF_ONE_PYTHON:
            variables.pop(name, None)
    inherited = variables.get("PYTHONPATH")
    variables["PYTHONPATH"] = str(_LIBRARY) if not inherited else f"{_LIBRARY}{os.pathsep}{inherited}"
    variables["PYTHONUTF8"] = "1"
    # GPUs then have the numbers that nvidia-smi shows.
    variables["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    variables.update(environment)
    return variables


def _is_this_python(python: str) -> bool:
    # Not resolved: the interpreter of a virtual environment is a link to another one.
    same = os.path.normcase(Path(python).absolute()) == os.path.normcase(Path(sys.executable).absolute())
    return same or Path(python).stem == _LAUNCHER
