"""The sample case: made here, kept, made again when damaged."""

from __future__ import annotations

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
