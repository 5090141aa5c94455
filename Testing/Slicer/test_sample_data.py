"""The sample case: made here, kept, made again when damaged."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import slicer
import slicer.util

from ObserverUncertaintyLib.jobs import JobState
from ObserverUncertaintySlicer import host, sampleData
from ObserverUncertaintySlicer.raterMasks import commonGrid, raterMasks
from ObserverUncertaintySlicer.volumes import arrayOfVolume


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(sampleData, "dataFolder", lambda: tmp_path / "data")
    monkeypatch.setenv(host.JOBS_VARIABLE, str(tmp_path / "jobs"))
    monkeypatch.delenv(host.PYTHON_VARIABLE, raising=False)  # the sample case must come without anything installed
    return tmp_path / "data" / "SampleCase"


def test_it_is_made_without_torch_and_kept_for_the_next_time(scene, kept):
    assert sampleData.keptSampleCase() is None
    case = sampleData.sampleCase().result()
    assert list(case.sequences) == ["T1", "T1c", "T2", "FLAIR"]
    assert len(case.raters) == 3
    masks = raterMasks(case.raters, commonGrid(case.raters, case.sequences["T1"]))
    assert masks.masks.any(axis=(1, 2, 3)).all()
    assert (masks.masks.any(axis=0) & ~masks.masks.all(axis=0)).any()

    again = sampleData.keptSampleCase()
    np.testing.assert_array_equal(arrayOfVolume(again.sequences["T2"]), arrayOfVolume(case.sequences["T2"]))

    (kept / "cohort.toml").write_text("damaged", encoding="utf-8")
    assert sampleData.keptSampleCase() is None


class SampleDataLogicImitation:
    """Takes what Slicer 5.13's Modules/Scripted/SampleData/SampleData.py takes, and refuses what that refuses."""

    sources: ClassVar[list] = []

    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom",
        sampleName=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileTypes=None,
        loadFiles=None,
        loadFileProperties=None,
        checksums=None,
        loadFileType=None,
    ):
        if not isinstance(uris, str):
            raise TypeError("object of type 'NoneType' has no len()")
        SampleDataLogicImitation.sources.append((category, sampleName, customDownloader, thumbnailFileName))


@pytest.fixture
def download(monkeypatch):
    """What the module Sample Data does at a click."""
    module = types.ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogicImitation
    monkeypatch.setitem(sys.modules, "SampleData", module)
    monkeypatch.setattr(SampleDataLogicImitation, "sources", [])
    sampleData.registerSampleData()
    ((category, name, download, thumbnail),) = SampleDataLogicImitation.sources
    assert (category, name) == ("ObserverUncertainty", "SimulatedCavity")
    assert Path(thumbnail).is_file()
    return lambda: download(object())


def test_it_loads_from_sample_data_and_is_shown(slicerApplication, kept, download):
    nodes = download()
    assert [node.GetClassName() for node in nodes] == ["vtkMRMLScalarVolumeNode"] * 4 + ["vtkMRMLSegmentationNode"]
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert composites
    assert {node.GetBackgroundVolumeID() for node in composites} == {nodes[0].GetID()}
    display = nodes[-1].GetDisplayNode()
    assert display.GetVisibility2DOutline()
    assert not display.GetVisibility2DFill()
    again = download()
    assert display.GetVisibility() == 0  # the earlier case's contours would lie over this one's
    assert again[-1].GetDisplayNode().GetVisibility() == 1
    assert slicerApplication.dialogs.messages == []


def test_where_it_cannot_be_made_a_message_tells_why(slicerApplication, kept, download, monkeypatch):
    monkeypatch.setattr(sampleData, "sampleCase", lambda: failing())
    assert download() == []
    (message,) = slicerApplication.dialogs.messages
    assert message.text == "No space left. Make some."
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []
    assert slicer.app.overrideCursor() is None


def test_a_folder_that_cannot_be_written_to_is_named(slicerApplication, kept, download):
    kept.parent.parent.mkdir(parents=True, exist_ok=True)
    kept.parent.write_text("a file where the folder should be", encoding="utf-8")
    assert download() == []
    (message,) = slicerApplication.dialogs.messages
    assert f"{kept}: the sample case cannot be kept there: " in message.text


def failing():
    """A job that fails at once."""
    from ObserverUncertaintyLib.jobs import JobError, JobProgress

    class Failing:
        name, state, progress = "simulate", JobState.FAILED, JobProgress()

        def wait(self, _seconds):
            return self.state

        def result(self):
            raise JobError("No space left. Make some.")

    return Failing()


def test_it_can_be_cancelled_while_it_is_made(slicerApplication, kept, download, monkeypatch):
    import qt

    job = sampleData.sampleCase()
    monkeypatch.setattr(sampleData, "sampleCase", lambda: job)

    def cancel():
        (dialog,) = slicer.util.mainWindow().findChildren(qt.QProgressDialog)
        assert dialog.windowModality == qt.Qt.WindowModal
        dialog.cancel()

    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.connect("timeout()", cancel)
    timer.start(500)
    assert download() == []
    assert job.wait(60).finished
    assert slicerApplication.dialogs.messages == []
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []
    assert slicer.app.overrideCursor() is None


def test_listing_it_imports_nothing_heavy():
    code = (
        "import sys, types; sys.modules['SampleData'] = types.ModuleType('SampleData')\n"
        "sys.modules['SampleData'].SampleDataLogic = types.SimpleNamespace("
        "registerCustomSampleDataSource=lambda **_: None)\n"
        "sys.modules['slicer'] = types.ModuleType('slicer')\n"
        "from ObserverUncertaintySlicer.sampleData import registerSampleData; registerSampleData()\n"
        "print([name for name in ('numpy', 'scipy', 'SimpleITK', 'ObserverUncertaintyLib') if name in sys.modules])"
    )
    folder = Path(sampleData.__file__).parents[1]
    found = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, encoding="utf-8", check=True)
    assert found.stdout.strip() == "[]"


def test_without_the_sample_data_module_nothing_is_listed(monkeypatch):
    monkeypatch.setitem(sys.modules, "SampleData", None)
    sampleData.registerSampleData()
