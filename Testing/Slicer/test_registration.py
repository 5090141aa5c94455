"""Rigid alignment of the scene's sequences, in a real worker process."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
from simulated_cases import simulatedCase

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.grid import same_grid
from ObserverUncertaintySlicer import host
from ObserverUncertaintySlicer.registration import poorlyOverlapping, registerSequences, registrationOf
from ObserverUncertaintySlicer.volumes import addVolume, arrayOfVolume, gridOfVolume

SHIFT = np.array([6.0, -4.0, 3.0])


@pytest.fixture(scope="module")
def case():
    return simulatedCase(seed=1, inPlane=2.5, thickness=5.0)


@pytest.fixture
def sequences(scene, case, tmp_path, monkeypatch):
    monkeypatch.setenv(host.JOBS_VARIABLE, str(tmp_path / "jobs"))
    monkeypatch.delenv(host.PYTHON_VARIABLE, raising=False)  # alignment needs no torch, so Slicer's own Python does
    return {name: addVolume(case.image(name), case.grid, f"case {name}") for name in ("T1", "T2")}


def moved(case, name):
    """The sequence as if the head had lain elsewhere: same voxels, origin shifted."""
    return addVolume(
        case.image(name), replace(case.grid, origin=tuple(np.add(case.grid.origin, SHIFT).tolist())), f"moved {name}"
    )


def test_a_shifted_sequence_comes_back_onto_the_reference(sequences, case):
    away = moved(case, "T2")
    before = arrayOfVolume(away)
    result = registerSequences({"T1": sequences["T1"], "T2": away}).result()
    assert result["T1"] is sequences["T1"]
    aligned = result["T2"]
    assert aligned is not away
    assert aligned.GetName() == "moved T2 aligned"
    np.testing.assert_array_equal(arrayOfVolume(away), before)
    assert same_grid(gridOfVolume(aligned), gridOfVolume(sequences["T1"]))
    # The true answer is the sequence itself; half a voxel of remaining shift is allowed for.
    correlation = np.corrcoef(arrayOfVolume(aligned).ravel(), case.image("T2").ravel())[0, 1]
    unaligned = sitk.Resample(case.grid.to_sitk(case.image("T2")), sitk.TranslationTransform(3, SHIFT.tolist()))
    baseline = np.corrcoef(sitk.GetArrayFromImage(unaligned).ravel(), case.image("T2").ravel())[0, 1]
    assert correlation > 0.97 > baseline
    found = registrationOf(aligned, sequences["T1"])
    assert found.isMoved
    assert found.shiftMm == pytest.approx(np.linalg.norm(SHIFT), abs=1.5)


def test_a_sequence_that_is_aligned_already_is_not_resampled(sequences, case):
    fine = replace(case.grid, spacing=(2.5, 2.5, 2.5), size=(*case.grid.size[:2], 2 * case.grid.size[2]))
    # Half as thick slices, so another grid: it may stay on that, as long as it shows the same place.
    t1c = addVolume(np.repeat(case.image("T1c"), 2, axis=0), lowered(fine, 1.25), "case T1c")
    given = {**sequences, "T1c": t1c}
    result = registerSequences(given).result()
    assert result == given
    assert slicer.mrmlScene.GetFirstNodeByName("case T2 aligned") is None
    for name in ("T2", "T1c"):
        found = registrationOf(given[name], sequences["T1"])
        assert not found.isMoved
        assert 0 < found.largestShiftMm < 0.5
        assert found.shiftMm <= found.largestShiftMm
        assert registrationOf(given[name], t1c) is None
    assert registrationOf(sequences["T1"], sequences["T1"]) is None


@pytest.mark.parametrize(("shift", "isMoved"), [(1.5, False), (4.0, True)])
def test_less_than_a_voxel_of_the_reference_is_no_reason_to_resample(sequences, case, shift, isMoved):
    origin = tuple(np.add(case.grid.origin, [shift, 0.0, 0.0]).tolist())
    away = addVolume(case.image("T1"), replace(case.grid, origin=origin), "away")
    result = registerSequences({"T1": sequences["T1"], "T1 again": away}).result()
    assert (result["T1 again"] is not away) is isMoved
    found = registrationOf(result["T1 again"], sequences["T1"])
    assert found.isMoved is isMoved
    assert found.largestShiftMm == pytest.approx(shift, abs=0.3)


def lowered(grid, mm):
    """The grid that much further down."""
    return replace(grid, origin=tuple(np.subtract(grid.origin, [0.0, 0.0, mm]).tolist()))


def test_alignment_is_asked_for_only_where_the_content_hardly_overlaps(sequences, case):
    assert poorlyOverlapping(sequences) == []
    far = replace(case.grid, origin=tuple(np.add(case.grid.origin, [90.0, 60.0, 0.0]).tolist()))
    sequences["T2"] = addVolume(case.image("T2"), far, "far T2")
    ((name, overlap),) = poorlyOverlapping(sequences)
    assert name == "T2"
    assert overlap < 0.5


def test_of_an_alignment_that_cannot_start_no_image_is_left_behind(sequences, scene, tmp_path):
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "hollow")
    with pytest.raises(InputError, match="hollow"):
        registerSequences({**sequences, "FLAIR": empty})
    assert list((tmp_path / "jobs").iterdir()) == []


def test_one_sequence_alone_or_none_is_refused(sequences):
    with pytest.raises(InputError, match="no sequence"):
        registerSequences({})
    with pytest.raises(InputError, match="nothing to register"):
        registerSequences({"T1": sequences["T1"]})
