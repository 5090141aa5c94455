"""The sample case: made here, kept, made again when damaged."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from ObserverUncertaintySlicer import host, sampleData
from ObserverUncertaintySlicer.raters import commonGrid, raterMasks
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


def test_it_is_listed_in_sample_data_and_loads_from_there(scene, kept, monkeypatch):
    module = types.ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogicImitation
    monkeypatch.setitem(sys.modules, "SampleData", module)
    monkeypatch.setattr(SampleDataLogicImitation, "sources", [])
    sampleData.registerSampleData()
    ((category, name, download, thumbnail),) = SampleDataLogicImitation.sources
    assert (category, name) == ("ObserverUncertainty", "SimulatedCavity")
    assert Path(thumbnail).is_file()
    nodes = download(object())
    assert [node.GetClassName() for node in nodes] == ["vtkMRMLScalarVolumeNode"] * 4 + ["vtkMRMLSegmentationNode"]


def test_without_the_sample_data_module_nothing_is_listed(monkeypatch):
    monkeypatch.setitem(sys.modules, "SampleData", None)
    sampleData.registerSampleData()
