"""The module costs little at a start of Slicer, which loads it whether it is opened or not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent
MODULE_FILE = FOLDER.parents[1] / "ObserverUncertainty" / "ObserverUncertainty.py"

START = """
import json, sys, time
from pathlib import Path
from types import ModuleType, SimpleNamespace
import numpy, slicer, vtk, vtk.util.numpy_support, slicer.util
from imitation.install import importModuleFile, installPython

installPython()
slicer.mrmlScene = slicer.vtkMRMLScene()
layout = slicer.vtkMRMLLayoutLogic()
layout.SetMRMLScene(slicer.mrmlScene)
sampleData = sys.modules["SampleData"] = ModuleType("SampleData")
listed = []
sampleData.SampleDataLogic = SimpleNamespace(registerCustomSampleDataSource=lambda **source: listed.append(source))
file = Path(sys.argv[1])
sys.path.append(str(file.parent))
start = time.process_time()
module = importModuleFile(file)
module.ObserverUncertainty(SimpleNamespace())
module._onStartup()
seconds = time.process_time() - start
loaded = sorted(sys.modules)
layout.GetLayoutNode().SetViewArrangement(20181)
print(json.dumps({
    "seconds": seconds,
    "loaded": loaded,
    "listed": [source["sampleName"] for source in listed],
    "views": layout.GetViewNodes().GetNumberOfItems(),
}))
"""

HEAVY = ("scipy", "SimpleITK", "torch", "matplotlib", "safetensors")
NEEDED = {"comparisonLayout", "host", "logic", "sampleData"}
"""Of the module's own files."""


@pytest.fixture(scope="module")
def start():
    """What a fresh process loads for the module and its start-up, numpy and vtk being there as in Slicer."""
    run = subprocess.run(
        [sys.executable, "-c", START, MODULE_FILE],
        env={**os.environ, "PYTHONPATH": str(FOLDER)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    # Not asserted, since it is another on every machine; seen with `pytest -s`.
    print(f"\nCPU time of the module file and its start-up: {found['seconds']:.3f} s")  # noqa: T201
    return found


def test_the_module_is_ready_after_its_start(start):
    assert start["listed"] == ["SimulatedCavity"]
    assert start["views"] == 6


@pytest.mark.parametrize("name", HEAVY)
def test_nothing_heavy_is_loaded_before_the_module_is_opened(start, name):
    assert [module for module in start["loaded"] if module == name or module.startswith(f"{name}.")] == []


def test_of_the_project_only_what_the_start_needs_is_loaded(start):
    own = {name for name in start["loaded"] if name.startswith("ObserverUncertainty")}
    assert own == {
        *("ObserverUncertainty", "ObserverUncertaintySlicer"),
        *(f"ObserverUncertaintySlicer.{name}" for name in NEEDED),
    }
