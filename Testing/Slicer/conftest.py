"""Fixtures of the Slicer module's tests: real MRML from the slicer-core wheel, imitations only of what it lacks."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
MODULE_FILE = CHECKOUT / "ObserverUncertainty" / "ObserverUncertainty.py"

if importlib.util.find_spec("slicer") is None:
    pytest.exit("These tests need the slicer-core wheel: run `make test-slicer`.", returncode=4)

# As in Slicer: the folder of the module file is on the path, and beside it the library's.
for folder in (CHECKOUT, MODULE_FILE.parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import simulated_cases  # noqa: E402
from imitation.install import application, importModuleFile, installPython  # noqa: E402
from real_mrml import boot  # noqa: E402
from slice_rendering import SliceViewRenderer  # noqa: E402

installPython()


@pytest.fixture(scope="session", autouse=True)
def runFolder(tmp_path_factory):
    """Where the processes of a run put what each of them needs."""
    ownFolder = tmp_path_factory.getbasetemp()
    simulated_cases.runFolder = ownFolder.parent if "PYTEST_XDIST_WORKER" in os.environ else ownFolder


@pytest.fixture(scope="session")
def mrml():
    """The booted application logic, scene and module logics."""
    mrml = boot()
    yield mrml
    mrml.removeTemporaryFiles()


@pytest.fixture(autouse=True)
def removedDisplays(mrml):
    """Names of display nodes that left the scene while their segmentation stayed; a test in which one does fails."""
    mrml.removedDisplays.clear()
    yield mrml.removedDisplays
    names, mrml.removedDisplays[:] = list(mrml.removedDisplays), []
    assert not names, f"Slicer dies at the next change of the segmentation whose display node was removed: {names}"


@pytest.fixture
def vtkMessages(mrml):
    """What VTK reported; `with vtkMessages.expectErrors(pattern):` allows errors that belong to the test."""
    mrml.vtkMessages.clear()
    yield mrml.vtkMessages
    errors = list(mrml.vtkMessages.errors)
    mrml.vtkMessages.clear()
    assert not errors, "VTK reported errors:\n" + "\n".join(errors)


@pytest.fixture
def scene(mrml, vtkMessages):
    """An empty scene; closed again after the test, which fails if VTK reported an error that it did not expect."""
    mrml.clear()
    yield mrml.scene
    mrml.clear()


@pytest.fixture
def renderer(scene):
    """Makes a `SliceViewRenderer(sliceNode, size)` and closes it after the test."""
    made = []

    def make(sliceNode, size=(600, 600)):
        made.append(SliceViewRenderer(sliceNode, size))
        return made[-1]

    yield make
    for view in made:
        view.close()


@pytest.fixture
def moduleFile():
    """ObserverUncertainty.py, imported by its path as Slicer does; the logic needs no application."""
    return sys.modules.get(MODULE_FILE.stem) or importModuleFile(MODULE_FILE)


@pytest.fixture
def withPackaging():
    """Override with False for a Slicer 5.10, which has no `slicer.packaging`."""
    return True


@pytest.fixture
def slicerApplication(scene, mrml, tmp_path_factory, withPackaging, monkeypatch):
    """The imitated application (see `imitation`); the test fails if a slot raised, or an answer was never asked for."""
    folder = tmp_path_factory.mktemp("slicer")
    if "OBSERVER_UNCERTAINTY_JOBS" not in os.environ:  # a test's own; else those of the user, and unsaved work
        monkeypatch.setenv("OBSERVER_UNCERTAINTY_JOBS", str(folder / "jobs"))
    with application(mrml, folder, withPackaging) as running:
        yield running
    assert not running.slotErrors, f"slots raised {running.slotErrors}"
    unused = {kind: list(answers) for kind, answers in running.dialogs.answers.items() if answers}
    assert not unused, f"dialogs that were never shown have answers: {unused}"


@pytest.fixture
def panel(slicerApplication, moduleFile):
    """The module's panel, open on an empty scene."""
    return slicerApplication.openModule(moduleFile).panel


@pytest.fixture
def qt(slicerApplication):
    import qt

    return qt


@pytest.fixture
def ctk(slicerApplication):
    import ctk

    return ctk


@pytest.fixture(scope="session")
def workerPython():
    """A Python with torch for workers; tests that need it are skipped without OBSERVER_UNCERTAINTY_PYTHON."""
    python = os.environ.get("OBSERVER_UNCERTAINTY_PYTHON")
    if not python:
        pytest.skip("no Python with torch (set OBSERVER_UNCERTAINTY_PYTHON)")
    return Path(python)


@pytest.fixture(scope="session")
def testData():
    """The folder of real data, which is no part of the checkout; tests that need it are skipped without it."""
    folder = Path(os.environ.get("OBSERVER_UNCERTAINTY_TEST_DATA") or CHECKOUT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder} (set OBSERVER_UNCERTAINTY_TEST_DATA)")
    return folder
